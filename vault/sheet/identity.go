package sheet

import (
	"strings"
	"unicode/utf8"
)

// fewestIdentityDigits is the smallest number of digits that can make an identity
// number: the last four of an SSN, behind its name.
const fewestIdentityDigits = 4

// bareDigitsToo asks looksLikeIdentity to take nine digits without any
// separator for an identity number. Right in a name, wrong in a ZIP+4.
const bareDigitsToo = true

// looksLikeIdentity reports whether s holds what looks like an identity number: an
// SSN or ITIN (3-2-4 digits, whatever stands between them), an A-number (A and seven
// to nine digits), a receipt of USCIS, a CURP, or digits behind the name of a
// document; and where bare numbers are none of the field's, a passport's or a
// payment card's. It looks at the shape alone: a number that was never issued may
// still be a person's with one digit wrong.
func looksLikeIdentity(s string, bare bool) bool {
	s = plainDigits(s)
	_, digits := survey(s)
	if digits < fewestIdentityDigits {
		return false
	}
	if bare && digits >= fewestCardDigits && looksLikeCard(s) {
		return true
	}
	for i := 0; i < len(s); {
		if byteKinds[s[i]]&digitByte == 0 {
			i++
			continue
		}
		chain, end := digitChain(s, i, separators)
		if chain.isIdentity(s[:i], s[i:end], bare) || len(chain) == 1 && isCURP(s[:i], s[i:end], s[end:]) {
			return true
		}
		i = end
	}
	return digits >= ssnDigits && strings.ContainsAny(s, looserSeparators) && hasLooseSSN(s, bare)
}

// Characters that part the groups of a number. A comma or a colon parts two numbers
// more often than the groups of one, and counts only where the groups tell.
const (
	separators       = " -._/()\t\n\r"
	looserSeparators = ",:;|"
)

// hasLooseSSN looks for 123,45,6789.
func hasLooseSSN(s string, bare bool) bool {
	for i := 0; i < len(s); {
		if byteKinds[s[i]]&digitByte == 0 {
			i++
			continue
		}
		g, end := digitChain(s, i, separators+looserSeparators)
		if g.hasSSN(strings.HasSuffix(strings.TrimRight(s[:i], beforeNumber), "+"), bare) {
			return true
		}
		i = end
	}
	return false
}

// looksLikeSSN is looksLikeIdentity for the local part of an email address,
// where a letter before digits means nothing.
func looksLikeSSN(s string) bool {
	for i := 0; i < len(s); {
		if byteKinds[s[i]]&digitByte == 0 {
			i++
			continue
		}
		chain, end := digitChain(s, i, separators)
		if chain.hasSSN(false, bareDigitsToo) {
			return true
		}
		i = end
	}
	return false
}

// groups are the lengths of groups of digits that only separators part.
type groups []int

// digitChain returns the groups that begin at s[i], a digit, and where they end.
func digitChain(s string, i int, separators string) (groups, int) {
	var buf [8]int
	g := groups(buf[:0])
	end := i
	for {
		n := 0
		for i < len(s) && byteKinds[s[i]]&digitByte != 0 {
			i, n = i+1, n+1
		}
		if n == 0 {
			return g, end
		}
		g, end = append(g, n), i
		// "219 - 09 - 9999" has three characters between its groups.
		for j := 0; j < 3 && i < len(s) && strings.IndexByte(separators, s[i]) >= 0; j++ {
			i++
		}
		if i == end {
			return g, end
		}
	}
}

// beforeNumber is what may stand between a word and the number it is the name of.
const beforeNumber = " -.:#([)]/\t\n\r=_,;*'\""

// isIdentity judges a chain by its text and by what stands before it.
func (g groups) isIdentity(before, text string, bare bool) bool {
	head := strings.TrimRight(before, beforeNumber)
	switch {
	case g.hasSSN(strings.HasSuffix(head, "+"), bare):
		return true
	case bare && len(g) == 1 && g[0] == ssnDigits:
		return true
	case bare && len(g) == 2 && g[0] == 3 && g[1] == 6 && text[3] == '-':
		return true // an SSN with one of its dashes
	case bare && len(g) == 1 && g[0] == 8 && passportLetter(before):
		return true
	}
	if head == "" {
		return false
	}
	return g.isReceipt(head, len(head) == len(before), bare) || g.isNumbered(head, strings.Contains(before[len(head):], "#"))
}

// isNumbered reports whether a chain is the number of a document that the words
// before it name: "DNI 12345678", "passport no. AB1234567".
func (g groups) isNumbered(head string, hash bool) bool {
	next := ""
	for n := range 4 {
		word := lastWord(head)
		head = strings.TrimRight(head[:len(head)-len(word)], beforeNumber)
		if isASCII(word) {
			word = strings.ToLower(word)
		} else {
			word = foldWords(word)
		}
		switch word {
		case "":
			return false
		case "a":
			// Seven digits behind a lone A are a phone number as often as not.
			if n == 0 && (g.begins(8, 9) || hash && g.begins(7, 9)) {
				return true
			}
		case "number", "numero", "no":
			if n == 0 && g.begins(8, 9) {
				return true
			}
		case "num", "nro", "nr", "identity", "identidad", "identificacion", "ciudadania", "extranjeria":
		case "alien", "aliennumber", "anumber", "anum", "anumero", "uscis", "itin", "dni", "documento", "license", "licence", "licencia":
			return g.begins(7, 9)
		case "passport", "pasaporte", "passeport", "passaporte", "paspo":
			return g.begins(6, 9)
		case "cedula", "curp", "rfc", "nss", "cpf", "dpi":
			return g.begins(6, 13)
		case "ssn":
			return g.isSSNOrItsEnd()
		case "security":
		case "social":
			if next == "security" {
				return g.isSSNOrItsEnd()
			}
			before := lastWord(head)
			return g.begins(ssnDigits, ssnDigits) || len(before) == 6 && strings.EqualFold(before, "seguro") && g.isSSNOrItsEnd()
		case "phone", "tel", "cell", "cel", "mob", "call", "text":
			return false
		default:
			// Letters that begin the number itself, and words between.
			if utf8.RuneCountInString(word) > 4 {
				return false
			}
		}
		next = word
	}
	return false
}

