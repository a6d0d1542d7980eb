package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// linkPrefix begins the token of a link.
const linkPrefix = "rvx_"

func linkBinding(e *statement) string { return bind(blobLink, e.vault, e.object) }

// linkToken is the token of a link: the export's id, by which it is found, and a code
// of 128 bits, which opens it.
func linkToken(id ExportID, c code) string {
	return linkPrefix + strings.ReplaceAll(string(id), "-", "") + "_" + string(c)
}

func parseLinkToken(token string) (id ExportID, c code, ok bool) {
	rest, ok := strings.CutPrefix(token, linkPrefix)
	hexed, text, cut := strings.Cut(rest, "_")
	if !ok || !cut || len(hexed) != 32 {
		return "", "", false
	}
	id = ExportID(fmt.Sprintf("%s-%s-%s-%s-%s", hexed[:8], hexed[8:12], hexed[12:16], hexed[16:20], hexed[20:]))
	c, ok = parseCode(text)
	return id, c, ok && ValidID(string(id)) && string(c) == text
}

// A Link lets whoever has it take out the sealed message of an export, once.
type Link struct {
	Token   string
	Expires time.Time
}

// LinkExport makes a link, in place of one that there was. X is sealed to its token,
// with the lowest work factor: 128 random bits need no stretching.
func (s *Session) LinkExport(ctx context.Context, id ExportID) (*Link, error) {
	if err := s.mayHandOver(ctx, id); err != nil {
		return nil, err
	}
	c := newCode()
	var e *statement
	var until time.Time
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		var key *agebox.Identity
		var err error
		if e, key, err = s.openExport(ctx, id); err != nil {
			return audit.Entry{}, err
		}
		_, x, err := s.handOver(ctx, u, e, key)
		if err != nil {
			return audit.Entry{}, err
		}
		d := u.draft(e)
		until = untilOf(d.statement)
		if _, had := d.blobs[blobLink]; had {
			d.remove(blobLink)
		}
		secret := x.Secret()
		defer secret.Wipe()
		inner, err := agebox.SealPassphrase(linkBinding(e), secret.Bytes(), c.secret(), 1)
		if err != nil {
			return audit.Entry{}, err
		}
		u.locked(d, sealInto(d, blobLink, inner))
		return audit.Entry{Act: audit.ExportLink, By: string(s.member), List: e.fact(factList), Subject: e.object, Deadline: &until}, nil
	}, func(t *actTx) error { return t.stillKept(e) })
	if err != nil {
		return nil, err
	}
	return &Link{Token: linkToken(id, c), Expires: until}, nil
}

// linkMaybeBy reports whether the link of an export can have been made by a member:
// whoever made the export can, and organisers.
func (s *statement) linkMaybeBy(m *statement) bool {
	return m.fact(factRole) == string(Organiser) || s.fact(factMember) == m.object
}

// dropLinks takes the links of all exports away within an act, and returns their locks,
// which are the caller's to overwrite. entry vouches for some of it where there are many.
func (t *actTx) dropLinks(entry audit.Entry) (old []slots.ID, err error) {
	n := 0
	for _, x := range append(t.v.exportStatements(), t.pendingOf(kindExport)...) {
		if _, has := x.blobs[blobLink]; !has || t.current(x.object) != x {
			continue
		}
		d := x.draft()
		d.remove(blobLink)
		if err := d.store(t); err != nil {
			return nil, err
		}
		old = append(old, retiredLocks(x, d.statement)...)
		if n++; n%entryVouches == 0 {
			if err := t.record(entry); err != nil {
				return nil, err
			}
		}
	}
	return old, nil
}

func errNoLink() error {
	return &Error{Kind: NotFound, Op: "vault.TakeLink", Code: "no-such-link", Msg: "this link does not exist, was used, or is too old", Hint: "ask who sent it for a new one"}
}

// errLinkLater says that a link is good, but not now: somebody is to be erased from the
// list first. Why is nothing that a visitor is told.
func errLinkLater() error {
	return &Error{Kind: Unavailable, Op: "vault.TakeLink", Code: "link-later", RetryAfter: time.Hour, Msg: "this link does not work at the moment, and was not used up", Hint: "try again later, or ask who sent it"}
}

// TakeLink gives the message of a link to whoever has it, once: the link is gone when
// it returns. What is wrong with one that is not good is not said.
func (v *Vault) TakeLink(ctx context.Context, token string) (*Message, error) {
	var e *statement
	var x *agebox.Identity
	err := v.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		var err error
		if e, x, err = v.openLink(ctx, token); err != nil {
			return audit.Entry{}, err
		}
		u.draft(e).remove(blobLink)
		return audit.Entry{Act: audit.ExportTaken, List: e.fact(factList), Subject: e.object}, nil
	}, func(t *actTx) error {
		err := t.stillKept(e)
		if hasCode(err, codeErasureWaits) {
			return errLinkLater()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Message{Export: ExportID(e.object), Bytes: e.int(factBytes), v: v, e: e, key: x, alive: v.Available}, nil
}

// LinkWorks returns nil if TakeLink would give the message now. It leaves the link as
// it is.
func (v *Vault) LinkWorks(ctx context.Context, token string) error {
	return again(func() error {
		_, _, err := v.openLink(ctx, token)
		return err
	})
}

// openLink opens X with the token of a link.
func (v *Vault) openLink(ctx context.Context, token string) (*statement, *agebox.Identity, error) {
	id, c, ok := parseLinkToken(token)
	if !ok {
		return nil, nil, errNoLink()
	}
	if err := v.Available(); err != nil {
		return nil, nil, err
	}
	v.mu.RLock()
	e := v.exports[id]
	v.mu.RUnlock()
	if e == nil || !v.keeps(e, v.clock.now()) || e.fact(factStatus) != ExportDone {
		return nil, nil, errNoLink()
	}
	if _, has := e.blobs[blobLink]; !has {
		return nil, nil, errNoLink()
	}
	sealed, err := v.blob(ctx, e, blobLink)
	if err != nil {
		return nil, nil, err
	}
	if sealed, err = v.unlock(ctx, e, blobLink, sealed); err != nil {
		return nil, nil, err
	}
	body, err := agebox.OpenPassphrase(linkBinding(e), sealed, c.secret())
	if err != nil {
		return nil, nil, errNoLink()
	}
	secret := crypto.NewSecret(body)
	defer secret.Wipe()
	x, err := agebox.ParseIdentity(secret)
	if err != nil {
		return nil, nil, errNoLink()
	}
	if len(v.erasuresOf(e.fact(factList))) > 0 { // said to nobody who just guesses
		return nil, nil, errLinkLater()
	}
	return e, x, nil
}
