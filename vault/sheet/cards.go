package sheet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-vcard"
)

// Positions of what is read of a card, and its headers: a file of vCards (RFC
// 6350, and RFC 2426 before it) has no row of headings, so its properties stand
// for columns.
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

// aboutCards are properties of the card itself, which are no columns.
var aboutCards = []string{"BEGIN", "END", "VERSION", "PRODID", "REV", "UID", "KIND"}

// cards reads a file of vCards, one at a time.
type cards struct {
	in   *bufio.Reader
	line int // 1-based, of what in reads next

	seen   [cardColumns]bool
	others []string // names of properties that are not read, in the order of their first
	buf    []byte
	cells  []string
	back   []byte // a line that was read and belongs to the next card
}

func beginsCard(head []byte) bool {
	const begin = "begin:vcard"
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) >= len(begin) && strings.EqualFold(string(head[:len(begin)]), begin)
}

func (s *Sheet) openCards(r io.Reader, o *Options) (err error) {
	s.format = VCard
	s.recs = &cards{in: bufio.NewReaderSize(r, sourceChunk), line: 1, cells: make([]string, cardColumns)}
	s.plan, err = newPlan(cardHeader, cardMeanings(), 1, o, func() ([]record, error) { return nil, nil })
	return err
}

// next implements recordReader.
func (c *cards) next(int) (cells []string, line int, fault Reason, err error) {
	text, line, fault, err := c.card()
	if err != nil || fault != None {
		return nil, line, fault, err
	}
	card, err := vcard.NewDecoder(bytes.NewReader(text)).Decode()
	if err != nil {
		return nil, line, BrokenCard, nil
	}
	if v := card.Value(vcard.FieldVersion); v == "2.1" {
		return nil, 0, None, &Error{Reason: NotASheet, Line: line,
			Msg: "this is a vCard of version 2.1, as old telephones write them; export the contacts as vCard 3.0 or 4.0, or as CSV, and import that"}
	}
	clear(c.cells)
	if n := card.Name(); n != nil {
		c.set(cardGiven, n.GivenName)
		c.set(cardFamily, n.FamilyName)
	}
	name := card.Value(vcard.FieldFormattedName)
	if blank(name) {
		name = strings.TrimSpace(c.cells[cardGiven] + " " + c.cells[cardFamily])
	}
	c.set(cardName, name)
	c.set(cardEmail, strings.Join(preferred(card[vcard.FieldEmail]), ", "))
	c.set(cardPhone, strings.Join(preferred(card[vcard.FieldTelephone]), ", "))
	if a := card.Address(); a != nil {
		c.set(cardPostalCode, a.PostalCode)
		c.set(cardCity, a.Locality)
		c.set(cardStreet, a.StreetAddress)
	}
	c.set(cardOrganisation, strings.Trim(strings.ReplaceAll(card.Value(vcard.FieldOrganization), ";", ", "), ", "))
	c.set(cardLanguage, strings.Join(preferred(card[vcard.FieldLanguage]), ", "))
	c.set(cardPronouns, card.Value("PRONOUNS"))
	return c.cells, line, None, nil
}

// set fills a cell. A column is there once a card has something for it.
func (c *cards) set(column int, value string) {
	c.cells[column] = value
	c.seen[column] = c.seen[column] || !blank(value)
}

// preferred returns the values of a property, the preferred one first and
// facsimile numbers last. RFC 6350 §6.4.1 allows a telephone number to be a URI.
func preferred(fields []*vcard.Field) []string {
	rank := func(f *vcard.Field) int {
		switch {
		case f.Params.HasType("fax"):
			return 2
		case f.Params.HasType("pref") || f.Params.Get(vcard.ParamPreferred) == "1":
			return 0
		}
		return 1
	}
	sorted := slices.Clone(fields)
	slices.SortStableFunc(sorted, func(a, b *vcard.Field) int { return rank(a) - rank(b) })
	var values []string
	for _, f := range sorted {
		v := f.Value
		if len(v) > 4 && strings.EqualFold(v[:4], "tel:") {
			v = strings.ReplaceAll(v[4:], ";ext=", " ext ")
			v, _, _ = strings.Cut(v, ";")
		}
		values = append(values, v)
	}
	return values
}

