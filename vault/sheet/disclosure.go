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

// writtenDate matches a month's name between or beside a day and a year, folded.
var writtenDate = regexp.MustCompile(`\b(?:[0-3]?[0-9](?:st|nd|rd|th)? (?:de |of )?(?:` + months + `) (?:de |del |of )?(?:19|20)[0-9]{2}|(?:` + months + `) [0-3]?[0-9](?:st|nd|rd|th)? (?:19|20)[0-9]{2})\b`)

const months = `jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|` +
	`ene(?:ro)?|febrero|marzo|abr(?:il)?|mayo|junio|julio|ago(?:sto)?|sep(?:tiembre)?|setiembre|octubre|noviembre|dic(?:iembre)?`

// announcedDate matches a day, or a year alone, behind a word that says what it is
// the date of, folded.
var announcedDate = regexp.MustCompile(`\b(?:d ?o ?b|birth ?date|birthday|born(?: on| in)?|nac(?:id[oa]|imiento)?(?: en| el)?|f(?:echa)? (?:de )?nac(?:imiento)?|cumple(?:anos)?|court(?: date)?(?: on)?|hearing(?: on)?|corte(?: el)?|audiencia(?: el)?|juicio(?: el)?|check in(?: on)?) [0-9]{1,4}\b`)

// disclosure returns why a text must not be kept, or None. kinds and digits are
// what survey says of it.
func disclosure(s string, kinds uint8, digits int) Reason {
	if digits > 0 || kinds&oddByte != 0 && strings.ContainsFunc(s, unicode.IsNumber) {
		if plain := plainDigits(s); startsNumber(plain) && tellsDate(plain) {
			return DateCell
		}
	}
	if statusBegins(s) && tellsStatus(foldWords(s)) {
		return StatusCell
	}
	return None
}

func tellsDate(s string) bool {
	if numericDate.MatchString(s) {
		return true
	}
	folded := foldWords(s)
	return writtenDate.MatchString(folded) || announcedDate.MatchString(folded)
}

// startsNumber reports whether a number begins a word of s, as in every date, and
// not in a name that a form has made its own with "Ana2".
func startsNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		if byteKinds[s[i]]&digitByte != 0 && (i == 0 || byteKinds[s[i-1]]&(letterByte|digitByte) == 0) {
			return true
		}
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
