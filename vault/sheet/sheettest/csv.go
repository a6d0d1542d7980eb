package sheettest

import (
	"strings"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Undefuse takes away what [sheet.AppendCSV] puts into a cell, the way its
// documentation says.
func Undefuse(cell string) string {
	var b strings.Builder
	begins := true
	for i := range len(cell) {
		if !begins || cell[i] != '\'' || !defused(cell[i+1:]) {
			b.WriteByte(cell[i])
		}
		begins = strings.IndexByte(";\t\r\n", cell[i]) >= 0
	}
	return b.String()
}

// defused reports whether a cell gets a ' at its beginning.
func defused(cell string) bool {
	apostrophes := func(s string) int { return len(s) - len(strings.TrimLeft(s, "'")) }
	line := string(sheet.AppendCSV(nil, cell, false))
	return apostrophes(strings.TrimPrefix(line, `"`)) > apostrophes(cell)
}
