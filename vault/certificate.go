package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// blobNote is the signed certificate of a destroyed list.
const blobNote = "certificate"

// certificateTitle is the first line of every certificate.
const certificateTitle = "rallyvault/1 certificate of destruction"

// ofBackups is what every certificate says of backups: nobody knows how many there are.
const ofBackups = "one made before this, with enough recovery shares, opens what it held"

// A Certificate says that a list was destroyed, or a vault with all lists that there were.
// Note is the same, signed with the log key K (c2sp.org/signed-note).
type Certificate struct {
	Vault      string    `json:"vault"`
	List       ListID    `json:"list,omitempty"`          // "" of a vault
	Lists      []ListID  `json:"lists,omitempty"`         // of a vault: those that were destroyed with it
	Earlier    *int      `json:"lists_earlier,omitempty"` // of a vault, nil of a list: how many lists had been destroyed before
	Time       time.Time `json:"time"`                    // when the locks had been overwritten, to the second
	Contacts   *int64    `json:"contacts"`                // nil: its manifest was damaged, nobody can say
	Locks      int       `json:"locks"`
	LogSize    int64     `json:"log_size"` // of the audit trail when it was signed
	LogRoot    string    `json:"log_root"`
	FileSystem string    `json:"file_system"` // what overwriting in place is worth there
	Backups    string    `json:"backups"`     // what they still open
	Key        string    `json:"key"`         // verifier key of K; not in Note. Trust the one remembered, not this
	Note       string    `json:"note"`
}

// Destroyed returns the lists that the certificate is about.
func (c *Certificate) Destroyed() []ListID {
	if c.List != "" {
		return []ListID{c.List}
	}
	return c.Lists
}

// text is the part of the certificate that is signed.
func (c *Certificate) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nvault %s\n", certificateTitle, c.Vault)
	for _, id := range c.Destroyed() {
		fmt.Fprintf(&b, "list %s\n", id)
	}
	if c.Earlier != nil {
		fmt.Fprintf(&b, "lists-earlier %d\n", *c.Earlier)
	}
	contacts := "unknown"
	if c.Contacts != nil {
		contacts = strconv.FormatInt(*c.Contacts, 10)
	}
	fmt.Fprintf(&b, "time %s\ncontacts %s\nlocks %d\nlog-size %d\nlog-root %s\nfile-system %s\nbackups %s\n",
		c.Time.UTC().Format(time.RFC3339), contacts, c.Locks, c.LogSize, c.LogRoot, c.FileSystem, c.Backups)
	return b.String()
}

// parseCertificate reads what text wrote, in that one spelling.
func parseCertificate(text string) (*Certificate, bool) {
	lines := strings.Split(text, "\n")
	next := func(name string) string {
		if len(lines) == 0 {
			return ""
		}
		value, ok := strings.CutPrefix(lines[0], name+" ")
		if ok {
			lines = lines[1:]
		}
		return value
	}
	if lines[0] != certificateTitle {
		return nil, false
	}
	lines = lines[1:]
	c := &Certificate{Vault: next("vault")}
	var ids []ListID
	for len(lines) > 0 && strings.HasPrefix(lines[0], "list ") {
		ids = append(ids, ListID(next("list")))
	}
	if n, err := strconv.Atoi(next("lists-earlier")); err == nil && n >= 0 {
		c.Earlier = &n
	}
	// What cannot be read is zero here, and then not what stands in the text.
	c.Time, _ = time.Parse(time.RFC3339, next("time"))
	if n, err := strconv.ParseInt(next("contacts"), 10, 64); err == nil && n >= 0 {
		c.Contacts = &n
	}
	c.Locks, _ = strconv.Atoi(next("locks"))
	c.LogSize, _ = strconv.ParseInt(next("log-size"), 10, 64)
	c.LogRoot = next("log-root")
	c.FileSystem, c.Backups = next("file-system"), next("backups")
	_, err := audit.ParseRoot(c.LogRoot)
	switch {
	case !ValidID(c.Vault), len(ids) != 1 && c.Earlier == nil, err != nil, c.Locks < 0, c.LogSize < 0, c.FileSystem == "", c.Backups == "":
		return nil, false
	case slices.ContainsFunc(ids, func(id ListID) bool { return !ValidID(string(id)) }):
		return nil, false
	case len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(ids):
		return nil, false
	case c.Earlier == nil:
		c.List = ids[0]
	default:
		c.Lists = ids
	}
	return c, c.text() == text
}

// A CertificateKey says which verifier key a certificate has to be signed under, given the vault
// that it names and the key that came with it, "" if none did. Neither was checked.
type CertificateKey func(vault, carried string) (vkey string, err error)

