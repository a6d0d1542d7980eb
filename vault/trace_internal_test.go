package vault

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

var traceFields = []sheet.Field{sheet.Name, sheet.Email, sheet.Phone, sheet.Question1}

// contactOf is a made-up contact of an import.
func contactOf(n uint64, batch uint32) *meta {
	c := &meta{batch: batch}
	binary.BigEndian.PutUint64(c.id[:], n*0x9e3779b97f4a7c15)
	return c
}

// TestImportRecord: what was built gives each contact its trace, whichever way
// it is written, and whoever has none is given none.
func TestImportRecord(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 34, 56, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		kinds := []trace{{}, {had: traceMet | 3}, {had: traceMet | 7, filled: 4, asked: sheet.Yes}, {had: traceMet | 15, before: sheet.Yes, asked: sheet.No}}
		traces := map[uint64]trace{}
		contacts := map[uint64]*meta{}
		for i := range rapid.IntRange(0, 60).Draw(t, "contacts") {
			c := contactOf(uint64(i+1), uint32(rapid.IntRange(0, 3).Draw(t, "import")))
			contacts[uint64(i+1)] = c
			traces[uint64(i+1)] = rapid.SampledFrom(kinds).Draw(t, "trace")
		}
		b := newRecordBuilder([]uint32{1, 2})
		for i, c := range contacts {
			b.count(c, traces[i])
		}
		for i, c := range contacts {
			b.add(c, traces[i])
		}
		body := b.encode(at, traceFields)
		padded := padTo(bytes.Clone(body), 90)
		if len(padded)+90 != max(padme(len(body)+90), minSealed) {
			t.Fatalf("%d bytes are padded to %d", len(body), len(padded))
		}
		r, err := parseImportRecord(padded)
		if err != nil || !r.at.Equal(at) || !slices.Equal(r.fields, traceFields) {
			t.Fatalf("got %+v, %v", r, err)
		}
		for i, c := range contacts {
			if got := r.trace(c); got != traces[i] {
				t.Fatalf("contact %d of import %d: got %+v, want %+v", i, c.batch, got, traces[i])
			}
		}
		if got := r.trace(contactOf(1000, 0)); got != (trace{}) {
			t.Fatalf("somebody else: got %+v", got)
		}
		// Fields in another order, one gone and one new.
		r.to([]sheet.Field{sheet.City, sheet.Phone, sheet.Name, sheet.Question1})
		for i, c := range contacts {
			was := traces[i]
			want := trace{had: was.had & traceMet, before: was.before, asked: was.asked}
			for from, to := range map[int]int{0: 2, 2: 1, 3: 3} {
				want.had |= was.had >> from & 1 << to
				want.filled |= was.filled >> from & 1 << to
			}
			if got := r.trace(c); got != want {
				t.Fatalf("moved: got %+v, want %+v", got, want)
			}
		}
	})
}

// TestImportRecordIsShort: a sheet that is imported twice takes a few bytes,
// however many are on it.
func TestImportRecordIsShort(t *testing.T) {
	b := newRecordBuilder([]uint32{1})
	for pass := range 2 {
		for i := range uint64(200_000) {
			c, tr := contactOf(i+1, 1), trace{had: traceMet | 7}
			if i%1000 == 0 {
				tr.filled = 4
			}
			if pass == 0 {
				b.count(c, tr)
			} else {
				b.add(c, tr)
			}
		}
	}
	if n := len(b.encode(time.Unix(0, 0), traceFields)); n > 2000 {
		t.Errorf("got %d bytes", n)
	}
}

