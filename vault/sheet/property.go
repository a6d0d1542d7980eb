package sheet

import (
	"bufio"
	"bytes"
	"io"
	"mime/quotedprintable"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A property is one line of a card, unfolded.
type property struct {
	group, name string // in upper case
	types       []string
	rank        int      // 1 is preferred
	parts       []string // of the value, one but for structured
	quoted      bool     // quoted-printable
	charset     string   // of that, "" for UTF-8
}

// structured are properties whose values are parts with ; between them.
var structured = map[string]bool{"N": true, "ADR": true, "ORG": true}

// leastPreferred is the rank of what nobody prefers (RFC 6350 §5.3).
const leastPreferred = 101

// part returns one part of the value, "" where it has fewer.
func (p *property) part(n int) string {
	if n < len(p.parts) {
		return p.parts[n]
	}
	return ""
}

func (p *property) blank() bool { return allBlank(p.parts) }

// properties are those of a card that are read, by name.
type properties map[string][]*property

// propertiesOf reads what card left in its buffer. All of it has to be readable.
//
// Cards of version 2.1 are read like the others, for telephones still write them.
// Parameters without a name and quoted-printable turn up in version 3.0 as well
// and contradict nothing there. The one difference is where a text is folded: the
// blank belongs to it in version 2.1 (§2.1.3), and not in later ones.
func propertiesOf(buf string, old bool) (properties, bool) {
	all := make(properties)
	for line := range strings.SplitSeq(buf, string(lineEnd)) {
		if line == "" {
			continue
		}
		p, ok := parseProperty(line, old)
		if !ok {
			return nil, false
		}
		all[p.name] = append(all[p.name], p)
	}
	return all, true
}

// parseProperty reads the line of a property, old if it is of version 2.1.
func parseProperty(line string, old bool) (p *property, ok bool) {
	p = &property{rank: leastPreferred}
	colon := outsideQuotes(line, ':')
	if colon < 0 {
		return nil, false
	}
	head, value := strings.ReplaceAll(line[:colon], string(foldMark), ""), line[colon+1:]
	for i := 0; head != ""; i++ {
		param := head
		if end := outsideQuotes(head, ';'); end >= 0 {
			param, head = head[:end], head[end+1:]
		} else {
			head = ""
		}
		if i == 0 {
			p.group, p.name = splitGroup(param)
		} else if !p.parameter(strings.TrimSpace(param)) {
			return nil, false
		}
	}
	if !readProperty(p.name) {
		return nil, false
	}
	fold := ""
	if old && p.name != "EMAIL" && p.name != "TEL" {
		fold = " " // an address with a blank would be another one
	}
	value = unfolded(value, fold, p.quoted)
	if structured[p.name] {
		value = p.separated(value)
	}
	if p.quoted {
		if value, ok = unquoted(value, p.charset); !ok {
			return nil, false
		}
	}
	p.parts = []string{value}
	if structured[p.name] {
		p.parts = strings.Split(value, separator)
	}
	for i := range p.parts {
		p.parts[i] = unescaped.Replace(p.parts[i])
	}
	if p.name == "TEL" {
		p.parts[0] = telephone(p.parts[0])
	}
	return p, true
}

// outsideQuotes returns the index of the first c in s that is not between
// quotation marks, -1 if there is none.
func outsideQuotes(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == c && !quoted:
			return i
		}
	}
	return -1
}

// parameter reads one parameter. Those without a name are types or encodings, as
// version 2.1 has them.
func (p *property) parameter(s string) bool {
	if len(s) > len(customType) && strings.EqualFold(s[:len(customType)], customType) {
		return p.customType(s[len(customType):])
	}
	name, value, named := strings.Cut(s, "=")
	switch name = strings.ToUpper(strings.TrimSpace(name)); {
	case s == "":
		return true
	case name == "":
		return false
	case !named && plainEncodings[name] || !named && name == "QUOTED-PRINTABLE" || !named && name == "BASE64":
		name, value = "ENCODING", name
	case !named:
		name, value = "TYPE", s
	}
	value = strings.Trim(value, `" `)
	switch name {
	case "TYPE":
		for t := range strings.SplitSeq(value, ",") {
			if t = strings.Trim(t, `" `); strings.EqualFold(t, "pref") {
				p.rank = 1
			}
			p.types = append(p.types, t)
		}
	case "PREF":
		if n, err := strconv.Atoi(value); err == nil && n > 0 {
			p.rank = min(p.rank, n)
		}
	case "ENCODING":
		value = strings.ToUpper(value)
		p.quoted = value == "QUOTED-PRINTABLE"
		return p.quoted || plainEncodings[value] // a name in base64 would be stored as it stands
	case "CHARSET":
		p.charset = value
	}
	return true
}

var plainEncodings = map[string]bool{"": true, "7BIT": true, "8BIT": true}

// customType begins how some telephones write the label of a number into a card
// of version 2.1: X-CUSTOM(CHARSET=UTF-8,ENCODING=QUOTED-PRINTABLE,=4D=6F=6D).
const customType = "X-CUSTOM("

func (p *property) customType(s string) bool {
	pieces := strings.Split(strings.TrimSuffix(s, ")"), ",")
	label, charset, quoted := pieces[len(pieces)-1], "", false
	for _, piece := range pieces[:len(pieces)-1] {
		name, value, _ := strings.Cut(piece, "=")
		switch strings.ToUpper(name) {
		case "CHARSET":
			charset = value
		case "ENCODING":
			quoted = strings.EqualFold(value, "QUOTED-PRINTABLE")
		}
	}
	if quoted {
		var ok bool
		if label, ok = unquoted(label, charset); !ok {
			return false
		}
	}
	p.types = append(p.types, label)
	return true
}

