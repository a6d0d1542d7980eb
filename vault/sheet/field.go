package sheet

import "slices"

// A Field names one kind of datum that a list may hold.
type Field string

// The catalogue, and the up to three questions of a list's own.
const (
	Name         Field = "name" // the whole name, as the person writes it
	GivenName    Field = "given_name"
	FamilyName   Field = "family_name"
	Email        Field = "email"       // lower case
	Phone        Field = "phone"       // E.164
	PostalCode   Field = "postal_code" // upper case, leading zeros kept
	City         Field = "city"
	Language     Field = "language"
	Pronouns     Field = "pronouns"
	Organisation Field = "organisation"

	Question1 Field = "q1" // questions are answered "yes" or "no"
	Question2 Field = "q2"
	Question3 Field = "q3"
)

// Shareable is what columns and cells about consent to be shared go by in
// [Column] and [LeftOut]. It is no field of the catalogue: consent is a property
// of the contact, which [Row.Consent] carries.
const Shareable Field = "shareable"

var catalogue = []Field{
	Name, GivenName, FamilyName, Email, Phone, PostalCode, City, Language, Pronouns, Organisation,
}

// Catalogue returns the fields every list can choose from, in the order in
// which they are offered. The slice is the caller's.
func Catalogue() []Field { return slices.Clone(catalogue) }

// Known reports whether f is in the catalogue.
func (f Field) Known() bool { return slices.Contains(catalogue, f) }

// Question reports whether f is one of the questions of a list's own.
func (f Field) Question() bool { return f == Question1 || f == Question2 || f == Question3 }

// named reports whether f is a name or a part of one.
func (f Field) named() bool { return f == Name || f == GivenName || f == FamilyName }

// Consent says whether a person agreed that a partner may have their data.
type Consent uint8

// Unasked is the zero value: nobody may be taken to have agreed by default.
const (
	Unasked Consent = iota
	Yes
	No
)

// String returns "unasked", "yes" or "no".
func (c Consent) String() string {
	switch c {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return "unasked"
}
