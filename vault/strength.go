package vault

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"
	"github.com/ccojocar/zxcvbn-go/match"
	"github.com/ccojocar/zxcvbn-go/matching"

	"github.com/rallyvault/rallyvault/crypto"
)

// MinPassphrase is the least length of a passphrase, in characters.
const MinPassphrase = 12

// minGuesses is how many guesses, at the least, zxcvbn has to expect before a
// passphrase is found. Whoever has the disk pays for each what a sign-in does, 0.14 s
// and 64 MiB: half a year on one core, or two days on a hundred. That is a floor under
// what people think up, no advice: six words of crypto/words are 10^23. A higher one
// would refuse phrases that somebody made up in good faith and that no list has, as
// zxcvbn counts the words of English as if they were the attacker's only ones.
const minGuesses = 1e8

// maxEstimated is how much of a passphrase is estimated, in characters: zxcvbn takes
// milliseconds for these, and minutes for a thousand. What has so many is refused
// only if these are weak. Words with digits and signs for letters are looked for in
// maxSpelled at most, as all ways of reading them are tried: half a second for what
// somebody has made for that, who need not be signed in.
const (
	maxEstimated = 50
	maxSpelled   = 24
)

// checkPassphrase refuses what a guesser would try first. known is what such a one
// knows of whom the passphrase is for: the group's name, the handle.
func checkPassphrase(pass crypto.Secret, known ...string) error {
	const op = "vault.passphrase"
	pass = nfc(pass)
	defer pass.Wipe()
	if utf8.RuneCount(pass.Bytes()) < MinPassphrase {
		return &Error{Kind: Invalid, Op: op, Code: "passphrase-short",
			Msg: "a passphrase needs at least 12 characters", Hint: "six random words are easy to remember and hard to guess"}
	}
	if commonPassphrase(pass.Bytes()) {
		return &Error{Kind: Invalid, Op: op, Code: "passphrase-common",
			Msg: "this passphrase is among the first that anybody would try", Hint: "six random words are easy to remember and hard to guess"}
	}
	if guesses(pass.Bytes(), known) < minGuesses {
		return &Error{Kind: Invalid, Op: op, Code: "passphrase-weak",
			Msg:  "this passphrase is too easy to guess: a few common words, names, dates or patterns, or what is known of the group",
			Hint: "add words that have nothing to do with each other; six random words are easy to remember and hard to guess"}
	}
	return nil
}

// guesses estimates how many it takes to find a passphrase. The copy that zxcvbn
// needs cannot be wiped, like the one in the request that brought it.
func guesses(pass []byte, known []string) float64 {
	text := []rune(string(pass))
	found := zxcvbn.PasswordStrength(string(text[:min(len(text), maxEstimated)]), knownWords(known), func(m match.Matcher) bool {
		return m.ID == matching.L33TMatcherName && len(text) > maxSpelled
	})
	clear(text)
	return math.Exp2(found.Entropy)
}

// knownWords are the ways in which what is known may stand in a passphrase: as a
// whole, without its spaces, and each word of it.
func knownWords(known []string) []string {
	out := []string{"rallyvault"}
	for _, k := range known {
		k = strings.ToLower(k)
		parts := strings.FieldsFunc(k, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		out = append(append(out, k, strings.Join(parts, "")), parts...)
	}
	return out
}

// commonPassphrase reports whether p is one character or short pattern over
// and over, a run along the keyboard or alphabet, or the like.
func commonPassphrase(p []byte) bool {
	folded := make([]byte, 0, len(p))
	defer func() { clear(folded[:cap(folded)]) }()
	for _, c := range p {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		folded = append(folded, c)
	}
	for period := 1; period <= 4 && period < len(folded); period++ {
		same := true
		for i := period; i < len(folded); i++ {
			if folded[i] != folded[i-period] {
				same = false
				break
			}
		}
		if same {
			return true
		}
	}
	steps := 0
	for i := 1; i < len(folded); i++ {
		if d := int(folded[i]) - int(folded[i-1]); d == 1 || d == -1 || d == 0 {
			steps++
		}
	}
	if steps >= len(folded)-2 {
		return true
	}
	return commonStem.Match(folded)
}

var commonStem = regexp.MustCompile(`^(pass(word|wort|phrase)|contraseñ?a|qwerty(uiop)?|letmein|welcome|admin|iloveyou|teamo|rallyvault|changeme|0?123456789?0?|[0-9!@#$._-])+$`)
