package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rallyvault/rallyvault/api/web"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// maxSheet bounds a file that a share is read from, in bytes: a sheet with a
// page around it is a hundredth of that.
const maxSheet = 1 << 20

// sheetFile is what files of recovery sheets are called, whoever's they are.
var sheetFile = regexp.MustCompile(`^share-[0-9]+-of-[0-9]+\.(txt|html)$`)

// Forms of a sheet.
const (
	sheetText = "text"
	sheetPage = "page"
)

// A sheetDir is a directory that recovery sheets are written to, one file each.
type sheetDir struct {
	path   string
	form   string // sheetText or sheetPage
	needed int
	of     int

	revocation []byte // of the group's OpenPGP key, armored, on each sheet; nil: none

	made    []string // directories that are ours, the outermost first
	written []string // names of files

	sync func(dir string) error // syncDir but in tests

	open   bool        // it was there, empty, and open to others: write closes it to them
	before fs.FileMode // what its permissions were; 0 if write has not changed them
}

// newSheetDir refuses a directory that the sheets of a scheme must not or cannot
// go to. It makes and writes nothing. Sheets beside the data they open would be
// taken together with it, so no directory in avoid may hold dir; and a second
// set beside a first would end in one that nobody can tell apart.
func newSheetDir(dir, form, scheme string, avoid ...string) (*sheetDir, error) {
	needed, of, err := shares.ParseScheme(scheme)
	switch {
	case err != nil:
		return nil, usage("--recovery takes how many of how many shares bring the lists back, such as 2/3: at most 3 of at most 5")
	case dir == "":
		return nil, usageHint("name a directory on a stick or in memory, such as /dev/shm/shares", "the directory for the shares is missing: --recovery-out DIR")
	case form != sheetText && form != sheetPage:
		return nil, usage("--recovery-format is text or page")
	}
	real, err := realPath(dir)
	if err != nil {
		return nil, fileError(dir, err)
	}
	for _, a := range avoid {
		other, err := realPath(a)
		if err != nil {
			return nil, fileError(a, err)
		}
		if rel, err := filepath.Rel(other, real); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return nil, besideVault()
		}
	}
	for at := real; ; at = filepath.Dir(at) {
		if holdsVault(at) {
			return nil, besideVault()
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	entries, err := os.ReadDir(real)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fileError(dir, err)
	}
	for _, e := range entries {
		if sheetFile.MatchString(e.Name()) {
			return nil, &vault.Error{Kind: vault.Conflict, Code: "shares-there", Msg: fmt.Sprintf("directory %q holds shares already", dir),
				Hint: "name another one: sheets of two sets must not lie together"}
		}
	}
	open, err := openToOthers(dir, real)
	if err != nil {
		return nil, err
	}
	return &sheetDir{path: real, form: form, needed: needed, of: of, open: open && len(entries) == 0, sync: syncDir}, nil
}

// openToOthers reports whether others can look into a directory, real, that is
// there. It refuses one that cannot be closed to them, as it is somebody else's,
// or must not be, as it is there for all: /tmp and /dev/shm have the sticky bit.
func openToOthers(dir, real string) (bool, error) {
	var st unix.Stat_t
	err := unix.Stat(real, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, fileError(dir, err)
	case st.Mode&0o077 == 0:
		return false, nil
	case int(st.Uid) != os.Geteuid(), st.Mode&unix.S_ISVTX != 0:
		return false, usageHint("name a new directory below it", "the directory %q is not yours alone", dir)
	}
	return true, nil
}

func besideVault() error {
	return usageHint("whoever takes the vault must not have the shares with it", "--recovery-out lies inside a directory of the vault")
}

// holdsVault reports whether a directory is that of a vault, be it another than
// the one at hand.
func holdsVault(dir string) bool {
	for _, name := range []string{slots.Name, sqlite.FileName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// realPath is path without symbolic links, as far as it exists.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for at := abs; ; at = filepath.Dir(at) {
		real, err := filepath.EvalSymlinks(at)
		switch {
		case err == nil:
			return filepath.Join(real, rest), nil
		case !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at):
			return "", err
		}
		if _, err := os.Lstat(at); err == nil {
			return "", fs.ErrNotExist // a link to nowhere
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// write writes all sheets and returns when they are on the disk, so that what
// they are for may take effect. After an error none is left.
func (d *sheetDir) write(set []shares.Share) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove())
		}
	}()
	if len(set) != d.of {
		return fmt.Errorf("got %d shares, want %d", len(set), d.of)
	}
	if err := d.makeAll(d.path); err != nil {
		return d.cannot(err)
	}
	if d.open {
		// A stick may know no permissions; adviseSheets looks at what came of it.
		if fi, err := os.Stat(d.path); err == nil && os.Chmod(d.path, 0o700) == nil {
			d.before = fi.Mode().Perm()
		}
	}
	pages := web.New(web.Config{})
	for _, s := range set {
		sheet, name := crypto.Secret{}, fmt.Sprintf("share-%d-of-%d.txt", s.Number, s.Of)
		if d.form == sheetPage {
			name = strings.TrimSuffix(name, "txt") + "html"
			if sheet, err = pages.SheetPage(s, d.revocation); err != nil {
				return err
			}
		} else {
			sheet = pages.SheetText(s, d.revocation)
		}
		err := d.writeSheet(name, sheet)
		sheet.Wipe()
		if err != nil {
			return d.cannot(err)
		}
	}
	if err := d.sync(d.path); err != nil {
		return d.cannot(err)
	}
	// The name of a new directory is on the disk once its parent is.
	for _, dir := range slices.Backward(d.made) {
		if err := d.sync(filepath.Dir(dir)); err != nil {
			return d.cannot(err)
		}
	}
	return nil
}

