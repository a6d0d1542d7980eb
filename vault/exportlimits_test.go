package vault_test

import (
	"slices"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// TestKeptMessages: a message may be as large as its list, so there are not many of one
// list, and who needs room makes it.
func TestKeptMessages(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	var last *vault.Export
	for range 20 {
		last = d.export(t, d.s)
	}
	_, err := d.s.BeginExport(t.Context(), d.list, order(d.House, d.partner))
	refused(t, "one more", err, vault.TooLarge, "messages-many", "")
	must(t)(d.s.WithdrawExport(t.Context(), last.ID))
	d.export(t, d.s)
	d.Clock.Add(72 * time.Hour)
	d.s = d.SignIn()
	d.export(t, d.s)
}

// TestReceiptsAreDue: from the time by which something has to be deleted, organisers are
// told until the partner has signed.
func TestReceiptsAreDue(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	due := func() bool { return slices.Contains(d.s.Due(), vault.DueReceipts) }
	x := d.export(t, d.s)
	d.Clock.Set(x.DeleteBy.Add(-time.Second))
	if d.s = d.SignIn(); due() {
		t.Error("due before the time")
	}
	d.Clock.Set(x.DeleteBy)
	if !due() {
		t.Error("not due at the time")
	}
	if birch := d.as(t, "birch", birchs); slices.Contains(birch.Due(), vault.DueReceipts) {
		t.Error("due for a member")
	}
	must(t)(d.s.RecordReceipt(t.Context(), x.ID, d.partner, []byte("signed"), d.Clock.Now()))
	if due() {
		t.Error("due with the receipt there")
	}
	x, err := d.s.Export(t.Context(), x.ID)
	if err != nil || x.Overdue {
		t.Errorf("got %+v, %v", x, err)
	}
}
