package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

const defaultServer = "http://127.0.0.1:8440"

// A savedSession is the session file. The token in it opens nothing by itself:
// what it belongs to is in the server's memory. There is no handle in it and
// nothing else about a person, since it may lie on the disk that is seized.
type savedSession struct {
	Server  string    `json:"server"` // the only one the token is ever sent to
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Vault   string    `json:"vault"`
}

var errNotSignedIn = &vault.Error{Kind: vault.Unauthenticated, Code: "not-signed-in", Msg: "you are not signed in",
	Hint: "sign in with: rallyvault login HANDLE"}

// server returns the address of the server to talk to, in one spelling.
func (p *program) server() (string, error) {
	s := p.getenv("RALLYVAULT_SERVER")
	if s == "" {
		return defaultServer, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "", usageHint("it looks like "+defaultServer, "RALLYVAULT_SERVER is not the address of a server")
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	return strings.TrimRight(u.String(), "/"), nil
}

// stateDir is the directory for what outlives a log-out (XDG Base Directory
// Specification).
func (p *program) stateDir() (string, error) {
	if dir := p.getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rallyvault"), nil
	}
	if home := p.getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "rallyvault"), nil
	}
	return "", usageHint("set RALLYVAULT_SESSION to the name of a file", "there is no home directory to keep the session in")
}

func (p *program) sessionPath() (string, error) {
	if path := p.getenv("RALLYVAULT_SESSION"); path != "" {
		return path, nil
	}
	// The runtime directory is the better place, as it is in memory and ends
	// with the log-in; but after su or sudo the variable may name somebody else's.
	if dir := p.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && unix.Access(dir, unix.W_OK|unix.X_OK) == nil {
		return filepath.Join(dir, "rallyvault", "session"), nil
	}
	dir, err := p.stateDir()
	return filepath.Join(dir, "session"), err
}

// loadSession returns the session for the server in use. A session of another
// server is not one: its token must not leave for here.
func (p *program) loadSession() (*savedSession, error) {
	server, err := p.server()
	if err != nil {
		return nil, err
	}
	path, err := p.sessionPath()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotSignedIn
	}
	if err != nil {
		return nil, fileError(path, err)
	}
	var s savedSession
	if json.Unmarshal(b, &s) != nil || s.Token == "" || !vault.ValidID(s.Vault) {
		return nil, &vault.Error{Kind: vault.Unauthenticated, Code: "session-file", Msg: "the session file is damaged", Hint: errNotSignedIn.Hint}
	}
	if s.Server != server {
		return nil, &vault.Error{Kind: vault.Unauthenticated, Code: "other-server", Msg: "you are not signed in at " + server,
			Hint: "the session is one of " + clean(s.Server) + "; set RALLYVAULT_SERVER to it, or sign in here"}
	}
	if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o077 != 0 {
		p.warn("others on this machine can reach the session file %q", path)
		p.hint(fmt.Sprintf("chmod 600 %q", path))
	}
	return &s, nil
}

// lockSession returns where the session file is, with the right to change it
// until unlock is called.
func (p *program) lockSession(ctx context.Context) (path string, unlock func(), err error) {
	if path, err = p.sessionPath(); err != nil {
		return "", nil, err
	}
	unlock, err = lockFile(ctx, path)
	return path, unlock, err
}

// saveSession makes s the session, in one step that readers see whole.
func (p *program) saveSession(ctx context.Context, s savedSession) error {
	path, unlock, err := p.lockSession(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return writeSession(path, s)
}

// writeSession is saveSession for who has locked the session file at path.
func writeSession(path string, s savedSession) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}