func TestMalformedTraces(t *testing.T) {
	good := func(groups ...[]byte) []byte {
		body := appendFields(binary.BigEndian.AppendUint64(nil, 1), traceFields)
		body = binary.BigEndian.AppendUint32(body, uint32(len(groups)))
		return append(slices.Concat(append([][]byte{body}, groups...)...), make([]byte, 100)...)
	}
	listed := func(tr trace, keys ...uint64) []byte {
		b := traceKind{tr, 0}.append(nil, len(keys))
		for _, k := range keys {
			b = binary.BigEndian.AppendUint64(b, k)
		}
		return b
	}
	met, other := trace{had: traceMet | 1}, trace{had: traceMet | 3}
	for name, tt := range map[string]struct {
		body []byte
		ok   bool
	}{
		"nothing in it":               {good(), true},
		"two kinds":                   {good(listed(met, 1, 2), listed(other, 3)), true},
		"of an import as a whole":     {good(traceKind{met, 7}.append(nil, 0), listed(other, 3)), true},
		"empty":                       {nil, false},
		"cut":                         {good(listed(met, 1, 2))[:40], false},
		"not zeros behind it":         {append(good(), 1), false},
		"kinds in another order":      {good(listed(other, 3), listed(met, 1, 2)), false},
		"keys in another order":       {good(listed(met, 2, 1)), false},
		"a key twice":                 {good(listed(met, 1, 1)), false},
		"a key in two kinds":          {good(listed(met, 1), listed(other, 1)), false},
		"an import twice as a whole":  {good(traceKind{met, 7}.append(nil, 0), traceKind{other, 7}.append(nil, 0)), false},
		"nobody listed":               {good(listed(met)), false},
		"listed as a whole":           {good(append(traceKind{met, 7}.append(nil, 1), make([]byte, 8)...)), false},
		"more than there are":         {good(traceKind{met, 0}.append(nil, 1<<31)), false},
		"a field that there is not":   {good(listed(trace{had: traceMet | 1<<4}, 1)), false},
		"filled and not on the sheet": {good(listed(trace{had: traceMet | 1, filled: 2}, 1)), false},
		"another consent":             {good(listed(trace{had: traceMet | 1, asked: 3}, 1)), false},
		"not met, and something":      {good(listed(trace{had: 1}, 1)), false},
		"not met, as a whole":         {good(traceKind{trace{}, 7}.append(nil, 0)), false},
	} {
		if _, err := parseImportRecord(tt.body); (err == nil) != tt.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzImportRecord: what parses is written as the same bytes, but for the zeros
// behind it.
func FuzzImportRecord(f *testing.F) {
	b := newRecordBuilder([]uint32{1})
	for pass := range 2 {
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range uint64(20) {
			c, tr := contactOf(i+1, uint32(i%3)), trace{had: traceMet | uint16(rng.IntN(8)), asked: sheet.Consent(rng.IntN(3))}
			if pass == 0 {
				b.count(c, tr)
			} else {
				b.add(c, tr)
			}
		}
	}
	good := b.encode(time.Unix(1e9, 0), traceFields)
	f.Add(good)
	f.Add(padTo(bytes.Clone(good), 80))
	f.Add(good[:len(good)-1])
	f.Add(newRecordBuilder(nil).encode(time.Unix(0, 0), nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseImportRecord(body)
		if err != nil {
			if r != nil {
				t.Error("refused, and something is there")
			}
			return
		}
		b := newRecordBuilder(nil)
		b.whole = r.whole
		for _, l := range r.listed {
			b.listed[r.kinds[l.kind]] = append(b.listed[r.kinds[l.kind]], l.key)
		}
		again := b.encode(r.at, r.fields)
		if !bytes.HasPrefix(body, again) || !allZero(body[len(again):]) {
			t.Errorf("parses and encodes to something else:\n%x\n%x", body, again)
		}
	})
}

// FuzzTouches: likewise.
func FuzzTouches(f *testing.F) {
	good := (&touches{fields: traceFields, by: map[contactKey]uint16{1: touched, 1 << 60: touched | touchedConsent | 2}}).encode()
	f.Add(good)
	f.Add(padTo(bytes.Clone(good), 80))
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseTouches(body)
		if err != nil {
			if got != nil {
				t.Error("refused, and something is there")
			}
			return
		}
		if again := got.encode(); !bytes.HasPrefix(body, again) || !allZero(body[len(again):]) {
			t.Errorf("parses and encodes to something else:\n%x\n%x", body, again)
		}
	})
}

func TestTouchesMove(t *testing.T) {
	is := &touches{fields: traceFields, by: map[contactKey]uint16{1: touched | touchedConsent | 1<<1 | 1<<3}}
	is.to([]sheet.Field{sheet.Question1, sheet.Name})
	if d := cmp.Diff(map[contactKey]uint16{1: touched | touchedConsent | 1}, maps.Clone(is.by)); d != "" {
		t.Error(d)
	}
}

// TestBatchFacts: what a manifest says of an import has one spelling.
func TestBatchFacts(t *testing.T) {
	id := BatchID(newID())
	for _, b := range []batch{
		{n: 3, id: id, day: "2026-11-21", contacts: 12},
		{n: 3, id: id, day: "2026-11-21", undone: true},
		{n: 3, id: id, day: "2026-11-21", contacts: 1, until: time.Date(2026, 11, 24, 13, 0, 0, 0, time.UTC)},
	} {
		if got := parseBatch(3, b.String()); got != b {
			t.Errorf("got %+v, want %+v", got, b)
		}
	}
	for _, text := range []string{"", "x", "x y", " until "} {
		if b := parseBatch(3, text); b.undone || !b.until.IsZero() {
			t.Errorf("%q: got %+v", text, b)
		}
	}
}
