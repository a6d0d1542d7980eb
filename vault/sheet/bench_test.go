package sheet_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

// clean100k is a sheet of 100,000 people of the shape that DESIGN.md §12 is
// measured with: a tenth of it, since a benchmark repeats it anyway.
var clean100k = sync.OnceValue(func() []byte { return synthetic(100_000, false) })

// dirty100k has what real sheets have besides: columns that are refused,
// numbers as people write them, cells that are left out, rows that are refused.
var dirty100k = sync.OnceValue(func() []byte { return synthetic(100_000, true) })

func synthetic(rows int, dirty bool) []byte {
	given := strings.Fields("Ana Luis Mei Fatima Jean Rosa Omar Linh Aditi Kofi Yara Tomas Ines Pavel Noor Hana Diego Amara Sofia Malik")
	family := strings.Fields("Alvarez Baptiste Chen Diallo Estrada Flores Garcia Haddad Ibrahim Jimenez Khan Lopez Morales Nguyen Okafor")
	area := strings.Fields("212 347 646 718 917 929 201 551 973 914")
	var b bytes.Buffer
	b.WriteString("name,email,phone,postal_code")
	if dirty {
		b.WriteString(",Immigration status,Notes,Date of birth")
	}
	b.WriteByte('\n')
	for i := range rows {
		g, f := given[i%len(given)], family[i*7%len(family)]
		exchange, line := 200+i/10_000%800, i%10_000
		name := fmt.Sprintf("%s %s%x", g, f, i)
		email := fmt.Sprintf("%s.%s%x@s%d.example.org", strings.ToLower(g), strings.ToLower(f), i, i%7)
		phone := fmt.Sprintf("+1%s%03d%04d", area[i%10], exchange, line)
		if dirty {
			switch k := i * 7919 % 200; {
			case k < 4:
				email = strings.ToUpper(email) + " "
				phone = fmt.Sprintf("(%s) %03d-%04d", area[i%10], exchange, line)
			case k < 6:
				email, phone = "not an address", ""
			case k < 7:
				name = `"=HYPERLINK(""http://x.invalid"",""` + g + `"")"`
			case k < 8:
				email, phone = "", "219-09-9999"
			}
		}
		fmt.Fprintf(&b, "%s,%s,%s,%05d", name, email, phone, 10001+i%400)
		if dirty {
			fmt.Fprintf(&b, ",pending %d,\"needs ride, A# 000-000-%03d\",1990-01-%02d", i%5, i%1000, 1+i%28)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

var benchOptions = sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email, sheet.Phone, sheet.PostalCode}, Region: "US"}

func readAll(b *testing.B, data []byte) {
	b.Helper()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := sheet.Open(bytes.NewReader(data), benchOptions)
		if err != nil {
			b.Fatal(err)
		}
		var row sheet.Row
		for {
			if err := s.Next(&row); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSheet is everything: parse, clean, account, 100,000 rows.
func BenchmarkSheet(b *testing.B) {
	b.Run("clean", func(b *testing.B) { readAll(b, clean100k()) })
	b.Run("dirty", func(b *testing.B) { readAll(b, dirty100k()) })
}

// BenchmarkParse is encoding/csv alone on the same bytes, the floor.
func BenchmarkParse(b *testing.B) {
	data := clean100k()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r := csv.NewReader(bytes.NewReader(data))
		r.ReuseRecord = true
		for {
			if _, err := r.Read(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkClean is one cell of each kind.
func BenchmarkClean(b *testing.B) {
	for _, bm := range []struct {
		name  string
		field sheet.Field
		value string
	}{
		{"name", sheet.Name, "Ana Alvarez3f2a"},
		{"name/accents", sheet.Name, "María del Carmen Ejemplo"},
		{"email", sheet.Email, "ana.alvarez3f2a@s4.example.org"},
		{"email/upper", sheet.Email, "ANA.ALVAREZ3F2A@S4.EXAMPLE.ORG "},
		{"email/bracketed", sheet.Email, "Nea Nord <NEA@example.org>"},
		{"email/none", sheet.Email, "not an address"},
		{"phone/e164", sheet.Phone, "+12125550101"},
		{"phone/punctuated", sheet.Phone, "(212) 555-0101"},
		{"phone/two", sheet.Phone, "(212) 555-0101 / 646 555 0103"},
		{"phone/abroad", sheet.Phone, "+525512345678"},
		{"postal_code", sheet.PostalCode, "10001"},
		{"postal_code/plus4", sheet.PostalCode, "10002-1234"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			c := sheet.NewCleaner("US")
			for b.Loop() {
				c.Clean(bm.field, bm.value)
			}
		})
	}
}

// BenchmarkWorkbook reads 20,000 people from an .xlsx file, strings shared.
func BenchmarkWorkbook(b *testing.B) {
	rows := [][]any{{"name", "email", "phone", "postal_code"}}
	for i := range 20_000 {
		rows = append(rows, []any{fmt.Sprintf("Ana Prueba%d", i), fmt.Sprintf("ana%d@example.org", i), 2125550100 + i%100, fmt.Sprintf("%05d", 10001+i%400)})
	}
	file := sheettest.Workbook(b, rows)
	b.ResetTimer()
	readAll(b, file)
}

// BenchmarkMillionPhones cleans a million phone numbers an operation, in the form
// in which programs write them and in that of people.
func BenchmarkMillionPhones(b *testing.B) {
	area := strings.Fields("212 347 646 718 917 929 201 551 973 914")
	for name, form := range map[string]string{"e164": "+1%s%03d%04d", "digits": "%s%03d%04d", "people": "(%s) %03d-%04d"} {
		numbers := make([]string, 10_000)
		for i := range numbers {
			numbers[i] = fmt.Sprintf(form, area[i%10], 200+i/10%800, i)
		}
		b.Run(name, func(b *testing.B) {
			c := sheet.NewCleaner("US")
			for b.Loop() {
				for i := range 1_000_000 {
					if v, _ := c.Clean(sheet.Phone, numbers[i%len(numbers)]); v == "" {
						b.Fatalf("%d: not a number", i)
					}
				}
			}
		})
	}
}
