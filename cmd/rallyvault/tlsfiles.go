package main

import (
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/acme/autocert"

	"github.com/rallyvault/rallyvault/vault"
)

// tlsDir is the directory, in that of the vault, of what https takes.
const tlsDir = "tls"

// Files of tlsDir. There are no others: what a challenge takes is in memory only.
const (
	tlsCertificate = "certificate.pem" // the private key, and the certificate with what it is signed by
	tlsAccount     = "account.pem"     // the key of the account with the authority
	tlsAuthority   = "authority"       // the address of the authority that both are of
)

// tlsFiles keeps what https takes on the disk, so that a start needs no new
// certificate, of which authorities issue a few a week. It is the autocert.Cache of a
// service with a name, and vault.TLSFiles of every one.
type tlsFiles struct {
	dir string

	mu    sync.Mutex
	over  bool              // the group has ended: nothing is on the disk any more
	other map[string][]byte // what is kept in memory instead, by autocert's name
}

var (
	_ autocert.Cache = (*tlsFiles)(nil)
	_ vault.TLSFiles = (*tlsFiles)(nil)
)

// use makes the directory, and forgets what is of another authority: a certificate
// that was got to try things out would otherwise be shown to everybody for months.
func (f *tlsFiles) use(authority string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return nil
	}
	if err := makeDir(f.dir); err != nil {
		return err
	}
	known, err := os.ReadFile(filepath.Join(f.dir, tlsAuthority))
	if err == nil && string(known) == authority+"\n" {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tlsError(f.dir, err)
	}
	if err := f.clear(); err != nil {
		return tlsError(f.dir, err)
	}
	if err := f.write(tlsAuthority, []byte(authority+"\n")); err != nil {
		return tlsError(f.dir, err)
	}
	return nil
}

func tlsError(dir string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &vault.Error{Kind: vault.Unavailable, Code: "tls-files", Msg: "the files for https in " + dir + " cannot be used: " + err.Error(),
		Hint: "mend owner, permissions or space; or remove that directory, and the service gets a new certificate"}
}

// named is the file for what autocert calls key: the name of the service, or the
// account. It is "" for the rest, which is of one challenge.
func (f *tlsFiles) named(key string) string {
	switch {
	case key == "acme_account+key":
		return tlsAccount
	case strings.ContainsAny(key, "+/") || key == "acme_account.key": // the latter is of versions of autocert before ours
		return ""
	}
	return tlsCertificate
}

// Get implements autocert.Cache. A certificate of another name is not valid for this
// one, which autocert finds out.
func (f *tlsFiles) Get(_ context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := f.named(key)
	if name == "" || f.over {
		if b, ok := f.other[key]; ok {
			return b, nil
		}
		return nil, autocert.ErrCacheMiss
	}
	b, err := os.ReadFile(filepath.Join(f.dir, name))
	if block, _ := pem.Decode(b); errors.Is(err, fs.ErrNotExist) || err == nil && block == nil {
		return nil, autocert.ErrCacheMiss // also of a damaged file, which is then replaced
	}
	return b, err
}

// Put implements autocert.Cache.
func (f *tlsFiles) Put(_ context.Context, key string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := f.named(key)
	if name == "" || f.over {
		if f.other == nil {
			f.other = map[string][]byte{}
		}
		f.other[key] = data
		return nil
	}
	return f.write(name, data)
}

// Delete implements autocert.Cache, which calls it for what is of a challenge.
func (f *tlsFiles) Delete(_ context.Context, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.other, key)
	if name := f.named(key); name != "" && !f.over {
		if err := os.Remove(filepath.Join(f.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// write puts a file in the place of the one before, which stays whole until then. It is
// called with mu held.
func (f *tlsFiles) write(name string, data []byte) (err error) {
	path := filepath.Join(f.dir, name)
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(next)
		}
	}()
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// The key of before signs for the service until its certificate ends, so it is
	// overwritten, once the new one is there.
	before, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if before != nil {
		defer before.Close()
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	if err := syncDir(f.dir); err != nil || before == nil {
		return err
	}
	return blank(before)
}

// Stored implements vault.TLSFiles.
func (f *tlsFiles) Stored() (vault.Held, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var h vault.Held
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			return h, err
		}
		h.N, h.Bytes = h.N+1, h.Bytes+fi.Size()
	}
	return h, err
}

// Destroy implements vault.TLSFiles. A service that goes on, to say that the group has
// ended, has its certificate in memory.
func (f *tlsFiles) Destroy() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if err := f.clear(); err != nil {
		return err
	}
	if err := os.Remove(f.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(f.dir))
}

// clear overwrites and removes every file. It is called with mu held.
func (f *tlsFiles) clear() error {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(f.dir, e.Name())
		if e.Type().IsRegular() {
			if err := overwrite(path); err != nil {
				return err
			}
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return syncDir(f.dir)
}

// overwrite puts zeros over a file where it lies, as far as the file system does that.
func overwrite(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return blank(file)
}

func blank(file *os.File) error {
	fi, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(make([]byte, fi.Size()), 0); err != nil {
		return err
	}
	return file.Sync()
}
