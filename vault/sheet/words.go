package sheet

// A language is what the people of one language write above columns and into
// cells. Adding a language is adding a table; nothing else knows words.
//
// Words are given as foldHeader leaves them: lower case, without accents, parted
// by one blank. A # in a header stands for the numbers 1 to 9, with which tools
// write several columns of a kind. Facts from public exports and forms; those
// that only one tool writes are with English, whatever it exports.
type language struct {
	// fields are headers that mean a field and nothing else.
	fields map[Field][]string
	// nameOrGiven mean the given name beside a family name, the whole name alone;
	// nameOrFamily the family name beside a given name, the whole name alone.
	nameOrGiven, nameOrFamily []string
	// nameFamilyFirst mean a whole name, and say that it begins with the family name.
	nameFamilyFirst []string
	// familyFirst says that every whole name begins with the family name.
	familyFirst bool
	// nameIsFamily says that beside a given name under one of these headers, "name"
	// is the family name: "Name, Vorname".
	nameIsFamily bool
	// perhaps are headers that may mean a field and may not, such as "number": the
	// column is read only if its cells say so too. Email and Phone alone can be
	// told by their cells. reach are those that may mean either, such as "contact".
	perhaps map[Field][]string
	reach   []string
	// areaCode are columns with the part of a phone number that another column
	// goes on with, postalAndCity those that hold both in one cell. The plain ones
	// ("ZIP/City") are found by their parts.
	areaCode, postalAndCity []string
	// state are parts of a country. There is no field for them, but beside a city
	// and a postal code in one cell they do no harm.
	state []string
	// and are words between two things of one header.
	and []string
	// filler are words and phrases around a heading that do not change what it means.
	filler []string
	// mail are words that say of an address that it is no street's.
	mail []string
	// others are people who are not the person of the row. A header that names one
	// is not read, whatever else it says: "Emergency contact phone".
	others []string
	// owners are people who may be the person of the row and may be another, such as
	// "tenant": a sheet in which all that reaches a person is one owner's is read.
	owners []string
	// selves are words for the person of the row: "Participant's phone".
	selves []string
	// qualifiers say which of a person's addresses or numbers a column has.
	qualifiers []string
	// secondFamily are family names that follow the one in another column.
	secondFamily []string
	// consent and noConsent ask whether data may, or may not, be shared. They are
	// matched at the beginning of a header. Behind one of consent nothing may stand
	// but the words of sharing, and behind one that begins with = only its answers,
	// for people consent to many things.
	consent, noConsent []string
	sharing            sharingWords
	// unneeded are columns for which there is no field.
	unneeded []string
	// refused are phrases of kinds that no list may hold, by refusedKind.slug. They
	// mark a header wherever they stand in it; those that begin with = only where
	// nothing else does ("a number we can call").
	refused map[string][]string
	// status are words in a cell that tell somebody's immigration status, a
	// deportation or a court case. Matched anywhere in a cell as whole words, so
	// none is also a name.
	status []string

	// yes and no are answers, totals and illegible markers of rows and cells,
	// ditto stands for the cell above.
	yes, no, totals, illegible, ditto []string
}

// sharingWords are what may stand behind a question whether data may be shared, in
// this order. Without them only the question itself counts.
type sharingWords struct {
	what     []string // the person's contact data, and whose they are; no other things
	with     []string // what leads to partners, and says nothing without them
	partners []string // organisations; no people, no authorities, no press
	answers  []string // yes and no, and how it is answered
}

// sorted returns the words as they are looked up, the longest first.
func (w sharingWords) sorted() *sharingWords {
	s := new(sharingWords)
	for _, l := range []struct {
		to   *[]string
		from []string
	}{{&s.what, w.what}, {&s.with, w.with}, {&s.partners, w.partners}, {&s.answers, w.answers}} {
		for _, word := range l.from {
			*l.to = insertLongest(*l.to, letters(word))
		}
	}
	return s
}

var languages = []language{english, spanish, french, haitian, portuguese, italian, german, swedish, polish, russian,
	ukrainian, chinese, japanese, korean, vietnamese, tagalog, arabic, urdu, persian, bengali,
	hindi, punjabi, amharic, swahili, somali}

