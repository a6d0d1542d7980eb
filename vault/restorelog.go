package vault

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// errFork says that two audit trails are not one the beginning of the other.
var errFork = errors.New("the audit trails differ")

// An edge is the right edge of the tree over a log, from which what has to be stored
// with each further entry follows.
type edge struct {
	size   int64
	levels []int
	hashes []tlog.Hash
}

// add takes an entry in and appends to out the hashes that are stored with it.
func (e *edge) add(entry []byte, out []tlog.Hash) []tlog.Hash {
	level, h := 0, tlog.RecordHash(entry)
	out = append(out, h)
	for n := len(e.levels); n > 0 && e.levels[n-1] == level; n-- {
		h = tlog.NodeHash(e.hashes[n-1], h)
		level++
		e.levels, e.hashes = e.levels[:n-1], e.hashes[:n-1]
		out = append(out, h)
	}
	e.levels, e.hashes = append(e.levels, level), append(e.hashes, h)
	e.size++
	return out
}

// root is the hash over all entries; of none it is zero.
func (e *edge) root() (h tlog.Hash) {
	for n := len(e.hashes) - 1; n >= 0; n-- {
		if n == len(e.hashes)-1 {
			h = e.hashes[n]
		} else {
			h = tlog.NodeHash(e.hashes[n], h)
		}
	}
	return h
}

// A trailWriter stores an audit trail, entry by entry. Nothing is checked: that is done
// once all of it is there, see audit.Verify.
type trailWriter struct {
	store Store
	edge  edge
	batch audit.Batch
}

func (w *trailWriter) entry(data []byte) error {
	if len(w.batch.Entries) == 0 {
		w.batch = audit.Batch{First: w.edge.size, FirstHash: tlog.StoredHashCount(w.edge.size)}
	}
	if len(w.batch.Entries) == audit.MaxBatch {
		return errBackup
	}
	w.batch.Entries = append(w.batch.Entries, bytes.Clone(data))
	w.batch.Hashes = w.edge.add(data, w.batch.Hashes)
	return nil
}

// close returns what has gathered, under a signed note.
func (w *trailWriter) close(note []byte) audit.Batch {
	b := w.batch
	b.Size, b.Checkpoint = w.edge.size, bytes.Clone(note)
	w.batch = audit.Batch{}
	return b
}

// checkpoint stores what has gathered, under a signed note.
func (w *trailWriter) checkpoint(ctx context.Context, note []byte) error {
	b := w.close(note)
	return w.store.Update(ctx, func(tx Tx) error { return tx.AppendLog(b) })
}

// A trail yields the entries and checkpoints of an audit trail in their order.
type trail func(ctx context.Context, entry, checkpoint func(data []byte) error) error

// trailOf is the trail of a store.
func trailOf(s audit.Store) trail {
	return func(ctx context.Context, entry, checkpoint func([]byte) error) error {
		type row struct {
			size int64
			note []byte
		}
		var notes []row
		err := s.Checkpoints(ctx, 0, func(size int64, note []byte) error {
			notes = append(notes, row{size, bytes.Clone(note)})
			return nil
		})
		if err != nil {
			return err
		}
		pass := func(size int64) error {
			for len(notes) > 0 && notes[0].size <= size {
				if err := checkpoint(notes[0].note); err != nil {
					return err
				}
				notes = notes[1:]
			}
			return nil
		}
		var last int64
		err = s.Entries(ctx, 0, 1<<62, func(n int64, data []byte) error {
			if err := pass(n); err != nil {
				return err
			}
			last = n + 1
			return entry(data)
		})
		if err != nil {
			return err
		}
		return pass(last)
	}
}

// trailIn is the trail in an audit export, which has been verified; see
// audit.VerifyExport for what it consists of.
func trailIn(r io.Reader) trail {
	return func(_ context.Context, entry, checkpoint func([]byte) error) error {
		in := bufio.NewReaderSize(r, 64<<10)
		for first := true; ; first = false {
			line, err := in.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				return nil
			}
			if err != nil {
				return err
			}
			line = line[:len(line)-1]
			switch {
			case first:
			case bytes.HasPrefix(line, []byte(`{"checkpoint":`)):
				var c struct{ Checkpoint string }
				if err := json.Unmarshal(line, &c); err != nil {
					return err
				}
				err = checkpoint([]byte(c.Checkpoint))
			default:
				err = entry(line)
			}
			if err != nil {
				return err
			}
		}
	}
}

