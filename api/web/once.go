package web

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// Forms that would do harm if what they ask for was done twice have a random field by
// which one of them is told from another that says the same. A browser sends a form
// twice when somebody presses twice, or loads a page again of which the answer was lost
// on a bad line; it then shows the second answer. So the second gets the answer of the
// first, for which it waits if need be.
//
// An answer is kept as a desk is: in memory, sealed to a key that only the session's
// token gives, until a quarter of an hour is over or the session's browser signs out.

const (
	onceField = "once"            // the name of that field
	onceKey   = "rallyvault.once" // of the *onceAnswer in an echo.Context, for a page

	onceTTL = 15 * time.Minute

	// maxOnceField is more than a field of ours has, maxAnswers bounds what all answers
	// take together, each with what it takes besides itself.
	maxOnceField = 64
	maxAnswers   = 4 << 20
	answerExtra  = 512

	answerPurpose = "rallyvault/1 page answer"
)

// Once makes the value of the field.
func (f frame) Once() string { return rand.Text() }

// A memberHandler answers a request of somebody who is signed in.
type memberHandler = func(c echo.Context, m *vault.Session) error

// Once makes of a handler one that does what the same form asks for once, where it sends
// the browser on after it.
func (p *Pages) Once(h memberHandler) memberHandler { return p.once(h, false) }

// OnceShown is Once of a handler that may answer with a page, which shows what nothing
// keeps.
func (p *Pages) OnceShown(h memberHandler) memberHandler { return p.once(h, true) }

func (p *Pages) once(h memberHandler, shown bool) memberHandler {
	return func(c echo.Context, m *vault.Session) error {
		f, err := form(c)
		if err != nil || onceOf(f) == "" {
			return h(c, m)
		}
		return p.doOnce(c, p.Token(c.Request()), f, shown, m.Alive, func() error { return h(c, m) })
	}
}

// onceOf is the field of a form, "" if it has none that is one.
func onceOf(f url.Values) string {
	if field := f.Get(onceField); len(field) <= maxOnceField {
		return field
	}
	return ""
}

// doOnce does what a form asks for, or gives the answer that the same form has got of
// whoever has the token, for as long as they are somebody by alive.
func (p *Pages) doOnce(c echo.Context, token string, f url.Values, shown bool, alive, do func() error) error {
	for {
		one, first := p.acts.begin(token, c.Request().URL.Path, f)
		if first {
			return p.firstTime(c, token, one, shown, alive, do)
		}
		select {
		case <-one.over:
		case <-c.Request().Context().Done():
			return c.Request().Context().Err()
		}
		if err := alive(); err != nil {
			return err
		}
		// There is none if it was refused: it may be taken now.
		if a := p.acts.answer(token, one); a != nil {
			return p.sameAnswer(c, a)
		}
	}
}

// firstTime does what a form asks for and keeps the answer, unless it was refused.
func (p *Pages) firstTime(c echo.Context, token string, one *onceForm, shown bool, alive, do func() error) error {
	var a *onceAnswer
	defer func() { p.acts.end(token, one, a) }()
	kept := new(onceAnswer)
	if shown {
		c.Set(onceKey, kept)
	}
	if err := do(); err != nil {
		return err
	}
	kept.To = c.Response().Header().Get(echo.HeaderLocation)
	if (kept.To != "" || kept.Page != nil) && alive() == nil {
		a = kept
	}
	return nil
}

// sameAnswer gives an answer again.
func (p *Pages) sameAnswer(c echo.Context, a *onceAnswer) error {
	if a.To != "" {
		return c.Redirect(http.StatusSeeOther, a.To)
	}
	return p.write(c, http.StatusOK, a.Page)
}

// A onceAnswer is where a browser was sent on to, or the page that it was shown.
type onceAnswer struct {
	To   string
	Page []byte
}

// acts are the forms of all sessions that were sent lately.
type acts struct {
	mu   sync.Mutex
	of   map[[sha256.Size]byte]*onceForm
	size int
}

// A onceForm is one that was sent.
type onceForm struct {
	key     [sha256.Size]byte
	session [sha256.Size]byte // hash of its token
	over    chan struct{}     // closed when it was answered, or refused

	sealed []byte // the answer
	ends   time.Time
	timer  *time.Timer
}

// begin says whether a form is sent for the first time, or again with the same values
// to the same path. Who is first calls end.
func (s *acts) begin(token, path string, f url.Values) (one *onceForm, first bool) {
	sum, err := json.Marshal([]string{token, path, f.Encode()})
	if err != nil {
		panic(err) // strings
	}
	one = &onceForm{key: sha256.Sum256(sum), session: sha256.Sum256([]byte(token)), over: make(chan struct{})}
	clear(sum)
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.of[one.key]; before != nil {
		return before, false
	}
	if s.of == nil {
		s.of = map[[sha256.Size]byte]*onceForm{}
	}
	s.of[one.key] = one
	return one, true
}

// end keeps the answer of a form; of one that was refused there is none.
func (s *acts) end(token string, one *onceForm, a *onceAnswer) {
	var sealed []byte
	if a != nil {
		plain, err := json.Marshal(a)
		if err == nil {
			sealed, err = sealFor(token, answerPurpose, one.key[:], plain)
		}
		clear(plain)
		if err != nil {
			sealed = nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(one.over)
	if sealed == nil {
		delete(s.of, one.key)
		return
	}
	one.sealed, one.ends = sealed, time.Now().Add(onceTTL)
	s.size += one.takes()
	for s.size > maxAnswers {
		s.dropLocked(s.firstToEnd())
	}
	one.timer = time.AfterFunc(onceTTL, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dropLocked(one)
	})
}

func (o *onceForm) takes() int { return len(o.sealed) + answerExtra }

// answer opens the answer of a form, nil if there is none.
func (s *acts) answer(token string, one *onceForm) *onceAnswer {
	s.mu.Lock()
	sealed := bytes.Clone(one.sealed) // dropping it clears it
	s.mu.Unlock()
	plain, err := openFor(token, answerPurpose, one.key[:], sealed)
	if err != nil {
		return nil
	}
	defer clear(plain)
	a := new(onceAnswer)
	if json.Unmarshal(plain, a) != nil {
		return nil
	}
	return a
}

func (s *acts) firstToEnd() (first *onceForm) {
	for _, one := range s.of {
		if one.sealed != nil && (first == nil || one.ends.Before(first.ends)) {
			first = one
		}
	}
	return first
}

// drop clears the answers of a session.
func (s *acts) drop(token string) {
	session := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.of {
		if one.session == session && one.sealed != nil {
			s.dropLocked(one)
		}
	}
}

// dropLocked clears an answer, with mu held.
func (s *acts) dropLocked(one *onceForm) {
	if s.of[one.key] != one {
		return
	}
	if one.timer != nil {
		one.timer.Stop()
	}
	s.size -= one.takes()
	clear(one.sealed)
	one.sealed = nil
	delete(s.of, one.key)
}
