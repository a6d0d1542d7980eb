package sheet

// A language is what the people of one language write above columns and into
// cells. Adding a language is adding a table; nothing else knows words.
//
// Headers are given as foldHeader leaves them: lower case, without accents, words separated
// by one blank. Facts from public exports and forms of the tools named in the comments.
type language struct {
	// fields are headers that mean a field and nothing else.
	fields map[Field][]string
	// nameOrGiven mean the given name beside a family name, the whole name alone.
	nameOrGiven []string
	// filler are words around a heading that do not change what it means.
	filler []string
	// consent and noConsent ask whether data may, or may not, be shared.
	// They are matched at the beginning of a header; those that begin with =
	// only as a whole, for people consent to many things.
	consent, noConsent []string
	// unneeded are columns of tools for which there is no field.
	unneeded []string

	// yes and no are answers, totals and illegible markers of rows and cells,
	// ditto stands for the cell above. All as foldHeader leaves them.
	yes, no, totals, illegible, ditto []string
}

var languages = []language{english, spanish}

var english = language{
	fields: map[Field][]string{
		Name: {"full name", "fullname", "first and last name", "first last name", "first name last name", "name first and last",
			"display name", "contact name", "attendee name", "volunteer name", "participant name", "print name", "printed name", "names"},
		GivenName: {"first name", "first", "firstname", "fname", "f name", "given name", "given names", "givenname", "forename", "given",
			"given name at signup"},
		FamilyName: {"last name", "last", "lastname", "lname", "l name", "surname", "family name", "familyname", "last names", "second name",
			"family name at signup"},
		Email: {"email", "e mail", "emails", "email address", "e mail address", "email addr", "mail", "mail address", "emailaddress",
			"e mail 1 value", "email 1 value", "home email", "work email", "primary email", "email at signup", "contact email", "electronic mail"},
		Phone: {"phone", "phones", "phone number", "phone numbers", "phone no", "phone num", "telephone", "telephone number", "tel", "tel no", "tel number", "mobile",
			"mobile number", "mobile phone", "mobile phone number", "mobile no", "cell", "cell phone", "cellphone", "cell number", "cell no",
			"cell phone number", "can2 phone", "phone 1 value", "home phone", "work phone", "primary phone", "home phone phone",
			"phone number at signup", "ph", "ph no", "ph number", "contact number", "whatsapp", "whatsapp number", "signal number", "text number", "phone cell",
			"cell mobile", "mobile cell"},
		PostalCode: {"zip", "zips", "zip code", "zipcode", "zip or post", "postal code", "postalcode", "postcode", "post code", "postal", "home zip",
			"primary zip", "zip postal code", "zip postal", "zip code postal code", "postal code at signup", "zip 5", "zip5", "can2 user zip code"},
		City:         {"city", "town", "home city", "primary city", "can2 user city", "city town", "town city", "city of residence"},
		Language:     {"language", "languages", "lang", "preferred language", "language preference", "language spoken", "languages spoken", "spoken language"},
		Pronouns:     {"pronouns", "pronoun", "gender pronouns"},
		Organisation: {"organisation", "organization", "organisation name", "organization name", "org", "group", "affiliation", "organization affiliation"},
	},
	nameOrGiven: []string{"name"},
	filler: []string{"your", "my", "what", "whats", "is", "please", "enter", "provide", "write", "type", "the", "best", "preferred", "personal",
		"primary", "required", "optional"},
	consent: []string{"ok to share", "okay to share", "may we share", "can we share", "share with partners", "=consent", "=shareable", "=sharing", "consent to share", "consent to sharing", "permission to share",
		"i consent to share", "i agree to share", "is it ok to share", "is it okay to share", "agree to share"},
	noConsent: []string{"do not share", "don t share", "dont share", "do not trade", "no sharing"},
	unneeded: []string{"uuid", "id", "timestamp", "state", "county", "country", "region", "can2 user state", "can2 state abbreviated", "can2 county",
		"can2 user tags", "can2 subscription status", "can2 sms status", "can2 subscription date", "member rating", "optin time", "confirm time", "gmtoff",
		"dstoff", "timezone", "cc", "last changed", "leid", "euid", "tags", "tag list", "row", "no", "number", "row number", "order", "order id", "order number", "attendee number", "order date", "contact id",
		"external id", "nationbuilder id", "timeslot id", "attendee status", "ticket type", "quantity", "status", "date", "unsub time", "unsub campaign title",
		"unsub campaign id", "unsub reason", "unsub reason other", "home state", "home country"},
	yes:       []string{"yes", "y", "x", "true", "1", "ok", "okay", "agree", "i agree", "agreed", "yes please", "yep"},
	no:        []string{"no", "n", "false", "0", "no thanks", "no thank you", "nope", "do not share"},
	totals:    []string{"total", "totals", "subtotal", "grand total", "sum"},
	illegible: []string{"illegible", "unreadable", "not legible", "cannot read", "can t read", "unclear"},
	ditto:     []string{"ditto", "same as above"},
}

