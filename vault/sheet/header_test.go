package sheet_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// fateOf returns what becomes of a column with the given header in a list with
// every field: the field, or the slug of the reason for dropping it.
func fateOf(t *testing.T, header string) string {
	t.Helper()
	fields := append(sheet.Catalogue(), sheet.Question1)
	// The column beside it makes a sheet of any header.
	in := `"` + strings.ReplaceAll(header, `"`, `""`) + "\",Pronouns\n"
	s, err := sheet.Open(strings.NewReader(in), sheet.Options{Fields: fields, Questions: map[sheet.Field]string{sheet.Question1: "¿Can drive?"}})
	if err != nil {
		t.Fatalf("%q: %v", header, err)
	}
	for _, c := range s.Kept() {
		if c.Index == 0 {
			return string(c.Field)
		}
	}
	return s.Dropped()[0].Slug
}

// TestHeaders has the headers of HEADERS.md in English and Spanish, and those of
// the tools that write them.
func TestHeaders(t *testing.T) {
	for fate, headers := range map[string][]string{
		"given_name": {"First Name", "first", "firstname", "FNAME", "given_name", "First", "firstName", "Given Name", "given_name_at_signup",
			"Nombres", "Nombre/s", "Primer nombre", "First name *", "First Name (required)", "First name / Primer nombre", "First name / Nombre"},
		"family_name": {"Last Name", "Surname", "LNAME", "family_name", "last_name", "lastName", "Apellido", "Apellidos", "Apellido/s", "Last Name / Apellido"},
		"email": {"Email", "Email Address", "E-mail Address", "email_address", "EMAIL", "E-mail 1 - Value", "e-mail", "eMail", "Correo", "Correo electrónico",
			"Dirección de correo electrónico", "DIRECCIÓN DE CORREO ELECTRÓNICO", "E-Mail", "Email / Correo", "Correo / Email:", "What is your email address?", "Your email",
			"Ｅｍａｉｌ", "Email\u200b", "Email (we will not share it)", "email_at_signup", "Home-Email", "Primary Email", "Correo electro\u0301nico", "¿Cuál es su correo electrónico?",
			"Email (your employer never sees it)"},
		"phone": {"Phone", "Phone Number", "Mobile", "mobile_number", "cell", "Cell_Phone", "best_phone", "can2_phone", "Phone 1 - Value", "Teléfono", "Número de teléfono",
			"Celular", "Cel/Whatsapp", "Teléfono (WhatsApp)", "Phone / Teléfono", "Phone | Teléfono", "Phone (Teléfono)", "Tel.", "Phone #", "Phone:", "PHONE *", "What's your phone number?"},
		"postal_code": {"Zip", "ZIP code", "ZipOrPost", "primary_zip", "zip_code", "Home Zip", "postal_code_at_signup", "Código postal", "C.P.", "Zip / Código postal"},
		"city":        {"City", "Ciudad", "Home City", "can2_user_city", "primary_city", "City / Ciudad"},
		"language":    {"Language", "Lang.", "Preferred Language", "Idioma", "Idioma preferido", "Language / Idioma"},
		"name": {"Full Name", "Your full name", "Nombre completo", "Nombre y Apellido", "full_name", "Name", "Nombre", "Name / Nombre", "What's your name?", "Display Name",
			"¿Cuál es su nombre completo?", "Name (Nombre)", "NAME:"},
		"organisation": {"Organization", "organisation", "Organización", "Group / Grupo"},
		"q1":           {"Can drive?", "can DRIVE", "¿Can drive?"},
		"shareable":    {"OK to share?", "May we share your details with partners?", "Consent", "¿Podemos compartir sus datos?", "DO NOT share", "No compartir", "May we share your address with partner groups?"},
		"not-a-field":  {"uuid", "Timestamp", "Marca temporal", "can2_user_tags", "State", "OPTIN_TIME", "TAGS", "Order #"},
		"not-recognised": {"Interpreter needed?", "¿Necesita intérprete?", "Emergency contact phone", "Email of your representative", "Email / Phone", "Phone / Name",
			"Do you prefer email or phone?", "Is there a number we can call?", "Foo", "电话", strings.Repeat("Phone ", 300)},
		"refused-birth-date":         {"Date of Birth", "DOB", "Birthday", "Fecha de nacimiento", "Date of birth (MM/DD/YYYY)", "Age", "Edad", "Year of birth / Año de nacimiento"},
		"refused-immigration-status": {"Immigration status", "immigration_status", "Estatus migratorio", "What is your immigration status?", "Status (immigration)", "Visa type", "DACA?"},
		"refused-nationality":        {"Nationality", "Nacionalidad", "Country of origin", "País de origen", "Country of birth", "Citizenship"},
		"refused-identity-number": {"SSN", "Social Security Number", "A-Number", "A#", "Alien number (A#)", "What is your A-number?", "ITIN", "Passport No.", "Driver's license", "Número de seguro social", "Pasaporte",
			"Legal Identifier", "Phone / SSN"},
		"refused-ip-address":     {"OPTIN_IP", "CONFIRM_IP", "IP", "IP Address"},
		"refused-coordinates":    {"LATITUDE", "LONGITUDE", "lat", "Coordenadas"},
		"refused-employer":       {"Employer", "Place of work", "Empleador", "Lugar de trabajo"},
		"refused-health":         {"Health", "Medical conditions", "Allergies / Alergias", "Discapacidad"},
		"refused-religion":       {"Religion", "Religión", "Church", "Iglesia"},
		"refused-ethnicity":      {"Ethnicity", "Race", "Etnia", "Race/Ethnicity"},
		"refused-court-date":     {"Court date", "Next court date?", "Fecha de corte", "Audiencia"},
		"refused-signature":      {"Signature", "Firma", "Signature / Firma"},
		"refused-street-address": {"Address", "Street Address", "Home Address 1", "can2_user_address", "Dirección", "Domicilio", "primary_address1", "Mailing address", "Name / Address"},
		"refused-notes":          {"Notes", "Note(s)", "NOTES", "Comments", "Comentarios", "Notas", "Notes / Notas", "¿Algo más que debamos saber?", "Anything else we should know?", "Email / Notes"},
		"no-heading":             {"", " ", "\u200b"},
	} {
		for _, h := range headers {
			if got := fateOf(t, h); got != fate {
				t.Errorf("%q: got %s, want %s", h, got, fate)
			}
		}
	}
}

