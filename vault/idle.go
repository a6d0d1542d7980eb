package vault

import "time"

// LimitIdle makes a session end once nobody has used it for as long as limit. Pages
// set it right after somebody signs in, joins or changes the passphrase: a browser
// is left open on a table. 0 is no limit, which a session has otherwise; programs
// keep theirs for the night.
//
// A request is use from the moment at which Session opens it until Session.Close.
// SignedIn, IdleLeft and LimitIdle are none.
func (v *Vault) LimitIdle(token string, limit time.Duration) error {
	if limit < 0 {
		return &Error{Kind: Invalid, Op: "vault.LimitIdle", Code: "idle-limit", Msg: "a session cannot lie unused for less than no time"}
	}
	return v.ofToken(token, func(s *sealedSession, _ time.Time) { s.idle = limit })
}

// IdleLeft says when a session ends if nobody uses it from now on, for a countdown
// that does not keep it alive: what is left of its limit, or of the session itself
// if that is less.
func (v *Vault) IdleLeft(token string) (left time.Duration, err error) {
	err = v.ofToken(token, func(s *sealedSession, now time.Time) { left = s.until(now).Sub(now) })
	return left, err
}

// ofToken calls fn with the session of a token, locked, without opening it.
func (v *Vault) ofToken(token string, fn func(s *sealedSession, now time.Time)) error {
	id, err := v.signedIn(token)
	if err != nil {
		return err
	}
	t := v.sessions
	t.mu.Lock()
	defer t.mu.Unlock()
	now := v.clock.now()
	s := t.getLocked(id, now)
	if s == nil {
		return errUnauthenticated()
	}
	fn(s, now)
	return nil
}

// enter is live for a request that begins.
func (v *Vault) enter(id sessionID) *sealedSession {
	return v.ofMember(id, v.sessions.enter(id, v.clock.now()))
}

// enter is get for a request that begins.
func (t *sessionTable) enter(id sessionID, now time.Time) *sealedSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.getLocked(id, now)
	if s != nil {
		s.busy++
		s.use(now)
	}
	return s.copy()
}

// leave ends a request.
func (t *sessionTable) leave(id sessionID, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil {
		s.busy--
		s.use(now)
	}
}

// use notes a use. Of two requests that asked for the time one may come second here
// that asked first.
func (s *sealedSession) use(now time.Time) {
	if now.After(s.used) {
		s.used = now
	}
}

// until returns when the session ends if nobody uses it from now on.
func (s *sealedSession) until(now time.Time) time.Time {
	if s.idle == 0 {
		return s.expires
	}
	used := s.used
	if s.busy > 0 { // an answer that takes long is use for as long as it takes
		used = now
	}
	if t := used.Add(s.idle); t.Before(s.expires) {
		return t
	}
	return s.expires
}

// over reports whether its time is: of the session, or of lying unused.
func (s *sealedSession) over(now time.Time) bool { return !now.Before(s.until(now)) }
