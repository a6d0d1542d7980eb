package sheet

import "sync"

// A refusedKind is a kind of datum that no list may hold, because it can be used
// against the person and is not needed to reach them. The words for it stand with
// each language.
type refusedKind struct {
	slug    string // stable; Drop.Slug is "refused-" and this
	reason  string // why it is not kept
	instead string // what takes its place
}

const askByQuestion = `where a need must be known, use a yes/no question of the list, such as "Needs an interpreter?"`

var refusedKinds = []refusedKind{
	{"birth-date", "birth dates identify people across registers and are not kept", `for an age limit, use a yes/no question such as "18 or older?"`},
	{"immigration-status", "immigration status can be used against people and is not kept", "refer people to a lawyer, who can keep it under privilege"},
	{"nationality", "nationality can be used against people and is not kept", "use the field language to find somebody who can talk with them"},
	{"identity-number", "identity numbers (A-number, SSN, ITIN, passport, licence) are never kept", "the contact's id in the list tells people apart"},
	{"ip-address", "IP addresses tell where a person was and are not kept", "nothing is needed in their place"},
	{"coordinates", "coordinates tell where a person is and are not kept", "use the field postal_code or city"},
	{"employer", "employers are where people are looked for, and are not kept", "use the field organisation for the group a person comes with"},
	{"health", "health is nobody's business on a list and is not kept", askByQuestion},
	{"religion", "religion can be used against people and is not kept", "use the field organisation if a congregation brought them"},
	{"ethnicity", "ethnicity can be used against people and is not kept", "use the field language to find somebody who can talk with them"},
	{"court-date", "court dates belong with a lawyer and are not kept", "refer people to a lawyer, who can keep it under privilege"},
	{"signature", "signatures can be forged from a copy and are not kept", "the paper with the signatures can be locked away or shredded"},
	{"street-address", "street addresses lead to people's doors and are not kept", "use the field postal_code or city"},
	{"notes", "free notes fill up with what can be used against people and are not kept", askByQuestion},
}

// refusedPhrases maps each phrase to its kind.
var refusedPhrases = sync.OnceValue(func() *phrases[*refusedKind] {
	p := new(phrases[*refusedKind])
	for i := range languages {
		for j := range refusedKinds {
			p.add(&refusedKinds[j], numbered(languages[i].refused[refusedKinds[j].slug]))
		}
	}
	return p
})

// refusedIn returns the refused kind that a folded header names, or nil.
func refusedIn(key string) *refusedKind {
	var kind *refusedKind
	key = letters(key)
	// The longest phrase names the kind best: "country of birth" is a
	// nationality before "birth" is a date.
	refusedPhrases().find(key, func(k *refusedKind) bool {
		if k.slug == "street-address" && words().mail.in(key) {
			return false
		}
		kind = k
		return true
	})
	return kind
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
