package audit

import (
	"encoding/base32"
	"strconv"
	"strings"

	"golang.org/x/crypto/scrypt"
	"golang.org/x/mod/sumdb/tlog"
)

// codeText is Crockford's base32, in which invitation codes are written, too.
var codeText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const (
	codeDomain = "rallyvault/1 checkpoint code\n"
	codeChars  = 20 // 100 bits
	codeGroup  = 4  // characters
	codeCost   = 1 << 15
)

// Code returns the short code of a log's state, for two people to read to each other: 20
// digits in fours over the log key's verifier key, the size and the root. Who holds K can choose entries
// until two histories have one code, so it is stretched (scrypt: 32 MiB, a tenth of a second or two); AUDIT.md has the sums.
func Code(vkey string, size int64, root tlog.Hash) (string, error) {
	sum, err := scrypt.Key([]byte(codeDomain+vkey+"\n"+strconv.FormatInt(size, 10)+"\n"+root.String()+"\n"), []byte(codeDomain), codeCost, 8, 1, 13)
	if err != nil {
		return "", err
	}
	return groups(codeText.EncodeToString(sum)[:codeChars]), nil
}

func groups(s string) string {
	parts := []string{}
	for ; len(s) > codeGroup; s = s[codeGroup:] {
		parts = append(parts, s[:codeGroup])
	}
	return strings.Join(append(parts, s), "-")
}

// ParseCode reads a code as somebody typed it and returns it as Code writes it: case, blanks and
// hyphens do not matter, and o, i and l are the digits they look like.
func ParseCode(s string) (string, bool) {
	if len(s) > 8*codeChars {
		return "", false
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == 0xa0 || r >= 0x2010 && r <= 0x2015:
			return -1
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		}
		switch r {
		case 'o':
			return '0'
		case 'i', 'l':
			return '1'
		}
		return r
	}, s)
	if _, err := codeText.DecodeString(s); err != nil || len(s) != codeChars {
		return "", false
	}
	return groups(s), true
}
