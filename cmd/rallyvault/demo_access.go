package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// demoReason is why the coworker asks; it is sealed like everything else.
const demoReason = "I call people on Tuesday evening"

// share tells how a coworker gets a part of a list for a time.
func (d *demoRun) share(ctx context.Context) error {
	guest, err := client.New(d.door.url)
	if err != nil {
		return err
	}
	defer guest.Close()
	if _, err := guest.SignIn(ctx, demoGuest, demoGuestPassphrase()); err != nil {
		return err
	}
	read := func(fields ...string) ([]string, error) {
		var b bytes.Buffer
		if err := guest.Contacts(ctx, d.list, client.ContactsQuery{Fields: fields}, &b); err != nil {
			return nil, err
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			return nil, err
		}
		if len(rows) != 3 {
			return nil, errors.New("there are not two people on the list")
		}
		return rows[0], nil
	}
	ask := func(seconds int64) (*client.Access, error) {
		return guest.RequestAccess(ctx, d.list, client.AccessRequest{Fields: []string{"name", "email", "phone"}, For: seconds, Reason: demoReason})
	}
	var asked *client.Access
	err = d.tell("the coworker sees that there is a list and cannot read it: asks for fields, for a reason, for three days", func() ([]string, error) {
		_, err := read()
		if err := wants(err, vault.Forbidden); err != nil {
			return nil, err
		}
		if asked, err = ask(72 * 3600); err != nil {
			return nil, err
		}
		_, err = guest.ApproveAccess(ctx, asked.ID, client.Approval{})
		if err := wants(err, vault.Forbidden); err != nil {
			return nil, err
		}
		_, err = read()
		return nil, wants(err, vault.Forbidden)
	})
	if err != nil {
		return err
	}
	err = d.tell("she gives less: names and phones, for a day; the coworker reads those and no address", func() ([]string, error) {
		day := int64(24 * 3600)
		granted, err := d.client.ApproveAccess(ctx, asked.ID, client.Approval{Fields: []string{"name", "phone"}, For: &day})
		if err != nil {
			return nil, err
		}
		header, err := read()
		if err == nil && !slices.Equal(header, []string{"id", "name", "phone"}) {
			err = errors.New("the coworker reads other fields than were granted")
		}
		if err != nil {
			return nil, err
		}
		_, err = read("name", "email")
		return []string{"it ends by itself at " + timeText(granted.Expires)}, wants(err, vault.Forbidden)
	})
	if err != nil {
		return err
	}
	err = d.tell("she ends it sooner, and learns what may have been seen; the next read is refused", func() ([]string, error) {
		ended, err := d.client.RevokeAccess(ctx, asked.ID)
		if err != nil {
			return nil, err
		}
		if ended.Rows != 2 {
			return nil, errors.New("what was read was not counted")
		}
		_, err = read()
		return []string{counted(ended.Rows, "contact was", "contacts were") + " read with it, last on " + ended.LastRead}, wants(err, vault.Forbidden)
	})
	if err != nil {
		return err
	}
	err = d.tell("the coworker types in a paper sheet, with access to add and nothing else; who was added is on the list when she opens it", func() ([]string, error) {
		a, err := guest.RequestAccess(ctx, d.list, client.AccessRequest{Fields: []string{"name", "phone"}, Actions: []string{"add"}, For: 3600, Reason: demoReason})
		if err != nil {
			return nil, err
		}
		if _, err := d.client.ApproveAccess(ctx, a.ID, client.Approval{}); err != nil {
			return nil, err
		}
		added, err := guest.AddContact(ctx, d.list, map[string]string{"name": "Teodoro Inventado", "phone": "212-555-0169"})
		if err != nil {
			return nil, err
		}
		if !added.Inbox {
			return nil, errors.New("who was added does not wait for her")
		}
		_, err = read()
		if err := wants(err, vault.Forbidden); err != nil {
			return nil, err
		}
		rows, err := d.read(ctx)
		if err == nil && len(rows) != 4 {
			err = errors.New("who was added is not on the list")
		}
		if err != nil {
			return nil, err
		}
		if _, err := d.client.RevokeAccess(ctx, a.ID); err != nil {
			return nil, err
		}
		_, err = d.client.EraseContact(ctx, d.list, added.ID)
		return nil, err
	})
	if err != nil {
		return err
	}
	err = d.tell("a call sheet: one person's name and phone, for an evening; erasing that person takes it back", func() ([]string, error) {
		someone, err := d.client.AddContact(ctx, d.list, map[string]string{"name": "Rufina Supuesta", "phone": "212-555-0170"})
		if err != nil {
			return nil, err
		}
		cut, err := d.client.CutSlice(ctx, d.list, client.Cut{Member: demoGuest, Fields: []string{"name", "phone"}, Contacts: []vault.ContactID{someone.ID}, For: 4 * 3600, Reason: demoReason})
		if err != nil {
			return nil, err
		}
		sheet, err := guest.Slice(ctx, cut.ID)
		if err != nil {
			return nil, err
		}
		if len(sheet.Contacts) != 1 || sheet.Contacts[0].Values[0] != "Rufina Supuesta" {
			return nil, errors.New("the sheet has somebody else")
		}
		_, err = read()
		if err := wants(err, vault.Forbidden); err != nil {
			return nil, err
		}
		if _, err := d.client.EraseContact(ctx, d.list, someone.ID); err != nil {
			return nil, err
		}
		_, err = guest.Slice(ctx, cut.ID)
		return []string{"printed, it says: CONFIDENTIAL, sheet " + sheet.Number + ", shred by " + timeText(sheet.Expires)}, wants(err, vault.Forbidden)
	})
	if err != nil {
		return err
	}
	return d.tell("access for two seconds ends after two seconds, by itself", func() ([]string, error) {
		a, err := ask(2)
		if err != nil {
			return nil, err
		}
		if a, err = d.client.ApproveAccess(ctx, a.ID, client.Approval{}); err != nil {
			return nil, err
		}
		for time.Now().Before(a.Expires.Add(3 * time.Second)) {
			if _, err = read(); err != nil {
				break
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
		if time.Now().Before(a.Expires) {
			return nil, errors.New("the access ended too early")
		}
		return nil, wants(err, vault.Forbidden)
	})
}
