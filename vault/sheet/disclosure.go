package sheet

import (
	"regexp"
	"strings"
	"unicode"
)

// What people write into a cell that asks for something else: "Ana Ruiz 3/4/1990",
// "court 4/12", "Luis (sin papeles)". The cell is left out; the row is kept if the
// person can be reached without it.

// numericDate matches day, month and year in any order, with one separator.
var numericDate = regexp.MustCompile(`(^|[^0-9/.-])([0-3]?[0-9])([/.-])([0-3]?[0-9])[/.-]((?:19|20)?[0-9]{2})($|[^0-9/.-])|(^|[^0-9])(19|20)[0-9]{2}[/.-][0-1]?[0-9][/.-][0-3]?[0-9]($|[^0-9])`)

// joinedDate matches dates and ages as they are written where nothing parts words.
var joinedDate = regexp.MustCompile(`(?:19|20)[0-9]{2} ?[年년]|[0-9] ?月 ?[0-9]{1,2} ?[日号號]|[0-9] ?월 ?[0-9]{1,2} ?일|[1-9][0-9] ?[岁歲歳才세]`)

// What a word is to a date. Months and weekdays lead to a number too: "born in
// March 1990".
const (
	monthWord   = 1 << iota
	leadsToDate // may stand between a date and what it is the date of
	birthWord   // what follows is a birth date, if it is a number at all
	courtWord   // the same for a court, but it may be a surname: a day and a month tell
	hearingWord // no surname: any number tells
	ageBefore
	ageBehind
	ordinalEnd // 4th
)

var dateWords = func() map[string]uint8 {
	t := make(map[string]uint8)
	for kind, list := range map[uint8]string{
		monthWord: "jan january feb february mar march apr april may jun june jul july aug august sep sept september oct october nov november dec december " +
			"ene enero febrero marzo abr abril mayo junio julio ago agosto septiembre setiembre octubre noviembre dic diciembre " +
			"janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre " +
			"janeiro fevereiro marco maio junho julho setembro outubro novembro dezembro januar februar marz juni juli oktober dezember janvye fevriye jiye septanm oktob novanm desanm",
		leadsToDate: "on in at is the of for my next date year a el la en es de del dia fecha ano para le du em " +
			"mon monday tue tues tuesday wed wednesday thu thur thurs thursday fri friday sat saturday sun sunday lun lunes martes mie miercoles jue jueves vie viernes sab sabado dom domingo",
		birthWord:   "dob fdn ddn birth birthdate birthday bday born nac nacido nacida naci nacio nacimiento cumple cumpleanos nee naissance nascido nascida nasceu nascimento geb geboren",
		courtWord:   "court corte trial tribunal cita appointment appt",
		hearingWord: "hearing audiencia juicio checkin",
		ageBefore:   "age aged edad idade",
		ageBehind:   "anos ans anni jahre yo yr yrs year years",
		ordinalEnd:  "st nd rd th er",
	} {
		for w := range strings.FieldsSeq(list) {
			t[w] |= kind
		}
	}
	return t
}()

// A datePart is a word or a number of a folded text.
type datePart struct {
	text   string
	kind   uint8 // of a word
	digits int   // of a number
}

// dateParts parts folded text where blanks are and between letters and digits, but
// for numbers within names ("ana2"), which are no parts of a date.
func dateParts(folded string, parts []datePart) []datePart {
	for word := range strings.SplitSeq(folded, " ") {
		for first := true; word != ""; first = false {
			n := strings.IndexFunc(word, func(r rune) bool { return r < '0' || r > '9' })
			if n != 0 {
				if n < 0 {
					n = len(word)
				}
				parts = append(parts, datePart{text: word[:n], digits: n})
			} else {
				if n = strings.IndexAny(word, "0123456789"); n < 0 {
					n = len(word)
				}
				if n < len(word) && !datesNumber(word[:n]) {
					parts = append(parts, datePart{text: word})
					break
				}
				kind := dateWords[word[:n]]
				if kind == ordinalEnd && !first {
					word = word[n:]
					continue
				}
				parts = append(parts, datePart{text: word[:n], kind: kind})
			}
			word = word[n:]
		}
	}
	// What several words say.
	for i := 1; i < len(parts); i++ {
		switch before, p := parts[i-1].text, &parts[i]; {
		case before == "court" && (p.text == "on" || p.text == "date"), before == "corte" && (p.text == "el" || p.text == "del" || p.text == "dia"), before == "check" && p.text == "in":
			p.kind |= hearingWord
		case before == "ne" && (p.text == "le" || p.text == "en"), before == "b" && p.text == "day", before == "o" && p.text == "b" && i > 1 && parts[i-2].text == "d":
			p.kind |= birthWord
		case before == "y" && p.text == "o" && i > 1:
			parts[i-1].kind |= ageBehind
		}
	}
	return parts
}

