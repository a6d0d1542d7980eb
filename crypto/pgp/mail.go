package pgp

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// A Mail is a letter to one partner.
type Mail struct {
	// From and To are one address each. Only the part user@host is used: a name
	// would be readable on the way. From may be empty, see WriteMail.
	From, To string
	// Subject is one line that only the partner reads.
	Subject string
	// Text is what the letter says, with lines that end in LF or CRLF.
	Text        string
	Attachments []Attachment
	// Date is what the letter is dated, in whole minutes: seconds tell more about
	// who wrote it than anybody needs.
	Date time.Time
}

// An Attachment is a file in a Mail.
type Attachment struct {
	Name      string // 1 to 100 of A-Z a-z 0-9 . _ -, not beginning with a dot
	MediaType string // "" is application/octet-stream, as for an export's own message
	// Open gives the contents, once; they are closed after reading.
	Open func() (io.ReadCloser, error)
}

// maxSubject is the longest subject, in bytes, and maxAddress the longest address
// (RFC 5321 §4.5.3.1.3): header lines then stay far below 998 bytes.
const (
	maxSubject = 300
	maxAddress = 254
)

// WriteMail writes m as a PGP/MIME letter (RFC 3156 §4 and §6.2) to w, ready to be
// sent: lines end in CRLF, are ASCII and, but for a long address, have 76 characters
// at most. The body is one OpenPGP message as Encrypt makes it, in armor; contents are
// streamed. After an error what was written is no letter.
//
// In the clear stand the addresses, the minute, a random message id under a domain
// that nobody has, and "..." for a subject. Subject, text and attachments, with their
// names, are inside, where the header fields are repeated (RFC 9788: hp="cipher" and
// HP-Outer; protected-headers="v1" for programs that read the earlier draft, as
// Thunderbird and mutt do). In the clear there is no user agent and no language
// either.
//
// Without From no such line is written, though RFC 5322 §3.6 wants one: it is then
// for the program that sends it to fill in, as sendmail -t, msmtp -t and Postfix do.
// An address that is made up would go out, and the partner's server would refuse or
// file it as forged. Mail programs that open a letter as a draft decrypt it, which
// only the partner can: so it is sent as it is.
func WriteMail(w io.Writer, m Mail, to *Certificate, s *Signer, now time.Time) error {
	outer, err := m.header()
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	out := &crlfWriter{w: w}
	boundary := "pgp-" + strings.ToLower(rand.Text())
	write(out, outer)
	fmt.Fprintf(out, "Subject: ...\nMIME-Version: 1.0\n"+
		"Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\n boundary=\"%[1]s\"\n\n"+
		"--%[1]s\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n\n"+
		"--%[1]s\nContent-Type: application/octet-stream\n\n", boundary)
	a, err := armor.Encode(out, openpgp.MessageType, nil)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	sealed, err := Encrypt(a, []*Certificate{to}, s, now)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	inner := &crlfWriter{w: sealed}
	if err := m.writeInner(inner, outer); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if err := inner.flush(); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if err := errors.Join(sealed.Close(), a.Close()); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	fmt.Fprintf(out, "\n\n--%s--\n", boundary)
	if err := out.flush(); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	return nil
}

// Check reports whether the letter can be written: the error is what WriteMail would
// return before it writes anything.
func (m Mail) Check() error {
	_, err := m.header()
	return err
}

type field struct{ name, value string }

func write(w io.Writer, fields []field) {
	for _, f := range fields {
		fmt.Fprintf(w, "%s: %s\n", f.name, f.value)
	}
}

// header returns the fields that are the same outside and inside.
func (m Mail) header() ([]field, error) {
	var fields []field
	if m.From != "" {
		from, err := address(m.From)
		if err != nil {
			return nil, fmt.Errorf("sender: %w", err)
		}
		fields = append(fields, field{"From", from})
	}
	to, err := address(m.To)
	if err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	switch {
	case len(m.Subject) > maxSubject:
		return nil, fmt.Errorf("the subject is longer than %d bytes", maxSubject)
	case !utf8.ValidString(m.Subject) || strings.ContainsFunc(m.Subject, unicode.IsControl):
		return nil, errors.New("the subject is not one line of text")
	case !utf8.ValidString(m.Text):
		return nil, errors.New("the text is not UTF-8")
	}
	for _, a := range m.Attachments {
		if err := a.check(); err != nil {
			return nil, err
		}
	}
	return append(fields, field{"To", to},
		field{"Date", m.Date.UTC().Truncate(time.Minute).Format("Mon, 02 Jan 2006 15:04:05 -0000")},
		field{"Message-ID", "<" + strings.ToLower(rand.Text()) + "@mail.invalid>"}), nil
}

// address returns the addr-spec (RFC 5322 §3.4.1) of one address without whatever
// could begin another header line.
func address(s string) (string, error) {
	if len(s) > maxAddress {
		return "", fmt.Errorf("the address is longer than %d bytes", maxAddress)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", errors.New("the address has a control character in it")
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return "", errors.New("not one mail address")
	}
	for _, r := range a.Address {
		if r > unicode.MaxASCII {
			return "", errors.New("the address is not ASCII: write its domain in the form that begins with xn--")
		}
		if r <= ' ' || strings.ContainsRune("\"\\<>(),;:", r) { // quoted forms, which many programs misread
			return "", fmt.Errorf("the address has %q in it", r)
		}
	}
	return a.Address, nil
}

const nameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

func (a Attachment) check() error {
	if a.Name == "" || len(a.Name) > 100 || a.Name[0] == '.' || strings.Trim(a.Name, nameChars) != "" {
		return fmt.Errorf("attachment name %q: want 1 to 100 of A-Z a-z 0-9 . _ -", a.Name)
	}
	if a.MediaType == "" {
		return nil
	}
	// Without parameters, and of a kind that base64 may be used for (RFC 2045 §6.4).
	t, params, err := mime.ParseMediaType(a.MediaType)
	if err != nil || len(params) > 0 || t != a.MediaType || len(t) > 60 || !strings.Contains(t, "/") ||
		strings.HasPrefix(t, "multipart/") || strings.HasPrefix(t, "message/") {
		return fmt.Errorf("attachment media type %q: want type/subtype of a file", a.MediaType)
	}
	return nil
}

// writeInner writes what is encrypted: a whole entity with the fields of outer.
func (m Mail) writeInner(w io.Writer, outer []field) error {
	boundary := "part-" + strings.ToLower(rand.Text())
	fmt.Fprintf(w, "Content-Type: multipart/mixed; hp=\"cipher\"; protected-headers=\"v1\";\n boundary=\"%s\"\n", boundary)
	write(w, outer)
	fmt.Fprintf(w, "Subject: %s\n", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", m.Subject), "?= =?", "?=\n =?"))
	for _, f := range outer {
		fmt.Fprintf(w, "HP-Outer: %s: %s\n", f.name, f.value)
	}
	fmt.Fprintf(w, "HP-Outer: Subject: ...\n\n--%s\n", boundary)
	io.WriteString(w, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n")
	q := quotedprintable.NewWriter(w)
	text := strings.TrimRight(strings.ReplaceAll(m.Text, "\r\n", "\n"), "\n") + "\n"
	if _, err := io.WriteString(q, text); err != nil {
		return err
	}
	if err := q.Close(); err != nil {
		return err
	}
	for _, a := range m.Attachments {
		mediaType := a.MediaType
		if mediaType == "" {
			mediaType = "application/octet-stream"
		}
		fmt.Fprintf(w, "\n--%s\nContent-Type: %s\nContent-Transfer-Encoding: base64\n"+
			"Content-Disposition: attachment;\n filename=\"%s\"\n\n", boundary, mediaType, a.Name)
		if err := a.copyTo(w); err != nil {
			return fmt.Errorf("attachment %q: %w", a.Name, err)
		}
	}
	_, err := fmt.Fprintf(w, "\n--%s--\n", boundary)
	return err
}

func (a Attachment) copyTo(w io.Writer) error {
	r, err := a.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	lines := &lineWriter{w: w}
	e := base64.NewEncoder(base64.StdEncoding, lines)
	if _, err := io.Copy(e, r); err != nil {
		return err
	}
	if err := e.Close(); err != nil {
		return err
	}
	return lines.end()
}

// lineLength is what a line of base64 may have (RFC 2045 §6.8).
const lineLength = 76

// A lineWriter breaks what is written to it into lines.
type lineWriter struct {
	w   io.Writer
	col int
	buf []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for rest := p; len(rest) > 0; {
		k := min(lineLength-l.col, len(rest))
		l.buf, rest = append(l.buf, rest[:k]...), rest[k:]
		if l.col += k; l.col == lineLength {
			l.buf, l.col = append(l.buf, '\n'), 0
		}
	}
	if _, err := l.w.Write(l.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lineWriter) end() error {
	if l.col == 0 {
		return nil
	}
	l.col = 0
	_, err := io.WriteString(l.w, "\n")
	return err
}

// crlfBuffer is what a crlfWriter holds, in bytes: the armor writes single lines.
const crlfBuffer = 32 << 10

// A crlfWriter ends lines with CRLF, whichever way they came, and keeps the first
// error. The armor ends them with LF, quotedprintable with CRLF.
type crlfWriter struct {
	w   io.Writer
	cr  bool // the last byte was CR
	buf []byte
	err error
}

func (c *crlfWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && c.err == nil; {
		if rest[0] == '\n' {
			if !c.cr {
				c.buf = append(c.buf, '\r')
			}
			c.buf, c.cr, rest = append(c.buf, '\n'), false, rest[1:]
		} else {
			k := bytes.IndexByte(rest, '\n')
			if k < 0 {
				k = len(rest)
			}
			c.buf, c.cr, rest = append(c.buf, rest[:k]...), rest[k-1] == '\r', rest[k:]
		}
		if len(c.buf) >= crlfBuffer {
			c.flush()
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	return len(p), nil
}

func (c *crlfWriter) flush() error {
	if c.err == nil {
		_, c.err = c.w.Write(c.buf)
		c.buf = c.buf[:0]
	}
	return c.err
}
