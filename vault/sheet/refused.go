package sheet

import (
	"strings"
	"sync"
)

// A refusedKind is a kind of datum that no list may hold, because it can be used
// against the person and is not needed to reach them.
type refusedKind struct {
	slug    string // stable; Drop.Slug is "refused-" and this
	reason  string // why it is not kept
	instead string // what takes its place
	// phrases mark a header wherever they stand in it, as foldHeader leaves them;
	// those that begin with = only where nothing else does ("a number we can call").
	phrases []string
}

const askByQuestion = `where a need must be known, use a yes/no question of the list, such as "Needs an interpreter?"`

var refusedKinds = []refusedKind{
	{"birth-date", "birth dates identify people across registers and are not kept", `for an age limit, use a yes/no question such as "18 or older?"`,
		[]string{"birth date", "birthdate", "date of birth", "dob", "d o b", "birthday", "birth year", "year of birth", "birth day", "birth month", "place of birth", "=born", "=age",
			"fecha de nacimiento", "fecha nacimiento", "fec nac", "f nac", "nacimiento", "ano de nacimiento", "lugar de nacimiento", "cumpleanos", "edad"}},
	{"immigration-status", "immigration status can be used against people and is not kept", "refer people to a lawyer, who can keep it under privilege",
		[]string{"immigration status", "immigration", "immigrant status", "legal status", "status immigration", "case status", "visa", "visa type", "visa status", "green card", "daca", "tps", "undocumented",
			"documented", "work permit", "residency status", "asylum", "estatus migratorio", "estado migratorio", "situacion migratoria", "status migratorio", "condicion migratoria",
			"estatus legal", "situacion legal", "migratorio", "migratoria", "inmigracion", "indocumentado", "indocumentada", "permiso de trabajo", "asilo", "papeles", "tiene documentos"}},
	{"nationality", "nationality can be used against people and is not kept", "use the field language to find somebody who can talk with them",
		[]string{"nationality", "citizenship", "citizen", "country of origin", "country of birth", "country of citizenship", "birth country", "nationalities", "home country of origin",
			"nacionalidad", "ciudadania", "ciudadano", "pais de origen", "pais de nacimiento"}},
	{"identity-number", "identity numbers (A-number, SSN, ITIN, passport, licence) are never kept", "the contact's id in the list tells people apart",
		[]string{"ssn", "social security", "soc sec", "itin", "=a number", "anumber", "alien number", "alien registration", "alien registration number", "uscis", "uscis number", "passport", "passport number",
			"license", "licence", "driver license", "drivers license", "license number", "id number", "id no", "identification", "identification number", "identity number", "national id", "government id",
			"state id", "tax id", "legal identifier", "idnyc", "curp", "=rfc", "dni", "cedula", "=ine", "nss", "numero a", "numero de extranjero", "numero de identificacion", "numero de id", "identificacion",
			"seguro social", "numero de seguro social", "pasaporte", "licencia", "licencia de conducir", "matricula consular", "credencial de elector", "cedula de identidad"}},
	{"ip-address", "IP addresses tell where a person was and are not kept", "nothing is needed in their place",
		[]string{"ip", "ip address", "optin ip", "confirm ip", "signup ip", "direccion ip"}},
	{"coordinates", "coordinates tell where a person is and are not kept", "use the field postal_code or city",
		[]string{"latitude", "longitude", "=lat", "lng", "=lon", "lat long", "lat lng", "coordinates", "gps", "geolocation", "location coordinates", "latitud", "longitud", "coordenadas", "geolocalizacion", "ubicacion"}},
	{"employer", "employers are where people are looked for, and are not kept", "use the field organisation for the group a person comes with",
		[]string{"employer", "employer name", "employed by", "workplace", "place of work", "work place", "occupation", "=job", "job title", "work site", "=company", "company name", "empleador", "=patron", "empresa",
			"lugar de trabajo", "ocupacion", "trabajo", "centro de trabajo"}},
	{"health", "health is nobody's business on a list and is not kept", askByQuestion,
		[]string{"health", "health condition", "medical", "medical condition", "medical conditions", "disability", "disabilities", "allergy", "allergies", "medication", "medications", "vaccinated", "vaccination",
			"insurance", "salud", "condicion medica", "discapacidad", "alergia", "alergias", "medicamentos", "enfermedad", "vacuna", "vacunado", "seguro medico"}},
	{"religion", "religion can be used against people and is not kept", "use the field organisation if a congregation brought them",
		[]string{"religion", "faith", "religious", "church", "mosque", "synagogue", "parish", "congregation", "=fe", "iglesia", "parroquia", "mezquita", "religiosa"}},
	{"ethnicity", "ethnicity can be used against people and is not kept", "use the field language to find somebody who can talk with them",
		[]string{"ethnicity", "ethnic", "ethnic origin", "race", "racial", "tribe", "etnia", "raza", "etnicidad", "origen etnico", "grupo etnico"}},
	{"court-date", "court dates belong with a lawyer and are not kept", "refer people to a lawyer, who can keep it under privilege",
		[]string{"court", "court date", "court dates", "hearing", "hearing date", "trial", "trial date", "ice check in", "check in date", "corte", "fecha de corte", "audiencia", "fecha de audiencia", "juicio", "tribunal", "cita de inmigracion"}},
	{"signature", "signatures can be forged from a copy and are not kept", "the paper with the signatures can be locked away or shredded",
		[]string{"signature", "signatures", "=signed", "sign here", "=initials", "firma", "firmas", "rubrica"}},
	{"street-address", "street addresses lead to people's doors and are not kept", "use the field postal_code or city",
		[]string{"street address", "street", "address", "addresses", "home address", "home address 1", "home address 2", "mailing address", "address line", "address line 1", "address line 2", "address1", "address2",
			"primary address1", "primary address2", "can2 user address", "apartment", "apt", "house number", "direccion", "direcciones", "domicilio", "calle", "direccion postal", "direccion de casa", "apartamento"}},
	{"notes", "free notes fill up with what can be used against people and are not kept", askByQuestion,
		[]string{"note", "notes", "note s", "comment", "comments", "comment s", "remarks", "remark", "anything else", "additional information", "additional info", "other information", "other info", "=message", "=details", "observations",
			"story", "tell us", "how can we help", "notas", "nota", "comentario", "comentarios", "observacion", "observaciones", "algo mas", "informacion adicional", "mensaje", "detalles", "otros datos", "cuentenos", "cuentanos",
			"su historia", "tu historia", "en que podemos ayudar"}},
}

