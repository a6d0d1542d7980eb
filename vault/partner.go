package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A partner is another organisation that lists are sent to. All that is known of it,
// its name too, is sealed to P inside a lock, which is overwritten when the partner is
// removed. What its certificate is worth package sharing decides; here it is bytes
// that belong to a fingerprint.

// blobAbout is the blob of a partner: partnerText, sealed to P.
const blobAbout = "about"

// maxPartners is how many partners a vault has.
const maxPartners = 500

// MaxCertificate bounds a partner's certificate as it is kept, in bytes: each line of the
// ledger has it once more. Package pgp leaves a few KB of what it needs.
const MaxCertificate = 64 << 10

type partnerText struct {
	Name        string            `json:"name"`
	Certificate []byte            `json:"certificate"`
	Fingerprint string            `json:"fingerprint"`
	Added       string            `json:"added"`              // day
	About       json.RawMessage   `json:"about,omitempty"`    // see NewPartner
	Verified    *verificationText `json:"verified,omitempty"` // nil: nobody has compared the fingerprint
}

type verificationText struct {
	By  MemberID `json:"by"`
	On  string   `json:"on"` // day
	How string   `json:"how"`
}

// A NewPartner is a partner as package sharing has found it usable.
type NewPartner struct {
	Name        string
	Certificate []byte // OpenPGP, binary
	Fingerprint string // of its primary key, upper-case hex

	// About is what package sharing has found out about the certificate, and says of
	// it without reading it again.
	About json.RawMessage
}

// A Partner is what those who may send to partners see of one.
type Partner struct {
	ID          PartnerID
	Name        string
	Certificate []byte // OpenPGP, binary
	Fingerprint string // upper-case hex
	About       json.RawMessage
	Added       string // day
	Verified    *Verification

	// Damaged is "", or names the place that cannot be opened; nothing but ID is
	// known then.
	Damaged string

	statement *statement
}

// A Verification is what somebody recorded who had compared a partner's fingerprint
// over another channel.
type Verification struct {
	By  string // handle, "" of somebody who is gone
	On  string // day
	How string
}

func errNoPartner() error {
	return &Error{Kind: NotFound, Op: "vault.Partner", Code: "no-such-partner", Msg: "there is no such partner", Hint: "see rallyvault partner ls"}
}

// exportKey opens P: as an organiser's, or as that of a grant to export.
func (s *Session) exportKey(ctx context.Context) (*agebox.Identity, error) {
	p, err := s.groupKey(ctx, keyP)
	if KindOf(err) != Forbidden {
		return p, err
	}
	now := s.v.clock.now()
	s.v.mu.RLock()
	self := s.v.self
	var granted []*statement
	for _, a := range s.v.access {
		if a.fact(factMember) == string(s.member) && a.granted(now) && a.may(ActionExport) {
			granted = append(granted, a)
		}
	}
	s.v.mu.RUnlock()
	epoch := self.int("epoch-P")
	name := wrapName(epoch, keyP, string(s.member))
	for _, a := range granted {
		l := s.v.statement(a.fact(factList))
		if ref, ok := a.blobs[name]; ok && l != nil && l.lives(now) {
			return s.key(ref.sum.String(), func() (*agebox.Identity, error) { return s.openWrap(ctx, holding{a, name, epoch, keyP}) })
		}
	}
	return nil, &Error{Kind: Forbidden, Op: "vault.exportKey", Code: "no-export-key",
		Msg:  "to send anything to a partner takes a key of the organisers",
		Hint: "ask for it: rallyvault access request LIST --actions export; a steward of the list who is an organiser can grant it"}
}

func errPartnerOrganisers(op string) error {
	return errOrganisersOnly(op, "add, verify or remove partners")
}

// partnerStatements returns the statements of the partners, by id.
func (v *Vault) partnerStatements() (out []*statement) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, p := range v.partners {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *statement) int { return strings.Compare(a.object, b.object) })
	return out
}

func aboutBinding(p *statement) string { return bind(blobAbout, p.vault, p.object) }

