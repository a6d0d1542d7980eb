package client

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/rallyvault/rallyvault/vault"
)

// ProblemType is the media type of a Problem (RFC 9457 §3).
const ProblemType = "application/problem+json"

// A Problem is the body of every refusal (RFC 9457). It holds no personal data,
// query, passphrase or cell.
type Problem struct {
	Type     string             `json:"type"`               // "/problems/" and the kind's word, stable
	Title    string             `json:"title"`              // the kind in words
	Status   int                `json:"status,omitempty"`   // of the HTTP response; 0 for one that no server sent
	Detail   string             `json:"detail,omitempty"`   // this refusal in a sentence
	Instance string             `json:"instance,omitempty"` // "urn:uuid:" and the request's id, as in the server's log
	Code     string             `json:"code,omitempty"`     // a stable word for this refusal, for programs and translations
	Params   map[string]string  `json:"params,omitempty"`   // the public values that Detail names
	Hint     string             `json:"hint,omitempty"`     // how to mend it
	Errors   []vault.FieldError `json:"errors,omitempty"`   // each part of the input that was refused
	Exit     int                `json:"exit"`               // status with which a command ends

	// OK, Entry and Reason are set when the audit trail does not verify: false,
	// the number of the first entry that is wrong, and what is wrong with it.
	OK     *bool  `json:"ok,omitempty"`
	Entry  *int64 `json:"entry,omitempty"`
	Reason string `json:"reason,omitempty"`

	// Raw is the body exactly as it was received; nil for one made here.
	Raw []byte `json:"-"`
}

// Error makes a Problem the cause inside a *vault.Error.
func (p *Problem) Error() string {
	return p.Type + " (status " + strconv.Itoa(p.Status) + ")"
}

// Kind returns the kind of failure that the problem's type names, Internal for
// a type of a later version.
func (p *Problem) Kind() vault.Kind {
	word, ok := strings.CutPrefix(p.Type, "/problems/")
	if !ok {
		return vault.Internal
	}
	return vault.KindByName(word)
}

// problem turns a response that is no success into a *vault.Error.
func problem(resp *http.Response) error {
	mt, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return notRallyvault(err)
	}
	p := &Problem{Raw: raw}
	if mt != ProblemType {
		return notRallyvault(&Problem{Type: "about:blank", Status: resp.StatusCode})
	}
	if err := json.Unmarshal(raw, p); err != nil {
		return notRallyvault(err)
	}
	msg := strings.TrimSuffix(p.Detail, ".")
	if msg == "" {
		msg = strings.ToLower(p.Title)
	}
	return &vault.Error{Kind: p.Kind(), Msg: msg, Code: p.Code, Params: p.Params, Hint: p.Hint,
		Fields: p.Errors, RetryAfter: retryAfter(resp.Header), Err: p}
}