// dropSession removes the session file, unless somebody has signed in anew
// since it was read.
func (p *program) dropSession(ctx context.Context, s *savedSession) error {
	path, unlock, err := p.lockSession(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var now savedSession
	if json.Unmarshal(b, &now) == nil && now.Token != s.Token {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fileError(path, err)
	}
	return nil
}

// lockFile takes the lock beside path, for as long as a change to it takes. The
// directory is made if need be. The lock file stays: removing one that another
// process is waiting for would give two processes a lock each.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fileError(filepath.Dir(path), err)
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fileError(path+".lock", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fileError(path+".lock", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// replaceFile writes path anew, mode 0600, so that a reader finds the old bytes
// or the new ones and a crash leaves one of them. The caller holds lockFile.
func replaceFile(path string, b []byte) (err error) {
	// One name, not a random one: what a crash leaves is overwritten by the next.
	part := path + ".new"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(part, err)
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fileError(part, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		os.Remove(part)
		return fileError(path, err)
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // some file systems cannot; the rename itself was atomic
		dir.Close()
	}
	return nil
}

// A link is a signed-in client together with the memory of its vault.
type link struct {
	*client.Client
	memory *memory
	saved  *savedSession
	over   bool // the group has ended: nothing can be asked any more
}

// connect returns a link with the session of the session file, which the audit
// trail was checked on.
func (p *program) connect(ctx context.Context) (*link, error) {
	s, err := p.loadSession()
	if err != nil {
		return nil, err
	}
	c, err := client.New(s.Server)
	if err != nil {
		return nil, err
	}
	c.SetToken(s.Token)
	m, err := p.memory(s.Vault)
	if err != nil {
		return nil, err
	}
	l := &link{Client: c, memory: m, saved: s}
	c.OnEnded(func(ctx context.Context) string { return p.replacedToken(ctx, s) })
	if err := l.check(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return l, nil
}

// replacedToken returns the token that took the place of the one in s, "" if none
// did. It waits for a command that is replacing it now, as a change of passphrase
// does: until that ends, the session file has the session that is gone.
func (p *program) replacedToken(ctx context.Context, s *savedSession) string {
	_, unlock, err := p.lockSession(ctx)
	if err != nil {
		return ""
	}
	unlock()
	now, err := p.loadSession()
	if err != nil || now.Vault != s.Vault {
		return ""
	}
	return now.Token
}

func (l *link) check(ctx context.Context) error { return l.memory.check(ctx, l.Client, "") }

// signedIn is the frame of every command that talks to a server: the audit
// trail is checked, the command does its part, the trail is checked again. Only
// then is the answer printed.
func (p *program) signedIn(run func(ctx context.Context, l *link, c *cobra.Command, args []string) error) func(context.Context, *cobra.Command, []string) error {
	return func(ctx context.Context, c *cobra.Command, args []string) error {
		l, err := p.connect(ctx)
		if err != nil {
			return err
		}
		defer l.Close()
		if err := run(ctx, l, c, args); err != nil || l.over {
			return err
		}
		return l.check(ctx)
	}
}

func (p *program) loginCmd() *cobra.Command {
	var file string
	return p.command(verb{
		use: "login HANDLE [--passphrase-file F]", short: "sign in", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { passphraseFlag(f, &file) },
		files: []string{"passphrase-file"},
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			return p.login(ctx, args[0], file)
		},
	})
}

func passphraseFlag(f *pflag.FlagSet, file *string) {
	f.StringVar(file, "passphrase-file", "", "file whose first line is the passphrase; - is stdin")
}

func (p *program) login(ctx context.Context, handle, file string) error {
	server, err := p.server()
	if err != nil {
		return err
	}
	c, err := client.New(server)
	if err != nil {
		return err
	}
	defer c.Close()
	pass, err := p.passphrase(ctx, file, false)
	if err != nil {
		return err
	}
	s, err := c.SignIn(ctx, handle, pass)
	pass.Wipe()
	if err != nil {
		return err
	}
	if err := p.keepSession(ctx, c, server, s); err != nil {
		return err
	}
	p.say(struct {
		Status  string    `json:"status"`
		Vault   string    `json:"vault"`
		Expires time.Time `json:"expires"`
	}{"done", s.Vault, s.Expires.UTC().Truncate(time.Second)}, func(w io.Writer) {
		fmt.Fprintf(w, "signed in until %s, or until the service stops\n", timeText(s.Expires))
	})
	if who, err := c.WhoAmI(ctx); err == nil { // signed in, whatever else is known
		p.remind(who.Due)
		p.remindEnd(who)
		if who.Role == vault.Organiser {
			p.announceExpiry(ctx, c)
		}
	}
	return nil
}

// keepSession makes a session that a server has just given the one of the session
// file, once the server's audit trail has been checked on it.
func (p *program) keepSession(ctx context.Context, c *client.Client, server string, s *client.Session) error {
	m, err := p.memory(s.Vault)
	if err == nil {
		err = m.check(ctx, c, s.LogKey)
	}
	if err == nil {
		if old, oldErr := p.loadSession(); oldErr == nil && old.Vault != s.Vault {
			p.warn("this server has another vault than the last time you signed in")
		}
		err = p.saveSession(ctx, savedOf(server, s))
	}
	if err != nil {
		// Nobody will use this session, so nobody should be able to.
		_ = c.SignOut(context.WithoutCancel(ctx))
	}
	return err
}

func savedOf(server string, s *client.Session) savedSession {
	return savedSession{Server: server, Token: s.Token, Expires: s.Expires.UTC().Truncate(time.Second), Vault: s.Vault}
}

func (p *program) logoutCmd() *cobra.Command {
	return p.command(verb{use: "logout", short: "sign out", run: p.logout})
}

// logout ends the session before anything can keep it from that: a trail that
// does not verify is reported afterwards.
func (p *program) logout(ctx context.Context, _ *cobra.Command, _ []string) error {
	s, err := p.loadSession()
	if err != nil {
		return err
	}
	c, err := client.New(s.Server)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetToken(s.Token)
	m, err := p.memory(s.Vault)
	if err != nil {
		return err
	}
	checked := m.check(ctx, c, "")
	ended := c.SignOut(ctx)
	var unrecorded *vault.Error
	if err := p.dropSession(ctx, s); err != nil {
		return err
	}
	switch {
	case vault.KindOf(checked) == vault.Untrusted:
		return checked
	case vault.KindOf(ended) == vault.Unauthenticated:
		p.note("the session had ended already")
	case errors.As(ended, &unrecorded) && unrecorded.Code == "end-not-recorded":
		return ended
	case ended != nil:
		p.note("the session file is removed; the server does not know, and ends the session at %s", timeText(s.Expires))
		return ended
	}
	p.say(map[string]string{"status": "done"}, func(w io.Writer) { fmt.Fprintln(w, "signed out") })
	return nil
}

func (p *program) whoamiCmd() *cobra.Command {
	return p.command(verb{use: "whoami", short: "say who is signed in",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			who, err := l.WhoAmI(ctx)
			if err != nil {
				return err
			}
			p.say(who, func(w io.Writer) {
				fmt.Fprintf(w, "%s, %s, until %s\n", clean(who.Handle), who.Role, timeText(who.Expires))
			})
			p.remind(who.Due)
			p.remindEnd(who)
			return nil
		})})
}

// announceExpiry says whose certificate ends soon, and when.
func (p *program) announceExpiry(ctx context.Context, c *client.Client) {
	partners, err := c.Partners(ctx)
	if err != nil {
		return
	}
	for i := range partners {
		for _, w := range partners[i].Warnings {
			if w.Code == "expires-soon" || w.Code == "expired" || w.Code == "subkey-expired" {
				p.note("partner %s: %s; ask for an extended certificate, then: rallyvault partner update", clean(partners[i].Name), clean(w.Message))
			}
		}
	}
}

// remind says what is due.
func (p *program) remind(due []string) {
	for _, d := range due {
		switch d {
		case vault.DueReview:
			p.note("nobody has looked for six months at who can reach what: rallyvault review")
		case vault.DueHold:
			p.note("a hold lapses unless another organiser agrees to it: rallyvault waiting ls")
		case vault.DueDay, vault.DueDays, vault.DueWeeks:
			p.note("a list of yours ends within %s: rallyvault list ls", map[string]string{vault.DueDay: "a day", vault.DueDays: "three days", vault.DueWeeks: "two weeks"}[d])
		case vault.DueReceipts:
			p.note("a partner should have signed by now that it has deleted what it got: rallyvault export ls")
		case vault.DuePassphrase:
			p.note("your passphrase is six months old: rallyvault passphrase sets another")
		}
	}
}

// timeText writes a time as every answer does: RFC 3339, UTC, whole seconds.
func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