// extend appends to the trail of w what follows it in another one. It returns errFork if
// that does not begin with the same entries.
func (w *trailWriter) extend(ctx context.Context, from trail) error {
	size, root := w.edge.size, w.edge.root()
	var other edge
	scratch := make([]tlog.Hash, 0, 64)
	return from(ctx, func(data []byte) error {
		if other.size < size {
			other.add(data, scratch[:0])
			if other.size == size && other.root() != root {
				return errFork
			}
			return nil
		}
		other.size++
		return w.entry(data)
	}, func(note []byte) error {
		if other.size <= size {
			return nil
		}
		return w.checkpoint(ctx, note)
	})
}

// What became of a member since the backup was made.
const (
	memberOut     = "out"     // disabled or reset, and has not joined again
	memberRenewed = "renewed" // has another passphrase
)

// A heldSince is what became of a hold since the backup was made.
type heldSince struct {
	set    *audit.Entry // nil: the backup has it
	agreed bool
	ended  bool
}

// A sequel is what the audit trail says of the time after a backup.
type sequel struct {
	entries int64
	last    time.Time // of the last entry

	destroyed  map[string]time.Time // lists
	counts     map[string]*int64    // contacts of those
	deadlines  map[string]time.Time
	dropped    map[string]map[string]bool // fields of a list
	stewardOut map[string]map[string]bool // members of a list
	stewardIn  map[string]map[string]bool // likewise, who became one
	stripped   map[string]bool            // members who lost all keys, whether they have joined again or not
	gap        int64                      // entries that an earlier restore has lost
	rekeyed    map[string]bool            // lists
	ended      map[string]bool            // accesses
	members    map[string]string          // memberOut or memberRenewed
	erased     map[string][]audit.Entry   // by list: one for each contact
	unnamed    int64                      // contacts that were erased, of whom the trail has no id
	partners   map[string]bool            // that have another certificate
	holds      map[string]*heldSince      // by id: what became of each
	shutdown   *string                    // the vault's fact: "" if the date was called off
	silence    string                     // likewise; "" if it was not changed
	over       bool                       // the vault was shut down, or that was decided
	renewed    bool                       // recovery shares
	acts       map[audit.Act]int64        // how often
}

func newSequel() *sequel {
	return &sequel{destroyed: map[string]time.Time{}, counts: map[string]*int64{}, deadlines: map[string]time.Time{}, dropped: map[string]map[string]bool{},
		stewardOut: map[string]map[string]bool{}, stewardIn: map[string]map[string]bool{}, stripped: map[string]bool{}, rekeyed: map[string]bool{}, ended: map[string]bool{}, members: map[string]string{},
		erased: map[string][]audit.Entry{}, partners: map[string]bool{}, holds: map[string]*heldSince{}, acts: map[audit.Act]int64{}}
}