// english holds what tools write into their exports too, whatever the language of the people in them.
var english = language{
	fields: map[Field][]string{
		Name: {"user name original name", "name original name", "full name", "fullname", "first and last name", "first last name", "first name last name", "name first and last", "first last", "first and last",
			"first name and last name", "full legal name", "saved name", "public name", "contact full name", "display name", "contact name", "attendee name", "volunteer name", "participant name", "member name",
			"print name", "printed name", "print your name", "names", "complete name", "your name first and last", "full name first and last", "who are you"},
		GivenName: {"first name", "first", "firstname", "fname", "f name", "given name", "given names", "givenname", "forename", "forenames", "given", "first names",
			"name first", "given name at signup", "contact first name", "contact given name", "full name first name", "preferred first name", "individual first name"},
		FamilyName: {"last name", "last", "lastname", "lname", "l name", "surname", "family name", "familyname", "last names", "surnames", "second name", "name last",
			"family name at signup", "full name last name", "contact last name", "contact family name", "last name surname", "surname last name", "lastname surname"},
		Email: {"e mail addr", "email add", "e mail add", "gmail or other email", "email", "e mail", "emails", "email address", "e mail address", "email addresses", "e mail addresses", "email addr", "mail address", "emailaddress",
			"your mail", "e mail # value", "email # value", "e mail # address", "email # address", "email address #", "home email", "work email", "other email",
			"business email", "primary email", "secondary email", "alternate email", "alternative email", "additional email", "preferred email", "personal email",
			"personal email address", "email at signup", "contact email", "contact email address", "electronic mail", "email id", "e mail id", "email contact",
			"email enter email", "attendee email", "volunteer email", "participant email", "member email", "user email", "can2 email", "gmail",
			"preferred email address", "email to reach you"},
		Phone: {"number for the signal chat", "number for signal", "phone", "phones", "phone number", "phone numbers", "phonenumber", "phone no", "phone num", "phone nbr", "telephone", "telephones", "telephone number",
			"telephone no", "tel", "tel no", "tel number", "tel nr", "tel num", "mobile", "mobiles", "mobile number", "mobile num", "mobile phone",
			"mobile phone number", "mobilephone", "mobile no", "mobile tel", "mobile telephone", "cell", "cells", "cell phone", "cellphone", "cell number",
			"cell num", "cell no", "cell phone number", "cellular", "cellular phone", "cellphone number", "can2 phone", "phone # value", "phone # number",
			"home phone", "home phone number", "work phone", "work phone number", "home telephone", "daytime phone", "day phone", "evening phone", "primary phone",
			"primary phone number", "main phone", "other phone", "other phone number", "secondary phone", "secondary phone number", "alternate phone",
			"alternate phone number", "alternative phone", "additional phone", "business phone", "business phone #", "home phone #", "home mobile",
			"home phone phone", "home phone mobile", "home mobile phone", "main phone phone", "main phone mobile", "work phone phone", "car phone",
			"phone number at signup", "ph", "ph no", "ph number", "ph num", "contact number", "contact no", "contact num", "contact phone", "contact phone number",
			"contact tel", "contact telephone", "telephone contact", "phone contact", "whatsapp", "whats app", "whatsapp number", "whats app number",
			"whatsapp no", "whats app no", "whatsapp phone", "signal number", "signal phone", "signal phone number", "text number", "texting number", "phone cell",
			"cell mobile", "mobile cell", "phone cell number", "phone or cell", "cell or phone", "sms number", "sms phone number", "mobile phone #",
			"number to reach you", "number to call", "number to text", "number to call you", "number to text you", "number to contact you",
			"number we can reach you at", "number to reach you at", "number where we can reach you", "number for texts", "number for calls", "phone to reach you",
			"attendee phone", "participant phone", "volunteer phone", "member phone", "user phone", "best phone", "best number", "best cell", "call or text",
			"direct phone", "contact cell", "contact mobile", "i phone", "phone or whatsapp", "whatsapp or phone"},
		PostalCode: {"zip", "zips", "zip code", "zip codes", "zipcode", "zip or post", "zip or postal", "zip or postal code", "postal code", "postalcode", "postal codes",
			"postcode", "post code", "postal", "home zip", "home zip code", "home postal code", "home postcode", "primary zip", "mailing zip", "zip postal code",
			"zip postal", "zip code postal code", "zip postcode", "postal zip", "postal zip code", "postal code zip", "postal code at signup", "zip 5", "zip5",
			"zip plus 4", "zip plus four", "can2 user zip code", "address # postal code", "address zip postal code", "address zip", "address zip code",
			"address postal code", "zip code of residence", "zip code you live in", "zip code where you live", "zip code do you live in", "zip do you live in",
			"zip code are you in", "5 digit zip", "5 digit zip code"},
		City: {"city", "cities", "town", "home city", "primary city", "mailing city", "can2 user city", "address # city", "address city", "city town", "town city",
			"city or town", "town or city", "city name", "city of residence", "town of residence", "city village", "city you live in", "city where you live",
			"city do you live in", "city or town do you live in", "town do you live in", "city are you in", "city are you from"},
		Language: {"language", "languages", "lang", "langs", "preferred language", "preferred languages", "language preference", "language preferences",
			"language preferred", "language of preference", "language spoken", "languages spoken", "spoken language", "spoken languages", "primary language",
			"main language", "first language", "mother tongue", "home language", "native language", "language s", "language spoken at home", "language at home",
			"communication language", "language do you speak", "languages do you speak", "language you speak", "languages you speak", "language do you prefer",
			"language you prefer", "language do you speak at home", "language are you most comfortable speaking", "language are you most comfortable in",
			"language should we use", "language should we contact you in", "language of communication"},
		Pronouns: {"pronouns", "pronoun", "gender pronouns", "gender pronoun", "preferred pronouns", "personal pronouns", "pronouns do you use", "pronouns you use",
			"pronouns do you prefer", "my pronouns"},
		Organisation: {"organisation", "organization", "organisations", "organizations", "organisation name", "organization name", "name of organization",
			"name of organisation", "organization # name", "org", "orgs", "org name", "group", "group name", "name of group", "affiliation", "affiliations",
			"organization affiliation", "organisation affiliation", "organizational affiliation", "group affiliation", "group organization", "organization group",
			"group or organization", "organization or group", "organization are you with", "organization do you represent", "organization if any",
			"member organization", "organization you represent"},
	},
	nameOrGiven:     []string{"name"},
	nameFamilyFirst: []string{"last first", "last name first name", "last first name", "surname first name", "family name given name", "lastname firstname"},
	reach: []string{"contact", "contact info", "contact information", "contact details", "contact data", "contact me", "contact you", "contact method",
		"preferred contact", "reach you", "how to reach you", "how to contact you", "way to reach you", "way to contact you", "how can we reach you",
		"how can we contact you", "how do we reach you", "how should we contact you", "how may we contact you", "contact info phone or email",
		"email or phone", "phone or email", "email phone", "phone email", "email and phone", "phone and email", "phone number or email",
		"email or phone number", "handle", "reach me at"},
	perhaps: map[Field][]string{
		Email: {"mail"},
		Phone: {"number", "numbers", "signal", "telegram"},
	},
	areaCode: []string{"area code", "areacode", "phone area code", "area code phone", "telephone area code", "tel area code", "dialing code", "dialling code", "phone prefix",
		"area code of phone"},
	postalAndCity: []string{"city and zip", "zip and city", "city st zip", "city state and zip code", "city zip code and state"},
	state:         []string{"state", "states", "st", "state province", "province", "province state", "county", "region", "state region", "home state", "home province", "us state"},
	and:           []string{"and", "or"},
	filler: []string{"where we can text you", "where we can call you", "where we can reach you on the day", "on the day", "day of", "leave a", "please leave a", "whats a", "leave", "please leave", "drop your", "drop", "for the signal chat", "should we use", "can we use", "do you use", "hey there", "hi there", "hi", "hello", "your", "my", "what", "whats", "which", "is", "are", "please", "enter", "provide", "write", "type your", "please type", "fill in", "the", "best",
		"preferred", "personal", "primary", "current", "valid", "required", "optional", "mandatory", "required field", "print", "clearly", "legibly",
		"print clearly", "please print clearly", "what is a good", "a good", "what is a", "if any", "if available", "if applicable", "if you have one",
		"if you have", "if known", "how can we contact you by", "how can we reach you by", "how may we contact you by", "how do we reach you by",
		"how should we contact you by", "can we have", "may we have", "may we get", "can we get", "could we have", "tell us", "we can reach you at",
		"where we can reach you", "to reach you", "to reach you at", "to contact you", "to contact you at", "that works best", "for updates", "for texts",
		"for text updates", "for email updates", "for us to reach you", "here", "below", "for you", "and", "can we text", "can we call", "should we text", "should we call", "can we text you at", "can we call you at", "first things first", "ok", "great", "thanks", "attendee", "participant", "volunteer", "registrant", "respondent",
		"subscriber"},
	mail: []string{"email", "mail", "emails", "e mail"},
	others: []string{"emergency", "in case of emergency", "ice contact", "parent", "guardian", "mother", "father", "mom", "mum", "dad", "spouse", "husband", "wife",
		"partner", "partners name", "child", "children", "kid", "sons", "your son", "son name", "son phone", "daughter", "brother", "sister", "sibling",
		"relative", "family member", "family contact", "friend", "neighbor", "neighbour", "referrer", "referral", "referred", "refer", "who referred",
		"invited by", "invited you", "who invited", "inviter", "invitee", "recruiter", "recruited", "recruited by", "brought you", "brought by", "sent you",
		"told you", "heard", "lawyer", "attorney", "counsel", "legal representative", "representative", "your rep", "rep name", "caseworker", "case worker",
		"social worker", "case manager", "sponsor", "supervisor", "manager", "boss", "landlord", "doctor", "physician", "teacher", "guest", "plus one",
		"companion", "next of kin", "caregiver", "carer", "caretaker", "contact person", "assistant", "secretary", "accompanied by", "bringing", "canvasser",
		"collected by", "entered by", "created by", "added by", "assigned to", "assigned", "owner", "buyer", "purchaser", "purchased by", "billing",
		"organizer", "organiser", "host", "leader", "captain", "staff", "employers", "officer", "judge", "someone else", "other person", "another person",
		"other contact", "alternate contact", "secondary contact", "backup contact", "roommate", "housemate", "witness", "interpreter", "dependent",
		"dependant", "beneficiary", "petitioner", "household", "pet", "ice", "ec", "trusted contact", "trusted person", "alt contact", "second contact", "2nd contact", "contact 2", "contact 3", "if you are detained",
		"detained", "arrested", "jail", "hotline", "who should we call", "who can we call", "who to call", "who should we contact", "who can we contact"},
	selves: []string{"participant", "attendee", "volunteer", "registrant", "respondent", "subscriber", "signup", "sign up"},
	owners: []string{"student", "tenant", "resident", "passenger", "rider", "driver", "ticket holder", "ticketholder", "signer", "signatory", "lead", "supporter", "constituent", "activist", "caller", "customer", "client", "worker", "applicant", "donor", "registree", "registered person", "voter", "user", "person", "speaker", "player", "visitor", "delegate", "trainee", "learner", "candidate"},
	qualifiers: []string{"home", "mobile", "cell", "work", "personal", "primary", "secondary", "main", "other", "alternate", "landline", "land line", "day", "daytime", "evening",
		"business", "preferred", "formatted", "1st", "2nd", "first choice"},
	consent: []string{"ok to share", "okay to share", "may we share", "can we share", "=share with partners", "=share with partner groups", "=share with partner organizations", "=share with partner organisations", "=share with allies", "=consent", "=shareable", "=sharing", "consent to share",
		"consent to sharing", "permission to share", "i consent to share", "i agree to share", "is it ok to share", "is it okay to share", "agree to share",
		"do you consent to share", "do you consent to sharing", "do you agree to share", "are you ok with us sharing", "may we pass on",
		"i give permission to share", "do you give permission to share", "do you give us permission to share"},
	sharing: sharingWords{
		what: []string{"my", "your", "this", "these", "the", "of", "and", "or", "contact", "contacts", "contact info", "info", "information", "data", "personal data", "personal info", "personal information", "name", "names",
			"email", "e mail", "email address", "e mail address", "address", "phone", "telephone", "phone number", "telephone number", "number", "cell", "cell phone", "cell number", "mobile", "details"},
		with: []string{"with", "to", "among", "and", "or", "our", "the", "other", "our other", "any of our", "all", "all our", "some of our"},
		partners: []string{"partners", "partner groups", "partner organizations", "partner organisations", "partner orgs", "partner coalition", "partnering organizations", "partnering groups", "allies", "allied groups",
			"allied organizations", "allied organisations", "allied orgs", "groups", "organizations", "organisations", "orgs", "coalition", "coalition partners", "coalition groups", "coalition organizations", "coalition organisations",
			"groups we work with", "organizations we work with", "organisations we work with", "community organizations", "community groups", "community partners", "trusted partners", "trusted organizations", "local groups",
			"local organizations", "local partners", "partners in the coalition", "organizations in the coalition", "groups in the coalition", "organizations in our coalition", "groups in our coalition", "partners in our coalition"},
		answers: []string{"yes", "no", "y", "n", "or", "required", "optional", "please", "check one", "circle one", "mark one", "choose one", "pick one"},
	},
	noConsent: []string{"do not share", "don t share", "dont share", "do not trade", "no sharing", "please do not share", "please dont share"},
	unneeded: []string{"uuid", "id", "ids", "timestamp", "time stamp", "time", "country", "can2 user state", "can2 state abbreviated", "can2 county", "can2 user tags",
		"can2 subscription status", "can2 sms status", "can2 subscription date", "can2 user country", "member rating", "optin time", "confirm time", "gmtoff",
		"dstoff", "timezone", "time zone", "cc", "last changed", "leid", "euid", "tag", "tags", "tag list", "labels", "row", "no", "no s", "row number",
		"row no", "order", "order id", "order number", "order no", "order type", "attendee number", "order date", "contact id", "internal contact id",
		"external id", "external identifier", "user id", "member id", "person id", "nationbuilder id", "civicrm id", "van id", "vanid", "ngp id",
		"timeslot id", "api id", "attendee status", "ticket type", "ticket name", "ticket type id", "ticket id", "price tier", "qty", "quantity", "status",
		"date", "date attending", "date created", "date added", "created", "created at", "created time", "updated at", "modified", "last modified",
		"unsub time", "unsub campaign title", "unsub campaign id", "unsub reason", "unsub reason other", "home country", "home country region", "currency",
		"total paid", "fees paid", "amount usd", "fees paid usd", "amount", "amount tax", "amount discount", "eventbrite fees",
		"eventbrite payment processing", "event", "event name", "event title", "event date", "event id", "event type", "contact type", "contact subtype",
		"middle name", "middle names", "middle", "middle initial", "m i", "mi", "name middle", "name prefix", "name suffix", "name title", "nickname",
		"nick name", "short name", "maiden name", "sort name", "file as", "prefix", "suffix", "title", "salutation", "individual prefix", "individual suffix",
		"additional name", "yomi name", "given name yomi", "additional name yomi", "family name yomi", "phonetic first name", "phonetic middle name",
		"phonetic last name", "gender", "sex", "do not email", "do not phone", "do not mail", "do not sms", "do not call", "do not text", "do not contact",
		"no bulk emails", "no bulk emails user opt out", "contact source", "source", "attended", "attending", "rsvp", "checked in", "checked in at",
		"approval status", "utc start date", "utc end date", "start date", "end date", "start date utc", "stage date utc", "submit date utc", "submitted at",
		"submission date", "submission id", "response id", "response type", "network id", "ending", "referrer url", "custom field values", "custom source",
		"qr code url", "coupon code", "eth address", "solana address", "survey response rating", "survey response feedback", "facebook username", "facebook",
		"instagram", "twitter", "twitter handle", "instagram handle", "signal username", "signal handle", "screen name", "username", "user name", "website",
		"web site", "web page", "web page #", "url", "urls", "linked in", "linkedin", "photo", "picture", "connected on", "ad id", "ad name", "adset id",
		"adset name", "campaign id", "campaign name", "form id", "form name", "is organic", "platform", "lead status", "data", "e mail # type", "email # type",
		"e mail # label", "email # label", "phone # type", "phone # label", "address # type", "address # label", "address # region", "address # country",
		"organization # type", "organization # label", "website # type", "website # value", "website # label", "im # type", "im # service", "im # value",
		"relation # type", "relation # value", "relation # label", "event # type", "event # value", "event # label", "custom field # type",
		"custom field # value", "custom field # label", "custom #", "user #", "group membership", "billing information", "directory server", "mileage",
		"hobby", "sensitivity", "priority", "private", "subject", "keywords", "categories", "category", "account", "anniversary", "pager", "pager number",
		"telex", "isdn", "callback", "radio phone", "tty tdd phone", "fax", "fax number", "home fax", "business fax", "work fax", "other fax",
		"company main phone", "organization main phone", "business city", "business state", "business postal code", "business country",
		"business country region", "business zip", "other city", "other state", "other postal code", "other country", "other country region", "work city",
		"work state", "work zip code", "work zipcode", "work country", "address state", "address state province", "address country", "e mail type",
		"e mail # display name", "e mail display name", "email status", "email opt in", "email opt out", "sms opt in", "sms opt out", "opt in", "opt out",
		"opted in", "email consent", "sms consent", "phone consent", "subscribed", "subscription status", "sms status", "email type", "phone type", "ticket",
		"table", "shift", "shifts", "location", "venue", "web link", "link", "preferred contact method", "preferred method of contact", "method of contact",
		"best time to call", "best time to reach you", "best time to contact you", "how did you hear about us", "how did you hear about this event",
		"how did you hear about this"},
	refused: map[string][]string{
		"birth-date": {"birth date", "birthdate", "date of birth", "dob", "d o b", "birthday", "birth year", "year of birth", "birth day", "birth month", "place of birth",
			"birthplace", "city of birth", "were you born", "=born", "=age", "how old", "years old", "age group", "age range", "your age"},
		"immigration-status": {"immigration status", "immigration", "immigrant status", "legal status", "status immigration", "case status", "visa", "visa type", "visa status",
			"green card", "daca", "tps", "undocumented", "documented", "work permit", "residency status", "asylum", "permanent resident", "residency",
			"work authorization", "immigration case", "refugee status"},
		"nationality": {"nationality", "citizenship", "citizen", "country of origin", "country of birth", "country of citizenship", "birth country", "nationalities",
			"home country of origin", "country are you from", "where are you from"},
		"identity-number": {"ssn", "social security", "soc sec", "itin", "=a number", "anumber", "alien number", "alien registration", "alien registration number", "uscis",
			"uscis number", "passport", "passport number", "license", "licence", "driver license", "drivers license", "license number", "license plate",
			"plate number", "id number", "id no", "identification", "identification number", "identity number", "national id", "government id", "state id",
			"tax id", "legal identifier", "idnyc", "id card", "receipt number", "case number", "vehicle plate"},
		"ip-address":  {"ip", "ip address", "optin ip", "confirm ip", "signup ip"},
		"coordinates": {"latitude", "longitude", "=lat", "lng", "=lon", "lat long", "lat lng", "coordinates", "gps", "geolocation", "location coordinates"},
		"employer": {"employer", "employer name", "employed by", "workplace", "place of work", "work place", "occupation", "=job", "job title", "work site", "=company",
			"company name", "=position", "=profession", "=department", "organization # title", "organization # department", "organization # job description",
			"organization title", "organization department", "office location", "place of employment", "where do you work"},
		"health": {"health", "health condition", "medical", "medical condition", "medical conditions", "disability", "disabilities", "allergy", "allergies", "medication",
			"medications", "vaccinated", "vaccination", "insurance", "dietary restrictions", "pregnant"},
		"religion":   {"religion", "faith", "religious", "church", "mosque", "synagogue", "parish", "congregation"},
		"ethnicity":  {"ethnicity", "ethnic", "ethnic origin", "race", "racial", "tribe"},
		"court-date": {"court", "court date", "court dates", "hearing", "hearing date", "trial", "trial date", "ice check in", "check in date"},
		"signature":  {"signature", "signatures", "=signed", "sign here", "=initials"},
		"street-address": {"street address", "street", "address", "addresses", "home address", "home address 1", "home address 2", "mailing address", "address line",
			"address line 1", "address line 2", "address1", "address2", "primary address1", "primary address2", "can2 user address", "apartment", "apt",
			"house number", "po box", "=where do you live"},
		"notes": {"note", "notes", "note s", "=comment", "any comment", "your comment", "comments", "comment s", "remarks", "remark", "anything else", "additional information", "additional info",
			"other information", "other info", "=message", "=details", "observations", "story", "tell us about", "tell us more", "how can we help",
			"questions or comments"},
	},
	status: []string{"undocumented", "no papers", "without papers", "no documents", "without documents", "daca", "daca recipient", "tps", "green card", "greencard",
		"asylum", "asylum seeker", "asylum seekers", "asylum case", "asylum applicant", "asylee", "overstay", "overstayed", "overstays", "deportation",
		"deported", "deportable", "detained by ice", "arrested by ice", "ice hold", "ice detainer", "ice custody", "ice detention", "ice check in",
		"ice checkin", "immigration court", "immigration hold", "immigration status", "immigration case", "immigration hearing", "immigration detention",
		"permanent resident", "work permit", "work authorization", "u visa pending", "t visa pending", "u visa holder", "t visa holder", "u visa applicant", "t visa applicant", "student visa", "tourist visa", "work visa", "visa expired",
		"expired visa", "visa overstay", "no visa", "court date", "court hearing", "next court", "court case", "removal order", "order of removal",
		"removal proceedings", "final order of removal", "voluntary departure", "notice to appear", "credible fear", "humanitarian parole",
		"withholding of removal", "stay of removal", "out of status", "us citizen", "u s citizen", "noncitizen", "non citizen", "not a citizen",
		"illegal immigrant", "h1b", "h2a", "h2b",
		"undoc", "undocu", "no status", "without status", "no legal status", "detained", "in detention", "lpr", "i 589", "i589", "i 485", "i485", "i 765", "i765", "i 918", "i918", "vawa", "sijs",
		"ankle monitor", "ankle bracelet"},
	yes: []string{"yes", "y", "x", "true", "1", "ok", "okay", "agree", "i agree", "agreed", "yes please", "yep", "yeah", "sure", "checked", "i consent", "i do",
		"yes i agree", "yes i consent", "opt in", "opted in"},
	no: []string{"no", "n", "false", "0", "no thanks", "no thank you", "nope", "do not share", "no please", "i do not agree", "i do not consent", "i dont agree",
		"i dont", "disagree", "unchecked", "please dont", "never", "not ok", "opt out", "opted out", "declined", "decline", "no consent", "dont share"},
	totals: []string{"total", "totals", "subtotal", "sub total", "grand total", "sum", "total people", "total attendees", "total signups", "count"},
	illegible: []string{"illegible", "unreadable", "not legible", "cannot read", "can t read", "cant read", "could not read", "couldnt read", "unclear", "hard to read",
		"not readable", "unable to read", "scribble"},
	ditto: []string{"ditto", "same as above", "see above", "as above"},
}

