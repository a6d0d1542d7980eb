package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// finish tells how a group ends.
func (d *demoRun) finish(ctx context.Context) error {
	var key string
	err := d.tell("three days later (by this demo's clock) the second organiser counts: the group ends when both say so", func() ([]string, error) {
		d.cfg.below.now = func() time.Time { return time.Now().Add(74 * time.Hour) }
		if err := d.start(ctx, false); err != nil {
			return nil, err
		}
		s, err := d.client.SignIn(ctx, demoHandle, d.passphrase)
		if err != nil {
			return nil, err
		}
		key = s.LogKey
		second, err := client.New(d.door.url)
		if err != nil {
			return nil, err
		}
		defer second.Close()
		if _, err := second.SignIn(ctx, demoSecond, demoSecret("cobalt harvest thimble")); err != nil {
			return nil, err
		}
		_, err = d.client.Shutdown(ctx, client.ShutdownOrder{Now: true})
		if err := wants(err, vault.Waiting); err != nil {
			return nil, err
		}
		ws, err := second.Waits(ctx)
		if err != nil {
			return nil, err
		}
		var id vault.WaitID
		for _, w := range ws {
			if w.Act == vault.ActShutdown {
				id = w.ID
			}
		}
		done, err := second.Agree(ctx, id)
		if err != nil {
			return nil, err
		}
		var c vault.Certificate
		if err := json.Unmarshal(done.Certificate, &c); err != nil {
			return nil, err
		}
		if _, err := audit.OpenNote([]byte(c.Note), key); err != nil {
			return nil, err
		}
		if len(c.Lists) == 0 || c.Locks == 0 {
			return nil, errors.New("the certificate names nothing")
		}
		return []string{counted(len(c.Lists), "list", "lists") + " and " + counted(c.Locks, "lock", "locks") + " are gone; the certificate is signed with a key that has ended too"}, nil
	})
	if err != nil {
		return err
	}
	return d.tell("nobody gets in any more, with any passphrase, now or after a restart; the trail still verifies", func() ([]string, error) {
		for range 2 {
			_, err := d.client.SignIn(ctx, demoHandle, d.passphrase)
			if err := wants(err, vault.Gone); err != nil {
				return nil, err
			}
			if err := d.stop(); err != nil {
				return nil, err
			}
			if err := d.start(ctx, false); err != nil {
				return nil, err
			}
		}
		if err := d.stop(); err != nil {
			return nil, err
		}
		return nil, exportTrail(ctx, d.cfg, io.Discard)
	})
}
