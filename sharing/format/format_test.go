package format_test

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-vcard"
	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

var people = []vault.Contact{
	{ID: "0b2b2f3e-0000-4000-8000-000000000001", Values: []string{"Ana <3 & \"Bo\"", "ana@example.org", "+12125550100", "00123"}},
	{ID: "0b2b2f3e-0000-4000-8000-000000000002", Values: []string{"=1+1", "", "", ""}},
	{ID: "0b2b2f3e-0000-4000-8000-000000000003", Values: []string{"Ñandú; Élan, \\ Sons", "x@example.org", "", ""}},
}

var fourFields = []sheet.Field{sheet.Name, sheet.Email, sheet.Phone, sheet.PostalCode}

// house writes contacts the way members read them.
func house(t *testing.T, name string, fields []sheet.Field, cs []vault.Contact) string {
	t.Helper()
	w, err := format.House(name)
	if err != nil {
		t.Fatal(err)
	}
	return write(w, fields, cs)
}

func write(w format.Writer, fields []sheet.Field, cs []vault.Contact) string {
	b := w.Begin(nil, fields)
	for i := range cs {
		b = w.Contact(b, &cs[i])
	}
	return string(w.End(b))
}

func TestCSV(t *testing.T) {
	got := house(t, format.CSV, fourFields, people)
	want := "id,name,email,phone,postal_code\r\n" +
		`0b2b2f3e-0000-4000-8000-000000000001,"Ana <3 & ""Bo""",ana@example.org,+12125550100,00123` + "\r\n" +
		`0b2b2f3e-0000-4000-8000-000000000002,'=1+1,,,` + "\r\n" +
		`0b2b2f3e-0000-4000-8000-000000000003,"Ñandú; Élan, \ Sons",x@example.org,,` + "\r\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := csv.NewReader(strings.NewReader(got)).ReadAll(); err != nil {
		t.Errorf("encoding/csv does not read it: %v", err)
	}
	if got, want := house(t, format.CSV, fourFields, nil), "id,name,email,phone,postal_code\r\n"; got != want {
		t.Errorf("empty list: got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	var got []map[string]string
	text := house(t, format.JSON, fourFields, people)
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for i, p := range people {
		want := map[string]string{"id": string(p.ID)}
		for j, f := range fourFields {
			want[string(f)] = p.Values[j]
		}
		if diff := cmp.Diff(want, got[i]); diff != "" {
			t.Errorf("contact %d is not exact (-want +got)\n%s", i, diff)
		}
	}
	if strings.Contains(text, `\u003c`) {
		t.Error("a < was escaped, as if this were a page")
	}
	if got, want := house(t, format.JSON, fourFields, nil), "[]\n"; got != want {
		t.Errorf("empty list: got %q, want %q", got, want)
	}
	if cut := text[:len(text)-3]; json.Valid([]byte(cut)) {
		t.Error("an array that was cut short is valid JSON")
	}
}

func TestVCard(t *testing.T) {
	text := house(t, format.VCard, fourFields, people)
	dec := vcard.NewDecoder(strings.NewReader(text))
	for i, p := range people {
		card, err := dec.Decode()
		if err != nil {
			t.Fatal(err)
		}
		for property, want := range map[string]string{
			"VERSION": "4.0", "UID": "urn:uuid:" + string(p.ID), "FN": strings.ReplaceAll(p.Values[0], ";", `\;`),
			"EMAIL": p.Values[1], "TEL": p.Values[2],
		} {
			if got := card.Value(property); got != want {
				t.Errorf("card %d: got %s %q, want %q", i, property, got, want)
			}
		}
	}
	if _, err := dec.Decode(); err != io.EOF {
		t.Errorf("got %v after the last card, want io.EOF", err)
	}
}

// TestVCardComponents: a ";" of a name must not move what follows into another
// component (RFC 6350 §3.4).
func TestVCardComponents(t *testing.T) {
	fields := []sheet.Field{sheet.GivenName, sheet.FamilyName, sheet.City, sheet.PostalCode, sheet.Language, sheet.Question1}
	text := house(t, format.VCard, fields, []vault.Contact{
		{ID: "0b2b2f3e-0000-4000-8000-000000000001", Values: []string{"Ana;Lu", `O\Neil, PhD`, "New York; NY", "10002", "English", "yes"}}})
	for _, want := range []string{
		"\r\nN:O\\\\Neil\\, PhD;Ana\\;Lu;;;\r\n",
		"\r\nFN:Ana\\;Lu O\\\\Neil\\, PhD\r\n",
		"\r\nADR:;;;New York\\; NY;;10002;\r\n",
		"\r\nX-RALLYVAULT-LANGUAGE:English\r\n",
		"\r\nX-RALLYVAULT-Q1:yes\r\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	for _, f := range [][]sheet.Field{{sheet.Email}, {sheet.Phone}, {sheet.City}} {
		text := house(t, format.VCard, f, []vault.Contact{{ID: "0b2b2f3e-0000-4000-8000-000000000001", Values: []string{"x"}}})
		if !strings.Contains(text, "\r\nFN:") {
			t.Errorf("a card of %v has no FN: %q", f, text)
		}
	}
}

func TestFormatUnknown(t *testing.T) {
	if _, err := format.House("xml"); vault.KindOf(err) != vault.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
}

// writing returns a function that writes one contact into a buffer that is used
// again.
func writing(w format.Writer, err error) func() int {
	if err != nil {
		panic(err)
	}
	b := w.Begin(nil, fourFields)
	return func() int {
		b = w.Contact(b[:0], &people[0])
		return len(b)
	}
}

// TestFormatsAllocateNothing: a million contacts are a million calls.
func TestFormatsAllocateNothing(t *testing.T) {
	for _, name := range []string{format.CSV, format.JSON} {
		for shape, write := range map[string]func() int{"house": writing(format.House(name)), "export": writing(format.Export(name, someNotice))} {
			write() // what is used again is made here
			if got := testing.AllocsPerRun(100, func() { write() }); got != 0 {
				t.Errorf("%s, %s: got %v allocations a contact, want 0", shape, name, got)
			}
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	for _, name := range []string{format.CSV, format.JSON, format.VCard} {
		for shape, write := range map[string]func() int{"house": writing(format.House(name)), "export": writing(format.Export(name, someNotice))} {
			b.Run(shape+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.SetBytes(int64(write()))
				}
			})
		}
	}
}
