package web_test

import (
	"bytes"
	"context"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
)

// untried are routes that make who gives a wrong secret wait, which a fuzzer does all the
// time. FuzzSession of package vault and the tests of sign-in are about these.
var untried = []string{"/sign-in", "/join", "/passphrase"}

// A fuzzedTarget is made anew when a form has ended it, and when much has been made in it.
type fuzzedTarget struct {
	*target
	token string
	sent  int
	clear func()
}

func (w *fuzzedTarget) mend(t testing.TB) {
	if w.target != nil && w.sent < 300 && w.vault.Available() == nil && w.vault.SignedIn(w.token) == nil {
		return
	}
	if w.clear != nil {
		w.clear()
	}
	of := &lasting{TB: t}
	w.clear = of.clear
	w.target, w.sent = newTarget(of, false), 0
	w.token = w.target.token(of, "heron")
}

// lasting is a test of which what it made outlives it.
type lasting struct {
	testing.TB
	after []func()
}

func (l *lasting) Helper()                  {}
func (l *lasting) Context() context.Context { return context.Background() }
func (l *lasting) Cleanup(f func())         { l.after = append(l.after, f) }
func (l *lasting) TempDir() string {
	dir, err := os.MkdirTemp("", "rallyvault-fuzz-")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (l *lasting) clear() {
	for _, f := range slices.Backward(l.after) {
		f()
	}
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// FuzzForms sends any form to every page that takes one, with the ids of what there is in
// the path: never is it a 500, the answer is a whole page, a file or the way to another
// page of this service, nothing that was typed is in an address or in the log, and nobody
// can show the answer in a frame or keep it.
func FuzzForms(f *testing.F) {
	w := &fuzzedTarget{}
	w.mend(f)
	f.Cleanup(func() { w.clear() })
	routes := slices.DeleteFunc(pageRoutes(f, http.MethodPost), func(r string) bool { return slices.Contains(untried, r) })
	slices.Sort(routes)
	every := w.everyField(f)
	for i := range routes {
		f.Add(uint(i), uint(0), every.Encode(), false)
		f.Add(uint(i), uint(1), "", false)
	}
	for i, route := range routes {
		if strings.Contains(route, "upload") || strings.Contains(route, "partner") || strings.Contains(route, "receipt") {
			f.Add(uint(i), uint(0), every.Encode(), true)
		}
	}
	f.Fuzz(func(t *testing.T, at, id uint, typed string, parts bool) {
		w.mend(t)
		w.sent++
		values, err := url.ParseQuery(typed)
		if err != nil {
			values = nil // it is sent as it is
		}
		route := routes[at%uint(len(routes))]
		paths := filled(route, w.ids)
		path := paths[id%uint(len(paths))]
		body, contentType := []byte(typed), "application/x-www-form-urlencoded"
		if parts {
			body, contentType = inParts(t, values)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.AddCookie(&http.Cookie{Name: "rallyvault", Value: w.token})
		a := ask(t, r)
		if a.status >= 500 || a.status < 200 {
			t.Errorf("%s: got %d\n%s", route, a.status, a.body)
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, %d: can be framed or kept: %v", route, a.status, a.header)
		}
		to := a.header.Get("Location")
		switch {
		case a.status == http.StatusSeeOther:
			if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
				t.Errorf("%s leads to %q", route, to)
			}
		case to != "":
			t.Errorf("%s, %d: leads to %q", route, a.status, to)
		case strings.HasPrefix(a.header.Get("Content-Type"), "text/html"):
			if !strings.HasSuffix(strings.TrimSpace(a.body), "</html>") {
				t.Errorf("%s, %d: the page ends with %q", route, a.status, a.body[max(0, len(a.body)-80):])
			}
		case a.header.Get("Content-Disposition") == "" && a.header.Get("Content-Type") != "application/json":
			t.Errorf("%s, %d: got %v", route, a.status, a.header)
		}
		log := w.log.String()
		for _, value := range slices.Concat(slices.Collect(maps.Values(values))...) {
			if len(value) < 8 || uuid.MatchString(value) {
				continue
			}
			if strings.Contains(to, value) || strings.Contains(to, url.QueryEscape(value)) || strings.Contains(to, url.PathEscape(value)) {
				t.Errorf("%s: what was typed is in the address %q", route, to)
			}
			if strings.Contains(log, value) {
				t.Errorf("%s: what was typed is in the log: %s", route, log)
			}
		}
		if vault.KindOf(w.vault.Available()) != vault.Gone && w.vault.Available() != nil {
			t.Errorf("%s: the vault is not available: %v", route, w.vault.Available())
		}
	})
}

// inParts is a form as a browser sends it that has a file in it.
func inParts(t testing.TB, values url.Values) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			if err := m.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	file, err := m.CreateFormFile("file", "sheet.csv")
	if err == nil {
		_, err = file.Write([]byte("name,email\n" + values.Get("value.name") + "," + values.Get("email") + "\n"))
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), m.FormDataContentType()
}
