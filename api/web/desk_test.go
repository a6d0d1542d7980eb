package web

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
	cells "github.com/rallyvault/rallyvault/vault/sheet"
)

// TestDesksAreSealed: what is kept between requests says nothing without the token, is
// not there for another session, nor after its time or once it was dropped.
func TestDesksAreSealed(t *testing.T) {
	var all desks
	now := time.Now()
	d := &desk{List: "l", Map: map[string]string{"Zyxwvut": "name"}, ConsentText: "Zyxwvut agreed", Rows: [][]string{{"Zyxwvut"}},
		Account: account{Columns: []column{{Header: "Zyxwvut", Samples: []string{"Zyxwvut"}}}}}
	if err := all.put("token", now, d); err != nil {
		t.Fatal(err)
	}
	for id, one := range all.of {
		if bytes.Contains(one.sealed, []byte("Zyxwvut")) || bytes.Contains(id[:], []byte("token")) {
			t.Error("it is in memory in the clear")
		}
	}
	if diff := cmp.Diff(d, all.open("token", now), cmp.AllowUnexported(desk{}, account{})); diff != "" {
		t.Errorf("put (-) and opened (+):\n%s", diff)
	}
	if all.open("another", now) != nil {
		t.Error("another session opens it")
	}
	other := sha256.Sum256([]byte("another"))
	for _, one := range all.of { // nor if somebody moves it
		all.of[other] = one
	}
	if all.open("another", now) != nil {
		t.Error("another session opens it")
	}
	delete(all.of, other)
	if all.open("token", d.Expires) != nil || len(all.of) != 0 || all.size != 0 {
		t.Error("it outlives its time")
	}
	if err := all.put("token", now, d); err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	for _, one := range all.of {
		sealed = one.sealed
	}
	all.drop("token")
	if all.open("token", now) != nil || all.size != 0 || !bytes.Equal(sealed, make([]byte, len(sealed))) {
		t.Error("dropped, it is still there")
	}

	// By itself, without anybody asking.
	if err := all.put("token", now, &desk{Expires: now.Add(20 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all.mu.Lock()
		n := len(all.of)
		all.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is never cleared")
		}
	}

	// Many of them do not take more than there is: of the large ones the first to end
	// goes, and nobody's who needs little room.
	if err := all.put("small", now, &desk{ConsentText: "Zyxwvut agreed", Expires: now.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if err := all.put(fmt.Sprint(i), now, &desk{ConsentText: strings.Repeat("x", 1<<20), Expires: now.Add(time.Duration(i+1) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
		if all.size > maxDesks {
			t.Fatalf("%d bytes", all.size)
		}
	}
	if all.open("0", now) != nil || all.open("39", now) == nil || all.open("small", now) == nil {
		t.Error("the wrong one went")
	}
}

// TestSigningOutClearsTheDesk, and not only what opens it.
func TestSigningOutClearsTheDesk(t *testing.T) {
	p := New(Config{})
	for _, token := range []string{"mine", "another"} {
		if err := p.desks.put(token, time.Now(), &desk{}); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequest("POST", "/sign-out", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "mine"})
	p.forget(echo.New().NewContext(r, httptest.NewRecorder()))
	if p.desks.open("mine", time.Now()) != nil || p.desks.open("another", time.Now()) == nil {
		t.Error("want one's own cleared, and no other")
	}
}

// TestAccounts: lines are brought together, and are never so many that a page is large.
func TestAccounts(t *testing.T) {
	if got, _ := given([]int{9, 3, 4, 5, 12, 12}); got != "3-5,9,12" {
		t.Errorf("got %q", got)
	}
	r := &vault.ImportReport{Rows: 200_000, Refused: 200_000, Format: cells.Delimited}
	for i := range 200_000 {
		r.Refusals = append(r.Refusals, vault.RowNote{Line: 2 * i, Reason: []cells.Reason{cells.Unreachable, cells.BrokenQuotes, cells.Ditto}[i%3]})
	}
	a := (&desk{}).account(r)
	if !a.Cut || len(a.Lines) > maxLinesGiven+20 || len(a.Broken) > maxLinesGiven+20 {
		t.Errorf("got %d and %d bytes, cut %v", len(a.Lines), len(a.Broken), a.Cut)
	}
	sum := 0
	for _, n := range a.Refusals {
		sum += n.Count
		if n.Lines == "" || n.Count != len(strings.Split(n.Lines, ", "))+n.More {
			t.Errorf("%s: %d rows, %d more than %s", n.Slug, n.Count, n.More, n.Lines)
		}
		if len(n.Lines) > 8<<10 {
			t.Errorf("%s: %d bytes", n.Slug, len(n.Lines))
		}
	}
	if sum != r.Refused || len(a.Refusals) != 3 {
		t.Errorf("got %d of %d in %d groups", sum, r.Refused, len(a.Refusals))
	}
}