// openPartner opens what is known of a partner.
func (s *Session) openPartner(ctx context.Context, p *statement) (t partnerText, err error) {
	key, err := s.exportKey(ctx)
	if err != nil {
		return t, err
	}
	body, err := s.v.openBlob(ctx, p, blobAbout, aboutBinding(p), key)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, s.v.tampered(ctx, p.object, placeOf(p, blobAbout), err)
	}
	return t, nil
}

func (s *Session) describePartner(ctx context.Context, p *statement) (*Partner, error) {
	t, err := s.openPartner(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &Partner{ID: PartnerID(p.object), Name: t.Name, Certificate: t.Certificate, Fingerprint: t.Fingerprint, About: t.About, Added: t.Added, statement: p}
	if v := t.Verified; v != nil {
		by, err := s.handle(ctx, v.By)
		if err != nil && KindOf(err) != NotFound {
			return nil, err
		}
		out.Verified = &Verification{By: by, On: v.On, How: v.How}
	}
	return out, nil
}

// Partners lists the partners by name. Organisers may, and who holds a grant to
// export.
func (s *Session) Partners(ctx context.Context) ([]Partner, error) {
	if _, err := s.exportKey(ctx); err != nil {
		return nil, err
	}
	out := []Partner{}
	for _, p := range s.v.partnerStatements() {
		one, err := s.Partner(ctx, PartnerID(p.object))
		switch {
		case err == nil:
			out = append(out, *one)
		case KindOf(err) == NotFound: // removed meanwhile
		case beyondRepair(err):
			// One that is damaged must not hide the others, and can be removed.
			out = append(out, Partner{ID: PartnerID(p.object), Damaged: placeOf(p, blobAbout)})
		default:
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b Partner) int { return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// Partner returns one partner.
func (s *Session) Partner(ctx context.Context, id PartnerID) (out *Partner, err error) {
	if _, err := s.exportKey(ctx); err != nil {
		return nil, err
	}
	err = again(func() error {
		p := s.v.partnerStatement(id)
		if p == nil {
			return errNoPartner()
		}
		out, err = s.describePartner(ctx, p)
		return err
	})
	return out, err
}

func (v *Vault) partnerStatement(id PartnerID) *statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.partners[id]
}

func (n *NewPartner) check(op string) error {
	if err := checkText(op, "name", n.Name); err != nil {
		return err
	}
	if strings.Contains(n.Name, ",") {
		return &Error{Kind: Invalid, Op: op, Code: "partner-comma", Fields: []FieldError{{"name", "holds a comma"}}, Msg: "a partner's name holds no comma", Hint: "several partners are given separated by commas"}
	}
	if len(n.Certificate) == 0 || len(n.Certificate) > MaxCertificate || n.Fingerprint == "" {
		return &Error{Kind: TooLarge, Op: op, Code: "certificate-large", Msg: "the certificate is too large"}
	}
	return nil
}

// AddPartner keeps a new partner, whose fingerprint nobody has compared yet.
// Organisers may. The name must be new, and so must the certificate: two names of one
// partner would each have a limit of their own.
func (s *Session) AddPartner(ctx context.Context, n NewPartner) (*Partner, error) {
	const op = "vault.AddPartner"
	if s.role() != Organiser {
		return nil, errPartnerOrganisers(op)
	}
	if err := n.check(op); err != nil {
		return nil, err
	}
	id := newID()
	err := s.putPartner(ctx, op, audit.PartnerAdd, func() (*draft, partnerText, error) {
		return newDraft(kindPartner, s.v.ID(), id), partnerText{Name: n.Name, Certificate: n.Certificate, Fingerprint: n.Fingerprint, About: n.About, Added: day(s.v.clock.now())}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.Partner(ctx, PartnerID(id))
}

// VerifyPartner records that the member has compared the partner's fingerprint over
// another channel, and how. It is refused if the partner has another certificate by
// now.
func (s *Session) VerifyPartner(ctx context.Context, id PartnerID, fingerprint, how string) (*Partner, error) {
	const op = "vault.VerifyPartner"
	if s.role() != Organiser {
		return nil, errPartnerOrganisers(op)
	}
	if err := checkText(op, "how", how); err != nil {
		return nil, err
	}
	return s.changePartner(ctx, op, audit.PartnerVerify, id, func(t *partnerText) error {
		if t.Fingerprint != fingerprint {
			return &Error{Kind: Invalid, Op: op, Code: "fingerprint-other", Fields: []FieldError{{"fingerprint", "is another one"}},
				Msg:  "this is not the fingerprint of the certificate that is kept for this partner; nothing was recorded",
				Hint: "compare again, all of it, with the partner by phone or in person; if theirs is right, the certificate here is not theirs"}
		}
		t.Verified = &verificationText{By: s.member, On: day(s.v.clock.now()), How: how}
		return nil
	})
}

// ReplacePartnerCertificate keeps another certificate of a partner, which starts
// over: nobody has compared its fingerprint. One that is the same key as before, with a
// later end or new parts, keeps what was recorded. Messages to the one of before that
// are kept are withdrawn in any case: the part of it that they are sealed to may be
// what its owner has revoked.
func (s *Session) ReplacePartnerCertificate(ctx context.Context, id PartnerID, n NewPartner) (*Partner, error) {
	const op = "vault.ReplacePartnerCertificate"
	if s.role() != Organiser {
		return nil, errPartnerOrganisers(op)
	}
	return s.changePartner(ctx, op, audit.PartnerChange, id, func(t *partnerText) error {
		n.Name = t.Name
		if err := n.check(op); err != nil {
			return err
		}
		if bytes.Equal(t.Certificate, n.Certificate) {
			return &Error{Kind: Conflict, Op: op, Code: "certificate-same", Msg: "this certificate is the one that is kept already"}
		}
		if t.Fingerprint != n.Fingerprint {
			t.Verified = nil
		}
		t.Certificate, t.Fingerprint, t.About = n.Certificate, n.Fingerprint, n.About
		return nil
	})
}

func (s *Session) changePartner(ctx context.Context, op string, act audit.Act, id PartnerID, change func(*partnerText) error) (*Partner, error) {
	err := s.putPartner(ctx, op, act, func() (*draft, partnerText, error) {
		p := s.v.partnerStatement(id)
		if p == nil {
			return nil, partnerText{}, errNoPartner()
		}
		t, err := s.openPartner(ctx, p)
		if err == nil {
			err = change(&t)
		}
		return p.draft(), t, err
	})
	if err != nil {
		return nil, err
	}
	return s.Partner(ctx, id)
}

// putPartner makes what build says the state of a partner.
func (s *Session) putPartner(ctx context.Context, op string, act audit.Act, build func() (*draft, partnerText, error)) error {
	v := s.v
	var seen []*statement
	var made func(*actTx) error // see endMessagesTo
	return s.turnOver(ctx, func(u *turnover) (e audit.Entry, err error) {
		seen, made = v.partnerStatements(), nil
		d, t, err := build()
		if err != nil {
			return e, err
		}
		for _, p := range seen {
			if p.object == d.object {
				continue
			}
			other, err := s.openPartner(ctx, p)
			if beyondRepair(err) {
				continue
			}
			if err != nil {
				return e, err
			}
			if err := sameAs(op, &t, &other); err != nil {
				return e, err
			}
		}
		if d.base == nil && len(seen) >= maxPartners {
			return e, &Error{Kind: TooLarge, Op: op, Code: "partners-many", Msg: "there are 500 partners already", Hint: "remove one: the ledger keeps what was sent to it"}
		}
		if act == audit.PartnerChange {
			made = u.endMessagesTo(PartnerID(d.object), s.member)
		}
		self := v.statement(v.ID())
		p, err := s.groupKey(ctx, keyP)
		if err != nil {
			return e, err
		}
		body, err := json.Marshal(t)
		if err != nil {
			return e, err
		}
		d.rely(self, "epoch-P")
		u.drafts = append(u.drafts, d)
		if _, had := d.blobs[blobAbout]; had {
			d.remove(blobAbout)
		}
		u.sealToLock(d, blobAbout, aboutBinding(d.statement), body, p.Recipient())
		return audit.Entry{Act: act, By: string(s.member), Subject: d.object}, nil
	}, func(t *actTx) error {
		if t.newPartners(seen) {
			return errOvertaken()
		}
		if made != nil {
			return made(t)
		}
		return nil
	})
}

// sameAs refuses what another partner has already.
func sameAs(op string, t, other *partnerText) error {
	switch {
	case foldName(t.Name) == foldName(other.Name):
		return &Error{Kind: Conflict, Op: op, Code: "partner-exists", Msg: "there is a partner of this name already", Hint: "to give it another certificate: rallyvault partner update"}
	case t.Fingerprint == other.Fingerprint:
		return &Error{Kind: Conflict, Op: op, Code: "certificate-known", Msg: "another partner has this certificate already", Hint: "see rallyvault partner ls"}
	}
	return nil
}

// foldName is what names of partners are compared by: two that differ in how their
// characters are composed, in width, case, blanks or what is not seen are read as one.
// Some scripts need such characters, so a name may have them.
func foldName(name string) string {
	seen := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) {
			return -1
		}
		return r
	}, name)
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(seen))), " ")
}

