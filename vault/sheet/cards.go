package sheet

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Positions of what is read of a card, and its headers: a file of vCards (RFC
// 6350, RFC 2426 and version 2.1 before it) has no row of headings, so its
// properties stand for columns.
const (
	cardName = iota
	cardGiven
	cardFamily
	cardEmail
	cardPhone
	cardPostalCode
	cardCity
	cardStreet
	cardOrganisation
	cardLanguage
	cardPronouns
	cardColumns
)

var cardHeader = []string{"FN", "N (given)", "N (family)", "EMAIL", "TEL", "ADR (postal code)", "ADR (city)", "ADR (street)", "ORG", "LANG", "PRONOUNS"}

func cardMeanings() []meaning {
	m := make([]meaning, cardColumns)
	for i, f := range map[int]Field{cardName: Name, cardGiven: GivenName, cardFamily: FamilyName, cardEmail: Email, cardPhone: Phone,
		cardPostalCode: PostalCode, cardCity: City, cardOrganisation: Organisation, cardLanguage: Language, cardPronouns: Pronouns} {
		m[i] = meaning{kind: aField, field: f}
	}
	m[cardStreet] = meaning{kind: aRefused, refused: refusedBySlug("street-address")}
	return m
}

// refusedProperties are properties of a kind that no list may hold, with its slug.
var refusedProperties = map[string]string{
	"NOTE": "notes", "BDAY": "birth-date", "BIRTHPLACE": "birth-date", "GEO": "coordinates", "TITLE": "employer", "ROLE": "employer",
}

// cardProperties are those that are read, tellingProperties say whether a card is
// a person's and whose its numbers are.
var (
	cardProperties    = []string{"FN", "N", "EMAIL", "TEL", "ADR", "ORG", "LANG", "PRONOUNS"}
	tellingProperties = []string{"KIND", "X-ADDRESSBOOKSERVER-KIND", "X-ABLABEL"}
)

func readProperty(name string) bool {
	return slices.Contains(cardProperties, name) || slices.Contains(tellingProperties, name)
}

// aboutCards are properties of the card itself, which are no columns.
var aboutCards = []string{"BEGIN", "END", "VERSION", "PRODID", "REV", "UID", "KIND"}

// cards reads a file of vCards, one at a time. It has its own reader of lines
// rather than a library's, because a line that cannot be read has to refuse its
// card, and because which semicolons part a value shows only before it is
// unescaped.
type cards struct {
	in      *bufio.Reader
	text    *text
	unreach Reason // what a card is refused as that reaches nobody
	line    int    // 1-based, of what in reads next

	seen   [cardColumns]bool
	others []string // names of properties that are not read, in the order of their first
	aside  []Drop   // what was left out of those that are read
	row    []byte   // the line that was read last
	again  bool     // it belongs to the next card
	cr     bool     // it ended with a CR, and an LF that follows belongs to it
	buf    []byte   // what is read of a card: its properties, with lineEnd between them
	old    bool     // it is of version 2.1
	cells  []string
}

// What stands in cards.buf where the file has line ends, which are in none of its
// lines: foldMark where a property goes on in the next line, lineEnd elsewhere.
const (
	foldMark = '\n'
	lineEnd  = '\r'
)

// beginsCard reports whether a file is of vCards. What stands before the first
// is a record of its own that is refused, so it must be little, and no header.
func beginsCard(head []byte) bool {
	head = bytes.TrimPrefix(bytes.TrimLeft(head, " \t\r\n"), byteOrderMark)
	for range sniffRecords {
		end := bytes.IndexAny(head, "\r\n")
		if end < 0 {
			return isLine(head, "BEGIN:VCARD")
		}
		switch line := head[:end]; {
		case isLine(line, "BEGIN:VCARD"):
			return true
		case bytes.ContainsAny(line, ",;\t|"):
			return false
		}
		head = head[end+1:]
	}
	return false
}

var byteOrderMark = []byte("\ufeff")

// isLine compares a line without case, and without the blanks around it.
func isLine(line []byte, with string) bool {
	line = bytes.TrimSpace(line)
	return len(line) == len(with) && strings.EqualFold(string(line), with)
}

func (s *Sheet) openCards(r io.Reader, o *Options) error {
	s.format = VCard
	s.recs = &cards{in: bufio.NewReaderSize(r, sourceChunk), text: s.text, unreach: s.unreach, line: 1, cells: make([]string, cardColumns)}
	return s.planFor(cardHeader, cardMeanings(), 1, o, func(question) (int, error) { return 0, nil })
}

// next implements recordReader. A card that has nothing for any column is
// somebody's all the same, so it is refused rather than taken for a blank record.
func (c *cards) next(int) (cells []string, line int, fault Reason, err error) {
	line, fault, err = c.card()
	if err != nil || fault != None {
		return nil, line, fault, err
	}
	all, ok := propertiesOf(string(c.buf), c.old)
	if !ok {
		return nil, line, BrokenCard, nil
	}
	clear(c.cells)
	if !all.isGroup() && !c.fill(all) {
		return nil, line, BrokenCard, nil
	}
	if allBlank(c.cells) {
		return nil, line, c.unreach, nil
	}
	return c.cells, line, None, nil
}

// fill makes cells of a card. It reports whether it could be told whose its
// numbers are.
func (c *cards) fill(all properties) bool {
	own, labels := make(properties, len(all)), make(map[string][]string)
	for _, l := range all["X-ABLABEL"] {
		labels[l.group] = append(labels[l.group], l.part(0))
	}
	for _, name := range cardProperties {
		for _, p := range all[name] {
			if p.blank() {
				continue
			}
			switch whose, ok := p.whose(labels[p.group]); {
			case !ok:
				return false
			case whose == somebodyElse:
				c.putAside(name+" (of another person)", "another-person", "by its label it is somebody else's; who wants to be on the list needs a card of their own")
			case whose == aMachine:
				c.putAside(name+" (fax or pager)", "fax-or-pager", "nobody answers a fax or a pager; add a number by hand that somebody does")
			default:
				own[name] = append(own[name], p)
			}
		}
		slices.SortStableFunc(own[name], func(a, b *property) int { return a.rank - b.rank })
	}
	if n := c.first(own, "N"); n != nil {
		c.set(cardFamily, n.part(0))
		c.set(cardGiven, n.part(1))
	}
	name := strings.TrimSpace(c.cells[cardGiven] + " " + c.cells[cardFamily])
	if fn := c.first(own, "FN"); fn != nil {
		name = fn.part(0)
	}
	c.set(cardName, name)
	c.set(cardEmail, own.joined("EMAIL"))
	c.set(cardPhone, own.joined("TEL"))
	if a := c.first(own, "ADR"); a != nil {
		c.set(cardStreet, a.part(2))
		c.set(cardCity, a.part(3))
		c.set(cardPostalCode, a.part(5))
	}
	if o := c.first(own, "ORG"); o != nil {
		c.set(cardOrganisation, strings.Join(slices.DeleteFunc(o.parts, blank), ", "))
	}
	c.set(cardLanguage, own.joined("LANG"))
	if p := c.first(own, "PRONOUNS"); p != nil {
		c.set(cardPronouns, p.part(0))
	}
	return true
}

// set fills a cell. A column is there once a card has something for it.
func (c *cards) set(column int, value string) {
	c.cells[column] = value
	c.seen[column] = c.seen[column] || !blank(value)
}

// first returns the preferred one of the properties of a name, nil if there is none.
func (c *cards) first(own properties, name string) *property {
	list := own[name]
	if len(list) == 0 {
		return nil
	}
	if slices.ContainsFunc(list[1:], func(p *property) bool { return !slices.Equal(p.parts, list[0].parts) }) {
		c.putAside(name+" (second)", "second-value", "one is kept per person; the preferred one was taken, else the first")
	}
	return list[0]
}

// joined returns the values of a property, the preferred one first, as one cell.
func (all properties) joined(name string) string {
	var values []string
	for _, p := range all[name] {
		values = append(values, p.part(0))
	}
	return strings.Join(values, ", ")
}

// card reads the lines of the next card into c.buf, without pictures and the
// like, and returns the line on which it begins.
func (c *cards) card() (line int, fault Reason, err error) {
	c.buf = c.buf[:0]
	var (
		begun  bool
		broken bool // has lines that cannot be read, or is none

		some   bool // there is a property that a line may go on with
		keep   bool // it is read
		quoted bool // it is quoted-printable
		soft   bool // and goes on in the next line, whatever that begins with

		agent  bool // the property is AGENT, whose value may be a card
		nested int  // cards of agents, which are other people
		inline bool // the line before was one's first, if it does not go on
	)
	c.old = false
	for {
		at := c.line
		raw, err := c.readLine()
		if err == io.EOF {
			if begun || broken {
				return line, BrokenCard, nil
			}
			return 0, None, io.EOF
		}
		if err != nil {
			return 0, None, err
		}
		begins, ends := isLine(raw, "BEGIN:VCARD"), isLine(raw, "END:VCARD")
		if !begun {
			switch {
			case begins && broken:
				c.again, c.line = true, at
				return line, BrokenCard, nil
			case begins:
				begun, line = true, at
			case !broken && len(bytes.TrimSpace(raw)) > 0:
				broken, line = true, at
			}
			continue
		}

		goesOn := soft && !begins && !ends
		if !goesOn && len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
			// Where nothing can go on it is a property that is indented, and lost.
			broken = broken || !some && len(bytes.TrimSpace(raw)) > 0
			goesOn, raw = true, raw[1:]
		}
		if goesOn {
			if inline {
				nested, inline = nested-1, false // all of it is a value of version 3.0
			}
			agent = agent && len(bytes.TrimSpace(raw)) == 0
			soft = quoted && softBreak(raw)
			if keep && !broken {
				if err := c.add(raw, foldMark, at, line); err != nil {
					return 0, None, err
				}
			}
			continue
		}
		soft, inline = false, false

		switch {
		case begins && agent:
			nested++
			keep, quoted, agent = false, false, false
			continue
		case begins:
			// The one before has no end.
			c.again, c.line = true, at
			return line, BrokenCard, nil
		case ends && nested > 0:
			nested--
			continue
		case ends && broken:
			return line, BrokenCard, nil
		case ends:
			return line, None, nil
		case agent && len(bytes.TrimSpace(raw)) == 0:
			continue
		}
		some = true
		name, value, ok := nameOf(raw)
		if agent = ok && name == "AGENT"; agent && isLine(value, "BEGIN:VCARD") {
			nested++
			keep, quoted, agent, inline = false, false, false, true
			c.note(name)
		}
		if nested > 0 {
			continue
		}
		if name == "VERSION" {
			c.old = string(bytes.TrimSpace(value)) == "2.1"
		}
		keep = ok && readProperty(name)
		quoted = ok && quotedPrintable(raw)
		soft = quoted && softBreak(raw)
		switch {
		case ok:
			c.note(name)
		case lostProperty(raw):
			broken = true
		}
		if keep && !broken {
			if err := c.add(raw, lineEnd, at, line); err != nil {
				return 0, None, err
			}
		}
	}
}

