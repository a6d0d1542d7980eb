package sheet

// A Reason says why a cell was left out or a row refused. The set is closed and
// the numbers are kept stable, so that an account of a million refused rows
// costs a line number and a byte each. A reason never says what the cell held.
type Reason uint8

// Reasons that leave out one cell. Those marked * leave out only a part of it:
// [Clean] then returns a value as well.
const (
	None            Reason = 0
	NotEmail        Reason = 1  // no address in it
	SpelledOutEmail Reason = 2  // "at", "dot" in words: repeating a guess would repeat the cell
	IncompleteEmail Reason = 3  // nothing with a dot behind the @
	SecondEmail     Reason = 4  // * more than one address
	NotPhone        Reason = 5  // no number that exists in the list's region or abroad
	NoAreaCode      Reason = 6  // seven digits
	MangledPhone    Reason = 7  // 2.12E+09
	SecondPhone     Reason = 8  // * more than one number
	Extension       Reason = 9  // * behind the number
	NotPostalCode   Reason = 10 // not of the region's form
	NotYesNo        Reason = 11 // a question or a consent column answered otherwise
	TooLong         Reason = 12 // over 200 characters, 254 bytes for an address
	IllegibleCell   Reason = 13 // "???", "illegible"
	DittoCell       Reason = 14 // ditto marks
	SecondValue     Reason = 15 // * another column already gave this field a value
	NoLetters       Reason = 16 // nothing but punctuation where words belong
	IdentityCell    Reason = 17 // looks like an identity number; in a sheet its row is refused
	TwoPeople       Reason = 18 // * "Doe, John & Jane": kept as written
	DateCell        Reason = 19 // a birth or court date
	ErrorCell       Reason = 21 // a spreadsheet's error, or a formula without its value
	NotCity         Reason = 22 // a street, or more than a city
	AnothersCell    Reason = 23 // "mom 917...": of somebody else
	StatusCell      Reason = 20 // words that tell somebody's immigration status or case
)

// Reasons that refuse a whole row.
const (
	Ditto          Reason = 32 // refers to the row above
	Illegible      Reason = 33 // what would reach the person cannot be read
	Totals         Reason = 34 // a sum, not a person
	RepeatedHeader Reason = 35
	IdentityNumber Reason = 36 // a kept cell looks like an SSN, ITIN or A-number
	Unreachable    Reason = 37 // neither email nor phone remains
	Nameless       Reason = 38 // list without email and phone, and no name remains
	BrokenQuotes   Reason = 39 // quotation marks that do not pair up
	MoreCells      Reason = 40 // more cells than the header has
	AboveHeader    Reason = 43 // a person above the row of headings
	BrokenCard     Reason = 42 // a vCard without an end, or with a line that cannot be read
	ErasedBefore   Reason = 41 // asked to be erased; given by the vault, which knows the list
)

var reasons = [...]struct{ slug, text string }{
	NotEmail:        {"not-an-address", "this is not an email address; expected the form name@example.org"},
	SpelledOutEmail: {"address-spelled-out", "the email address is written out in words; type it in the form name@example.org"},
	IncompleteEmail: {"address-incomplete", "the part of the email address behind the @ has no dot; expected the form name@example.org"},
	SecondEmail:     {"second-address", "one email address is kept per person; the first was taken"},
	NotPhone:        {"not-a-number", "this is no phone number of the list's region; write numbers of other countries with + and the country code"},
	NoAreaCode:      {"no-area-code", "the phone number has no area code"},
	MangledPhone:    {"number-mangled", "the spreadsheet turned the phone number into a power of ten and lost digits; format the column as text and type it again"},
	SecondPhone:     {"second-number", "one phone number is kept per person; the first was taken"},
	Extension:       {"extension", "extensions are not kept, the number itself was taken"},
	NotPostalCode:   {"not-a-postal-code", "this is not a postal code of the list's region"},
	NotYesNo:        {"not-yes-or-no", "the answer is neither yes nor no"},
	TooLong:         {"too-long", "longer than 200 characters (an email address: 254)"},
	IllegibleCell:   {"illegible-cell", "marked as illegible"},
	DittoCell:       {"ditto-cell", "a ditto mark; write the value out"},
	SecondValue:     {"second-value", "another column of the same field already gave a value"},
	NoLetters:       {"no-letters", "there is no word in it"},
	IdentityCell:    {"identity-number-cell", "this looks like an identity, passport or card number, which is never stored"},
	TwoPeople:       {"two-people", "there seems to be more than one person in the name; it was kept as written, so that each can be given a row of their own"},
	DateCell:        {"date-in-cell", "there is a date in it, and birth and court dates are not kept"},
	StatusCell:      {"status-in-cell", "it says something of immigration status or a case, which can be used against people and is not kept; refer them to a lawyer"},

	ErrorCell:    {"error-cell", "the spreadsheet shows an error there, or its value was not saved; open the file in the spreadsheet program and save it again"},
	AnothersCell: {"somebody-else", "it says that it is of somebody else, who did not sign up"},
	NotCity:      {"not-a-city", "there is more than a city in it, and street addresses are not kept"},

	Ditto:          {"ditto", "the row refers to the row above it with ditto marks; write the values out"},
	Illegible:      {"illegible", "marked as illegible, and no way to reach the person remains"},
	Totals:         {"totals", "a row of totals, not a person"},
	RepeatedHeader: {"repeated-header", "the header again, not a person"},
	IdentityNumber: {"identity-number", "a cell looks like an identity, passport or card number, which is never stored; remove it and import the row again"},
	Unreachable:    {"no-way-to-reach", "neither an email address nor a phone number remains"},
	Nameless:       {"no-name", "no name remains"},
	BrokenQuotes:   {"broken-quotes", "the quotation marks of the row do not pair up, so its cells cannot be told apart"},
	AboveHeader:    {"above-header", "it stands above the row of headings; move that to the top and import the row again"},
	BrokenCard:     {"broken-card", "the vCard has no end, or a line that cannot be read; export the contact again"},
	ErasedBefore:   {"erased-before", "this person was erased from the list; if they want to be on it again, add them by hand"},
	MoreCells:      {"more-cells-than-header", "the row has more cells than the header, so they may stand under the wrong heading; a cell with the separator in it needs quotation marks"},
}

// Slug returns the reason's stable short name, as it stands in answers.
func (r Reason) Slug() string {
	if int(r) < len(reasons) {
		return reasons[r].slug
	}
	return ""
}

// String returns the reason as a sentence for people, in English.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r].text
	}
	return ""
}

// Reasons returns every reason there is, for tables that translate them.
func Reasons() []Reason {
	var all []Reason
	for r := range reasons {
		if reasons[r].slug != "" {
			all = append(all, Reason(r))
		}
	}
	return all
}

// Partial reports whether a value was kept all the same: the reason is about
// the rest of the cell.
func (r Reason) Partial() bool {
	return r == SecondEmail || r == SecondPhone || r == Extension || r == TwoPeople
}
