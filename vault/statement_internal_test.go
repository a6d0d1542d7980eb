package vault

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

// Generators of what a statement may hold.
var (
	anyKey    = rapid.StringMatching(`[a-z][a-z0-9-]{0,20}`).Filter(func(s string) bool { return s != "blob" && s != "segment" && s != "column" })
	anyValue  = rapid.StringMatching(`[!-~]([ -~]{0,40}[!-~])?`)
	anyName   = rapid.StringMatching(`[a-z]{1,9}(/[0-9]{1,3}/[A-Za-z0-9-]{1,36})?`)
	anyHash   = rapid.Map(rapid.SliceOfN(rapid.Byte(), 32, 32), func(b []byte) Hash { return Hash(b) })
	anyLock   = rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) slots.ID { return slots.ID(b) })
	anyNumber = rapid.Int64Range(0, 1<<62)
)

func anyStatement(t *rapid.T) *statement {
	s := newStatement(rapid.SampledFrom([]string{kindVault, kindMember, kindList, kindDestroyed}).Draw(t, "kind"), newID(), newID())
	s.revision = anyNumber.Draw(t, "revision")
	s.facts = rapid.MapOfN(anyKey, anyValue, 0, 12).Draw(t, "facts")
	for _, name := range rapid.SliceOfNDistinct(anyName, 0, 12, rapid.ID).Draw(t, "blobs") {
		ref := blobRef{sum: anyHash.Draw(t, "sum")}
		if rapid.Bool().Draw(t, "locked") {
			ref.lock = anyLock.Draw(t, "lock")
		}
		s.blobs[name] = ref
	}
	for range rapid.IntRange(0, 4).Draw(t, "segments") {
		g := segment{epoch: anyNumber.Draw(t, "epoch"), revision: anyNumber.Draw(t, "revision"), rows: rapid.IntRange(0, MaxSegmentRows).Draw(t, "rows"), id: 1}
		if n := len(s.segments); n > 0 {
			g.id = s.segments[n-1].id + 1 + rapid.Int64Range(0, 1000).Draw(t, "gap")
		}
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z_0-9]{1,12}`), 0, 6, rapid.ID).Draw(t, "columns")
		slices.Sort(names)
		for _, name := range names {
			g.columns = append(g.columns, columnRef{name, anyHash.Draw(t, "sum")})
		}
		s.segments = append(s.segments, g)
	}
	return s
}

func TestStatementRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyStatement(t)
		text := s.encode()
		if s.sum != Hash(sha256.Sum256(text)) {
			t.Fatal("the sum is not that of the text")
		}
		got, err := parseStatement(text)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if d := cmp.Diff(s, got, cmp.AllowUnexported(statement{}, blobRef{}, segment{}, columnRef{})); d != "" {
			t.Fatal(d)
		}
		for i := range s.segments {
			for _, c := range s.segments[i].columns {
				if sum, ok := got.segments[i].column(c.name); !ok || sum != c.sum {
					t.Fatalf("column %s of segment %d is not found", c.name, i)
				}
			}
		}
	})
}

// TestStatementIsCanonical: a text that says the same in another way, or says
// more, is refused.
func TestStatementIsCanonical(t *testing.T) {
	s := newStatement(kindList, "9b2f0a52-0000-4000-8000-000000000001", "9b2f0a52-0000-4000-8000-000000000002")
	s.facts["deadline"], s.facts["epoch"] = "2027-01-01T00:00:00Z", "1"
	s.blobs["key/1/email"], s.blobs["title"] = blobRef{}, blobRef{lock: slots.ID{1}}
	s.segments = []segment{{id: 1, epoch: 1, revision: 1, rows: 2, columns: []columnRef{{"email", Hash{}}, {"meta", Hash{}}}}, {id: 3, epoch: 1, revision: 1, rows: 1}}
	good := string(s.encode())
	if _, err := parseStatement([]byte(good)); err != nil {
		t.Fatal(err)
	}
	zero := Hash{}.String()
	for name, bad := range map[string]string{
		"empty":                 "",
		"no end":                strings.TrimSuffix(good, "\n"),
		"an empty line":         good + "\n",
		"carriage returns":      strings.ReplaceAll(good, "\n", "\r\n"),
		"another version":       strings.Replace(good, "rallyvault/1", "rallyvault/2", 1),
		"a leading zero":        strings.Replace(good, "segment 1 ", "segment 01 ", 1),
		"a sign":                strings.Replace(good, "segment 1 ", "segment +1 ", 1),
		"a negative number":     strings.Replace(good, "segment 1 1", "segment 1 -1", 1),
		"too many rows":         strings.Replace(good, "segment 1 1 1 2", "segment 1 1 1 4097", 1),
		"segments out of order": strings.Replace(good, "segment 3 ", "segment 1 ", 1),
		"a segment twice":       good + "segment 3 1 1 1\n",
		"a column before any":   strings.Replace(good, "segment 1 1 1 2\n", "", 1),
		"columns out of order":  strings.Replace(strings.Replace(good, "column email", "column zzz", 1), "column meta", "column email", 1),
		"a column twice":        strings.Replace(good, "column meta", "column email", 1),
		"a fact twice":          strings.Replace(good, "epoch 1\n", "epoch 1\nepoch 1\n", 1),
		"facts out of order":    strings.Replace(good, "deadline 2027-01-01T00:00:00Z\nepoch 1\n", "epoch 1\ndeadline 2027-01-01T00:00:00Z\n", 1),
		"a fact without value":  strings.Replace(good, "epoch 1\n", "epoch\n", 1),
		"a blob twice":          strings.Replace(good, "blob title", "blob key/1/email - "+zero+"\nblob title", 1),
		"an upper-case hash":    strings.Replace(good, "column email 00", "column email AA", 1),
		"a short hash":          strings.Replace(good, "column email 00", "column email ", 1),
		"a zero lock":           strings.Replace(good, "key/1/email -", "key/1/email "+slots.ID{}.String(), 1),
		"a blob after segments": good + "blob z - " + zero + "\n",
		"two blanks":            strings.Replace(good, "blob title ", "blob title  ", 1),
	} {
		if bad == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := parseStatement([]byte(bad)); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	s := newStatement(kindList, newID(), newID())
	s.facts["fields"] = "name,email"
	s.blobs["title"] = blobRef{lock: slots.ID{1}}
	s.segments = []segment{{id: 1, epoch: 1, revision: 2, rows: 3, columns: []columnRef{{"email", Hash{1}}}}}
	f.Add(s.encode())
	f.Add([]byte("rallyvault/1 vault a b 1\n"))
	f.Add([]byte("rallyvault/1 list a b 1\nsegment 1 1 1 1\ncolumn a \n"))
	f.Add([]byte("rallyvault/1 list a b 9223372036854775808\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStatement(text)
		if err != nil {
			return
		}
		if again := s.encode(); !bytes.Equal(again, text) {
			t.Errorf("parses and encodes to something else:\n%q\n%q", text, again)
		}
		s.locks()
		s.rows()
		stewardsOf(s)
		fieldsOf(s)
		deadlineOf(s)
	})
}

// TestSetSegment keeps segments in order whatever the order of writing.
func TestSetSegment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStatement(kindList, "v", "l")
		want := map[int64]int{}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			id, rows := rapid.Int64Range(1, 9).Draw(t, "id"), rapid.IntRange(0, 3).Draw(t, "rows")
			s.setSegment(segment{id: id, rows: rows})
			want[id] = rows
			if rows == 0 {
				delete(want, id)
			}
		}
		if len(s.segments) != len(want) || !slices.IsSortedFunc(s.segments, func(a, b segment) int { return int(a.id - b.id) }) {
			t.Fatalf("got %v, want %v", s.segments, want)
		}
		sum := 0
		for id, rows := range want {
			sum += rows
			if i, ok := s.segmentIndex(id); !ok || s.segments[i].rows != rows {
				t.Fatalf("segment %d: got %v", id, s.segments)
			}
		}
		if s.rows() != sum {
			t.Fatalf("got %d rows, want %d", s.rows(), sum)
		}
	})
}

// TestCloneIsApart: an act that is rolled back must not have touched the
// statement that is in force.
func TestCloneIsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyStatement(t)
		was := string(s.encode())
		c := s.clone()
		c.facts["zz"] = "1"
		c.blobs["zz"] = blobRef{}
		c.setSegment(segment{id: 1, rows: 1})
		for i := range c.segments {
			c.segments[i].revision++
		}
		if got := string(s.encode()); got != was {
			t.Fatalf("changed with its clone:\n%s\nwas\n%s", got, was)
		}
		if c.revision != s.revision+1 {
			t.Fatalf("got revision %d after %d", c.revision, s.revision)
		}
	})
}

func TestFieldsOf(t *testing.T) {
	s := newStatement(kindList, "v", "l")
	for _, fields := range [][]string{{"name"}, {"name", "email", "q1"}} {
		s.facts[factFields] = strings.Join(fields, ",")
		if got := words(fieldsOf(s)); fmt.Sprint(got) != fmt.Sprint(fields) {
			t.Errorf("got %v, want %v", got, fields)
		}
	}
}
