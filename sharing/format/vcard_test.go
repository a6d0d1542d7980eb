package format_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-vcard"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

const anID = "0b2b2f3e-0000-4000-8000-000000000001"

// everyField is what the longest card has.
var everyField = append(sheet.Catalogue(), sheet.Question1, sheet.Question2, sheet.Question3)

// TestVCardOfTheHouse holds the cards that members read to another encoder, to the
// byte. It knows no way to hand it an escaped ";" of somebody's name, and so has
// one that is put in behind it.
func TestVCardOfTheHouse(t *testing.T) {
	const separator = "\x1f"
	semicolons := strings.NewReplacer(";", `\;`, separator, ";")
	cell := rapid.OneOf(rapid.Just(""), rapid.StringOf(rapid.SampledFrom([]rune(`Aañ吳😀 ,;:\"'n=+@-.`))))
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfNDistinct(rapid.SampledFrom(everyField), 1, 9, rapid.ID[sheet.Field]).Draw(t, "fields")
		values := rapid.SliceOfN(cell, len(fields), len(fields)).Draw(t, "values")
		v := make(map[sheet.Field]string)
		for i, f := range fields {
			v[f] = values[i]
		}
		card := vcard.Card{}
		set := func(property, value string) {
			if value != "" {
				card.SetValue(property, value)
			}
		}
		set("VERSION", "4.0")
		set("UID", "urn:uuid:"+anID)
		if v["given_name"]+v["family_name"] != "" {
			set("N", strings.Join([]string{v["family_name"], v["given_name"], "", "", ""}, separator))
		}
		if v["postal_code"]+v["city"] != "" {
			set("ADR", strings.Join([]string{"", "", "", v["city"], "", v["postal_code"], ""}, separator))
		}
		for property, f := range map[string]sheet.Field{"TEL": "phone", "EMAIL": "email", "ORG": "organisation", "PRONOUNS": "pronouns",
			"X-RALLYVAULT-LANGUAGE": "language", "X-RALLYVAULT-Q1": "q1", "X-RALLYVAULT-Q2": "q2", "X-RALLYVAULT-Q3": "q3"} {
			set(property, v[f])
		}
		for _, name := range []string{anID, v["phone"], v["email"], strings.TrimSpace(v["given_name"] + " " + v["family_name"]), v["name"]} {
			set("FN", name)
		}
		var want bytes.Buffer
		if err := vcard.NewEncoder(&want).Encode(card); err != nil {
			t.Fatal(err)
		}
		w, err := format.House(format.VCard)
		if err != nil {
			t.Fatal(err)
		}
		got := write(w, fields, []vault.Contact{{ID: anID, Values: values}})
		if diff := cmp.Diff(semicolons.Replace(want.String()), got); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	})
}