func (q *sequel) learn(e audit.Entry) {
	q.entries++
	q.last = e.Time
	q.acts[e.Act]++
	in := func(m map[string]map[string]bool, key string) map[string]bool {
		if m[key] == nil {
			m[key] = map[string]bool{}
		}
		return m[key]
	}
	switch e.Act {
	case audit.ListDestroy, audit.ListDestroyIntent:
		if e.List != "" {
			q.destroyed[e.List] = e.Time
			if e.Count != nil {
				q.counts[e.List] = e.Count
			}
		}
	case audit.ListShorten, audit.ListExtend:
		if e.Deadline != nil {
			q.deadlines[e.List] = *e.Deadline
		}
	case audit.ListFieldDrop:
		for _, f := range e.Fields {
			in(q.dropped, e.List)[f] = true
		}
	case audit.ListStewardRemove:
		in(q.stewardOut, e.List)[e.Subject] = true
	case audit.ListStewardAdd:
		delete(q.stewardOut[e.List], e.Subject)
		in(q.stewardIn, e.List)[e.Subject] = true
	case audit.ListRekey:
		q.rekeyed[e.List] = true
	case audit.AccessRevoke, audit.AccessLapse, audit.AccessDeny, audit.AccessPurge:
		q.ended[e.Subject] = true
	case audit.MemberDisable, audit.MemberReset, audit.MemberInviteLapse:
		q.members[e.Subject], q.stripped[e.Subject] = memberOut, true
		for _, members := range q.stewardIn {
			delete(members, e.Subject)
		}
	case audit.MemberPassphrase, audit.MemberRecover, audit.MemberJoin:
		q.members[e.Subject] = memberRenewed
	case audit.PartnerChange, audit.PartnerRemove:
		q.partners[e.Subject] = true
	case audit.RecoveryRenew:
		q.renewed = true
	case audit.HoldSet:
		q.holds[e.Subject] = &heldSince{set: &e}
	case audit.HoldAgree, audit.HoldLift, audit.HoldLapse, audit.HoldPurge:
		h := q.holds[e.Subject]
		if h == nil {
			h = &heldSince{}
			q.holds[e.Subject] = h
		}
		h.agreed, h.ended = h.agreed || e.Act == audit.HoldAgree, h.ended || e.Act != audit.HoldAgree
	case audit.VaultRestore:
		// Whom that one has put out for want of locks has no other entry, and its keys may be
		// in the backup.
		if e.Count != nil {
			q.gap += *e.Count
		}
	case audit.VaultShutdownSet:
		if e.Deadline == nil {
			break
		}
		date := e.Deadline.UTC().Format(time.RFC3339) + " " + e.By
		q.shutdown = &date
	case audit.VaultShutdownCancel:
		q.shutdown = new("")
	case audit.VaultSilence:
		for text, days := range silences {
			if e.Count != nil && int64(days) == *e.Count {
				q.silence = text
			}
		}
	case audit.VaultShutdownIntent, audit.VaultShutdown:
		q.over = true
	case audit.ContactErase:
		if e.Count != nil {
			q.unnamed += *e.Count
		}
		if e.Subject != "" {
			q.unnamed--
			q.erased[e.List] = append(q.erased[e.List], e)
		}
	}
}

// lostActs are those whose effect is not in a restored database, in the order in which
// they are told, with a word for each.
var lostActs = []struct {
	act  audit.Act
	what string
}{
	{audit.ListCreate, "lists made"}, {audit.ListEdit, "lists edited"}, {audit.ListImport, "imports"}, {audit.ListImportUndo, "imports undone"},
	{audit.InboxAdd, "sign-ups"}, {audit.ContactAdd, "people added"}, {audit.ContactCorrect, "corrections, and people who said no or yes to being shared"},
	{audit.ErasureAsk, "erasures asked for of stewards"}, {audit.ListStewardAdd, "stewards added"}, {audit.AccessRequest, "requests for access"},
	{audit.AccessGrant, "grants"}, {audit.SliceCut, "slices"}, {audit.MemberInvite, "invitations"}, {audit.MemberPromote, "members made organisers"},
	{audit.PartnerAdd, "partners added"}, {audit.PartnerVerify, "fingerprints compared"}, {audit.ExportMake, "exports in the ledger"},
	{audit.ExportAsk, "exports that waited"}, {audit.ExportReceipt, "receipts"}, {audit.NoticeDraft, "notices to partners"}, {audit.SigningRenew, "renewals of the OpenPGP key"},
}

// A Loss is what happened after a backup and is not in what was restored.
type Loss struct {
	Act   audit.Act
	What  string
	Count int64
}

func (q *sequel) lost() (out []Loss) {
	for _, l := range lostActs {
		if n := q.acts[l.act]; n > 0 {
			out = append(out, Loss{l.act, l.what, n})
		}
	}
	return out
}

// asUntrusted is a fault of an audit export that was given to Restore.
func asUntrusted(err error) error {
	var f *audit.Fault
	switch {
	case errors.As(err, &f):
		return &Error{Kind: Untrusted, Op: "vault.Restore", Code: "audit-trail", Err: err, Params: map[string]string{"entry": fmt.Sprint(f.Entry), "reason": f.Reason},
			Msg: "the audit export does not verify: " + f.Reason, Hint: "nothing was changed; take another export"}
	case errors.Is(err, audit.ErrNotExport):
		return &Error{Kind: Untrusted, Op: "vault.Restore", Code: "not-an-export", Err: err, Msg: "the file that --audit names does not begin as an audit export does", Hint: "rallyvault audit export writes one"}
	}
	return err
}
