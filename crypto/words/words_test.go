package words_test

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sethvargo/go-diceware/diceware"

	"github.com/rallyvault/rallyvault/crypto/words"
)

// list is what New draws from, by number of five dice.
func list(t *testing.T) map[string]bool {
	t.Helper()
	l := diceware.WordListEffLarge()
	out := map[string]bool{}
	for n := range 7776 {
		at := 0
		for d, scale := n, 1; scale <= 10000; d, scale = d/6, scale*10 {
			at += (1 + d%6) * scale
		}
		w := l.WordAt(at)
		if out[w] {
			t.Errorf("%q is in the list twice", w)
		}
		out[w] = true
	}
	if n := l.(diceware.WordListNumWordser).NumWords(); n != len(out) {
		t.Errorf("the list has %d words, and %d by dice", n, len(out))
	}
	return out
}

// TestEntropy: the bits that New claims. Its words are joined by what no word has, so
// two draws never make one text, whichever words begin with others.
func TestEntropy(t *testing.T) {
	all := list(t)
	bits := 0.0
	for i := range words.Count {
		bits += math.Log2(float64(len(all) - i)) // no word twice
	}
	if math.Abs(bits-77.5) > 0.05 {
		t.Errorf("got %.2f bits, want 77.5", bits)
	}
	word := regexp.MustCompile(`^[a-z]+(-[a-z]+)?$`)
	for w := range all {
		if !word.MatchString(w) || len(w) < 3 || len(w) > 9 {
			t.Errorf("%q cannot be typed without a thought", w)
		}
	}
}

func TestNew(t *testing.T) {
	all := list(t)
	seen := map[string]bool{}
	used := map[string]bool{}
	for range 2000 {
		text := words.New()
		drawn := strings.Split(text, " ")
		if len(drawn) != words.Count || seen[text] {
			t.Fatalf("got %d words, or the same again", len(drawn))
		}
		seen[text] = true
		for _, w := range drawn {
			if !all[w] {
				t.Fatal("a word that the list does not have")
			}
			used[w] = true
		}
		if slices.Sort(drawn); len(slices.Compact(drawn)) != words.Count {
			t.Fatal("a word twice")
		}
	}
	// 12,000 draws leave about one in five of the list out.
	if n := len(used); n < 5900 || n > 6400 {
		t.Errorf("%d words of the list were drawn, want about 6,110", n)
	}
}