func (p *property) hasType(t string) bool {
	return slices.ContainsFunc(p.types, func(has string) bool { return strings.EqualFold(has, t) })
}

// unfolded returns a value as one line.
func unfolded(value, fold string, quoted bool) string {
	if !quoted {
		return strings.ReplaceAll(value, string(foldMark), fold)
	}
	var b strings.Builder
	for line := range strings.SplitSeq(value, string(foldMark)) {
		soft := softBreak([]byte(line))
		if soft {
			line = strings.TrimSuffix(strings.TrimRight(line, " \t"), "=")
		}
		b.WriteString(line)
		if !soft {
			b.WriteString(fold)
		}
	}
	return strings.TrimSuffix(b.String(), fold)
}

// separator stands for the ; between the parts of a value while it is decoded.
// An encoded ; is of a part's text.
const separator = "\x1f"

// separated returns a value with separators.
func (p *property) separated(value string) string {
	with := separator
	if p.quoted {
		with = "=1F"
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\' && i+1 < len(value):
			b.WriteString(value[i : i+2])
			i++
		case value[i] == ';':
			b.WriteString(with)
		default:
			b.WriteByte(value[i])
		}
	}
	return b.String()
}

// unescaped is RFC 6350 §3.4, with the colon that some programs escape.
var unescaped = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\:`, ":")

// unquoted decodes quoted-printable.
func unquoted(s, charset string) (string, bool) {
	known, err := namedEncoding(charset)
	if err != nil || strings.HasPrefix(known, "utf-16") || known == "iso-2022-jp" {
		return "", false // in these two a ; may be half of a character
	}
	for _, code := range strings.Split(s, "=")[1:] {
		// The reader takes such a = for text.
		if len(code) < 2 || !hexDigit(code[0]) || !hexDigit(code[1]) {
			return "", false
		}
	}
	if !isASCII(s) && known != "" && known != utf8Name {
		return "", false // the file is in one encoding, the value in another
	}
	// The buffer of a reader's own would end a line at 4 KiB.
	decoded, err := io.ReadAll(quotedprintable.NewReader(bufio.NewReaderSize(strings.NewReader(s), len(s)+1)))
	if err != nil {
		return "", false
	}
	if known != "" {
		if e := decoding(known); e != nil {
			if decoded, err = e.NewDecoder().Bytes(decoded); err != nil || bytes.Contains(decoded, []byte("\uFFFD")) {
				return "", false
			}
		}
	}
	if !utf8.Valid(decoded) || bytes.IndexByte(decoded, 0) >= 0 {
		return "", false
	}
	return string(decoded), true
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

// telephone returns a number, which RFC 6350 §6.4.1 allows to be a URI, as text.
func telephone(v string) string {
	if len(v) > 4 && strings.EqualFold(v[:4], "tel:") {
		v = strings.ReplaceAll(v[4:], ";ext=", " ext ")
		v, _, _ = strings.Cut(v, ";")
	}
	return v
}

// isGroup reports whether a card is of several people, as address books write
// their lists.
func (all properties) isGroup() bool {
	return slices.ContainsFunc(slices.Concat(all["KIND"], all["X-ADDRESSBOOKSERVER-KIND"]), func(p *property) bool {
		return strings.EqualFold(strings.TrimSpace(p.part(0)), "group")
	})
}

// An owner says whose a number or an address is.
type owner uint8

const (
	thePerson owner = iota
	somebodyElse
	aMachine
)

// plainTypes say of a number or an address nothing of whose it is.
var plainTypes = map[string]bool{
	"": true, "HOME": true, "WORK": true, "PREF": true, "OTHER": true, "INTERNET": true, "VOICE": true, "CELL": true, "MOBILE": true, "TEXT": true,
	"MSG": true, "MAIN": true, "IPHONE": true, "VIDEO": true, "CAR": true, "PCS": true, "DOM": true, "INTL": true, "POSTAL": true, "PARCEL": true,
	"FAX": true, "PAGER": true,
}

// whose tells whose a property is by its types and by the labels of its group,
// which is how Apple's and Google's address books name what people typed: "Mother".
// What is not labelled is the person's of the card. Labels that are too long to be
// looked up are none, and leave it open.
func (p *property) whose(labels []string) (whose owner, ok bool) {
	if p.name != "TEL" && p.name != "EMAIL" && p.name != "ADR" {
		return thePerson, true
	}
	if p.group == "" {
		labels = nil
	}
	var all strings.Builder
	for _, list := range [][]string{p.types, labels} {
		for _, label := range list {
			if plainTypes[strings.ToUpper(label)] {
				continue
			}
			if all.Len()+len(label) > maxHeader {
				return thePerson, false
			}
			all.WriteString(label)
			all.WriteByte(' ')
		}
	}
	machine := p.hasType("fax") || p.hasType("pager")
	if all.Len() > 0 {
		key := headerKey(all.String())
		if words().others.in(key) {
			return somebodyElse, true
		}
		for word := range strings.SplitSeq(key, " ") {
			machine = machine || machines[word]
		}
	}
	if machine && p.name == "TEL" && !p.hasType("voice") && !p.hasType("cell") && !p.hasType("text") {
		return aMachine, true
	}
	return thePerson, true
}

// machines are words of labels, in the spellings that have no blank too.
var machines = map[string]bool{"fax": true, "telefax": true, "homefax": true, "workfax": true, "otherfax": true, "pager": true}

// maxOthers bounds the names of properties that are not read.
const maxOthers = MaxColumns
