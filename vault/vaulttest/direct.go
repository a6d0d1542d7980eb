package vaulttest

import (
	"context"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// Direct is a Client that is in the same process as its vault.
type Direct struct{ *vault.Session }

// Lists implements Client.
func (d Direct) Lists(ctx context.Context) (map[string]vault.ListID, error) {
	lists, err := d.Session.Lists(ctx)
	byTitle := map[string]vault.ListID{}
	for _, l := range lists {
		byTitle[l.Title] = l.ID
	}
	return byTitle, err
}

// Read implements Client.
func (d Direct) Read(ctx context.Context, id vault.ListID) (State, error) {
	l, err := d.List(ctx, id)
	if vault.KindOf(err) == vault.Gone {
		return State{Gone: true}, nil
	}
	if err != nil {
		return State{}, err
	}
	lines, _, err := ReadAll(ctx, d.Session, id)
	if err != nil {
		return State{}, err
	}
	var split [][]string
	for _, line := range lines {
		split = append(split, strings.Split(line, ","))
	}
	return State{Purpose: l.Purpose, Fields: l.Fields, Deadline: l.Deadline, People: PeopleOf(l.Fields, split)}, nil
}

// Create implements Client.
func (d Direct) Create(ctx context.Context, title, purpose string, fields []string, deadline time.Time) (vault.ListID, error) {
	l, err := d.CreateList(ctx, vault.NewList{Title: title, Purpose: purpose, Fields: fields, DeleteAt: deadline})
	if err != nil {
		return "", err
	}
	return l.ID, nil
}

// Import implements Client.
func (d Direct) Import(ctx context.Context, id vault.ListID, sheet string) (vault.BatchID, int, error) {
	r, err := d.Session.Import(ctx, id, strings.NewReader(sheet), vault.ImportOptions{})
	if err != nil {
		return "", 0, err
	}
	return r.Batch, r.Stored, nil
}

// Undo implements Client.
func (d Direct) Undo(ctx context.Context, id vault.ListID, batch vault.BatchID) error {
	_, err := d.UndoImport(ctx, id, batch)
	return err
}

// Add implements Client.
func (d Direct) Add(ctx context.Context, id vault.ListID, values map[string]string) (vault.ContactID, error) {
	added, err := d.AddContact(ctx, id, values)
	if err != nil {
		return "", err
	}
	return added.ID, nil
}

// Correct implements Client.
func (d Direct) Correct(ctx context.Context, id vault.ListID, contact vault.ContactID, values map[string]string) error {
	return d.CorrectContact(ctx, id, contact, values, "")
}

// Erase implements Client.
func (d Direct) Erase(ctx context.Context, id vault.ListID, email string) error {
	_, err := d.EraseByAddress(ctx, id, email, "")
	return err
}

// Edit implements Client.
func (d Direct) Edit(ctx context.Context, id vault.ListID, e vault.ListEdit) error {
	_, err := d.EditList(ctx, id, e)
	return err
}

// Shorten implements Client.
func (d Direct) Shorten(ctx context.Context, id vault.ListID, to time.Time) error {
	_, err := d.ShortenList(ctx, id, to)
	return err
}

// Destroy implements Client.
func (d Direct) Destroy(ctx context.Context, id vault.ListID) (string, error) {
	c, err := d.DestroyList(ctx, id)
	if err != nil {
		return "", err
	}
	return c.Note, nil
}
