package sheet

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"google.golang.org/protobuf/proto"
)

// KnownRegion reports whether region is an ISO 3166 code with phone numbers.
func KnownRegion(region string) bool {
	return phonenumbers.GetSupportedRegions()[strings.ToUpper(region)]
}

func isNANP(region string) bool { return region != "" && phonenumbers.IsNANPACountry(region) }

// nanpRanges remembers which ranges of North American numbers exist, by their
// first six digits. The library takes some 10 us to say so, and a list of a
// region repeats the same few hundred ranges; asking for each number would cost
// more than everything else that an import does.
type nanpRanges struct {
	asked, exist []uint64 // bit n: six digits n
}

// has reports whether the range of a ten-digit number exists.
func (n *nanpRanges) has(digits *[10]byte) bool {
	prefix := 0
	for _, d := range digits[:6] {
		prefix = 10*prefix + int(d-'0')
	}
	if n.asked == nil {
		const words = (1_000_000 + 63) / 64
		both := make([]uint64, 2*words)
		n.asked, n.exist = both[:words], both[words:]
	}
	word, bit := prefix/64, uint64(1)<<(prefix%64)
	if n.asked[word]&bit == 0 {
		n.asked[word] |= bit
		// Six digits decide everywhere but in a few ranges of premium services.
		// Asking for the same last four digits keeps the answer from depending
		// on which number of a range came first.
		if phonenumbers.IsValidNumber(&phonenumbers.PhoneNumber{
			CountryCode: proto.Int32(1), NationalNumber: proto.Uint64(uint64(prefix)*10_000 + 100),
		}) {
			n.exist[word] |= bit
		}
	}
	return n.exist[word]&bit != 0
}

// phone cleans a phone number to E.164.
func (c *Cleaner) phone(s string) (string, Reason) {
	if s == "" {
		return "", None
	}
	var digits [10]byte
	if shape := c.plainNANP(s, &digits); shape != notPlain && (shape != punctuated || !looksLikeIdentity(s, false)) {
		switch {
		case !c.ranges.has(&digits):
			return "", NotPhone
		case shape == asStored:
			return s, None
		}
		return nanpE164(&digits), None
	}
	return c.oddPhone(s)
}

type shape uint8

const (
	notPlain   shape = iota
	asStored         // +1 and ten digits
	digitsOnly       // ten digits, or eleven with a 1 before
	punctuated       // with blanks, dashes, dots, parentheses
)

// plainNANP reads a North American number that has nothing around it.
func (c *Cleaner) plainNANP(s string, digits *[10]byte) shape {
	plus := s[0] == '+'
	if !plus && !c.nanp || len(s) > 24 {
		return notPlain
	}
	i, n, sh := 0, 0, digitsOnly
	if plus {
		i = 1
	}
	leading := byte(0)
	for ; i < len(s); i++ {
		switch ch := s[i]; {
		case byteKinds[ch]&digitByte != 0:
			if n == 10 {
				// Eleven digits: the first was the country code.
				if leading != 0 || digits[0] != '1' {
					return notPlain
				}
				leading = '1'
				copy(digits[:], digits[1:])
				n = 9
			}
			digits[n] = ch
			n++
		case ch == ' ' || ch == '-' || ch == '.' || ch == '(' || ch == ')':
			sh = punctuated
		default:
			return notPlain
		}
	}
	switch {
	case n != 10 || plus && leading == 0 || digits[0] < '2' || digits[3] < '2':
		return notPlain
	case plus && sh == digitsOnly:
		return asStored
	}
	return sh
}

func nanpE164(digits *[10]byte) string {
	var b [12]byte
	copy(b[:], "+1")
	copy(b[2:], digits[:])
	return string(b[:])
}

var (
	powerOfTen = regexp.MustCompile(`^[0-9]([.,][0-9]+)?[eE]\+?[0-9]+$`)
	decimal    = regexp.MustCompile(`^\+?[0-9]{7,15}\.0$`)
	// betweenNumbers parts two numbers of one cell.
	betweenNumbers = regexp.MustCompile(`(?i)[/;,|\\\r\n\t&]|:::| (?:or|and|o|y|u) `)
	// slashedArea is an area code that a slash parts from its number, as people
	// write it in Germany and New York.
	slashedArea    = regexp.MustCompile(`^(\(?[0-9]{2,6}\)?)\s*/\s*([0-9][0-9 .-]{4,})$`)
	extension      = regexp.MustCompile(`(?i)^(.*[0-9][^0-9]*?)[ .(]*(?:extensi[oó]n|extn?|ext|anexo|x|#)[ .:#]*([0-9]{1,7})[ )]*$`)
	extensionAlone = regexp.MustCompile(`(?i)^[ .(]*(?:extensi[oó]n|extn?|ext|anexo|x|#)[ .:#]*[0-9]{1,7}[ )]*$`)
)

