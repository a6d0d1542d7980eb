package vault

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A Message is the sealed message of an export on its way out.
type Message struct {
	Export  ExportID
	Bytes   int64
	SHA256  string // "" when it is taken out by a link
	v       *Vault
	e       *statement
	key     *agebox.Identity
	alive   func() error
	next    int
	pending []byte
}

// Read gives the message; it stops when the message lapses, the session ends, or who
// takes it out may not do so any more.
func (m *Message) Read(p []byte) (int, error) {
	for len(m.pending) == 0 {
		if m.next == len(m.e.segments) {
			return 0, io.EOF
		}
		if err := m.alive(); err != nil {
			return 0, err
		}
		// As it is now: it may have got a link, which leaves the parts as they are,
		// or have been withdrawn, and its parts not be cleared away yet.
		if m.e = cmp.Or(m.v.statement(m.e.object), m.e); !m.v.keeps(m.e, m.v.clock.now()) {
			return 0, errNoMessage(m.e)
		}
		if len(m.v.erasuresOf(m.e.fact(factList))) > 0 {
			return 0, errErasureWaits()
		}
		g := &m.e.segments[m.next]
		m.next++
		if _, ok := g.column(columnPart); !ok {
			continue
		}
		part, err := m.v.openPart(m.e, g, m.key)
		if err == errChanged {
			m.next--
			continue
		}
		if err != nil {
			return 0, err
		}
		m.pending = part
	}
	n := copy(p, m.pending)
	m.pending = m.pending[n:]
	return n, nil
}

// openPart opens a part of a message. It is not compared with the hash in the manifest,
// as other columns are: that protects from what somebody sealed who knows a recipient,
// and X's is stored nowhere.
func (v *Vault) openPart(e *statement, g *segment, x *agebox.Identity) ([]byte, error) {
	ctx := context.Background()
	sealed, err := v.store.Columns(ctx, e.object, g.id, []string{columnPart})
	if err != nil {
		return nil, err
	}
	part, err := agebox.Open(partBinding(e, columnPart, g.id), sealed[0], x)
	if err != nil {
		return nil, v.overtaken(ctx, e, func() error { return v.tampered(ctx, e.object, placeOfColumn(e, g.id, columnPart), err) })
	}
	return part, nil
}

func partBinding(e *statement, column string, n int64) string {
	return bind(column, e.vault, e.object, n)
}

// OpenMessage takes out the message of an export, sealed to its partners. Organisers
// may, and who made it. That is in the audit trail before it returns.
func (s *Session) OpenMessage(ctx context.Context, id ExportID) (*Message, error) {
	if err := s.mayHandOver(ctx, id); err != nil {
		return nil, err
	}
	var e *statement
	var x *agebox.Identity
	var t ledgerText
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		var key *agebox.Identity
		var err error
		if e, key, err = s.openExport(ctx, id); err != nil {
			return audit.Entry{}, err
		}
		if t, x, err = s.handOver(ctx, u, e, key); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Act: audit.ExportGet, By: string(s.member), List: e.fact(factList), Subject: e.object}, nil
	}, func(t *actTx) error { return t.stillKept(e) })
	if err != nil {
		return nil, err
	}
	alive := func() error {
		if err := s.alive(); err != nil {
			return err
		}
		return s.mayStill(e)
	}
	return &Message{Export: id, Bytes: e.int(factBytes), SHA256: t.SHA256, v: s.v, e: e, key: x, alive: alive}, nil
}

// mayHandOver is carryOutFirst for who may see the export.
func (s *Session) mayHandOver(ctx context.Context, id ExportID) error {
	e, _, err := s.openExport(ctx, id)
	if err != nil {
		return err
	}
	if !s.v.keeps(e, s.v.clock.now()) {
		return errNoMessage(e)
	}
	return s.carryOutFirst(ctx, id)
}

// handOver opens X of an export that can be handed over, and lets one that waited
// long enough be kept as long as others.
func (s *Session) handOver(ctx context.Context, u *turnover, e *statement, key *agebox.Identity) (t ledgerText, x *agebox.Identity, err error) {
	now := s.v.clock.now()
	switch {
	case !s.v.keeps(e, now):
		return t, nil, errNoMessage(e)
	case !e.released(now):
		return t, nil, errExportWaits(e)
	}
	if t, err = s.openLedger(ctx, e, key); err != nil {
		return t, nil, err
	}
	if x, err = s.v.openKey(ctx, e, blobMessageKey, ledgerBinding(e, blobMessageKey), key); err != nil {
		return t, nil, err
	}
	if e.fact(factHanded) == "" {
		u.draft(e).facts[factHanded] = "yes"
	}
	if e.fact(factStatus) == ExportWaiting {
		d := u.draft(e)
		d.facts[factStatus] = ExportDone
		delete(d.facts, factFree)
		d.setTime(factUntil, s.v.messageEnd(e, now, keepMessage))
		u.more = []audit.Entry{{Act: audit.ExportRelease, By: string(s.member), List: e.fact(factList), Subject: e.object}}
	}
	return t, x, nil
}

// stillKept makes sure within an act that an export is as it was seen, and that nobody
// is to be erased from its list.
func (t *actTx) stillKept(e *statement) error {
	if t.current(e.object) != e {
		return errOvertaken()
	}
	if len(t.erasures(e.fact(factList))) > 0 {
		return errErasureWaits()
	}
	return nil
}

// errExportWaits says that an export was sealed and waits.
func errExportWaits(e *statement) error {
	out := &Error{Kind: Waiting, Op: "vault.Export", Code: "export-waits", Params: map[string]string{"id": e.object}, Msg: "this waits for another organiser",
		Hint: "another organiser looks at it and agrees: rallyvault export approve " + e.object}
	if free := e.freeFrom(); !free.IsZero() {
		out.Params["free"] = free.Format(time.RFC3339)
		out.Msg = "this can be taken out from " + free.Format("2006-01-02 15:04 UTC")
		out.Hint = "then: rallyvault export get " + e.object
	}
	return out
}