// TestNamesAndTheirParts is what the columns of names become, by the other
// columns and by the list.
func TestNamesAndTheirParts(t *testing.T) {
	whole := []sheet.Field{sheet.Name, sheet.Email}
	parts := []sheet.Field{sheet.GivenName, sheet.FamilyName, sheet.Email}
	for _, tt := range []struct {
		header, row string
		fields      []sheet.Field
		want        string
	}{
		{"Nombre,Email", "Ana,a@example.org", whole, "[Ana a@example.org]"},
		{"Nombre,Apellido,Email", "Ana,Paz,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Name,Surname,Email", "Ana,Paz,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Name / Nombre,Last name / Apellido,Email", "Ana,Paz,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Apellido,Nombre,Email", "Paz,Ana,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Name,First Name,Last Name,Email", "Ana Paz R,Ana,Paz,a@example.org", whole, "[Ana Paz R a@example.org] First Name:part-of-name Last Name:part-of-name"},
		{"Full name,Surname,Email", "Ana Paz,Paz,a@example.org", whole, "[Ana Paz a@example.org] Surname:part-of-name"},
		{"First name,Email", "Ana,a@example.org", whole, "[Ana a@example.org]"},
		{"First name,Last name,Email", "Ana,Paz,a@example.org", parts, "[Ana Paz a@example.org]"},
		{"Nombre,Apellido,Email", "Ana,Paz,a@example.org", parts, "[Ana Paz a@example.org]"},
		{"Name,Email", "Ana Paz,a@example.org", parts, "[  a@example.org] Name:whole-name"},
		{"First name,Last name,Email", "Ana,Paz,a@example.org", append(parts, sheet.Name), "[Ana Paz a@example.org Ana Paz]"},
	} {
		s, err := sheet.Open(strings.NewReader(tt.header+"\n"+tt.row+"\n"), sheet.Options{Fields: tt.fields})
		if err != nil {
			t.Errorf("%s: %v", tt.header, err)
			continue
		}
		var row sheet.Row
		if err := s.Next(&row); err != nil {
			t.Errorf("%s: %v", tt.header, err)
			continue
		}
		got := fmt.Sprint(row.Cells)
		for _, d := range s.Dropped() {
			got += " " + d.Header + ":" + d.Slug
		}
		if got != tt.want {
			t.Errorf("%s into %v: got %s, want %s", tt.header, tt.fields, got, tt.want)
		}
	}
}

