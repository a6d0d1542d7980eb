package vault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an Error is, for code: api maps it to an
// RFC 9457 problem, the commands map that to an exit status.
type Kind uint8

const (
	Internal        Kind = iota // anything unclassified; its text never reaches a client
	Invalid                     // input that breaks a rule
	Unauthenticated             // no session, or one that has ended
	Forbidden                   // may know it exists, may not do this
	NotFound                    // absent, or not the caller's: the same answer
	Conflict                    // somebody or something else was first
	Stale                       // changed since it was read
	Waiting                     // recorded; a second person must agree
	CannotOpen                  // wrong passphrase, wrong key and damage alike
	TooLarge                    // beyond a size limit
	Limited                     // beyond a rate limit; RetryAfter is set
	Unavailable                 // busy, disk full, clock behind, shutting down
	Untrusted                   // the audit trail does not verify
	Gone                        // destroyed, or the vault was shut down
	NotBuilt                    // a command or option of a later version
)

var kindNames = [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not-found", "conflict", "stale",
	"waiting", "cannot-open", "too-large", "rate-limited", "unavailable", "untrusted", "gone", "not-in-this-version"}

// String returns the word that ends the kind's problem type, such as "not-found".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Internal]
}

// KindByName is the inverse of String; unknown words are Internal.
func KindByName(s string) Kind {
	for k, name := range kindNames {
		if name == s {
			return Kind(k)
		}
	}
	return Internal
}

// A FieldError says which part of an input broke which rule. Its values are
// names of fields and rules, never what somebody typed.
type FieldError struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// An Error carries what a caller needs to act on a failure.
type Error struct {
	Kind Kind
	Op   string // where it happened, for logs: "vault.CreateList"

	// Msg is a sentence part for people, lower case, without a full stop. It
	// holds no personal data, key or cell: it is sent to the client.
	Msg string

	// Code is a stable word for programs and translations, such as
	// "field-refused"; Params are the public values the sentence names.
	Code   string
	Params map[string]string

	Hint       string        // how to mend it, a sentence part like Msg
	Fields     []FieldError  // for Invalid: each part that was refused
	RetryAfter time.Duration // for Limited and Unavailable
	Err        error         // the cause; logged, never sent
}

func (e *Error) Error() string {
	s := e.Msg
	if s == "" {
		s = e.Kind.String()
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, Internal if
// there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

func invalid(code, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Code: code, Msg: fmt.Sprintf(format, args...)}
}

// damaged is the one answer for every blob that does not open: the place, and
// nothing about whether its hash, its key or its binding was wrong.
func damaged(place string, cause error) *Error {
	return &Error{Kind: CannotOpen, Code: "damaged", Msg: place + " cannot be opened",
		Hint:   "it was damaged or exchanged; nothing of it was used. Restore a backup, and ask who can write to the database",
		Params: map[string]string{"place": place}, Err: cause}
}
