package format_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

var someNotice = format.Notice{
	Organisation: "Queens Rally", Partner: "Abogadas Unidas", Purpose: "rides to the hearing on 3 March",
	Questions: map[string]string{"q2": "Can host?", "q1": "Can drive?", "q3": "Can cook?"},
	DeleteBy:  time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), Export: "5f0c7e52-0000-4000-8000-00000000000e",
}

// export writes contacts the way a partner gets them.
func export(t *testing.T, name string, n format.Notice, fields []sheet.Field, cs []vault.Contact) string {
	t.Helper()
	w, err := format.Export(name, n)
	if err != nil {
		t.Fatal(err)
	}
	return write(w, fields, cs)
}

func TestNotice(t *testing.T) {
	const receipt = " · do not pass it on / no lo pase a nadie más" +
		" · when it is deleted sign the receipt line and send it to us / cuando esté borrado firme la línea del recibo y envíenosla"
	for _, tt := range []struct {
		name string
		n    format.Notice
		want string
	}{
		{"all of it", someNotice, "Confidential / Confidencial · from / de: “Queens Rally” · only for / solo para: “Abogadas Unidas”" +
			" · purpose / fin: “rides to the hearing on 3 March” · delete every copy by / borre todas las copias a más tardar el: 2027-03-01" + receipt +
			" · export / exportación: 5f0c7e52-0000-4000-8000-00000000000e · q1: “Can drive?” · q2: “Can host?” · q3: “Can cook?”"},
		{"nothing", format.Notice{}, "Confidential / Confidencial" + receipt},
		{"an hour", format.Notice{DeleteBy: time.Date(2027, 3, 1, 1, 30, 0, 0, time.FixedZone("", 3600))},
			"Confidential / Confidencial · delete every copy by / borre todas las copias a más tardar el: 2027-03-01 00:30 UTC" + receipt},
		{"no line of its own", format.Notice{Purpose: "a\r\nb\u2028c\u0085d\te\x1b[1mf\u202eg\u2066h\u200fi"},
			"Confidential / Confidencial · purpose / fin: “a\ufffd\ufffdb\ufffdc\ufffdd\ufffde\ufffd[1mf\ufffdg\ufffdh\ufffdi”" + receipt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.n.String()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if got := someNotice.String(); strings.ContainsAny(got, ",;\"'\t\r\n") {
		t.Errorf("%q is no plain cell", got)
	}
}

var exported = []sheet.Field{sheet.Name, sheet.Email, sheet.Phone, sheet.Question2}

var exportedPeople = []vault.Contact{
	{ID: "0b2b2f3e-0000-4000-8000-000000000001", Values: []string{"Ana <3 & \"Bo\"", "ana@example.org", "+12125550100", "yes"}},
	{ID: "0b2b2f3e-0000-4000-8000-000000000002", Values: []string{"=1+1; Ñandú", "", "", ""}},
}

// exportedNotice is the one that they have: of the questions only what is written.
func exportedNotice() string {
	n := someNotice
	n.Questions = map[string]string{"q2": "Can host?"}
	return n.String()
}

func TestExportCSV(t *testing.T) {
	got := export(t, format.CSV, someNotice, exported, exportedPeople)
	want := "\ufeff" + exportedNotice() + "\r\n" +
		"name,email,phone,q2\r\n" +
		`"Ana <3 & ""Bo""",ana@example.org,+12125550100,yes` + "\r\n" +
		`"'=1+1; Ñandú",,,` + "\r\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := export(t, format.CSV, someNotice, []sheet.Field{sheet.Email}, []vault.Contact{{Values: []string{""}}}), "email\r\n\"\"\r\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at the end: a contact of nothing is a record", got, want)
	}
}

