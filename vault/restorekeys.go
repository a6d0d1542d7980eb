package vault

import (
	"context"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
)

// away reports whether the slot file never had the locks of the backup: that one is not
// there says nothing then.
func (r *restoring) away() bool { return r.out.New || r.out.Moved }

// complete reports whether it is known of a lock that is gone why it is.
func (r *restoring) complete() bool {
	return r.sequel.gap == 0 && (r.away() || r.out.Missing() == 0 && !r.out.Fork)
}

// inner returns a blob without its lock, and whether the lock lives in the slot file. A
// lock that was overwritten here is dead, but of what is a list's, or the group's: where
// it is known that the list did not end and nobody left, it was replaced, and the copy
// for R stands for it.
func (r *restoring) inner(ctx context.Context, s *statement, name string) (data []byte, lives, ok bool) {
	data, err := r.v.blob(ctx, s, name)
	if err != nil {
		return nil, false, false
	}
	id := s.blobs[name].lock
	if id == (slots.ID{}) {
		return data, true, true
	}
	lock, lives := r.Slots.Lock(id)
	if !lives {
		if r.secrets == nil || !r.away() && (!r.complete() || s.kind == kindMember) {
			return nil, false, false
		}
		if lock, ok = r.secrets.lock(id); !ok {
			return nil, false, false
		}
	}
	if data, err = lock.Open(data); err != nil {
		return nil, false, false
	}
	return data, lives, true
}

// keep keeps a blob, in its lock or in a new one, or takes it out.
func (r *restoring) keep(ctx context.Context, s *statement, name string) bool {
	data, lives, ok := r.inner(ctx, s, name)
	switch {
	case !ok:
		r.u.draft(s).remove(name)
	case !lives:
		d := r.u.draft(s)
		r.u.locked(d, sealInto(d, name, data))
	}
	return ok
}

// forR opens for R a key that is wrapped to it.
func (r *restoring) forR(ctx context.Context, s *statement, epoch int64, key string) *agebox.Identity {
	if r.r == nil {
		return nil
	}
	holder := recoveryHolder(r.Backup.Set)
	name := wrapName(epoch, key, holder)
	data, _, ok := r.inner(ctx, s, name)
	if !ok {
		return nil
	}
	body, err := agebox.Open(s.wrapBinding(epoch, key, holder), data, r.r)
	if err != nil {
		return nil
	}
	return r.identity(ctx, s, recipientName(epoch, key), body)
}

// identity reads an identity, which has to be that of a recipient that s names.
func (r *restoring) identity(ctx context.Context, s *statement, recipient string, body []byte) *agebox.Identity {
	secret := crypto.NewSecret(body)
	defer secret.Wipe()
	id, err := agebox.ParseIdentity(secret)
	if err != nil || r.v.same(ctx, s, recipient, id) != nil {
		return nil
	}
	return id
}

// wrap gives a holder a key again: in the wrap that there is, if its lock lives, or in a
// new one. It reports whether the holder has it.
func (r *restoring) wrap(ctx context.Context, s *statement, h holding, holder string, key *agebox.Identity) bool {
	m := r.v.members[MemberID(holder)]
	if !r.can(m) {
		r.u.draft(s).remove(h.name)
		return false
	}
	to := r.recipient(m)
	if to == nil {
		r.u.draft(s).remove(h.name)
		return false
	}
	if _, lives, ok := r.inner(ctx, s, h.name); ok && lives && to.String() == m.fact(factRecipient) {
		return true
	}
	if key == nil || !r.complete() { // its end may be among what is missing
		r.u.draft(s).remove(h.name)
		return false
	}
	r.u.wrap(r.u.draft(s), h.epoch, h.key, holder, key, to)
	return true
}

// can reports whether a member is to hold keys in what is restored.
func (r *restoring) can(m *statement) bool {
	return m != nil && r.will(m).active()
}

// will is a statement as it is going to be.
func (r *restoring) will(s *statement) *statement {
	for _, d := range r.u.drafts {
		if d.object == s.object {
			return d.statement
		}
	}
	return s
}

func (r *restoring) recipient(m *statement) *agebox.Recipient {
	to, err := agebox.ParseRecipient(r.will(m).fact(factRecipient))
	if err != nil {
		return nil
	}
	return to
}