// add puts a line behind what is there of the card that begins on line first.
func (c *cards) add(raw []byte, mark byte, at, first int) error {
	foreign := c.text != nil && c.text.foreign() && bytes.Contains(raw, []byte("\uFFFD"))
	if foreign || !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0 {
		name := utf8Name
		if foreign {
			name = c.text.encoding()
		}
		return &Error{Reason: BadEncoding, Line: at,
			Msg: fmt.Sprintf("not %s here, so names would be damaged; export the contacts again, as vCard 3.0 or 4.0", strings.ToUpper(name))}
	}
	if len(c.buf) > 0 || mark == foldMark {
		c.buf = append(c.buf, mark)
	}
	c.buf = append(c.buf, raw...)
	if len(c.buf) > MaxRecord {
		return &Error{Reason: RecordTooLong, Line: first, TooLarge: true, Msg: fmt.Sprintf("the card that begins here is longer than %d bytes", MaxRecord)}
	}
	return nil
}

// readLine returns the next line without its end, CR, LF or both, or the first
// bytes of one that is longer than MaxRecord: that is a picture, written without
// folding, or will be refused.
func (c *cards) readLine() ([]byte, error) {
	if c.again {
		c.again = false
		c.line++
		return c.row, nil
	}
	c.row = c.row[:0]
	for some := false; ; {
		_, err := c.in.Peek(1)
		if err == io.EOF && some {
			break
		}
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil {
			return nil, readFault(err, c.line)
		}
		piece, _ := c.in.Peek(c.in.Buffered())
		if c.cr && piece[0] == '\n' {
			c.cr = false
			c.in.Discard(1)
			continue
		}
		c.cr, some = false, true
		end := bytes.IndexAny(piece, "\r\n")
		n := end
		if end < 0 {
			n = len(piece)
		}
		c.row = append(c.row, piece[:min(n, MaxRecord+1-len(c.row))]...)
		if end < 0 {
			c.in.Discard(n)
			continue
		}
		c.cr = piece[end] == '\r'
		c.in.Discard(n + 1)
		break
	}
	c.line++
	// Files that were put together have one before each part.
	c.row = bytes.TrimPrefix(c.row, byteOrderMark)
	return c.row, nil
}

