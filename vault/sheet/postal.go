package sheet

import (
	"regexp"
	"strings"
)

// postalCode keeps leading zeros, which is why it is text: 02139 is a place.
func (c *Cleaner) postalCode(s string) (string, Reason) {
	if len(s) == 5 && allDigits(s) {
		return s, None
	}
	s = strings.Trim(plainDigits(s), " \t\r\n'")
	if looksLikeIdentity(s, false) {
		return "", IdentityCell
	}
	if r := marker(s); r != None || noAnswer(s) {
		return "", r
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case byteKinds[ch]&(letterByte|digitByte) != 0:
			if ch >= 'a' && ch <= 'z' {
				ch -= 'a' - 'A'
			}
			b.WriteByte(ch)
		case ch == ' ' || ch == '-':
			// "10002 - 1234": blanks around a dash are no part of the code.
			if out := b.String(); i+1 < len(s) && out != "" && s[i+1] != ' ' && s[i+1] != '-' {
				if strings.HasSuffix(strings.TrimRight(s[:i+1], " "), "-") {
					ch = '-'
				}
				b.WriteByte(ch)
			}
		default:
			return "", NotPostalCode
		}
	}
	v := b.String()
	switch {
	case len(v) < 3 || len(v) > 10 || !strings.ContainsAny(v, "0123456789"):
		return "", NotPostalCode
	case c.region == "US" || c.region == "PR":
		return usPostalCode(v)
	}
	return v, None
}

// usPostalCode keeps ZIP, ZIP+4 and, for neighbours, Canadian codes. Anything
// else has a typing error in it: the letter O for a zero, a zero lost.
func usPostalCode(v string) (string, Reason) {
	switch shape := shapeOf(v); shape {
	case "00000", "00000-0000", "A0A 0A0":
		return v, None
	case "00000 0000":
		return v[:5] + "-" + v[6:], None
	case "000000000":
		return v[:5] + "-" + v[5:], None
	case "A0A0A0":
		return v[:3] + " " + v[3:], None
	}
	return "", NotPostalCode
}

// shapeOf writes 0 for every digit and A for every letter.
func shapeOf(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return '0'
		case r >= 'A' && r <= 'Z':
			return 'A'
		}
		return r
	}, s)
}

// postalPart cleans the postal code of a cell that holds a city too.
func (c *Cleaner) postalPart(s string) (string, Reason) {
	code, _ := c.parts(s)
	return c.postalCode(code)
}

// cityPart cleans the city of a cell that holds a postal code too.
func (c *Cleaner) cityPart(s string) (string, Reason) {
	_, city := c.parts(s)
	if strings.ContainsAny(city, "0123456789,;") {
		return "", NotCity // a street, most probably
	}
	return c.city(city)
}

// street matches the words of a street address, beside a number.
var street = regexp.MustCompile(`(?i)\b(?:st|str|street|ave|avenue|av|rd|road|blvd|boulevard|ln|lane|dr|drive|pl|place|ct|hwy|apt|apartment|unit|suite|ste|floor|fl|calle|avenida|avda|carrera|colonia|col|depto|piso|rue|rua|strasse|straße|p\.? ?o\.? box)\b|#\s*[0-9]`)

// city cleans a city. A street address in its place is left out.
func (c *Cleaner) city(s string) (string, Reason) {
	v, why := c.text(s)
	if _, digits := survey(v); digits > 0 && street.MatchString(v) {
		return "", NotCity
	}
	return v, why
}

// parts parts "10002 New York", "Brooklyn, NY 11201", "75011 Paris" and "SW1A 1AA
// London" into code and city. The code is what has digits, at one end; a state
// between them is dropped.
func (c *Cleaner) parts(s string) (code, city string) {
	s = strings.Trim(cleanText(plainDigits(s)), " ,;/-")
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '/' || r == ';' })
	coded := func(w string) bool { return strings.ContainsAny(w, "0123456789") }
	switch {
	case len(words) == 0:
		return "", ""
	case coded(words[0]):
		code = words[0]
		if len(words) > 1 && coded(words[1]) && twoParts(words[0], words[1]) {
			code += " " + words[1]
		}
		at := strings.Index(s, words[0])
		if len(code) > len(words[0]) {
			at = strings.Index(s, words[1])
			city = s[at+len(words[1]):]
		} else {
			city = s[at+len(words[0]):]
		}
	case coded(words[len(words)-1]):
		code = words[len(words)-1]
		from := strings.LastIndex(s, code)
		if n := len(words) - 2; n > 0 && coded(words[n]) && twoParts(words[n], code) {
			from = strings.LastIndex(s[:from], words[n])
			code = words[n] + " " + code
		}
		city = s[:from]
	default:
		city = s
	}
	city = strings.Trim(city, " ,;/-")
	// "Brooklyn, NY"
	if i := strings.LastIndexAny(city, ",/"); i > 0 {
		if state := strings.Trim(city[i+1:], " ."); len(state) == 2 && shapeOf(strings.ToUpper(state)) == "AA" {
			city = strings.TrimRight(city[:i], " ,/")
		}
	}
	return code, city
}

// twoParts reports whether two words with digits are one postal code, as of Canada
// (A1A 1A1), Britain (SW1A 1AA) and Sweden (123 45).
func twoParts(a, b string) bool {
	both := shapeOf(strings.ToUpper(a)) + " " + shapeOf(strings.ToUpper(b))
	return both == "000 00" || strings.HasPrefix(both, "A") && strings.Contains(both, " 0A") && len(a) <= 4 && len(b) == 3
}
