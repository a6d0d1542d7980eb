package vault

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

const (
	// sessionTTL is how long a session lasts.
	sessionTTL = 12 * time.Hour

	// maxSessions bounds the sessions of one member; the oldest one ends.
	maxSessions = 32
)

type sessionID [16]byte

// A sealedSession is a session as the server holds it: the member's identity
// M sealed under a key that only the client's token gives. It is in memory
// only, and never on a disk: on a laptop the client's session file lies on the
// same one.
type sealedSession struct {
	member    MemberID
	recipient string // of M: a session of an identity that was replaced is none
	expires   time.Time
	nonce     [chacha20poly1305.NonceSizeX]byte
	sealed    []byte

	name  string        // what its member calls it by; random, so it leads to neither token nor sessionID
	ended chan struct{} // closed when it is dropped

	idle time.Duration // how long it may lie unused, 0: for as long as it lasts
	used time.Time     // when a request last began or ended
	busy int           // requests under way
}

type sessionTable struct {
	mu   sync.Mutex
	byID map[sessionID]*sealedSession

	// dropped is told of every session that ends, however it does: what was begun
	// in it ends with it.
	dropped func(sessionID)

	// Endings that sign-ins under way must not outlive are counted: how many
	// there were, and which of them was the last for everybody and for a member.
	endings  uint64
	endedAll uint64
	endedOf  map[MemberID]uint64

	suspended map[MemberID]int // members who are being disabled, see suspend
}

func newSessionTable(dropped func(sessionID)) *sessionTable {
	return &sessionTable{byID: map[sessionID]*sealedSession{}, dropped: dropped, endedOf: map[MemberID]uint64{}}
}

// live returns a copy of a session whose time is not over and that has not outlived
// the identity that it was opened with, nil if there is none.
func (v *Vault) live(id sessionID) *sealedSession {
	return v.ofMember(id, v.sessions.get(id, v.clock.now()))
}

// ofMember returns s, or nil if who opened it is no member by that identity.
func (v *Vault) ofMember(id sessionID, s *sealedSession) *sealedSession {
	if s == nil {
		return nil
	}
	who := v.statement(string(s.member))
	if v.isOver() || who == nil || who.fact(factRecipient) != s.recipient || v.isOut(s.member) {
		v.sessions.drop(id)
		return nil
	}
	return s
}

// get returns a copy, as dropping a session overwrites what was sealed. One whose
// time is over is dropped in the same step: a moment later a request may have begun
// that keeps it from lying unused.
func (t *sessionTable) get(id sessionID, now time.Time) *sealedSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.getLocked(id, now).copy()
}

func (t *sessionTable) getLocked(id sessionID, now time.Time) *sealedSession {
	s := t.byID[id]
	if s != nil && s.over(now) {
		t.dropLocked(id)
		return nil
	}
	return s
}

func (s *sealedSession) copy() *sealedSession {
	if s == nil {
		return nil
	}
	c := *s
	c.sealed = bytes.Clone(s.sealed)
	return &c
}

// A beginning is the moment at which somebody begins to sign in, as the number of
// endings that were before it.
type beginning uint64

// begin is called before the secret of somebody who signs in is looked at.
func (t *sessionTable) begin() beginning {
	t.mu.Lock()
	defer t.mu.Unlock()
	return beginning(t.endings)
}

// add makes s a session, unless all sessions of its member were ended since it
// was begun: whoever ended them means that one too.
func (t *sessionTable) add(id sessionID, s *sealedSession, begun beginning) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := max(t.endedAll, t.endedOf[s.member]); last > uint64(begun) {
		clear(s.sealed)
		return false
	}
	var oldest sessionID
	count := 0
	for other, o := range t.byID {
		if o.member != s.member {
			continue
		}
		if count++; count == 1 || o.expires.Before(t.byID[oldest].expires) {
			oldest = other
		}
	}
	if count >= maxSessions {
		t.dropLocked(oldest)
	}
	t.byID[id] = s
	return true
}

func (t *sessionTable) drop(id sessionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropLocked(id)
}