// isSSNOrItsEnd judges a chain behind the name of the number.
func (g groups) isSSNOrItsEnd() bool {
	return g.begins(7, 9) || len(g) == 1 && g[0] == 4 || len(g) == 2 && g[0] == 1 && g[1] == 4
}

// isReceipt reports whether a chain is the number of a receipt of USCIS: three
// letters of a service center and ten digits. Lin is a name too, so beside a blank
// the letters do not tell.
func (g groups) isReceipt(head string, attached, bare bool) bool {
	if !g.begins(10, 10) {
		return false
	}
	switch center := lastWord(head); strings.ToUpper(center) {
	case "IOE", "LIN", "EAC", "WAC", "SRC", "MSC", "NBC", "YSC":
		return attached || len(g) == 3 && g[0] == 2 && g[1] == 3 || bare && len(g) == 1 && center == strings.ToUpper(center) && center != "LIN"
	}
	return false
}

// isCURP reports whether digits stand in a Mexican CURP: four letters, a date of
// birth, six letters, a letter or digit, a digit.
func isCURP(before, digits, behind string) bool {
	if len(digits) != 6 || len(before) < 4 || len(behind) < 8 {
		return false
	}
	i := len(before) - 4
	for k := range 6 {
		if k < 4 && byteKinds[before[i+k]]&letterByte == 0 || byteKinds[behind[k]]&letterByte == 0 {
			return false
		}
	}
	wordByte := func(c byte) bool { return byteKinds[c]&(letterByte|digitByte) != 0 }
	return wordByte(behind[6]) && wordByte(behind[7]) && (i == 0 || !wordByte(before[i-1])) && (len(behind) == 8 || !wordByte(behind[8]))
}

// passportLetter reports whether a number stands directly behind one letter that
// begins a word, as in the numbers of US passport books and cards since 2021, and
// of Mexican and many other passports.
func passportLetter(before string) bool {
	n := len(before)
	if n == 0 || byteKinds[before[n-1]]&letterByte == 0 {
		return false
	}
	return n == 1 || byteKinds[before[n-2]]&(letterByte|digitByte) == 0 && before[n-2] < 0x80
}

// Payment cards have 13 to 19 digits (ISO/IEC 7812-1).
const fewestCardDigits, mostCardDigits = 13, 19

// looksLikeCard reports whether s holds what looks like the number of a payment
// card: so many digits in one or in groups of four to six, of which the last
// checks (ISO/IEC 7812-1 annex B), beginning as the large issuers' do. An
// international phone number has a plus and fifteen digits at most.
func looksLikeCard(s string) bool {
	for i := 0; i < len(s); {
		if byteKinds[s[i]]&digitByte == 0 {
			i++
			continue
		}
		g, end := digitChain(s, i, separators+looserSeparators)
		if !strings.HasSuffix(strings.TrimRight(s[:i], " ("), "+") && g.isCard(s[i:end]) {
			return true
		}
		i = end
	}
	return false
}

func (g groups) isCard(s string) bool {
	sum := 0
	for i, n := range g {
		sum += n
		// "411111 1111111111": the issuer's digits, and the rest.
		rest := i == 1 && len(g) == 2 && g[0] == 6
		if len(g) > 1 && (n < 4 || n > 6 && !rest) {
			return false
		}
	}
	if sum < fewestCardDigits || sum > mostCardDigits || len(g) == 0 {
		return false
	}
	check, odd := 0, true
	for i := len(s) - 1; i >= 0; i-- {
		if byteKinds[s[i]]&digitByte == 0 {
			continue
		}
		d := int(s[i] - '0')
		if odd = !odd; odd {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		check += d
	}
	first, seen := 0, 0 // the first four digits
	for i := 0; seen < 4; i++ {
		if byteKinds[s[i]]&digitByte != 0 {
			first, seen = 10*first+int(s[i]-'0'), seen+1
		}
	}
	return check%10 == 0 && (first >= 3000 && first < 7000 || first >= 2221 && first <= 2720 && sum == 16)
}

// ssnDigits is how many an SSN or ITIN has.
const ssnDigits = 9

// hasSSN reports whether three groups in a row have 3, 2 and 4 digits. In an
// international number, which a plus begins, the groups behind the country code
// may well have; and so has an old Mexican mobile number where bare numbers are the
// field's, but with four digits more: 044 55 1234 5678.
func (g groups) hasSSN(international, bare bool) bool {
	before := 0
	for i := 0; i+2 < len(g); i++ {
		if g[i] == 3 && g[i+1] == 2 && g[i+2] == 4 && !(international && before > 0 && before < 6) && (bare || i+3 == len(g) || g[i+3] != 4) {
			return true
		}
		before += g[i]
	}
	return false
}

// begins reports whether the first groups have together least to most digits.
func (g groups) begins(least, most int) bool {
	sum := 0
	for _, n := range g {
		if sum += n; sum >= least && sum <= most {
			return true
		}
	}
	return false
}

// lastWord returns the letters and digits at the end of s, or enough of them to
// tell that they are none of the words looked for.
func lastWord(s string) string {
	i := len(s)
	for i > 0 && len(s)-i < 16 && (byteKinds[s[i-1]]&(letterByte|digitByte) != 0 || s[i-1] >= 0x80) {
		i--
	}
	return s[i:]
}