// awkward are values that have broken writers of cards, and readers.
var awkward = []string{
	"Ana", "O'Neil; Sons, Ltd. \\ Co", `\`, `\\n`, `\n`, `a\,b\;c`, ";;;", ",,,", `"quoted"`, "a:b", "END:VCARD", "BEGIN:VCARD", "TEL;TYPE=x:1",
	"NOTE:none", " ahead", "behind ", "👩‍👩‍👧 família", "محمد علي", "שרה לוי", "吳小明", "=1+1", "@x", "item1.TEL:1", "^n^'", "=0D=0A", "%0A",
	strings.Repeat("x", 75), strings.Repeat("x", 76), strings.Repeat("ñ", 300), strings.Repeat("吳", 300), strings.Repeat("😀", 300),
	strings.Repeat("a ", 5_000), strings.Repeat(`\,;`, 400),
}

// awkwardContacts have every awkward value in every field, at different places of a line.
func awkwardContacts() (cs []vault.Contact) {
	for k := range awkward {
		c := vault.Contact{ID: anID}
		for i := range everyField {
			c.Values = append(c.Values, awkward[(k+i)%len(awkward)])
		}
		cs = append(cs, c)
	}
	return cs
}

// TestVCardFolded: lines of an export have 75 octets at most, none ends within a
// character, and unfolded they are what they were (RFC 6350 §3.2).
func TestVCardFolded(t *testing.T) {
	contacts := awkwardContacts()
	text := export(t, format.VCard, someNotice, everyField, contacts)
	longest := 0
	for line := range strings.SplitSeq(text, "\r\n") {
		longest = max(longest, len(line))
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("a line is not text: %q", line)
		}
	}
	if longest != 75 {
		t.Errorf("got %d octets in the longest line, want 75", longest)
	}
	// go-vcard escapes none of what it reads as "\;", which says where one stands.
	semicolons := strings.NewReplacer(";", `\;`)
	dec := vcard.NewDecoder(strings.NewReader(text))
	for k, c := range contacts {
		card, err := dec.Decode()
		if err != nil {
			t.Fatalf("card %d: %v", k, err)
		}
		v := make(map[sheet.Field]string)
		for i, f := range everyField {
			v[f] = c.Values[i]
		}
		part := func(f sheet.Field) string { return semicolons.Replace(v[f]) }
		want := map[string]string{
			"VERSION": "4.0", "NOTE": someNotice.String(), "FN": v["name"], "EMAIL": v["email"], "TEL": v["phone"], "PRONOUNS": v["pronouns"],
			"N":                     part("family_name") + ";" + part("given_name") + ";;;",
			"ADR":                   ";;;" + part("city") + ";;" + part("postal_code") + ";",
			"ORG":                   part("organisation"),
			"X-RALLYVAULT-LANGUAGE": v["language"], "X-RALLYVAULT-Q1": v["q1"], "X-RALLYVAULT-Q2": v["q2"], "X-RALLYVAULT-Q3": v["q3"],
		}
		got := make(map[string]string)
		for name := range card {
			got[name] = card.Value(name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("card %d (-want +got)\n%s", k, diff)
		}
	}
	if _, err := dec.Decode(); err != io.EOF {
		t.Errorf("got %v behind the last card, want io.EOF", err)
	}
}

// TestVCardControl: what would end a line for some reader is a line break of the
// value, and what cannot be written is seen to have been there.
func TestVCardControl(t *testing.T) {
	text := export(t, format.VCard, format.Notice{Purpose: "p"}, []sheet.Field{sheet.Name},
		[]vault.Contact{{Values: []string{"a\r\nb\nc\rd\u2028e\u2029\v\fe\u0085f\x00g\x1bh\ti\xffEND:VCARD"}}})
	if want := "\r\nFN:a\\nb\\nc\\nd\\ne\\n\\n\\ne\\nf\ufffdg\ufffdh\ti\ufffdEND:VCARD\r\n"; !strings.Contains(text, want) {
		t.Errorf("no %q in %q", want, text)
	}
}

func TestVCardWithoutName(t *testing.T) {
	text := export(t, format.VCard, someNotice, []sheet.Field{sheet.City}, []vault.Contact{{ID: anID, Values: []string{"Queens"}}})
	if !strings.Contains(text, "\r\nFN:(no name / sin nombre)\r\n") || strings.Contains(text, anID) {
		t.Errorf("got %q, want a card with a name and without the id", text)
	}
}

// vobject is a Python with the module of that name.
func vobject(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import vobject").Run() == nil {
			return python
		}
	}
	if os.Getenv("RALLYVAULT_TOOLS") == "required" {
		t.Fatal("Python's vobject is not installed")
	}
	t.Skip("Python's vobject is not installed")
	return ""
}

// readVobject writes, for each card of stdin, its properties in pairs of name and
// components.
const readVobject = `import io, json, sys, vobject
def parts(p):
    v = p.value
    if p.name == "N":
        return [v.family, v.given, v.additional, v.prefix, v.suffix]
    if p.name == "ADR":
        return [v.box, v.extended, v.street, v.city, v.region, v.code, v.country]
    if isinstance(v, list):
        return v
    return [v]
text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="").read()
json.dump([sorted([p.name, parts(p)] for p in card.getChildren()) for card in vobject.readComponents(text)], sys.stdout)`

// TestVCardVobject reads an export with another program, and finds what was in it.
func TestVCardVobject(t *testing.T) {
	python := vobject(t)
	contacts := awkwardContacts()
	cmd := exec.Command(python, "-c", readVobject)
	cmd.Stdin = strings.NewReader(export(t, format.VCard, someNotice, everyField, contacts))
	var diag bytes.Buffer
	cmd.Stderr = &diag
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, diag.String())
	}
	var got [][][2]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	var want [][][2]any
	for _, c := range contacts {
		v := make(map[sheet.Field]string)
		for i, f := range everyField {
			v[f] = c.Values[i]
		}
		list := func(values ...any) []any { return values }
		card := [][2]any{
			{"ADR", list("", "", "", v["city"], "", v["postal_code"], "")},
			{"EMAIL", list(v["email"])},
			{"FN", list(v["name"])},
			{"N", list(v["family_name"], v["given_name"], "", "", "")},
			{"NOTE", list(someNotice.String())},
			{"ORG", list(v["organisation"])},
			{"PRONOUNS", list(v["pronouns"])},
			{"TEL", list(v["phone"])},
			{"VERSION", list("4.0")},
			{"X-RALLYVAULT-LANGUAGE", list(v["language"])},
			{"X-RALLYVAULT-Q1", list(v["q1"])},
			{"X-RALLYVAULT-Q2", list(v["q2"])},
			{"X-RALLYVAULT-Q3", list(v["q3"])},
		}
		want = append(want, card)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !slices.ContainsFunc(contacts, func(c vault.Contact) bool { return len(c.Values[0]) == 10_000 }) {
		t.Error("no value of 10,000 characters is in the corpus")
	}
}
