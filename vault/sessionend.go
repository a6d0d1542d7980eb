package vault

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A SessionInfo is one of a member's sessions, as the member sees it. It says
// nothing about from where: that is not known, and not kept.
type SessionInfo struct {
	ID      string // to end it by; it opens nothing and is derived from nothing
	Expires time.Time
	Current bool // it is the one that asks
}

func errNoSession(op string) error {
	return &Error{Kind: NotFound, Op: op, Code: "no-such-session", Msg: "you have no such session"}
}

// Sessions returns the member's sessions, the newest first.
func (s *Session) Sessions(context.Context) ([]SessionInfo, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	return s.v.sessions.list(s.id, s.member, s.v.clock.now()), nil
}

// EndSession ends one of the member's sessions, which may be this one. One of
// somebody else's is answered like one that does not exist.
func (s *Session) EndSession(ctx context.Context, id string) error {
	const op = "vault.EndSession"
	if err := s.alive(); err != nil {
		return err
	}
	found, asked := s.v.sessions.endNamed(s.id, s.member, id, s.v.clock.now())
	switch {
	case !asked:
		return errUnauthenticated()
	case found == nil:
		return errNoSession(op)
	}
	return s.ended(ctx, op, audit.SessionEnd, found, "the session has ended")
}

// EndAll ends every session of the member and returns how many; with others, all
// but this one. A sign-in of the member that is under way ends with them.
func (s *Session) EndAll(ctx context.Context, others bool) (int, error) {
	if err := s.alive(); err != nil {
		return 0, err
	}
	found, asked := s.v.sessions.endOwn(s.id, s.member, others, s.v.clock.now())
	if !asked {
		return 0, errUnauthenticated()
	}
	if len(found) == 0 {
		return 0, nil
	}
	return len(found), s.ended(ctx, "vault.EndAll", audit.SessionEnd, found, "the sessions have ended")
}

// LockDown ends every session of everybody, this one too, and returns how many.
// What was under way in one stops: readings, imports, shares that wait to be
// kept, and whoever was just signing in is not signed in. Links to messages of exports
// work no more; the messages stay. Any organiser may, alone;
// signing in again is all that it takes to go on.
func (s *Session) LockDown(ctx context.Context) (int, error) {
	const op = "vault.LockDown"
	if err := s.alive(); err != nil {
		return 0, err
	}
	if s.role() != Organiser {
		return 0, errOrganisersOnly(op, "lock the vault down")
	}
	found, asked := s.v.sessions.endEverybodys(s.id, s.v.clock.now())
	if !asked {
		return 0, errUnauthenticated()
	}
	return len(found), s.ended(ctx, op, audit.VaultLockdown, found, "every session has ended")
}

// End signs out.
func (s *Session) End(ctx context.Context) error {
	s.v.sessions.drop(s.id)
	return s.ended(ctx, "vault.End", audit.SessionClose, []sessionID{s.id}, "you are signed out")
}

// ended records that sessions were ended. They are dropped before that, as neither
// a full disk nor a caller who has gone away may keep one open.
func (s *Session) ended(ctx context.Context, op string, act audit.Act, which []sessionID, done string) error {
	e := audit.Entry{Act: act, By: string(s.member)}
	if act != audit.SessionClose {
		n := int64(len(which))
		e.Count = &n
	}
	var old []slots.ID
	err := s.v.do(context.WithoutCancel(ctx), func(t *actTx) (err error) {
		if act == audit.VaultLockdown {
			if old, err = t.dropLinks(e); err != nil {
				return err
			}
		}
		return t.record(e)
	})
	if err == nil {
		return s.v.retireLocks(old)
	}
	return &Error{Kind: Unavailable, Op: op, Code: "end-not-recorded", RetryAfter: time.Second, Err: err,
		Msg: done + ", but the audit trail could not say so: the disk is full or cannot be written", Hint: "free some space"}
}

// Ended is closed when the session has ended, and not before Alive says so. That
// its time is over is noticed within a minute.
func (s *Session) Ended() <-chan struct{} { return s.gone }

// Alive returns an Unauthenticated error once the session has ended.
func (s *Session) Alive() error { return s.alive() }

// list returns the sessions of a member.
func (t *sessionTable) list(own sessionID, member MemberID, now time.Time) (out []SessionInfo) {
	t.sweep(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.byID {
		if s.member == member {
			out = append(out, SessionInfo{ID: s.name, Expires: s.expires, Current: id == own})
		}
	}
	slices.SortFunc(out, func(a, b SessionInfo) int {
		return cmp.Or(b.Expires.Compare(a.Expires), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// endNamed ends the session of a member that has a name. Like the next two it does
// so on behalf of the session own, in one step with seeing that this has not ended
// itself: of two who end each other, one is first. asked is false if it has.
func (t *sessionTable) endNamed(own sessionID, member MemberID, name string, now time.Time) (ended []sessionID, asked bool) {
	return t.end(own, now, func() []sessionID {
		return t.dropWhere(func(_ sessionID, s *sealedSession) bool { return s.member == member && s.name == name })
	})
}

// endOwn ends those of a member, and those that are just being opened.
func (t *sessionTable) endOwn(own sessionID, member MemberID, others bool, now time.Time) (ended []sessionID, asked bool) {
	return t.end(own, now, func() []sessionID {
		t.endings++
		t.endedOf[member] = t.endings
		return t.dropWhere(func(id sessionID, s *sealedSession) bool { return s.member == member && !(others && id == own) })
	})
}

// endEverybodys ends all there are, and those that are just being opened.
func (t *sessionTable) endEverybodys(own sessionID, now time.Time) (ended []sessionID, asked bool) {
	return t.end(own, now, t.dropAllLocked)
}

func (t *sessionTable) end(own sessionID, now time.Time, drop func() []sessionID) (ended []sessionID, asked bool) {
	t.sweep(now) // those are not counted
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[own] == nil {
		return nil, false
	}
	return drop(), true
}

// dropWhere is called with mu held.
func (t *sessionTable) dropWhere(which func(sessionID, *sealedSession) bool) (ended []sessionID) {
	for id, s := range t.byID {
		if which(id, s) {
			ended = append(ended, id)
			t.dropLocked(id)
		}
	}
	return ended
}
