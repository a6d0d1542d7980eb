package sheet

import "strings"

// A Query is what somebody looks for, in the forms in which it is stored.
type Query struct {
	Email string // the whole address; "" if it is none
	Phone string // the whole number in E.164; "" if it is none
	Name  string // name key; a contact matches whose name's key contains it
}

// ParseQuery reads an email address or a phone number in any spelling, or a part
// of a name. region is that of the list that is searched. All of Query is empty
// if nothing can be found by it. An address is not looked for among names, nor
// is a number; with letters around it, it may be both.
func ParseQuery(query, region string) Query { return NewCleaner(region).Query(query) }

// Query is [ParseQuery] for the Cleaner's region.
func (c *Cleaner) Query(query string) Query {
	if len(query) > maxQuery {
		return Query{}
	}
	if v, _ := c.Clean(Email, query); v != "" {
		return Query{Email: v}
	}
	// The same rules that read a cell read the query, so whatever was stored is
	// found by what stood on the paper.
	var q Query
	q.Phone, _ = c.Clean(Phone, query)
	if kinds, _ := survey(query); q.Phone == "" || kinds&(letterByte|oddByte) != 0 {
		q.Name = strings.TrimSpace(NameKey(strings.ToValidUTF8(query, "")))
	}
	return q
}

// maxQuery is the longest query, in bytes: a name of 200 characters of any script.
const maxQuery = 4 * maxText
