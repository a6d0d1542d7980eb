package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A trouble is why something was not done, in the words of the page's language, or
// in the service's own where there are none.
type trouble struct {
	Title string // the kind of it
	Text  string
	Lang  string          // of Text, "" if it is the page's
	wrong map[string]bool // fields of a form that it is about
}

// Wrong reports whether a field needs another value.
func (t *trouble) Wrong(field string) bool { return t != nil && t.wrong[field] }

// wrong is a trouble that only a form can have.
func (f frame) wrong(key string, fields ...string) *trouble {
	t := &trouble{Title: f.T("kind.invalid.title"), Text: f.T(key), wrong: map[string]bool{}}
	for _, field := range fields {
		t.wrong[field] = true
	}
	return t
}

// explain says why an act was refused. What went wrong inside is not said.
func (f frame) explain(err error) *trouble {
	kind := vault.KindOf(err)
	t := &trouble{Title: f.T("problem.other.title"), Text: f.T("problem.other.text"), wrong: map[string]bool{}}
	if key := "kind." + kind.String() + ".title"; f.Has(key) {
		t.Title = f.T(key)
	}
	var e *vault.Error
	if !errors.As(err, &e) || kind == vault.Internal {
		return t
	}
	for _, field := range e.Fields {
		t.wrong[field.Field] = true
	}
	var pairs []any
	for name, value := range e.Params {
		pairs = append(pairs, name, f.param(name, value))
	}
	if key := "error." + e.Code; e.Code != "" && f.Has(key) {
		t.Text = f.T(key, pairs...)
	} else if e.Msg != "" {
		t.Text, t.Lang = strings.ToUpper(e.Msg[:1])+e.Msg[1:]+".", fallback
	}
	return t
}

// param says what a refusal is about as the page's language does: a field, a state, a
// time.
func (f frame) param(name, value string) string {
	for _, group := range []string{"field", "status"} {
		if key := group + "." + value; name == group && f.Has(key) {
			return f.T(key)
		}
	}
	switch at, err := time.Parse(time.RFC3339, value); {
	case err == nil && name == "date":
		return f.Day(at)
	case err == nil:
		return f.Moment(at)
	}
	if day, err := time.Parse(time.DateOnly, value); err == nil {
		return f.Day(day)
	}
	return value
}

// A refusedForm is an error that is answered with the form that it came from, so
// that nothing that was typed is lost.
type refusedForm struct {
	err  error
	name string
	page any
}

func (r *refusedForm) Error() string { return r.err.Error() }
func (r *refusedForm) Unwrap() error { return r.err }

// again answers a form that was not taken with the page that it is on, which says
// why. What is no fault of the form goes on as it is.
func again(err error, name string, page any) error {
	switch vault.KindOf(err) {
	case vault.Internal, vault.Unauthenticated, vault.Untrusted, vault.Gone:
		return err
	}
	return &refusedForm{err, name, page}
}

// unfit is a form's own refusal, for what its trouble says.
func unfit(name string, page any) error {
	return &refusedForm{&vault.Error{Kind: vault.Invalid, Code: "form", Msg: "the form needs another value"}, name, page}
}

// A problemPage says that something did not work. It says the same for a link
// that is wrong, used or old.
type problemPage struct {
	frame
	Request string // by which the log knows it, "" unless something went wrong inside
}

// Fail answers with a page what a handler could not. request names it in the log.
func (p *Pages) Fail(c echo.Context, status int, err error, request string) {
	var form *refusedForm
	switch {
	case errors.As(err, &form):
		if p.render(c, status, form.name, form.page) == nil {
			return
		}
		status = http.StatusInternalServerError
	case vault.KindOf(err) == vault.Unauthenticated && p.needsSignIn(c.Path()):
		p.signInFirst(c)
		return
	}
	f := p.frame(c, "problem.other.title")
	t := f.explain(err)
	key := ""
	switch status {
	case http.StatusNotFound:
		key = "problem.not-found"
		if strings.HasPrefix(c.Path(), "/handover/") {
			key = "problem.handover"
		}
		if strings.HasPrefix(c.Path(), "/setup/") {
			key = "problem.setup"
		}
	case http.StatusServiceUnavailable:
		key = "problem.unavailable"
	case http.StatusMisdirectedRequest:
		key = "problem.forbidden"
	}
	var e *vault.Error
	if specific := errors.As(err, &e) && f.Has("error."+e.Code); key != "" && (!specific || strings.HasPrefix(key, "problem.handover") || strings.HasPrefix(key, "problem.setup")) {
		t.Title, t.Text, t.Lang = f.T(key+".title"), f.T(key+".text"), ""
	}
	f.Title, f.Trouble = t.Title, t
	if vault.KindOf(err) != vault.Internal {
		request = ""
	}
	// The template is ours and was parsed: what remains is a connection that
	// is gone, and nobody to tell.
	_ = p.render(c, status, "problem.html", problemPage{f, request})
}

// needsSignIn reports whether a route is of those who are signed in.
func (p *Pages) needsSignIn(route string) bool {
	return !strings.HasPrefix(route, "/setup/") && !strings.HasPrefix(route, "/handover/") && route != "/sign-in" && route != "/join"
}

// signInFirst sends a browser without a session to sign in, and back afterwards. What
// its last session showed is cleared from it.
func (p *Pages) signInFirst(c echo.Context) {
	r := c.Request()
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Method == http.MethodGet {
		// The link was on somebody else's page or in a mail, so the browser did
		// not send the cookie (RFC 6265bis, SameSite=Strict). A page of ours may ask
		// again.
		_ = p.render(c, http.StatusOK, "arrive.html", arrivePage{p.frame(c, "arrive.title"), here(c)})
		return
	}
	to := url.Values{}
	if at := here(c); at != "/" {
		to.Set("next", at)
	}
	if p.Token(c.Request()) != "" {
		to.Set("why", "ended")
		p.forget(c)
	}
	at := "/sign-in"
	if len(to) > 0 {
		at += "?" + to.Encode()
	}
	_ = c.Redirect(http.StatusSeeOther, at)
}

// An arrivePage leads on to where a link from elsewhere pointed.
type arrivePage struct {
	frame
	To string
}