func TestMap(t *testing.T) {
	usual := []sheet.Field{sheet.Name, sheet.Email, sheet.City}
	for _, tt := range []struct {
		header string
		m      map[string]string
		want   string // fields of the columns that are kept, or the reason of the error
	}{
		{"Who,Mail me", map[string]string{"Who": "name", "Mail me": "email"}, "name email"},
		{"Who,Email", map[string]string{" Who ": " name "}, "name email"},
		{"Who,Email", map[string]string{"who": "name"}, "name email"},
		{"Name,Email,City", map[string]string{"City": "-"}, "name email"},
		{"Name,Email,City", map[string]string{"City": ""}, "name email"},
		{"Name,Email,Town hall", map[string]string{"Town hall": "city"}, "name email city"},
		{"Name,Email,State", map[string]string{"State": "city"}, "name email city"},
		{"Who,Whose,Email", map[string]string{"Who": "given_name", "Whose": "family_name"}, "name name email"},
		{"Name,Email,X", map[string]string{"X": "shareable"}, "name email shareable"},
		{"X,X,Email", map[string]string{"X": "name"}, "name name email"},
		{"Name,,Email", map[string]string{"": "city"}, "name city email"},
		{"Name,Email", map[string]string{"Nome": "name"}, "bad-map"},
		{"Name,Email", map[string]string{"Name": "phone"}, "bad-map"},
		{"Name,Email", map[string]string{"Name": "ssn"}, "bad-map"},
		{"WHO,who!,Email", map[string]string{"Who": "name"}, "bad-map"},
		{"Who,Email", map[string]string{"Who": "name", "who": "city"}, "bad-map"},
		{"Name,Email,Date of birth", map[string]string{"Date of birth": "city"}, "refused-map"},
		{"Name,Email,Date of birth", map[string]string{"Date of birth": "-"}, "name email"},
		{"Name,Email,Notes", map[string]string{"notes": "name"}, "refused-map"},
		{"A,B,C", map[string]string{"A": "-", "B": "-", "C": "-"}, "nothing-to-keep"},
	} {
		s, err := sheet.Open(strings.NewReader(tt.header+"\nx,y,z\n"), sheet.Options{Fields: usual, Map: tt.m})
		var got []string
		var e *sheet.Error
		switch {
		case errors.As(err, &e):
			got = append(got, string(e.Reason))
		case err != nil:
			t.Errorf("%v: %v", tt.m, err)
		default:
			for _, c := range s.Kept() {
				got = append(got, string(c.Field))
			}
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%s with %v: got %s, want %s", tt.header, tt.m, got, tt.want)
		}
	}
}

// TestMapCleans: a mapped column is cleaned and scanned as any other.
func TestMapCleans(t *testing.T) {
	s, err := sheet.Open(strings.NewReader("Who,Where to write\n219-09-9999,A@EXAMPLE.ORG\nAna,A@EXAMPLE.ORG\n"),
		sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email}, Map: map[string]string{"Who": "name", "Where to write": "email"}})
	if err != nil {
		t.Fatal(err)
	}
	var row sheet.Row
	if err := s.Next(&row); err != nil || row.Refusal != sheet.IdentityNumber {
		t.Errorf("got %v, %v; want the row refused for its identity number", row.Refusal, err)
	}
	if err := s.Next(&row); err != nil || row.Cells[1] != "a@example.org" {
		t.Errorf("got %v, %v; want a clean address", row, err)
	}
	if err := s.Next(&row); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestRefused(t *testing.T) {
	for _, word := range []string{"birth_date", "birthdate", "dob", "nationality", "immigration_status", "ssn", "a_number", "itin", "passport", "licence", "license", "ip_address", "ip",
		"coordinates", "latitude", "employer", "health", "religion", "ethnicity", "court_date", "court_dates", "signature", "notes", "comments", "address", "street_address"} {
		reason, instead, ok := sheet.Refused(word)
		if !ok || reason == "" || instead == "" {
			t.Errorf("Refused(%q) = %q, %q, %t; want a reason and what takes its place", word, reason, instead, ok)
		}
	}
	for _, f := range append(sheet.Catalogue(), "q1", "Can drive?", "shareable", "email_address", "") {
		if _, _, ok := sheet.Refused(string(f)); ok {
			t.Errorf("Refused(%q), want it not refused", f)
		}
	}
}

// TestReasons: every reason can be named and told to people, once.
func TestReasons(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range sheet.Reasons() {
		if r.Slug() == "" || r.String() == "" || seen[r.Slug()] {
			t.Errorf("reason %d: slug %q, text %q; want both, and the slug once", r, r.Slug(), r)
		}
		seen[r.Slug()] = true
	}
	if len(seen) != 27 {
		t.Errorf("%d reasons, want 27: a number is for ever", len(seen))
	}
	for _, r := range []sheet.Reason{sheet.None, 31, 255} {
		if r.Slug() != "" || r.String() != "" {
			t.Errorf("reason %d is called %q", r, r.Slug())
		}
	}
}