// nameOf returns the name of the property that begins on a line, in upper case
// and without its group, and what stands behind the first colon. A name that is
// known is one without a colon too, for parameters may go on in the next line.
func nameOf(line []byte) (name string, value []byte, ok bool) {
	i := bytes.IndexAny(line, ":;")
	if i <= 0 {
		return "", nil, false
	}
	_, value, ended := bytes.Cut(line[i:], []byte{':'})
	_, name = splitGroup(string(line[:i]))
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		return "", nil, false
	}
	return name, value, ended || readProperty(name) || refusedProperties[name] != ""
}

// splitGroup returns the group and the name of "item1.TEL", both in upper case.
func splitGroup(s string) (group, name string) {
	s = strings.ToUpper(s)
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return "", s
}

// lostProperty reports whether a line that is no property begins like one that is
// read. Others are of a note with a line break in it.
func lostProperty(line []byte) bool {
	i := bytes.IndexAny(line, " \t:;")
	if i <= 0 || i > 100 {
		return false
	}
	_, name := splitGroup(string(line[:i]))
	return readProperty(name)
}

// quotedPrintable reports whether the parameters on the first line of a property
// say that its value is.
func quotedPrintable(line []byte) bool {
	head, _, _ := bytes.Cut(line, []byte{':'})
	return bytes.Contains(bytes.ToUpper(head), []byte("QUOTED-PRINTABLE"))
}

