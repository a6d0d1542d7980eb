package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
)

// demoGuest is the handle of who is invited in the demo.
const demoGuest = "sandpiper"

func demoSecret(words string) crypto.Secret { return crypto.NewSecret([]byte(words)) }

func demoGuestPassphrase() crypto.Secret { return demoSecret("meadow cobalt anchor") }

// join tells how people come in and what becomes of passphrases.
func (d *demoRun) join(ctx context.Context) error {
	err := d.tell("she invites somebody: a code that works once; a forgotten passphrase is reset with another", func() ([]string, error) {
		i, err := d.client.Invite(ctx, client.NewMember{Handle: demoGuest})
		if err != nil {
			return nil, err
		}
		guest, err := client.New(d.door.url)
		if err != nil {
			return nil, err
		}
		defer guest.Close()
		first, second := demoSecret("meadow cobalt thimble"), demoGuestPassphrase()
		if _, err := guest.Join(ctx, i.Code, first); err != nil {
			return nil, err
		}
		if _, err := guest.Join(ctx, i.Code, second); wants(err, vault.CannotOpen) != nil {
			return nil, wants(err, vault.CannotOpen)
		}
		if i, err = d.client.ResetMember(ctx, demoGuest); err != nil {
			return nil, err
		}
		if _, err := guest.WhoAmI(ctx); wants(err, vault.Unauthenticated) != nil {
			return nil, wants(err, vault.Unauthenticated)
		}
		_, err = guest.Join(ctx, i.Code, second)
		return nil, err
	})
	if err != nil {
		return err
	}
	err = d.tell("she changes her passphrase: the old one and her other sessions open nothing any more", func() ([]string, error) {
		old := d.session.Token
		next := demoSecret("teapot quill lighthouse")
		s, err := d.client.ChangePassphrase(ctx, d.passphrase, next)
		if err != nil {
			return nil, err
		}
		before := d.passphrase
		d.session, d.passphrase = s, next
		other, err := client.New(d.door.url)
		if err != nil {
			return nil, err
		}
		defer other.Close()
		other.SetToken(old)
		if _, err := other.WhoAmI(ctx); wants(err, vault.Unauthenticated) != nil {
			return nil, wants(err, vault.Unauthenticated)
		}
		_, err = other.SignIn(ctx, demoHandle, before)
		if err := wants(err, vault.CannotOpen); err != nil {
			return nil, err
		}
		_, err = d.read(ctx)
		return nil, err
	})
	if err != nil {
		return err
	}
	return d.tell("a laptop is taken: she locks the vault down, nobody is signed in any more, and signs in again", func() ([]string, error) {
		taken, err := client.New(d.door.url)
		if err != nil {
			return nil, err
		}
		defer taken.Close()
		if _, err := taken.SignIn(ctx, demoGuest, demoSecret("meadow cobalt anchor")); err != nil {
			return nil, err
		}
		e, err := d.client.LockDown(ctx)
		if err != nil {
			return nil, err
		}
		for _, c := range []*client.Client{taken, d.client} {
			if _, err := c.WhoAmI(ctx); wants(err, vault.Unauthenticated) != nil {
				return nil, wants(err, vault.Unauthenticated)
			}
		}
		d.session, err = d.client.SignIn(ctx, demoHandle, d.passphrase)
		return []string{counted(e.Ended, "session", "sessions") + " ended"}, err
	})
}

// leave tells how the coworker's membership ends.
func (d *demoRun) leave(ctx context.Context) error {
	return d.tell("that coworker leaves the group and is disabled: passphrase and keys open nothing any more", func() ([]string, error) {
		if _, err := d.client.DisableMember(ctx, demoGuest); err != nil {
			return nil, err
		}
		guest, err := client.New(d.door.url)
		if err != nil {
			return nil, err
		}
		defer guest.Close()
		_, err = guest.SignIn(ctx, demoGuest, demoGuestPassphrase())
		return nil, wants(err, vault.CannotOpen)
	})
}

// demoSecond is the handle of the second organiser in the demo.
const demoSecond = "godwit"

// pair tells what one organiser does not do alone where there are two.
func (d *demoRun) pair(ctx context.Context) error {
	return d.tell("a second organiser joins; from now on destroying a list early waits for the other, who can refuse", func() ([]string, error) {
		l, err := d.client.CreateList(ctx, client.NewList{Title: "Next rally", Purpose: demoPurpose, Fields: []string{"name"}})
		if err != nil {
			return nil, err
		}
		i, err := d.client.Invite(ctx, client.NewMember{Handle: demoSecond, Role: vault.Organiser})
		if err != nil {
			return nil, err
		}
		second, err := client.New(d.door.url)
		if err != nil {
			return nil, err
		}
		defer second.Close()
		if _, err := second.Join(ctx, i.Code, demoSecret("cobalt harvest thimble")); err != nil {
			return nil, err
		}
		_, err = d.client.DestroyList(ctx, l.ID)
		if err := wants(err, vault.Waiting); err != nil {
			return nil, err
		}
		ws, err := second.Waits(ctx)
		if err != nil {
			return nil, err
		}
		if len(ws) != 1 || ws[0].List != l.ID {
			return nil, errors.New("what waits is not announced")
		}
		// Nobody agrees to their own, and somebody who is new to nothing yet.
		for _, c := range []*client.Client{d.client, second} {
			if _, err := c.Agree(ctx, ws[0].ID); wants(err, vault.Forbidden) != nil {
				return nil, wants(err, vault.Forbidden)
			}
		}
		if _, err := second.Refuse(ctx, ws[0].ID, "people are still being called"); err != nil {
			return nil, err
		}
		if _, err := d.client.List(ctx, l.ID); err != nil {
			return nil, err
		}
		return []string{"unrefused, it would have counted as agreed from " + timeText(ws[0].Expires)}, nil
	})
}

