// Package words makes passphrases that people can remember.
package words

import (
	"strings"

	"github.com/sethvargo/go-diceware/diceware"
)

// Count is how many words a passphrase has.
const Count = 6

// New returns six different words of the EFF's large list, joined by spaces: 77.5 bits,
// drawn with crypto/rand. At the 0.14 s of processor time that a guess costs whoever has
// the disk, half of them are some 480 million million years of it.
//
// They are English words in every language: no module that is kept up carries a list
// for another one. The EFF chose them to be short, common and easy to spell.
func New() string {
	drawn, err := diceware.Generate(Count)
	if err != nil {
		panic(err) // crypto/rand does not fail, and the list has more than six
	}
	return strings.Join(drawn, " ")
}