var spanish = language{
	fields: map[Field][]string{
		Name: {"nombre completo", "nombre y apellido", "nombre y apellidos", "nombres y apellidos", "nombres y apellido", "nombre apellido", "nombre y apellido s",
			"nombre s y apellido s"},
		GivenName:  {"nombres", "nombre s", "primer nombre", "nombre de pila"},
		FamilyName: {"apellido", "apellidos", "apellido s", "apellido paterno", "primer apellido", "apellidos paterno y materno"},
		Email: {"correo", "correos", "correo electronico", "direccion de correo electronico", "direccion de correo", "direccion de email", "email correo",
			"correo e", "e correo", "direccion electronica"},
		Phone: {"telefono", "telefonos", "numero de telefono", "numero telefonico", "num de telefono", "no de telefono", "telefono celular", "telefono movil", "celular",
			"cel", "movil", "numero de celular", "numero celular", "cel whatsapp", "celular whatsapp", "numero de whatsapp", "telefono de contacto",
			"numero de contacto", "telefono whatsapp", "tel cel", "tel celular"},
		PostalCode:   {"codigo postal", "cod postal", "c p", "cp", "zona postal", "codigo zip"},
		City:         {"ciudad", "municipio", "localidad", "ciudad de residencia", "pueblo"},
		Language:     {"idioma", "idiomas", "lengua", "idioma preferido", "idioma de preferencia", "idioma que habla", "lengua materna"},
		Pronouns:     {"pronombres", "pronombre"},
		Organisation: {"organizacion", "grupo", "nombre de la organizacion", "colectivo"},
	},
	nameOrGiven: []string{"nombre"},
	filler: []string{"su", "tu", "sus", "tus", "mi", "cual", "es", "el", "la", "por", "favor", "ingrese", "ingresa", "escriba", "escribe", "indique", "indica",
		"obligatorio", "obligatoria", "requerido", "opcional"},
	consent: []string{"podemos compartir", "se puede compartir", "puede compartirse", "permiso para compartir", "=consentimiento", "consentimiento para compartir", "acepta compartir", "acepto compartir",
		"autorizo compartir", "autoriza compartir", "esta de acuerdo en compartir", "esta de acuerdo con compartir", "compartir con"},
	noConsent: []string{"no compartir", "no compartan", "no quiero compartir"},
	unneeded:  []string{"marca temporal", "estado", "pais", "fecha", "numero", "num", "condado", "provincia"},
	yes:       []string{"si", "s", "verdadero", "acepto", "de acuerdo", "si acepto", "claro", "si por favor"},
	no:        []string{"no", "falso", "no acepto", "no gracias", "no compartir"},
	totals:    []string{"total", "totales", "suma", "gran total", "total general"},
	illegible: []string{"ilegible", "no se lee", "no se entiende", "no legible"},
	ditto:     []string{"idem", "igual que arriba", "lo mismo"},
}