// tellsWrittenDate reports whether folded text has a date with a month's name and a
// year in it, a date or a year beside a word that says what it is the date of, or an
// age. "James Court 3" is a name that a form has numbered.
func tellsWrittenDate(folded string) bool {
	var buf [16]datePart
	d := dateText(dateParts(folded, buf[:0]))
	for i, p := range d {
		if end := d.dayAndMonth(i); end > 0 {
			named := p.kind&monthWord != 0 || end-i > 2 || d[i+1].kind&monthWord != 0
			year := end
			for named && year < len(d) && (d[year].text == "de" || d[year].text == "del" || d[year].text == "of") {
				year++
			}
			if named && d.year(year, p.digits > 0) {
				return true
			}
			if d.year(end, false) {
				end++
			}
			if d.leadsTo(end, func(j int) bool {
				return d[j].kind&(courtWord|hearingWord) != 0 || d[j].text == "check" && j+1 < len(d) && d[j+1].text == "in"
			}) {
				return true
			}
		}
		switch k := p.kind; {
		case k&birthWord != 0 && d.leadsTo(i+1, func(j int) bool { return d[j].digits >= 2 && d[j].digits <= 8 || d.dayAndMonth(j) > 0 }),
			k&hearingWord != 0 && d.leadsTo(i+1, func(j int) bool { return d[j].digits > 0 && d[j].digits <= 4 }),
			k&(courtWord|hearingWord) != 0 && d.leadsTo(i+1, func(j int) bool { return d.dayAndMonth(j) > 0 }),
			k&ageBefore != 0 && (d.age(i+1) || i+1 < len(d) && (d[i+1].text == "of" || d[i+1].text == "de") && d.age(i+2)),
			k&ageBehind != 0 && i > 0 && d.age(i-1):
			return true
		}
	}
	return false
}

type dateText []datePart

// mostLeading is how many words may stand between a date and what it is the date of.
const mostLeading = 4

// leadsTo asks what about the part at i, and about those that follow while nothing
// but leading words is between.
func (d dateText) leadsTo(i int, what func(int) bool) bool {
	for n := 0; n <= mostLeading && i < len(d); n, i = n+1, i+1 {
		if what(i) {
			return true
		}
		if d[i].kind&(leadsToDate|monthWord) == 0 {
			return false
		}
	}
	return false
}

// dayAndMonth returns where a day and a month end that begin at i, or 0: "4 12",
// "apr 12", "12 de abril". By themselves they may be a surname and a number.
func (d dateText) dayAndMonth(i int) int {
	switch {
	case i+1 >= len(d):
		return 0
	case d[i].kind&monthWord != 0 && d.day(i+1), d.day(i) && d.day(i+1), d.day(i) && d[i+1].kind&monthWord != 0:
		return i + 2
	case d.day(i) && (d[i+1].text == "de" || d[i+1].text == "of") && i+2 < len(d) && d[i+2].kind&monthWord != 0:
		return i + 3
	}
	return 0
}

func (d dateText) day(i int) bool {
	return d[i].digits == 1 || d[i].digits == 2 && d[i].text[0] <= '3'
}

func (d dateText) year(i int, short bool) bool {
	if i >= len(d) {
		return false
	}
	p := d[i]
	return p.digits == 4 && (p.text[:2] == "19" || p.text[:2] == "20") || short && p.digits == 2
}

func (d dateText) age(i int) bool { return i < len(d) && d[i].digits == 2 && d[i].text[0] != '0' }

// disclosure returns why a text must not be kept, or None. kinds and digits are
// what survey says of it.
func disclosure(s string, kinds uint8, digits int) Reason {
	if digits > 0 || kinds&oddByte != 0 && strings.ContainsFunc(s, unicode.IsNumber) {
		if plain := plainDigits(s); startsNumber(plain) && tellsDate(plain) {
			return DateCell
		}
	}
	if statusBegins(s) && tellsStatus(s) {
		return StatusCell
	}
	return None
}

func tellsDate(s string) bool {
	return strings.ContainsAny(s, "/.-") && numericDate.MatchString(s) || !isASCII(s) && joinedDate.MatchString(s) || tellsWrittenDate(foldWords(s))
}

// startsNumber reports whether a number begins a word of s, or goes on with a word
// of dates, as in every date and not in a name that a form has made its own with
// "Ana2".
func startsNumber(s string) bool {
	for i := 0; i < len(s); {
		switch k := byteKinds[s[i]]; {
		case k&digitByte != 0:
			return true
		case k&letterByte == 0:
			i++
			continue
		}
		word := i
		for i < len(s) && byteKinds[s[i]]&letterByte != 0 {
			i++
		}
		if i < len(s) && byteKinds[s[i]]&digitByte != 0 && datesNumber(s[word:i]) {
			return true
		}
		for i < len(s) && byteKinds[s[i]]&(letterByte|digitByte) != 0 {
			i++
		}
	}
	return false
}

// datesNumber reports whether letters directly before a number make a date of it:
// "DOB03041990", "Apr12".
func datesNumber(word string) bool {
	if len(word) < 3 || len(word) > 4 {
		return false
	}
	var lower [4]byte
	for i := range len(word) {
		lower[i] = word[i] | 0x20
	}
	switch string(lower[:len(word)]) {
	case "dob", "fdn", "ddn", "nac", "born", "age", "edad",
		"jan", "feb", "mar", "apr", "may", "jun", "june", "jul", "july", "aug", "sep", "sept", "oct", "nov", "dec", "ene", "abr", "ago", "dic":
		return true
	}
	return false
}

// betweenPeople are what stands between the names of two people. A lone y may
// part the surnames of one, and is only counted between four words or more.
var betweenPeople = regexp.MustCompile(`(?i)\pL[\pL.'’-]*\s*(?:[&+/]|\s(?:and|und|et)\s)\s*\pL|^\s*\pL\S*\s+(?:y|e)\s+\pL\S*\s+\pL`)

// twoPeople reports whether a name seems to be of more than one person. It is asked
// about every name, so nearly all are told in one pass over their bytes.
func twoPeople(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '&', '+', '/':
		case ' ':
			// A word of one to three letters follows: y, et, and.
			word := s[i+1 : min(len(s), i+5)]
			if n := strings.IndexByte(word, ' '); n < 1 || strings.IndexByte("yYeEaAuU", word[0]) < 0 {
				continue
			}
		default:
			continue
		}
		return s[0] != '=' && betweenPeople.MatchString(s)
	}
	return false
}