// softBreak reports whether a line of quoted-printable goes on in the next
// (RFC 2045 §6.7).
func softBreak(line []byte) bool {
	line = bytes.TrimRight(line, " \t")
	return len(line) > 0 && line[len(line)-1] == '='
}

func (c *cards) note(name string) {
	if !slices.Contains(cardProperties, name) && !slices.Contains(aboutCards, name) && len(c.others) < maxOthers && !slices.Contains(c.others, name) && len(name) <= 60 {
		c.others = append(c.others, name)
	}
}

// putAside names what was left out of a property that is read. As with what is
// not read at all, the answer has it once for the file, for no row has a place for it.
func (c *cards) putAside(header, slug, reason string) {
	if !slices.ContainsFunc(c.aside, func(d Drop) bool { return d.Header == header }) {
		c.aside = append(c.aside, drop(header, slug, reason))
	}
}

// A cardCount says what was found in a file of cards.
type cardCount struct {
	seen   [cardColumns]bool // columns that some card has something for
	unread []Drop            // what is in none of the columns
}

// kept returns those columns that some card has something for.
func (c *cardCount) kept(planned []Column) []Column {
	var kept []Column
	for _, k := range planned {
		if c.seen[k.Index] {
			kept = append(kept, k)
		}
	}
	return kept
}

func (c *cardCount) dropped(planned []Drop) []Drop {
	var dropped []Drop
	for _, d := range planned {
		if i := slices.Index(cardHeader, d.Header); i >= 0 && c.seen[i] {
			dropped = append(dropped, d)
		}
	}
	return append(dropped, c.unread...)
}

func (c *cards) count() *cardCount {
	dropped := slices.Clone(c.aside)
	for _, name := range c.others {
		k := refusedBySlug(refusedProperties[name])
		if k == nil {
			k = recognise(strings.TrimPrefix(name, "X-")).refused
		}
		if k != nil {
			dropped = append(dropped, dropRefused(name, k))
		} else {
			dropped = append(dropped, notAField(name))
		}
	}
	return &cardCount{c.seen, dropped}
}

func refusedBySlug(slug string) *refusedKind {
	for i := range refusedKinds {
		if refusedKinds[i].slug == slug {
			return &refusedKinds[i]
		}
	}
	return nil
}
