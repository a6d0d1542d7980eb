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
// A-number (A and seven to nine digits). It looks at the shape alone: a number
// that was never issued may still be a person's with one digit wrong.
func looksLikeIdentity(s string, bare bool) bool {
	s = plainDigits(s)
	if _, digits := survey(s); digits < fewestIdentityDigits {
		return false
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
	case "alien", "uscis", "ssn", "itin", "passport", "pasaporte":
		return g.begins(7, 9)
	}
	return false
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