// card reads the lines of the next card, without pictures and the like, and the
// line on which it begins.
func (c *cards) card() (text []byte, line int, fault Reason, err error) {
	c.buf = c.buf[:0]
	begun, broken := false, false
	keep := false // lines that go on belong to a property that is kept
	for {
		at := c.line
		raw, err := c.readLine()
		if err == io.EOF {
			switch {
			case begun:
				return nil, line, BrokenCard, nil
			case broken:
				return nil, line, BrokenCard, nil
			}
			return nil, 0, None, io.EOF
		}
		if err != nil {
			return nil, 0, None, err
		}
		trimmed := bytes.TrimRight(raw, "\r\n")
		if len(trimmed) > 0 && (trimmed[0] == ' ' || trimmed[0] == '\t') && begun {
			if keep {
				c.buf = append(c.buf, raw...)
			}
			if len(c.buf) > MaxRecord {
				return nil, 0, None, &Error{Reason: RecordTooLong, Line: line, TooLarge: true, Msg: fmt.Sprintf("the card that begins here is longer than %d bytes", MaxRecord)}
			}
			continue
		}
		word := strings.ToUpper(string(bytes.TrimSpace(trimmed)))
		switch {
		case word == "BEGIN:VCARD" && (begun || broken):
			// The one before has no end.
			c.back, c.line = bytes.Clone(raw), at
			return nil, line, BrokenCard, nil
		case word == "BEGIN:VCARD":
			begun, keep, line = true, true, at
		case !begun:
			if word != "" && !broken {
				broken, line = true, at
			}
			continue
		case word == "END:VCARD":
			return append(c.buf, "END:VCARD\r\n"...), line, None, nil
		default:
			name, ok := property(trimmed)
			keep = ok && (cardProperties[name] || name == "VERSION")
			if !ok && lostProperty(word) {
				broken = true
			}
			if ok {
				c.note(name)
			}
		}
		if broken && begun {
			c.skip()
			return nil, line, BrokenCard, nil
		}
		if keep {
			if !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0 {
				return nil, 0, None, &Error{Reason: BadEncoding, Line: at, Msg: "not UTF-8 here, so names would be damaged; export the contacts again, as vCard 3.0 or 4.0"}
			}
			c.buf = append(c.buf, raw...)
		}
		if len(c.buf) > MaxRecord {
			return nil, 0, None, &Error{Reason: RecordTooLong, Line: line, TooLarge: true, Msg: fmt.Sprintf("the card that begins here is longer than %d bytes", MaxRecord)}
		}
	}
}

// skip reads on to the end of a card.
func (c *cards) skip() {
	for {
		at := c.line
		raw, err := c.readLine()
		if err != nil {
			return
		}
		switch strings.ToUpper(string(bytes.TrimSpace(raw))) {
		case "END:VCARD":
			return
		case "BEGIN:VCARD":
			c.back, c.line = bytes.Clone(raw), at
			return
		}
	}
}

// readLine returns the next line with its end, or the first sourceChunk bytes of
// one that is longer: what goes on behind that is of a picture, written without
// folding, and is passed over.
func (c *cards) readLine() ([]byte, error) {
	if c.back != nil {
		line := c.back
		c.back = nil
		c.line++
		return line, nil
	}
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = c.in.ReadSlice('\n')
		}
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	if err != nil && err != io.EOF {
		err = readFault(err, c.line)
	}
	c.line++
	return line, err
}

// cardProperties are those that are read.
var cardProperties = map[string]bool{"FN": true, "N": true, "EMAIL": true, "TEL": true, "ADR": true, "ORG": true, "LANG": true, "PRONOUNS": true}

// property returns the name of the property on a line, in upper case and without
// its group.
func property(line []byte) (name string, ok bool) {
	i := bytes.IndexAny(line, ":;")
	if i <= 0 || bytes.IndexByte(line, ':') < 0 {
		return "", false
	}
	name = strings.ToUpper(string(line[:i]))
	if j := strings.LastIndexByte(name, '.'); j >= 0 {
		name = name[j+1:]
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r != '-' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) {
		return "", false
	}
	return name, true
}

// lostProperty reports whether a line that is no property begins like one that is
// read. Others are of a note with a line break in it.
func lostProperty(word string) bool {
	for name := range cardProperties {
		if rest, ok := strings.CutPrefix(word, name); ok && rest != "" && strings.ContainsRune("; :", rune(rest[0])) {
			return true
		}
	}
	return false
}

// maxOthers bounds the names of properties that are not read.
const maxOthers = MaxColumns

func (c *cards) note(name string) {
	if !cardProperties[name] && !slices.Contains(aboutCards, name) && len(c.others) < maxOthers && !slices.Contains(c.others, name) && len(name) <= 60 {
		c.others = append(c.others, name)
	}
}

// kept returns those columns that some card has something for.
func (c *cards) kept(planned []Column) []Column {
	var kept []Column
	for _, k := range planned {
		if c.seen[k.Index] {
			kept = append(kept, k)
		}
	}
	return kept
}

func (c *cards) dropped(planned []Drop) []Drop {
	var dropped []Drop
	for _, d := range planned {
		if i := slices.Index(cardHeader, d.Header); i >= 0 && c.seen[i] {
			dropped = append(dropped, d)
		}
	}
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
	return dropped
}

func refusedBySlug(slug string) *refusedKind {
	for i := range refusedKinds {
		if refusedKinds[i].slug == slug {
			return &refusedKinds[i]
		}
	}
	return nil
}
