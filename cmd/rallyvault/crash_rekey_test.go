package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// TestKillsWhileRekeying kills a server at random moments of a revocation and of
// the re-keying that follows. After each restart who is entitled reads everything,
// whoever was revoked reads nothing once that was acknowledged, the sign-in of a
// steward ends what was begun, and the audit trail verifies.
func TestKillsWhileRekeying(t *testing.T) {
	t.Parallel()
	rounds, rows := 3, 10_000
	if os.Getenv("RALLYVAULT_LONG") != "" {
		rounds, rows = 50, 100_000
	}
	ctx := t.Context()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWard(t, rand.New(rand.NewPCG(seed, 2)))
	w.up("")
	steward, err := w.client()
	if err != nil {
		t.Fatal(err)
	}
	l, err := steward.CreateList(ctx, client.NewList{Title: "March rally", Purpose: "p", Fields: []string{"name", "email", "phone", "postal_code"}})
	if err != nil {
		t.Fatal(err)
	}
	var sheet bytes.Buffer
	if err := manyPeople(&sheet, rows); err != nil {
		t.Fatal(err)
	}
	if r, err := steward.Import(ctx, l.ID, client.ImportOptions{}, &sheet, nil); err != nil || r.Stored != rows {
		t.Fatal(r, err)
	}
	const theirs = "six words that two people share"
	as := func(handle string) *client.Client {
		t.Helper()
		c, err := client.New(w.srv.url)
		if err == nil {
			_, err = c.SignIn(ctx, handle, crypto.NewSecret([]byte(theirs)))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	for _, handle := range []string{"egret", "martin"} {
		inv, err := steward.Invite(ctx, client.NewMember{Handle: handle})
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(w.srv.url)
		if err == nil {
			_, err = c.Join(ctx, inv.Code, crypto.NewSecret([]byte(theirs)))
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	grant := func(handle string) vault.AccessID {
		t.Helper()
		a, err := as(handle).RequestAccess(ctx, l.ID, client.AccessRequest{Fields: []string{"name"}, For: 3600, Reason: "r"})
		if err == nil {
			a, err = steward.ApproveAccess(ctx, a.ID, client.Approval{})
		}
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	// One person, whom anybody who reads the names finds.
	one := fmt.Sprintf("Estrada%x", rows-1)
	finds := func(handle string) int {
		t.Helper()
		found, err := as(handle).Find(ctx, one)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	grant("martin")
	takes := time.Duration(0)
	killed, halfway := 0, 0
	for round := range rounds {
		id := grant("egret")
		if n := finds("egret"); n != 1 {
			t.Fatalf("with a grant: got %d, want 1", n)
		}
		answer := make(chan error, 1)
		begun := time.Now()
		go func() { _, err := steward.RevokeAccess(ctx, id); answer <- err }()
		if takes == 0 { // the first one is let to its end
			if err := <-answer; err != nil {
				t.Fatal(err)
			}
			takes = time.Since(begun)
		} else {
			time.Sleep(rand.N(takes))
			killed++
		}
		w.srv.kill()
		acked := round == 0
		if round > 0 {
			acked = <-answer == nil
		}
		steward.Close()
		w.up("")
		left := finds("egret")
		if left != 0 && acked {
			t.Fatalf("round %d: who was revoked finds %d", round, left)
		}
		if n := finds("martin"); n != 1 {
			t.Fatalf("round %d: who is entitled finds %d, want 1", round, n)
		}
		before := pendingOf(t, as("egret"), l.ID)
		if steward, err = w.client(); err != nil {
			t.Fatal(err)
		}
		if before {
			halfway++
		}
		if left == 0 && pendingOf(t, steward, l.ID) {
			t.Fatalf("round %d: still to be re-keyed after a steward has signed in", round)
		}
		var lines lineCount
		if err := steward.Contacts(ctx, l.ID, client.ContactsQuery{}, &lines); err != nil || int(lines) != rows+1 {
			t.Fatalf("round %d: the steward reads %d lines, %v, want %d", round, lines, err, rows+1)
		}
		if n := finds("martin"); n != 1 {
			t.Fatalf("round %d: after the re-keying who is entitled finds %d, want 1", round, n)
		}
		if left != 0 {
			if _, err := steward.RevokeAccess(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := steward.AuditVerify(ctx); err != nil {
			t.Fatalf("round %d: audit trail: %v", round, err)
		}
	}
	t.Logf("%d kills within %v, %d of them after the revocation and before the end of the re-keying", killed, takes.Round(time.Millisecond), halfway)
}

func pendingOf(t *testing.T, c *client.Client, id vault.ListID) bool {
	t.Helper()
	l, err := c.List(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l.RekeyPending
}

// A lineCount counts the lines written to it.
type lineCount int

var _ io.Writer = (*lineCount)(nil)

func (n *lineCount) Write(b []byte) (int, error) {
	*n += lineCount(bytes.Count(b, []byte{'\n'}))
	return len(b), nil
}