func (t *sessionTable) dropLocked(id sessionID) {
	if s := t.byID[id]; s != nil {
		clear(s.sealed)
		delete(t.byID, id)
		t.dropped(id)
		close(s.ended) // after it is gone: see Session.Ended
	}
}

// dropMember ends every session of a member.
func (t *sessionTable) dropMember(member MemberID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.byID {
		if s.member == member {
			t.dropLocked(id)
		}
	}
}

func (t *sessionTable) dropAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropAllLocked()
}

// dropAllLocked ends every session there is, or is just being opened.
func (t *sessionTable) dropAllLocked() (ended []sessionID) {
	t.endings++
	t.endedAll = t.endings
	for id := range t.byID {
		ended = append(ended, id)
		t.dropLocked(id)
	}
	return ended
}

// sweep drops those whose time is over, which nobody may ever ask for again.
func (t *sessionTable) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.byID {
		if s.over(now) {
			t.dropLocked(id)
		}
	}
}

// A Token is what a client holds of a session. It opens nothing without the
// server's memory.
type Token struct {
	Token   string
	Expires time.Time
}

const tokenPrefix = "rv1_"

// sessionKeys derives from a token's 32 bytes the id under which the server
// finds the session and the key that opens it (HKDF-SHA256, RFC 5869).
func sessionKeys(secret []byte) (id sessionID, key []byte, err error) {
	name, err := hkdf.Key(sha256.New, secret, nil, "rallyvault/1 session id", len(id))
	if err != nil {
		return id, nil, err
	}
	copy(id[:], name)
	key, err = hkdf.Key(sha256.New, secret, nil, "rallyvault/1 session key", chacha20poly1305.KeySize)
	return id, key, err
}

// openSession seals M into a new session and returns its token. M is the
// member's of now: if the passphrase was replaced, or the member reset, after M
// was opened, there is no session. Nor is there one if the member's sessions, or
// everybody's, were ended since begun.
func (v *Vault) openSession(member MemberID, m *agebox.Identity, begun beginning) (Token, error) {
	secret := randomBytes(32)
	defer clear(secret)
	id, key, err := sessionKeys(secret)
	if err != nil {
		return Token{}, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return Token{}, err
	}
	now := v.clock.now()
	s := &sealedSession{member: member, recipient: m.Recipient().String(), expires: now.Add(sessionTTL).Truncate(time.Second),
		name: newID(), ended: make(chan struct{}), used: now}
	copy(s.nonce[:], randomBytes(len(s.nonce)))
	plain := m.Secret()
	defer plain.Wipe()
	s.sealed = aead.Seal(nil, s.nonce[:], plain.Bytes(), sessionAD(id, member))
	if !v.sessions.add(id, s, begun) {
		return Token{}, &Error{Kind: Conflict, Op: "vault.openSession", Code: "sessions-ended",
			Msg: "all sessions were ended while this one was being opened", Hint: "sign in again; a passphrase that was just set is in force"}
	}
	// Looked at when the session is there: who replaces M publishes that first
	// and drops the sessions then, so one of the two sees the other.
	if _, err := v.current(string(member), m); err != nil {
		v.sessions.drop(id)
		return Token{}, err
	}
	return Token{Token: tokenPrefix + base64.RawURLEncoding.EncodeToString(secret), Expires: s.expires}, nil
}

// tokenSecret is the inverse of openSession's last line.
func tokenSecret(token string) (secret []byte, ok bool) {
	text, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return nil, false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != 32 || base64.RawURLEncoding.EncodeToString(secret) != text { // line ends are passed over
		return nil, false
	}
	return secret, true
}

func sessionAD(id sessionID, member MemberID) []byte { return append(id[:], member...) }

// A Session is what a signed-in member can do during one request: it holds
// the keys opened for it, and Close forgets them.
type Session struct {
	v       *Vault
	id      sessionID
	name    string
	member  MemberID
	expires time.Time
	m       *agebox.Identity
	gone    <-chan struct{} // closed when the session is dropped

	recipient string // of m

	mu   sync.Mutex
	keys map[string]*agebox.Identity // by the hash of the blob a key came from
}