var spanish = language{
	fields: map[Field][]string{
		Name: {"nombre guardado", "nombre completo", "nombres completos", "nombre y apellidos completos", "nombres y apellidos completos", "nombre y apellido", "nombre y apellidos", "nombres y apellidos", "nombres y apellido", "nombre apellido",
			"nombre apellidos", "nombres apellidos", "nombre e apellido", "nombre y apellido s", "nombre s y apellido s", "nombre y primer apellido",
			"nombre o apodo", "nombre o seudonimo", "como se llama", "como te llamas", "nombre del participante", "nombre del asistente", "nombre del voluntario",
			"nombre de contacto", "nombre y apellido completo"},
		GivenName: {"nombres", "nombre s", "primer nombre", "nombre de pila", "primeros nombres"},
		FamilyName: {"apellido", "apellidos", "apellido s", "apellido paterno", "primer apellido", "apellidos paterno y materno", "nombre de familia",
			"apellidos completos"},
		Email: {"correo electronico # valor", "correo # valor", "direccion del correo electronico", "direccion del correo electronico #", "direccion de correo electronico #", "correo", "correos", "correo electronico", "correos electronicos", "correo electronico email", "direccion de correo electronico",
			"direccion de correo", "direccion de email", "direccion email", "direccion de e mail", "email correo", "correo email", "correo e", "e correo",
			"correo e mail", "direccion electronica", "correo personal", "correo electronico personal", "correo de contacto", "correo electronico de contacto",
			"correo secundario", "correo alternativo", "otro correo", "correo para contactarle", "correo principal", "correo gmail"},
		Phone: {"telefono # valor", "telefono del trabajo", "telefono de trabajo", "tel trabajo", "tel del trabajo", "telefono trabajo", "telefono particular", "a que numero le podemos llamar", "a que numero te podemos llamar", "a que numero podemos llamarle", "a que numero le llamamos", "a que numero te llamamos", "numero para llamarle", "numero para llamarte", "telefono o whatsapp", "whatsapp o telefono", "telefono", "telefonos", "numero de telefono", "numeros de telefono", "numero telefonico", "num de telefono", "num telefono", "no de telefono",
			"n de telefono", "nro de telefono", "nro telefono", "nro telefonico", "no telefonico", "numero telefono", "n telefono", "no telefono", "tfno", "tlfno",
			"tlf", "telf", "tfno movil", "tel fono", "telefono celular", "telefono movil", "celular", "celulares", "cel", "movil", "moviles", "numero de celular",
			"numero celular", "numero de cel", "no de celular", "nro de celular", "nro celular", "num de celular", "n de celular", "numero movil",
			"numero de movil", "cel whatsapp", "cel whats app", "celular whatsapp", "celular whats app", "numero de whatsapp", "numero de whats app",
			"numero whatsapp", "telefono de contacto", "numero de contacto", "numero de telefono de contacto", "telefono contacto", "numero de telefono celular",
			"numero de telefono movil", "telefono whatsapp", "telefono whats app", "telefono con whatsapp", "tel cel", "tel celular", "tel movil", "telefono cel",
			"telefono o celular", "telefono y celular", "celular o telefono", "telefono casa", "telefono de casa", "telefono de la casa", "telefono fijo",
			"telefono particular", "telefono personal", "telefono principal", "telefono secundario", "telefono alternativo", "telefono alterno", "otro telefono",
			"telefono para contactarle", "telefono para llamarle", "numero donde podemos llamarle", "numero para llamarle", "numero para contactarle",
			"numero donde localizarlo"},
		PostalCode: {"codigo postal", "codigos postales", "cod postal", "cod post", "c p", "cp", "zona postal", "codigo zip", "zip codigo postal", "zona postal zip",
			"codigo postal zip", "codigo de area postal", "codigo postal donde vive"},
		City: {"ciudad", "ciudades", "municipio", "localidad", "ciudad de residencia", "pueblo", "ciudad o pueblo", "pueblo o ciudad", "ciudad donde vive",
			"ciudad donde vives", "ciudad municipio", "ciudad localidad", "ciudad vive", "en que ciudad vive", "en que ciudad vives", "poblacion"},
		Language: {"idioma", "idiomas", "lengua", "lenguas", "lenguaje", "idioma preferido", "idioma de preferencia", "idioma que prefiere", "idioma que habla",
			"idiomas que habla", "idiomas hablados", "idioma hablado", "idioma principal", "idioma materno", "lengua materna", "preferencia de idioma",
			"idioma habla", "idiomas habla", "idioma hablas", "idiomas hablas", "que idioma habla", "que idiomas habla", "que idioma hablas",
			"que idioma prefiere", "idioma prefiere", "idioma prefieres", "lengua preferida", "primer idioma"},
		Pronouns: {"pronombres", "pronombre", "pronombres preferidos", "pronombres de genero", "pronombres usas", "pronombres usa", "que pronombres usa",
			"que pronombres usas"},
		Organisation: {"organizacion", "organizaciones", "grupo", "grupos", "nombre de la organizacion", "nombre de organizacion", "nombre del grupo", "colectivo",
			"organizacion o grupo", "grupo u organizacion", "organizacion grupo", "asociacion", "agrupacion", "organizacion a la que pertenece",
			"a que organizacion pertenece"},
	},
	nameOrGiven:     []string{"nombre"},
	nameFamilyFirst: []string{"apellido y nombre", "apellidos y nombres", "apellidos y nombre", "apellido nombre", "apellidos nombre", "apellidos nombres", "apellido s y nombre s"},
	reach: []string{"contacto", "contactos", "datos de contacto", "informacion de contacto", "info de contacto", "como contactarle", "como contactarte",
		"como lo contactamos", "como podemos contactarle", "como podemos contactarlo", "como podemos contactarte", "como podemos comunicarnos con usted",
		"medio de contacto", "forma de contacto", "telefono o correo", "correo o telefono", "telefono correo", "correo telefono", "telefono o email",
		"telefono y correo", "correo y telefono", "correo electronico o telefono"},
	perhaps: map[Field][]string{
		Phone: {"numero", "numeros"},
	},
	areaCode: []string{"codigo de area", "cod de area", "codigo area", "cod area", "clave lada", "lada", "prefijo", "prefijo telefonico", "prefijo telefono", "area telefono",
		"codigo de area telefono"},
	postalAndCity: []string{"ciudad cp", "cp ciudad"},
	state:         []string{"estado", "estados", "provincia", "condado", "departamento", "region", "estado provincia", "estado o provincia", "entidad federativa"},
	and:           []string{"y", "e", "o", "u"},
	filler: []string{"mejor", "de contacto", "para contactarle", "para contactarte", "para contactarlo", "su", "tu", "sus", "tus", "mi", "cual", "cuales", "es", "son", "el", "la", "los", "las", "que", "por", "favor", "por favor", "ingrese", "ingresa",
		"ingresar", "escriba", "escribe", "escribir", "indique", "indica", "anote", "anota", "ponga", "introduzca", "introduce", "proporcione", "denos",
		"danos", "obligatorio", "obligatoria", "obligatorios", "requerido", "requerida", "campo obligatorio", "opcional", "completa tu", "mejor", "preferido",
		"preferida", "actual", "personal", "en letra de molde", "letra de molde", "si tiene", "si lo tiene", "si la tiene", "si tiene uno",
		"si cuenta con uno", "como podemos contactarle por", "como podemos contactarlo por", "como podemos contactarte por", "para contactarle",
		"para contactarlo", "para contactarte", "para comunicarnos", "para comunicarnos con usted", "para comunicarnos contigo", "donde podemos contactarle",
		"donde podamos contactarle", "donde podamos contactarlo", "de contacto", "del participante", "del asistente", "del voluntario", "aqui"},
	mail: []string{"correo", "correos", "electronica", "electronico"},
	others: []string{"emergencia", "emergencias", "contacto de emergencia", "padre", "madre", "mama", "papa", "tutor", "tutora", "guardian", "apoderado", "apoderada",
		"acudiente", "esposo", "esposa", "conyuge", "marido", "pareja", "hijo", "hija", "nino", "nina", "menor", "hermano", "hermana", "familiar", "pariente",
		"abuelo", "abuela", "tio", "tia", "amigo", "amiga", "vecino", "vecina", "referido", "referida", "referencia", "refirio", "recomendado por",
		"recomendo", "quien lo refirio", "invitado", "invitada", "invito", "quien te invito", "quien lo invito", "quien le invito", "trajo", "abogado",
		"abogada", "licenciado", "representante", "trabajador social", "trabajadora social", "jefe", "jefa", "supervisor", "supervisora", "gerente",
		"encargado", "encargada", "responsable", "medico", "maestro", "maestra", "profesor", "profesora", "acompanante", "padrino", "madrina", "patrocinador",
		"promotor", "promotora", "reclutador", "asistente social", "casero", "comprador", "compradora", "anfitrion", "lider", "coordinador", "coordinadora",
		"otra persona", "otro contacto", "contacto alterno", "segundo contacto", "testigo", "interprete", "dependiente", "beneficiario", "peticionario",
		"companero", "companera", "mascota", "juez", "oficial", "persona de confianza", "contacto de confianza", "contacto 2", "contacto 3", "2do contacto", "contacto alternativo", "a quien debemos llamar",
		"a quien llamamos", "a quien podemos llamar", "a quien llamar", "detienen", "detenido", "detenida", "carcel", "linea directa"},
	selves: []string{"participante", "asistente", "voluntario", "voluntaria", "voluntario a"},
	owners: []string{"estudiante", "alumno", "alumna", "inquilino", "inquilina", "afiliado", "afiliada", "afiliado a", "socio", "socia", "socio a", "miembro", "firmante", "pasajero", "pasajera", "pasajero a", "vecino", "vecina", "vecino a", "persona", "usuario", "usuaria", "titular", "donante", "solicitante", "trabajador", "trabajadora", "companero", "companera", "companero a"},
	qualifiers: []string{"no de", "num de", "numero de", "nro de", "n de", "no", "num", "numero", "nro", "casa", "de casa", "trabajo", "de trabajo", "del trabajo", "movil", "celular", "fijo", "principal", "personal", "alternativo", "secundario", "oficina",
		"de la oficina", "particular", "preferido"},
	secondFamily: []string{"apellido materno", "segundo apellido", "2do apellido", "2o apellido", "apellido 2"},
	consent: []string{"podemos compartir", "se puede compartir", "puede compartirse", "permiso para compartir", "=consentimiento", "consentimiento para compartir",
		"acepta compartir", "acepto compartir", "aceptas compartir", "autorizo compartir", "autoriza compartir", "autorizo a compartir",
		"nos autoriza a compartir", "nos autoriza compartir", "nos da permiso para compartir", "da permiso para compartir", "doy permiso para compartir",
		"esta de acuerdo en compartir", "esta de acuerdo con compartir", "esta de acuerdo con que compartamos", "esta de acuerdo en que compartamos",
		"=compartir con organizaciones", "=compartir con grupos", "=compartir con aliados", "=compartir con organizaciones aliadas", "=compartir con grupos aliados", "=compartir con otras organizaciones", "=compartir con otros grupos",
		"le parece bien que compartamos", "podemos nosotros compartir", "da su permiso para compartir", "doy mi permiso para compartir", "doy mi consentimiento para compartir", "da su consentimiento para compartir"},
	sharing: sharingWords{
		what: []string{"mi", "mis", "tu", "tus", "su", "sus", "este", "esta", "estos", "estas", "el", "la", "los", "las", "de", "y", "e", "o", "contacto", "contactos", "datos", "datos personales", "datos de contacto", "informacion", "informacion personal",
			"informacion de contacto", "info", "nombre", "nombres", "correo", "correo electronico", "email", "e mail", "telefono", "celular", "numero", "numero de telefono", "detalles"},
		with: []string{"con", "a", "entre", "y", "e", "o", "u", "nuestras", "nuestros", "nuestra", "las", "los", "la", "otras", "otros", "nuestras otras", "nuestros otros", "todas", "todos"},
		partners: []string{"organizaciones", "organizaciones aliadas", "organizaciones asociadas", "organizaciones socias", "organizaciones hermanas", "organizaciones afines", "organizaciones colaboradoras", "organizaciones comunitarias",
			"organizaciones de confianza", "organizaciones de la coalicion", "grupos", "grupos aliados", "grupos asociados", "grupos socios", "grupos hermanos", "grupos afines", "grupos comunitarios", "grupos de la coalicion", "aliados", "aliadas",
			"aliadas y aliados", "organizaciones y grupos aliados", "socios", "coalicion", "colectivos", "colectivos aliados", "agrupaciones", "agrupaciones aliadas", "asociaciones", "asociaciones aliadas"},
		answers: []string{"si", "no", "s", "n", "o", "requerido", "obligatorio", "opcional", "por favor", "marque uno", "marque una", "elija uno", "elija una"},
	},
	noConsent: []string{"no compartir", "no compartan", "no quiero compartir", "no comparta", "no deseo compartir", "por favor no compartir"},
	unneeded: []string{"marca temporal", "marca de tiempo", "pais", "fecha", "fecha y hora", "hora", "num", "condado", "folio", "fila", "orden", "nro", "renglon",
		"consecutivo", "etiquetas", "etiqueta", "codigo", "genero", "sexo", "segundo nombre", "apodo", "sobrenombre",
		"titulo", "sitio web", "asistio", "asistencia", "evento", "nombre del evento", "cantidad", "boleto", "tipo de boleto", "categoria", "turno", "mesa",
		"como se entero", "como se entero de este evento", "como te enteraste"},
	refused: map[string][]string{
		"birth-date": {"fecha de nacimiento", "fecha nacimiento", "fec nac", "f nac", "nacimiento", "ano de nacimiento", "lugar de nacimiento", "donde nacio", "cumpleanos", "edad",
			"anos cumplidos", "cuantos anos tiene"},
		"immigration-status": {"estatus migratorio", "estado migratorio", "situacion migratoria", "status migratorio", "condicion migratoria", "estatus legal", "situacion legal",
			"migratorio", "migratoria", "inmigracion", "indocumentado", "indocumentada", "permiso de trabajo", "asilo", "papeles", "tiene documentos",
			"residencia permanente", "residente permanente", "estatus de inmigracion", "migracion"},
		"nationality": {"nacionalidad", "nacionalidades", "ciudadania", "ciudadano", "ciudadana", "pais de origen", "pais de nacimiento", "pais natal", "de donde es usted",
			"de que pais"},
		"identity-number": {"curp", "=rfc", "dni", "cedula", "=ine", "nss", "numero a", "numero de extranjero", "numero de identificacion", "numero de id", "identificacion",
			"seguro social", "numero de seguro social", "pasaporte", "licencia", "licencia de conducir", "licencia de manejo", "matricula consular", "matricula",
			"credencial de elector", "cedula de identidad", "documento de identidad", "numero de documento", "placas", "numero de caso", "clave de elector",
			"=rut"},
		"ip-address":  {"direccion ip"},
		"coordinates": {"latitud", "longitud", "coordenadas", "geolocalizacion", "ubicacion"},
		"employer": {"empleador", "=patron", "empresa", "lugar de trabajo", "ocupacion", "trabajo", "centro de trabajo", "profesion", "=puesto", "=cargo", "donde trabaja",
			"compania"},
		"health": {"salud", "condicion medica", "discapacidad", "alergia", "alergias", "medicamentos", "enfermedad", "vacuna", "vacunado", "seguro medico", "embarazada",
			"restricciones alimenticias"},
		"religion":   {"=fe", "iglesia", "parroquia", "mezquita", "religiosa", "religioso", "sinagoga", "congregacion"},
		"ethnicity":  {"etnia", "raza", "etnicidad", "origen etnico", "grupo etnico", "pueblo indigena"},
		"court-date": {"corte", "fecha de corte", "audiencia", "fecha de audiencia", "juicio", "tribunal", "cita de inmigracion", "juzgado"},
		"signature":  {"firma", "firmas", "rubrica", "firme aqui"},
		"street-address": {"direccion", "direcciones", "domicilio", "calle", "direccion postal", "direccion de casa", "apartamento", "colonia y calle", "numero de casa", "apto",
			"=donde vive"},
		"notes": {"notas", "nota", "comentario", "comentarios", "observacion", "observaciones", "algo mas", "informacion adicional", "mensaje", "detalles",
			"otros datos", "cuentenos", "cuentanos", "su historia", "tu historia", "en que podemos ayudar", "comentarios adicionales", "preguntas o comentarios"},
	},
	status: []string{"indocumentado", "indocumentada", "indocumentados", "indocumentadas", "sin papeles", "sin documentos", "no tengo papeles", "no tiene papeles",
		"no tienen papeles", "sin estatus", "sin estatus legal", "asilo", "asilado", "asilada", "solicitante de asilo", "asilo pendiente", "asilo politico",
		"caso de asilo", "deportacion", "deportado", "deportada", "orden de deportacion", "detenido por ice", "detenida por ice", "detenido por la migra",
		"detenida por la migra", "residente permanente", "residencia permanente", "tarjeta verde", "permiso de trabajo", "permiso laboral", "visa vencida",
		"visa expirada", "visa u", "visa t", "visa de turista", "visa de estudiante", "visa de trabajo", "sin visa", "fecha de corte", "cita de corte",
		"cita en corte", "corte de inmigracion", "corte migratoria", "cita de inmigracion", "cita con inmigracion", "cita con ice", "caso de inmigracion",
		"estatus migratorio", "estado migratorio", "situacion migratoria", "salida voluntaria", "ilegal", "ilegales",
		"s papeles", "s documentos", "no tengo documentos", "no tiene documentos", "no tienen documentos", "detenido", "detenida", "detenidos", "detenidas", "detenido a",
		"cita migra", "cita con migra", "cita con la migra", "cita de migra", "grillete", "grillete electronico"},
	yes: []string{"si", "s", "verdadero", "acepto", "de acuerdo", "si acepto", "claro", "si por favor", "si estoy de acuerdo", "estoy de acuerdo", "si claro",
		"si autorizo", "autorizo", "por supuesto", "desde luego"},
	no:        []string{"no", "falso", "no acepto", "no gracias", "no compartir", "no autorizo", "no estoy de acuerdo", "no quiero", "no deseo", "en desacuerdo", "mejor no"},
	totals:    []string{"total", "totales", "suma", "gran total", "total general", "subtotal", "total de personas", "total de asistentes"},
	illegible: []string{"ilegible", "no se lee", "no se entiende", "no legible", "no se puede leer", "no se ve", "letra ilegible"},
	ditto:     []string{"idem", "igual que arriba", "lo mismo", "igual al anterior", "mismo de arriba", "lo mismo que arriba", "igual arriba"},
}
