package api_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"index/suffixarray"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A run is a piece of a file that a person can read.
type run struct {
	at   int
	text []byte
}

// runs are the pieces of at least n characters, in ASCII and in UTF-8.
func runs(b []byte, n int) (out []run) {
	from, count := 0, 0
	end := func(to int) {
		if count >= n {
			out = append(out, run{from, b[from:to]})
		}
		count = 0
	}
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if (r == utf8.RuneError && size <= 1) || !(r == '\n' || unicode.IsPrint(r)) {
			end(i)
			i++
			from = i
			continue
		}
		if count == 0 {
			from = i
		}
		count++
		i += size
	}
	end(len(b))
	return out
}

// raw reads the database as it lies there, so also what no table shows: pages that are
// free and what is left between rows. What can be read there must be of a kind that the
// report names, or part of a value that SQL shows and that was looked at.
func (s *seizure) raw(file string) {
	s.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	s.need("text sqlite")
	index := suffixarray.New(bytes.Join(s.stored, []byte{0}))
	var named []string
	for kind, form := range readable {
		if s.a.has(kind) && kind != "text name" && kind != "text schema" {
			named = append(named, form.String())
		}
	}
	slices.Sort(named)
	pattern := longest(strings.Join(named, "|"))
	p := &pages{b: b, size: int(binary.BigEndian.Uint16(b[16:]))}
	if p.size == 1 {
		p.size = 64 << 10
	}
	p.blankRows(s.t, s.roots)
	if p.rows < len(s.stored) {
		s.t.Fatalf("%d rows were found in the file: the test has lost its way", p.rows)
	}
	for _, r := range runs(b, readableFrom) {
		for _, rest := range pattern.Split(string(r.text), -1) {
			for piece := range strings.SplitSeq(rest, "\n") {
				// SQLite leaves remains where a row was that it has moved.
				for _, left := range unknown(index, []byte(piece)) {
					if !s.a.has("text id") || !partOfID.Match(left) {
						s.odd(fmt.Sprintf("%s at %d", filepath.Base(file), r.at), left)
					}
				}
			}
		}
	}
}

// unknown returns the pieces of text of readableFrom bytes or more that are in no row.
func unknown(rows *suffixarray.Index, text []byte) (out [][]byte) {
	from := 0
	keep := func(to int) {
		if to-from >= readableFrom {
			out = append(out, text[from:to])
		}
	}
	for i := 0; i+readableFrom <= len(text); {
		n := readableFrom
		if rows.Lookup(text[i:i+n], 1) == nil {
			i++
			continue
		}
		for i+n < len(text) && rows.Lookup(text[i:i+n+1], 1) != nil {
			n++
		}
		keep(i)
		i += n
		from = i
	}
	keep(len(text))
	return out
}

var partOfID = regexp.MustCompile(`^[0-9a-f-]+$`)

// readableFrom is from how many characters on a piece counts as readable, as with
// strings -n 6.
const readableFrom = 6

// Pages are those of an SQLite file, see https://www.sqlite.org/fileformat2.html.
type pages struct {
	b    []byte
	size int
	rows int
}

// blankRows puts zeros over the rows that there are, which SQL shows, and over what
// holds them together. What remains no table shows.
func (p *pages) blankRows(t *testing.T, roots []int64) {
	t.Helper()
	live := make([]bool, len(p.b))
	mark := func(at, n int) {
		for i := at; i < at+n; i++ {
			if live[i] {
				t.Fatalf("byte %d of the database belongs to two rows: the test has lost its way", i)
			}
			live[i] = true
		}
	}
	u := p.size
	number := func(at int) int { return int(binary.BigEndian.Uint32(p.b[at:])) }
	varint := func(at int) (v, n int) {
		for n < 9 {
			c := p.b[at+n]
			n++
			if n == 9 {
				return v<<8 | int(c), n
			}
			v = v<<7 | int(c&0x7f)
			if c < 0x80 {
				break
			}
		}
		return v, n
	}
	var walk func(page int)
	walk = func(page int) {
		base := (page - 1) * u
		h := base
		if page == 1 {
			h += 100
		}
		kind := p.b[h]
		leaf := kind == 0x0d || kind == 0x0a
		table := kind == 0x0d || kind == 0x05
		if !leaf && kind != 0x05 && kind != 0x02 {
			t.Fatalf("page %d is of kind %#x: the test has lost its way", page, kind)
		}
		cells, head := int(binary.BigEndian.Uint16(p.b[h+3:])), 8
		if !leaf {
			head = 12
			walk(number(h + 8))
		}
		mark(h, head+2*cells)
		for i := range cells {
			at := base + int(binary.BigEndian.Uint16(p.b[h+head+2*i:]))
			from := at
			if !leaf {
				walk(number(at))
				at += 4
			}
			if table && !leaf {
				_, n := varint(at)
				mark(from, max(4, at+n-from))
				continue
			}
			payload, n := varint(at)
			at += n
			if table {
				_, n := varint(at)
				at += n
			}
			most, least := u-35, (u-12)*32/255-23
			if !table {
				most = (u-12)*64/255 - 23
			}
			p.rows++
			if payload <= most {
				mark(from, max(4, at+payload-from))
				continue
			}
			local := least + (payload-least)%(u-4)
			if local > most {
				local = least
			}
			mark(from, at+local+4-from)
			rest := payload - local
			for next := number(at + local); rest > 0; {
				at := (next - 1) * u
				n := min(rest, u-4)
				mark(at, 4+n)
				rest -= n
				next = number(at)
			}
		}
	}
	walk(1)
	for _, root := range roots {
		if root > 0 { // views and triggers have none
			walk(int(root))
		}
	}
	// Where pages are, for auto_vacuum, and the list of those that are free.
	for page := 2; (page-1)*u < len(p.b); page += u/5 + 1 {
		mark((page-1)*u, min(u, len(p.b)-(page-1)*u)/5*5)
	}
	for trunk := number(32); trunk != 0; trunk = number((trunk - 1) * u) {
		mark((trunk-1)*u, 8+4*number((trunk-1)*u+4))
	}
	for i, is := range live {
		if is {
			p.b[i] = 0
		}
	}
}

// unused finds a place of an SQLite file where no row is and there is room for a word.
func unused(b []byte) int {
	room := make([]byte, 64)
	for page := 2 * 4096; page < len(b); page += 4096 {
		if i := bytes.Index(b[page+1024:page+4096], room); i >= 0 {
			return page + 1024 + i + 16
		}
	}
	panic("no room")
}
