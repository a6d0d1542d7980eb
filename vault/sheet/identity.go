package sheet

import "strings"

// fewestIdentityDigits is the smallest number of digits that can make an
// identity number: old A-numbers have seven.
const fewestIdentityDigits = 7

// bareDigitsToo asks looksLikeIdentity to take nine digits without any
// separator for an identity number. Right in a name, wrong in a ZIP+4.
const bareDigitsToo = true

// looksLikeIdentity reports whether s holds what looks like a US identity
// number: an SSN or ITIN (3-2-4 digits, whatever stands between them), or an
// A-number (A and seven to nine digits); and where bare numbers are none of the
// field's, a passport's or a payment card's. It looks at the shape alone: a number
// that was never issued may still be a person's with one digit wrong.
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
		chain, end := digitChain(s, i)
		if chain.isIdentity(s[:i], bare) {
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
		chain, end := digitChain(s, i)
		if chain.hasSSN(false) {
			return true
		}
		i = end
	}
	return false
}

// groups are the lengths of groups of digits that only separators part.
type groups []int

// digitChain returns the groups that begin at s[i], a digit, and where they end.
func digitChain(s string, i int) (groups, int) {
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
		for j := 0; j < 3 && i < len(s) && strings.IndexByte(" -._/()\t\n\r", s[i]) >= 0; j++ {
			i++
		}
		if i == end {
			return g, end
		}
	}
}

// isIdentity judges a chain by what stands before it.
func (g groups) isIdentity(before string, bare bool) bool {
	head := strings.TrimRight(before, " -.:#([/\t\n\r")
	if g.hasSSN(strings.HasSuffix(head, "+")) || bare && len(g) == 1 && g[0] == 9 {
		return true
	}
	numbered := strings.Contains(before[len(head):], "#")
	switch strings.ToLower(lastWord(head)) {
	case "a":
		// Seven digits behind a lone A are a phone number as often as not.
		return g.begins(8, 9) || numbered && g.begins(7, 9)
	case "number", "numero", "no":
		return g.begins(8, 9)
	case "alien", "uscis", "ssn", "itin", "passport", "pasaporte", "passeport":
		return g.begins(7, 9)
	}
	return bare && len(g) == 1 && g[0] == 8 && passportLetter(before)
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
		g, end := digitChain(s, i)
		if !strings.HasSuffix(strings.TrimRight(s[:i], " ("), "+") && g.isCard(s[i:end]) {
			return true
		}
		i = end
	}
	return false
}

func (g groups) isCard(s string) bool {
	sum := 0
	for _, n := range g {
		if sum += n; n < 4 && len(g) > 1 || n > 6 && len(g) > 1 {
			return false
		}
	}
	if sum < fewestCardDigits || sum > mostCardDigits || len(g) == 0 {
		return false
	}
	check, odd := 0, true
	first := byte(0)
	for i := len(s) - 1; i >= 0; i-- {
		if byteKinds[s[i]]&digitByte == 0 {
			continue
		}
		first = s[i]
		d := int(s[i] - '0')
		if odd = !odd; odd {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		check += d
	}
	return check%10 == 0 && first >= '3' && first <= '6'
}

// hasSSN reports whether three groups in a row have 3, 2 and 4 digits. In an
// international number, which a plus begins, the groups behind the country code
// may well have.
func (g groups) hasSSN(international bool) bool {
	before := 0
	for i := 0; i+2 < len(g); i++ {
		if g[i] == 3 && g[i+1] == 2 && g[i+2] == 4 && !(international && before > 0 && before < 6) {
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