// sealToLock leaves sealing a blob into a lock for when the locks are made.
func (u *turnover) sealToLock(d *draft, name, binding string, body []byte, to *agebox.Recipient) {
	body = blanks(body, len(binding)+1)
	u.locked(d, func(slot slots.Slot) error { return d.sealLocked(name, binding, body, to, slot) })
}

// newPartners reports within an act whether there is a partner that was not seen.
func (t *actTx) newPartners(seen []*statement) bool {
	now := append(t.v.partnerStatements(), t.pendingOf(kindPartner)...)
	return slices.ContainsFunc(now, func(p *statement) bool { return !slices.Contains(seen, p) && t.current(p.object) == p })
}

// isTo reports whether an export is for a partner.
func (s *statement) isTo(id PartnerID) bool {
	return s.kind == kindExport && slices.Contains(strings.Split(s.fact(factPartners), ","), string(id))
}

// endMessagesTo drops the messages to a partner that are kept. The check makes sure
// within the act that none was made meanwhile.
func (u *turnover) endMessagesTo(id PartnerID, by MemberID) (check func(*actTx) error) {
	ended := map[string]bool{}
	for _, x := range u.v.exportStatements() {
		if x.hasMessage() && x.isTo(id) {
			u.draft(x).dropMessage(ExportWithdrawn)
			u.more = append(u.more, audit.Entry{Act: audit.ExportWithdraw, By: string(by), List: x.fact(factList), Subject: x.object})
			ended[x.object] = true
		}
	}
	return func(t *actTx) error {
		for _, x := range append(t.v.exportStatements(), t.pendingOf(kindExport)...) {
			if !ended[x.object] && t.current(x.object) == x && x.hasMessage() && x.isTo(id) {
				return errOvertaken()
			}
		}
		return nil
	}
}

// RemovePartner removes a partner: its lock is overwritten, and nothing more can be
// sent to it, so that messages to it that are kept are withdrawn. The ledger keeps
// what was.
func (s *Session) RemovePartner(ctx context.Context, id PartnerID) error {
	const op = "vault.RemovePartner"
	if s.role() != Organiser {
		return errPartnerOrganisers(op)
	}
	var p *statement
	var made func(*actTx) error
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		if p = s.v.partnerStatement(id); p == nil {
			return audit.Entry{}, errNoPartner()
		}
		made = u.endMessagesTo(id, s.member)
		return audit.Entry{Act: audit.PartnerRemove, By: string(s.member), Subject: p.object}, nil
	}, func(t *actTx) error {
		if t.current(p.object) != p {
			return errOvertaken()
		}
		if err := made(t); err != nil {
			return err
		}
		return t.remove(p)
	})
	if err != nil {
		return err
	}
	s.v.sweepSoon()
	return s.v.retireLocks(p.locks())
}