func TestExportJSON(t *testing.T) {
	got := export(t, format.JSON, someNotice, exported, exportedPeople)
	notice, err := json.Marshal(exportedNotice())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"notice":` + string(notice) + `,"contacts":[` + "\n" +
		`{"name":"Ana <3 & \"Bo\"","email":"ana@example.org","phone":"+12125550100","q2":"yes"},` + "\n" +
		`{"name":"=1+1; Ñandú","email":"","phone":"","q2":""}` + "\n]}\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := export(t, format.JSON, someNotice, exported, nil), `"contacts":[]}`+"\n"; !strings.HasSuffix(got, want) || !json.Valid([]byte(got)) {
		t.Errorf("nobody: got %q, want %q at the end", got, want)
	}
	if cut := got[:len(got)-2]; json.Valid([]byte(cut)) {
		t.Error("an export that was cut short is valid JSON")
	}
}

func TestExportVCard(t *testing.T) {
	got := strings.ReplaceAll(export(t, format.VCard, someNotice, exported, exportedPeople), "\r\n ", "")
	note := "NOTE:" + exportedNotice() + "\r\n"
	want := "BEGIN:VCARD\r\nVERSION:4.0\r\nEMAIL:ana@example.org\r\nFN:Ana <3 & \"Bo\"\r\n" + note + "TEL:+12125550100\r\nX-RALLYVAULT-Q2:yes\r\nEND:VCARD\r\n" +
		"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:=1+1; Ñandú\r\n" + note + "END:VCARD\r\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestIDsStayInTheHouse: an id would let two partners, or a partner and a thief,
// tell that they hold the same person.
func TestIDsStayInTheHouse(t *testing.T) {
	for _, name := range []string{"", format.CSV, format.JSON, format.VCard} {
		if out := export(t, name, someNotice, exported, exportedPeople); strings.Contains(out, "0b2b2f3e") || strings.Contains(out, "id,") || strings.Contains(out, `"id"`) || strings.Contains(out, "UID") {
			t.Errorf("%q has ids in it: %s", name, out)
		}
	}
}

// TestNoticeInert: a notice whose every value is hostile is one cell, one string
// and one property.
func TestNoticeInert(t *testing.T) {
	for _, evil := range hostile {
		n := format.Notice{Organisation: evil, Partner: evil, Purpose: evil, Export: evil,
			Questions: map[string]string{"q1": evil, "q2": evil, "q3": evil}, DeleteBy: someNotice.DeleteBy}
		fields := []sheet.Field{sheet.Name, sheet.Question1, sheet.Question2, sheet.Question3}
		ana := []vault.Contact{{Values: []string{"Ana", "yes", "", "no"}}}

		file := export(t, format.CSV, n, fields, ana)
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(file, "\ufeff")))
		r.FieldsPerRecord = -1
		records, err := r.ReadAll()
		if err != nil || len(records) != 3 || len(records[0]) != 1 {
			t.Errorf("%q: got %q, %v, want a record of the notice, one of the header, one of Ana", evil, records, err)
			continue
		}
		if !strings.HasPrefix(records[0][0], "Confidential / Confidencial") || sheettest.Undefuse(records[0][0]) != n.String() {
			t.Errorf("%q: got %q in the first record, want %q", evil, records[0][0], n)
		}
		for _, c := range cellsAnywhere(file) {
			if live(c) {
				t.Errorf("%q: %q is run", evil, c)
			}
		}
		var object struct {
			Notice   string
			Contacts []map[string]string
		}
		if err := json.Unmarshal([]byte(export(t, format.JSON, n, fields, ana)), &object); err != nil || object.Notice != n.String() || len(object.Contacts) != 1 {
			t.Errorf("%q: got %+v, %v", evil, object, err)
		}
		cards := export(t, format.VCard, n, fields, ana)
		if lines := bytes.Count([]byte(strings.ReplaceAll(cards, "\r\n ", "")), []byte("\r\n")); lines != 7 {
			t.Errorf("%q: got a card of %d lines, want 7: %q", evil, lines, cards)
		}
	}
}

func TestExportUnknown(t *testing.T) {
	if _, err := format.Export("xml", someNotice); vault.KindOf(err) != vault.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
}

func TestMediaTypes(t *testing.T) {
	for _, tt := range []struct{ name, media, extension string }{
		{format.CSV, "text/csv; charset=utf-8", "csv"},
		{format.JSON, "application/json", "json"},
		{format.VCard, "text/vcard; charset=utf-8", "vcf"},
	} {
		w, err := format.Export(tt.name, someNotice)
		if err != nil {
			t.Fatal(err)
		}
		if w.MediaType() != tt.media || w.Extension() != tt.extension {
			t.Errorf("%s: got %q, %q, want %q, %q", tt.name, w.MediaType(), w.Extension(), tt.media, tt.extension)
		}
	}
}
