package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// Exit statuses that no kind of error stands for. The others are those of
// api.Describe: the API tells them to every client.
const (
	exitDone        = 0
	exitInterrupted = 130
)

// fail reports err on both streams and returns the exit status.
func (p *program) fail(ctx context.Context, args []string, err error) int {
	kind := vault.KindOf(err)
	exit := api.Describe(kind).Exit
	sentence := sentenceOf(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		exit, sentence = exitInterrupted, "interrupted"
	}
	var e *vault.Error
	hint := ""
	if errors.As(err, &e) {
		hint = e.Hint
	}
	fmt.Fprintf(p.stderr, "rallyvault: %s\n", sentence)
	if e != nil && len(e.Fields) > 1 { // one alone is what the sentence is about
		for _, f := range e.Fields {
			fmt.Fprintf(p.stderr, "  %s: %s\n", f.Field, f.Reason)
		}
	}
	p.hint(hint)

	// Flags that do not parse leave p.json unset, though it may stand right
	// there; a command of a later version does not parse its flags at all.
	if p.begun {
		return exit
	}
	if p.json || slices.Contains(beforeDashes(args), "--json") {
		var v any = problemOf(err, exit, sentence)
		if kind == vault.Waiting { // no failure: it was recorded
			v = waiting{ID: e.Params["id"], Status: vault.WaitOpen, Expires: e.Params["expires"]}
		}
		if err := writeJSON(p.stdout, v); err != nil {
			fmt.Fprintf(p.stderr, "rallyvault: %v\n", err)
		}
	}
	return exit
}

// waiting is the answer to an act that waits for a second person.
type waiting struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Expires string `json:"expires"`
}

func beforeDashes(args []string) []string {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i]
	}
	return args
}

// sentenceOf is what people read of an error: its own message, and of a cause
// only what package vault wrote.
func sentenceOf(err error) string {
	var e *vault.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Msg == "" {
		return strings.ToLower(api.Describe(e.Kind).Title)
	}
	return e.Msg
}

// problemOf returns err as an RFC 9457 problem: the server's own, with every
// member it has, or one made of an error of this side.
func problemOf(err error, exit int, sentence string) any {
	var sent *client.Problem
	if errors.As(err, &sent) && len(sent.Raw) > 0 && exit != exitInterrupted {
		var all map[string]json.RawMessage
		if json.Unmarshal(sent.Raw, &all) == nil && all != nil {
			all["exit"] = fmt.Append(nil, exit)
			return all
		}
	}
	pr := client.Problem{Type: "/problems/" + vault.KindOf(err).String(), Title: api.Describe(vault.KindOf(err)).Title, Detail: sentence, Exit: exit}
	if exit == exitInterrupted {
		pr.Type, pr.Title = "/problems/interrupted", "Interrupted"
	}
	var e *vault.Error
	if errors.As(err, &e) {
		pr.Code, pr.Params, pr.Hint, pr.Errors = e.Code, e.Params, e.Hint, e.Fields
	}
	var f *faultError
	if errors.As(err, &f) {
		no := false
		pr.OK, pr.Entry, pr.Reason = &no, &f.entry, f.reason
	}
	return pr
}

// A faultError is what is wrong with an audit trail, for the members that
// audit verify adds to its problem.
type faultError struct {
	entry  int64
	reason string
}

func (f *faultError) Error() string { return f.reason }

// writeJSON writes one JSON value and a line end. Names keep their < and &:
// this is no page.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// say makes v the answer: as JSON with --json, in the words of human without.
func (p *program) say(v any, human func(w io.Writer)) {
	if p.json {
		if err := writeJSON(&p.answer, v); err != nil {
			panic(err) // answers are structs of ours, which encode
		}
		return
	}
	if human != nil {
		human(&p.answer)
	}
}

// flush writes the answer.
func (p *program) flush() error {
	_, err := p.answer.WriteTo(p.stdout)
	return err
}

// clean makes text of a list or a handle safe for a terminal: what others have
// typed may hold escape sequences that move the cursor or write to a clipboard.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}
