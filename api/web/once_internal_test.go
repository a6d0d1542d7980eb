package web

import (
	"bytes"
	"fmt"
	"net/url"
	"testing"
)

// TestAnswersAreSealed: what is kept of an answer says nothing without the token, all of
// them take no more than they may, and those of a session go with it.
func TestAnswersAreSealed(t *testing.T) {
	var all acts
	page := bytes.Repeat([]byte("Zyxwvut "), 2000)
	var last *onceForm
	for i := range 500 {
		one, first := all.begin("token", "/group", url.Values{"once": {fmt.Sprint(i)}, "handle": {"Zyxwvut"}})
		if !first {
			t.Fatal("it was sent before")
		}
		all.end("token", one, &onceAnswer{Page: page})
		last = one
	}
	if all.size > maxAnswers || len(all.of) < 100 || len(all.of) == 500 {
		t.Errorf("%d answers take %d bytes", len(all.of), all.size)
	}
	if bytes.Contains(last.sealed, []byte("Zyxwvut")) {
		t.Error("it is in memory in the clear")
	}
	if a := all.answer("token", last); a == nil || !bytes.Equal(a.Page, page) {
		t.Error("the last one is not there")
	}
	if all.answer("another", last) != nil {
		t.Error("another session opens it")
	}
	sealed := last.sealed
	all.drop("another")
	if all.answer("token", last) == nil {
		t.Error("another session drops it")
	}
	all.drop("token")
	if len(all.of) != 0 || all.size != 0 || !bytes.Equal(sealed, make([]byte, len(sealed))) {
		t.Errorf("%d answers are left, of %d bytes", len(all.of), all.size)
	}
}