// makeAll makes a directory and those above it that are missing.
func (d *sheetDir) makeAll(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		if err := d.makeAll(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.made = append(d.made, dir)
	return os.Chmod(dir, 0o700) // the umask may have taken too much
}

func (d *sheetDir) writeSheet(name string, sheet crypto.Secret) error {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	d.written = append(d.written, name)
	_, err = f.Write(sheet.Bytes())
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// cannot says that the shares cannot be written; nil stays nil.
func (d *sheetDir) cannot(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return &vault.Error{Kind: vault.Conflict, Code: "shares-there", Msg: fmt.Sprintf("directory %q holds shares already", d.path),
			Hint: "name another one: sheets of two sets must not lie together"}
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EFBIG), errors.Is(err, unix.EDQUOT):
		return &vault.Error{Kind: vault.Unavailable, Code: "disk", Msg: "there is no room for the shares; nothing was changed", Hint: "free some space, or name another directory", Err: err}
	}
	return fileError(d.path, err)
}

// remove takes back what write wrote: shares of a set that never took effect
// would be mistaken for ones that open something.
func (d *sheetDir) remove() error {
	var first error
	for _, name := range d.written {
		if err := os.Remove(filepath.Join(d.path, name)); err != nil && first == nil {
			first = err
		}
	}
	d.written = nil
	if d.before != 0 {
		_ = os.Chmod(d.path, d.before)
		d.before = 0
	}
	if len(d.made) == 0 {
		if first == nil {
			first = syncDir(d.path)
		}
		return first
	}
	for _, dir := range slices.Backward(d.made) {
		_ = os.Remove(dir) // only if it is empty
	}
	d.made = nil
	return first
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err // the others say that this file system has nothing to sync
	}
	return nil
}

// adviseSheets says what to do with the sheets, on stderr: stdout is what scripts
// keep. data is the vault's directory, as far as it is known.
func (p *program) adviseSheets(d *sheetDir, data string) {
	p.note("%d recovery shares are in %q; any %d of them open everything", d.of, d.path, d.needed)
	if d.revocation != nil {
		p.note("page 2 of each is a certificate of revocation: whoever keeps one sheet can end the group's OpenPGP key")
	}
	p.note("print them, give them to different people who do not live together, then delete the files")
	p.note("a deleted file can stay readable on flash; better they never lie on the disk of this machine")
	give := ""
	for _, name := range d.written[:d.needed] {
		give += fmt.Sprintf(" --share %q", filepath.Join(d.path, name))
	}
	p.note("rehearse now, while no server runs: rallyvault recover --rehearse --data %s%s", data, give)
	fi, err := os.Stat(d.path)
	switch {
	case err != nil:
	case fi.Mode().Perm()&0o077 == 0 && d.before != 0:
		p.note("%q was open to other users of this machine, and is yours alone now", d.path)
	case fi.Mode().Perm()&0o077 != 0:
		p.warn("other users of this machine can see what is in %q", d.path)
		p.hint(fmt.Sprintf("chmod 700 %q", d.path))
	}
}

// readShare reads a share from a file, or from stdin for "-". What of the file
// was in memory is overwritten.
func (p *program) readShare(r io.Reader, name string) (shares.Share, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSheet+1))
	defer func() { clear(b) }()
	if err != nil {
		return shares.Share{}, err
	}
	if len(b) > maxSheet {
		return shares.Share{}, &vault.Error{Kind: vault.TooLarge, Code: "share-too-long", Msg: fmt.Sprintf("%s is too large to be a recovery sheet", name)}
	}
	s, err := shares.Parse(b)
	var bad *shares.Error
	if errors.As(err, &bad) {
		return s, shareError(name, bad)
	}
	return s, err
}

// shareError says what is wrong with the text of a share. Nothing of the text is
// in it.
func shareError(name string, bad *shares.Error) error {
	e := &vault.Error{Kind: vault.Invalid, Code: "share-" + bad.Code, Err: bad}
	switch bad.Code {
	case "no-share":
		e.Code = "share-none"
		e.Msg, e.Hint = "there is no recovery share in "+name, "type the lines of the key as they stand on the sheet, the first one too"
	case "two-shares":
		e.Code = "share-two"
		e.Msg, e.Hint = "there is more than one recovery share in "+name, "give each its own file and its own --share"
	default:
		e.Msg, e.Hint = "the share in "+name+" is typed wrong", "compare it with the sheet, letter by letter"
		if bad.Line > 0 {
			e.Msg = fmt.Sprintf("the share in %s is typed wrong in line %d", name, bad.Line)
			e.Params = map[string]string{"line": fmt.Sprint(bad.Line)}
		}
	}
	return e
}