// OpenCertificate reads and checks the file of a certificate: the signed note alone, or the JSON
// that a destruction was answered with. Everything in it has to be as it was signed, in one spelling.
//
// What is no certificate is Invalid; one that was changed, or that another key signed, is Untrusted.
func OpenCertificate(file []byte, keyOf CertificateKey) (*Certificate, error) {
	const op = "vault.OpenCertificate"
	note, carried, same, ok := certificateIn(file)
	line, _, _ := strings.Cut(strings.TrimPrefix(note, certificateTitle+"\n"), "\n")
	id, named := strings.CutPrefix(line, "vault ")
	if !ok || !strings.HasPrefix(note, certificateTitle+"\n") || !named || !ValidID(id) {
		return nil, &Error{Kind: Invalid, Op: op, Code: "not-a-certificate", Msg: "this is no certificate of destruction",
			Hint: "it begins with the words: " + certificateTitle}
	}
	vkey, err := keyOf(id, carried)
	if err != nil {
		return nil, err
	}
	refuse := func(msg string, cause error) error {
		return &Error{Kind: Untrusted, Op: op, Code: "certificate", Msg: msg, Err: cause,
			Hint: "do not rely on it; ask for another copy: rallyvault certificate get LIST"}
	}
	if !strings.HasPrefix(vkey, audit.OriginOf(id)+"+") {
		return nil, refuse("the key given is one of another vault than the certificate names", nil)
	}
	if carried != "" && carried != vkey {
		return nil, refuse("the certificate came with another key than the one known for this vault", nil)
	}
	text, err := audit.OpenNote([]byte(note), vkey)
	if err != nil {
		return nil, refuse("the certificate was changed, or the vault's log key did not sign it", err)
	}
	c, ok := parseCertificate(text)
	if !ok {
		return nil, refuse("what was signed is not in the form of a certificate", nil)
	}
	c.Key, c.Note = vkey, note
	if !same(c) {
		return nil, refuse("what stands beside the signed note is not what was signed", nil)
	}
	return c, nil
}

// certificateIn returns the note in a file, the key beside it, and how to tell whether
// the rest of the file says the same as a certificate.
func certificateIn(file []byte) (note, key string, same func(*Certificate) bool, ok bool) {
	if !bytes.HasPrefix(file, []byte("{")) {
		return string(file), "", func(*Certificate) bool { return true }, true
	}
	var compact bytes.Buffer
	if json.Compact(&compact, file) != nil {
		return "", "", nil, false
	}
	// What a destruction was answered with, or the certificate in it. Nobody has signed the
	// words that go with the end of a vault, and nothing is read of them.
	type destruction struct {
		Status      string          `json:"status"`
		Certificate *Certificate    `json:"certificate"`
		Words       json.RawMessage `json:"last_words,omitempty"`
	}
	var whole destruction
	var alone Certificate
	if json.Unmarshal(file, &whole) == nil && whole.Certificate != nil {
		return whole.Certificate.Note, whole.Certificate.Key, func(c *Certificate) bool {
			return spelled(compact.Bytes(), destruction{"done", c, whole.Words})
		}, true
	}
	if json.Unmarshal(file, &alone) != nil {
		return "", "", nil, false
	}
	return alone.Note, alone.Key, func(c *Certificate) bool { return spelled(compact.Bytes(), c) }, true
}

// spelled reports whether b is how v is written as JSON.
func spelled(b []byte, v any) bool {
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	return enc.Encode(v) == nil && bytes.Equal(b, bytes.TrimSuffix(want.Bytes(), []byte("\n")))
}

// Certificate returns the certificate of a destroyed list. Every member may: it says
// no more than the audit trail does.
func (s *Session) Certificate(ctx context.Context, id ListID) (string, error) {
	s.v.mu.RLock()
	l := s.v.lists[id]
	s.v.mu.RUnlock()
	if l != nil && l.damage != nil {
		return "", l.damage.err
	}
	m := s.v.statement(string(id))
	if m == nil || m.kind != kindDestroyed {
		return "", errNoList()
	}
	note, err := s.v.blob(ctx, m, blobNote)
	return string(note), err
}

// A Destroyed is what the vault keeps of a list that was destroyed.
type Destroyed struct {
	List     ListID
	Time     time.Time // whole seconds, UTC
	Contacts *int64    // nil: nobody can say
}

// Destroyed returns the lists of which there is a certificate, the newest first.
// Every member may.
func (s *Session) Destroyed() []Destroyed {
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	var out []Destroyed
	for id, l := range s.v.lists {
		if l.damage != nil || l.manifest == nil || l.manifest.kind != kindDestroyed {
			continue
		}
		d := Destroyed{List: id}
		d.Time, _ = time.Parse(time.RFC3339, l.manifest.fact(factDestroyed))
		if l.manifest.fact(factContacts) != "" {
			d.Contacts = new(l.manifest.int(factContacts))
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Destroyed) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.List, b.List)) })
	return out
}