func errUnauthenticated() error {
	return &Error{Kind: Unauthenticated, Op: "vault.Session", Code: "no-session",
		Msg: "not signed in, or the session has ended", Hint: "sign in again"}
}

// Session opens the session of a token for one request.
func (v *Vault) Session(_ context.Context, token string) (*Session, error) {
	if err := v.Available(); err != nil {
		return nil, err
	}
	secret, ok := tokenSecret(token)
	if !ok {
		return nil, errUnauthenticated()
	}
	defer clear(secret)
	id, key, err := sessionKeys(secret)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	sealed := v.enter(id)
	if sealed == nil {
		return nil, errUnauthenticated()
	}
	s, err := v.openSealed(id, key, sealed)
	if err != nil {
		v.sessions.leave(id, v.clock.now())
	}
	return s, err
}

func (v *Vault) openSealed(id sessionID, key []byte, sealed *sealedSession) (*Session, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed.nonce[:], sealed.sealed, sessionAD(id, sealed.member))
	if err != nil {
		return nil, errUnauthenticated() // ended between get and here
	}
	m := crypto.NewSecret(plain)
	defer m.Wipe()
	identity, err := agebox.ParseIdentity(m)
	if err != nil {
		return nil, err
	}
	return &Session{v: v, id: id, name: sealed.name, member: sealed.member, recipient: sealed.recipient, expires: sealed.expires, m: identity, gone: sealed.ended,
		keys: map[string]*agebox.Identity{}}, nil
}

// Close forgets the keys opened for the request, which is over.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys != nil {
		s.v.sessions.leave(s.id, s.v.clock.now())
	}
	s.m, s.keys = nil, nil
}

// Name is what the session's member calls it by, see SessionInfo.ID.
func (s *Session) Name() string { return s.name }

// alive returns an Unauthenticated error once the session has ended, so that
// a long answer stops with it.
func (s *Session) alive() error {
	if s.v.live(s.id) == nil {
		return errUnauthenticated()
	}
	return nil
}

// do runs an act of the member, unless the session has ended by then: an act
// that waited while the passphrase was replaced, or the member reset, is of
// somebody who was sent away.
func (s *Session) do(ctx context.Context, apply func(*actTx) error) error {
	return s.v.do(ctx, func(t *actTx) error {
		if err := s.within(t); err != nil {
			return err
		}
		return apply(t)
	})
}

// within is alive within an act, which sees what earlier acts of its group did.
func (s *Session) within(t *actTx) error {
	if who := t.current(string(s.member)); who == nil || who.fact(factRecipient) != s.recipient {
		return errUnauthenticated()
	}
	return s.alive()
}

// turnOver is Vault.turnOver for an act of the member.
func (s *Session) turnOver(ctx context.Context, build func(*turnover) (audit.Entry, error), check func(*actTx) error, also ...audit.Entry) error {
	return s.v.turnOver(ctx, build, func(t *actTx) error {
		if err := s.within(t); err != nil || check == nil {
			return err
		}
		return check(t)
	}, also...)
}

// Who says who is signed in.
type Who struct {
	Handle  string    `json:"handle"`
	Role    Role      `json:"role"`
	Expires time.Time `json:"expires"`
	Due     []string  `json:"due"` // see Session.Due

	Ends    time.Time `json:"ends"`    // when the group does, see Session.Ending
	Silence bool      `json:"silence"` // it does by silence
}

// Who returns the session's member.
func (s *Session) Who(ctx context.Context) (Who, error) {
	handle, err := s.handle(ctx, s.member)
	if err != nil {
		return Who{}, err
	}
	w := Who{Handle: handle, Role: s.role(), Expires: s.expires, Due: s.Due()}
	w.Ends, w.Silence = s.Ending()
	return w, nil
}

func (s *Session) role() Role {
	m := s.v.statement(string(s.member))
	if m == nil {
		return Plain
	}
	return Role(m.fact(factRole))
}