// maxPhrase is the largest number of words in a phrase.
const maxPhrase = 4

// refusedPhrases maps each phrase to its kind.
var refusedPhrases = sync.OnceValue(func() map[string]*refusedKind {
	m := make(map[string]*refusedKind)
	for i := range refusedKinds {
		for _, p := range refusedKinds[i].phrases {
			m[p] = &refusedKinds[i]
		}
	}
	return m
})

// refusedIn returns the refused kind that a folded header names, or nil.
func refusedIn(folded string) *refusedKind {
	parts := strings.Fields(folded)
	phrases := refusedPhrases()
	if k := phrases["="+folded]; k != nil {
		return k
	}
	mail := false
	for _, w := range parts {
		mail = mail || w == "email" || w == "mail" || w == "correo"
	}
	// The longest phrase names the kind best: "country of birth" is a
	// nationality before "birth" is a date.
	for n := min(maxPhrase, len(parts)); n > 0; n-- {
		for i := 0; i+n <= len(parts); i++ {
			k := phrases[strings.Join(parts[i:i+n], " ")]
			if k == nil || k.slug == "street-address" && mail {
				continue
			}
			return k
		}
	}
	return nil
}

// Refused reports whether word, the name of a field or the text of a header or
// question, names a kind of datum that no list may hold. reason says why, for
// people, and instead what takes its place.
func Refused(word string) (reason, instead string, ok bool) {
	if k := recognise(word).refused; k != nil {
		return k.reason, k.instead, true
	}
	return "", "", false
}
