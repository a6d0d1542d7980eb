package format

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A Notice is what an export says about itself, to whoever opens it: that it is
// confidential, whom and what it is for, and when it is to be gone. Its texts are
// what people typed.
type Notice struct {
	Organisation string // who sends it
	Partner      string // whom it is for; "" if that is not to be in it
	Purpose      string
	Questions    map[string]string // texts of the list's own questions, by q1, q2, q3, which the header says instead
	DeleteBy     time.Time
	Export       string // id, which the receipt names
}

// String returns the notice in English and Spanish, on one line: a line break in
// a cell is legal and shown badly. It holds no comma, semicolon or quotation mark
// of its own, so that in CSV it is one cell also to a program that stumbles over
// quotes behind a byte order mark. Control characters and those that turn the
// direction of text are replaced, see [Printable].
func (n Notice) String() string {
	parts := []string{"Confidential / Confidencial"}
	add := func(label, value string) {
		if value != "" {
			parts = append(parts, label+": "+Printable(value))
		}
	}
	quoted := func(label, value string) {
		if value != "" {
			add(label, "“"+value+"”")
		}
	}
	quoted("from / de", n.Organisation)
	quoted("only for / solo para", n.Partner)
	quoted("purpose / fin", n.Purpose)
	if !n.DeleteBy.IsZero() {
		add("delete every copy by / borre todas las copias a más tardar el", day(n.DeleteBy))
	}
	parts = append(parts, "do not pass it on / no lo pase a nadie más",
		"when it is deleted sign the receipt line and send it to us / cuando esté borrado firme la línea del recibo y envíenosla")
	add("export / exportación", n.Export)
	for _, q := range []sheet.Field{sheet.Question1, sheet.Question2, sheet.Question3} {
		quoted(string(q), n.Questions[string(q)])
	}
	return strings.Join(parts, " · ")
}

// of returns the notice of a file with these fields.
func (n Notice) of(fields []sheet.Field) string {
	asked := make(map[string]string)
	for q, text := range n.Questions {
		if slices.Contains(fields, sheet.Field(q)) {
			asked[q] = text
		}
	}
	n.Questions = asked
	return n.String()
}

// day writes a time the way it was most likely given: a day alone is its first
// second, in UTC.
func day(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04 UTC")
}

// Printable returns a text that somebody typed as it may stand in a line of ours:
// what would end the line, control a terminal or turn the direction of what
// follows is U+FFFD, for that it was there is to be seen.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