// handle opens the spelling of a member's handle.
func (s *Session) handle(ctx context.Context, id MemberID) (h string, err error) {
	err = again(func() error {
		m := s.v.statement(string(id))
		if m == nil {
			return &Error{Kind: NotFound, Op: "vault.handle", Msg: "no such member"}
		}
		o, err := s.groupKey(ctx, keyO)
		if err != nil {
			return err
		}
		body, err := s.v.openBlob(ctx, m, blobHandle, bind(blobHandle, m.vault, m.object), o)
		h = strings.TrimRight(string(body), " ") // see pad
		return err
	})
	return h, err
}

// groupKey opens O or P of now for this request. Whoever opens something that is
// sealed to it asks for the key after the statement that names it: they are
// replaced together, so the key is then never older, and that the statement is has
// an answer of its own, errChanged.
func (s *Session) groupKey(ctx context.Context, key string) (*agebox.Identity, error) {
	self := s.v.statement(s.v.ID())
	epoch := self.int("epoch-" + key)
	name := wrapName(epoch, key, string(s.member))
	wrap, held := self.blobs[name]
	if !held {
		if err := s.alive(); err != nil {
			return nil, err
		}
		return nil, &Error{Kind: Forbidden, Op: "vault.groupKey", Code: "role", Msg: "only organisers may do this"}
	}
	// By the wrap that it is opened from: the key may be replaced while a request
	// lasts.
	return s.key(wrap.sum.String(), func() (*agebox.Identity, error) {
		return s.openWrap(ctx, holding{self, name, epoch, key})
	})
}

// openWrap opens a wrap that is made for the member. The wraps of a new identity
// are published together with it: key has made sure that this session's is not
// an old one, for which they would look damaged.
func (s *Session) openWrap(ctx context.Context, h holding) (*agebox.Identity, error) {
	return s.v.openHolding(ctx, h, string(s.member), s.m)
}

// key returns the key kept under name, opening it the first time. A session that
// has ended has no keys any more, though a request of it is still under way.
func (s *Session) key(name string, open func() (*agebox.Identity, error)) (*agebox.Identity, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return nil, errUnauthenticated()
	}
	if k := s.keys[name]; k != nil {
		return k, nil
	}
	k, err := open()
	if err != nil {
		return nil, err
	}
	s.keys[name] = k
	return k, nil
}

// SigningCertificate returns the group's OpenPGP certificate, binary.
func (s *Session) SigningCertificate(ctx context.Context) (cert []byte, err error) {
	err = again(func() error {
		self := s.v.statement(s.v.ID())
		o, err := s.groupKey(ctx, keyO)
		if err != nil {
			return err
		}
		cert, err = s.v.openBlob(ctx, self, blobCertificate, bind(blobCertificate, self.vault), o)
		return err
	})
	return cert, err
}

// Organisation returns the group's name.
func (s *Session) Organisation(ctx context.Context) (name string, err error) {
	err = again(func() error {
		self := s.v.statement(s.v.ID())
		o, err := s.groupKey(ctx, keyO)
		if err != nil {
			return err
		}
		name, err = s.organisation(ctx, self, o)
		return err
	})
	return name, err
}

func (s *Session) organisation(ctx context.Context, self *statement, o *agebox.Identity) (string, error) {
	body, err := s.v.openBlob(ctx, self, blobOrganisation, bind(blobOrganisation, self.vault), o)
	return strings.TrimRight(string(body), " "), err // see pad
}

// SigningKey returns the group's OpenPGP private key. Organisers may, and who holds a
// grant to export; the caller wipes it.
func (s *Session) SigningKey(ctx context.Context) (key crypto.Secret, err error) {
	err = again(func() error {
		self := s.v.statement(s.v.ID())
		p, err := s.exportKey(ctx)
		if err != nil {
			return err
		}
		body, err := s.v.openBlob(ctx, self, blobSigningKey, bind(blobSigningKey, self.vault), p)
		key = crypto.NewSecret(body)
		return err
	})
	return key, err
}

// Now is the time by which the vault goes, which is never behind what it has
// recorded.
func (s *Session) Now() time.Time { return s.v.clock.now() }
