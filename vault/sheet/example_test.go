package sheet_test

import (
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

func ExampleOpen() {
	const file = `Rally sign-in,,,,
Nombre,Apellidos,Correo,Cel/Whatsapp,Estatus migratorio
Ana,Prueba,ANA@example.org,917 555 0111,pending
Total,1 person,,,
`
	s, err := sheet.Open(strings.NewReader(file), sheet.Options{
		Fields: []sheet.Field{sheet.Name, sheet.Email, sheet.Phone},
		Region: "US",
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range s.Dropped() {
		fmt.Printf("%s: %s\n", d.Header, d.Reason)
	}
	var row sheet.Row
	for {
		err := s.Next(&row)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		if row.Refusal != sheet.None {
			fmt.Printf("line %d: %s\n", row.Line, row.Refusal)
			continue
		}
		fmt.Printf("line %d: %q\n", row.Line, row.Cells)
	}
	// Output:
	// Estatus migratorio: immigration status can be used against people and is not kept; refer people to a lawyer, who can keep it under privilege
	// line 3: ["Ana Prueba" "ana@example.org" "+19175550111"]
	// line 4: a row of totals, not a person
}