// maxPhoneCell is the longest cell, in bytes, in which numbers are looked for.
const maxPhoneCell = 400

// oddPhone cleans what is no plain number: with words around it, an extension,
// several numbers, of another country, or none at all.
func (c *Cleaner) oddPhone(s string) (string, Reason) {
	s = strings.TrimSpace(plainDigits(s))
	if looksLikeIdentity(s, false) || looksLikeCard(s) {
		return "", IdentityCell
	}
	if r := marker(cleanText(s)); r != None && r != NoLetters || noAnswer(s) {
		return "", r
	}
	if len(s) > maxPhoneCell {
		return "", TooLong
	}
	if namesAnother(s) {
		return "", AnothersCell
	}
	if powerOfTen.MatchString(s) {
		return "", MangledPhone
	}
	if decimal.MatchString(s) {
		s = strings.TrimSuffix(s, ".0") // a column of numbers, written by a program
	}

	if m := slashedArea.FindStringSubmatch(s); m != nil {
		if v := c.number(m[1] + " " + m[2]); v != "" {
			return v, None
		}
	}
	first, reason := "", NotPhone
	for _, piece := range betweenNumbers.Split(s, -1) {
		note := None
		if m := extension.FindStringSubmatch(piece); m != nil && countDigits(m[1]) >= 7 {
			piece, note = m[1], Extension
		}
		if first != "" && extensionAlone.MatchString(piece) {
			reason = Extension
			continue
		}
		numbers := c.numbersIn(piece)
		for _, v := range numbers {
			switch {
			case first == "":
				first, reason = v, note
			case v != first:
				reason = SecondPhone
			}
		}
		switch n := countDigits(piece); {
		case len(numbers) > 0:
		case first != "" && n >= 3:
			reason = SecondPhone
		case first == "" && n == 7 && c.nanp:
			reason = NoAreaCode
		}
	}
	return first, reason
}

// namesAnother reports whether words around an address or number say that it is
// another person's: "mom 917-555-0199".
func namesAnother(s string) bool {
	return strings.ContainsFunc(s, unicode.IsLetter) && words().others.in(headerKey(s))
}

// numbersIn returns the one number of a piece, or the two that nothing but a
// blank parts.
func (c *Cleaner) numbersIn(piece string) []string {
	piece = strings.TrimLeftFunc(piece, func(r rune) bool { return r != '+' && r != '(' && (r < '0' || r > '9') })
	piece = strings.TrimRightFunc(piece, func(r rune) bool { return r < '0' || r > '9' })
	for i := 0; i < len(piece); i++ {
		if byteKinds[piece[i]]&digitByte == 0 && strings.IndexByte(" ()-.", piece[i]) < 0 && !(piece[i] == '+' && plusMayStand(piece, i)) {
			return nil
		}
	}
	if countDigits(piece) < 14 {
		if v := c.number(piece); v != "" {
			return []string{v}
		}
		return nil
	}
	if v := c.number(piece); v != "" {
		return []string{v}
	}
	for i := 1; i < len(piece); i++ {
		if piece[i] != ' ' {
			continue
		}
		if a, b := c.number(piece[:i]), c.number(strings.TrimLeft(piece[i:], " ")); a != "" && b != "" {
			return []string{a, b}
		}
	}
	return nil
}

// plusMayStand reports whether the + at s[i] begins a number.
func plusMayStand(s string, i int) bool {
	return i == 0 || s[i-1] == ' ' || s[i-1] == '('
}

// number reads one number of the region, or of any country with + before it.
func (c *Cleaner) number(s string) string {
	if n := countDigits(s); n < 7 || n > 17 {
		return ""
	}
	var digits [10]byte
	if c.plainNANP(s, &digits) != notPlain {
		if c.ranges.has(&digits) {
			return nanpE164(&digits)
		}
		return ""
	}
	n, err := phonenumbers.Parse(s, c.region)
	if err != nil {
		return ""
	}
	if n.GetCountryCode() == 1 {
		national := phonenumbers.GetNationalSignificantNumber(n)
		if len(national) != 10 || !c.ranges.has((*[10]byte)([]byte(national))) {
			return ""
		}
	} else if !phonenumbers.IsValidNumber(n) {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}