// lose tells how a lost passphrase is mended, and when it can no longer be.
func (d *demoRun) lose(ctx context.Context) error {
	err := d.tell("two of the three sheets are rehearsed: they open the list, one alone does not, no byte is changed", func() ([]string, error) {
		if err := d.stop(); err != nil {
			return nil, err
		}
		before, err := readDir(d.cfg.Data)
		if err != nil {
			return nil, err
		}
		r, err := d.rehearse(ctx, d.shares[0], d.shares[2])
		if err != nil {
			return nil, err
		}
		if r.Lists != 1 {
			return nil, errors.New("the sheets do not open the list")
		}
		if _, err := d.rehearse(ctx, d.shares[1]); wants(err, vault.Invalid) != nil {
			return nil, wants(err, vault.Invalid)
		}
		after, err := readDir(d.cfg.Data)
		if err == nil && !same(before, after) {
			err = errors.New("the rehearsal changed a file")
		}
		return nil, err
	})
	if err != nil {
		return err
	}
	err = d.tell("her passphrase is lost: two sheets give her a new one; the lost one opens nothing, should it be found", func() ([]string, error) {
		lost := d.passphrase
		d.passphrase = demoSecret("teapot quill meadow")
		if err := d.recover(ctx); err != nil {
			return nil, err
		}
		if err := d.start(ctx, false); err != nil {
			return nil, err
		}
		_, err := d.client.SignIn(ctx, demoHandle, lost)
		if err := wants(err, vault.CannotOpen); err != nil {
			return nil, err
		}
		if d.session, err = d.client.SignIn(ctx, demoHandle, d.passphrase); err != nil {
			return nil, err
		}
		rows, err := d.read(ctx)
		if err == nil && len(rows) < 2 {
			err = errors.New("the people are not on the list any more")
		}
		return nil, err
	})
	if err != nil {
		return err
	}
	return d.tell("sheets that were used are replaced: the new ones open the list, the old ones nothing", func() ([]string, error) {
		draft, err := d.client.DraftRecovery(ctx, d.passphrase, "2/3")
		if err != nil {
			return nil, err
		}
		old := d.shares
		if d.shares, err = parseShares(draft.Shares); err != nil {
			return nil, err
		}
		if _, err := d.client.KeepRecovery(ctx, draft.ID); err != nil {
			return nil, err
		}
		if err := d.stop(); err != nil {
			return nil, err
		}
		if _, err := d.rehearse(ctx, old[0], old[1]); wants(err, vault.CannotOpen) != nil {
			return nil, wants(err, vault.CannotOpen)
		}
		if _, err := d.rehearse(ctx, d.shares[1], d.shares[2]); err != nil {
			return nil, err
		}
		if err := d.start(ctx, false); err != nil {
			return nil, err
		}
		d.session, err = d.client.SignIn(ctx, demoHandle, d.passphrase)
		return nil, err
	})
}

// keepShares is vault.Founding.KeepShares: what it is given is gone after it.
func (d *demoRun) keepShares(set []shares.Share) (err error) {
	var texts []string
	for _, s := range set {
		texts = append(texts, string(s.Text().Bytes()))
	}
	d.shares, err = parseShares(texts)
	return err
}

func (d *demoRun) rehearse(ctx context.Context, given ...shares.Share) (*vault.Rehearsal, error) {
	return rehearse(ctx, d.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), d.workFactor, given)
}

// recover gives the organiser the passphrase of d with two of the shares.
func (d *demoRun) recover(ctx context.Context) (err error) {
	h, err := openHouse(ctx, d.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), d.workFactor)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := h.Close(); err == nil {
			err = cerr
		}
	}()
	_, err = h.vault.Recover(ctx, []shares.Share{d.shares[2], d.shares[1]}, demoHandle, d.passphrase)
	return err
}

// readDir returns the bytes of every file in a directory, by name.
func readDir(dir string) (map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := os.ReadDir(dir)
	files := map[string][]byte{}
	for _, e := range entries {
		b, err := root.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		files[e.Name()] = b
	}
	return files, err
}

func same(a, b map[string][]byte) bool {
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			return false
		}
	}
	return len(a) == len(b)
}
