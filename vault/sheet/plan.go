package sheet

import (
	"fmt"
	"slices"
	"strings"
)

// A plan says what is done with every column of a sheet.
type plan struct {
	columns []column
	dropped []Drop
	fates   []Drop // by column; zero if it is read
	width   int    // cells of the header
	consent []consentColumn
	kept    []Column

	joinsName   int  // position of Name in the list's fields where it is joined of parts, else -1
	familyFirst bool // a name that is joined begins with the family name
}

// A column is one that is read into a row's cells.
type column struct {
	index  int
	header string // trimmed
	field  Field
	slot   int  // position in the list's fields, -1 if it is only a part of a name
	after  bool // its value follows what another column gave
	part   part // of the name that is joined of parts, whole if it is none
	area   int  // index of the column with the area codes of this one's numbers, or -1
	clean  func(*Cleaner, string) (string, Reason)
}

type part uint8

const (
	whole part = iota
	given
	family
)

type consentColumn struct {
	index   int
	inverse bool
}

func drop(header, slug, reason string) Drop { return Drop{Header: header, Slug: slug, Reason: reason} }

func dropRefused(h string, k *refusedKind) Drop {
	return drop(h, "refused-"+k.slug, k.reason+"; "+k.instead)
}

func notAField(h string) Drop { return drop(h, "not-a-field", "not a field of this list") }

// trimHeader returns a header cell as answers show it: outer blanks off.
func trimHeader(cell string) string {
	return strings.TrimFunc(cell, func(r rune) bool { return blank(string(r)) })
}

// meaningOf returns what a header means to this list: its own questions come
// before everything that the tables know.
func meaningOf(header string, o *Options) meaning {
	folded := ""
	for _, f := range o.Fields {
		text := o.Questions[f]
		if text == "" || !f.Question() {
			continue
		}
		if folded == "" {
			if folded = foldWords(header); folded == "" {
				break
			}
		}
		if folded == foldWords(text) {
			return meaning{kind: aField, field: f}
		}
	}
	return recognise(header)
}

func meaningsOf(header []string, o *Options) []meaning {
	meanings := make([]meaning, len(header))
	for i, cell := range header {
		meanings[i] = meaningOf(trimHeader(cell), o)
	}
	return meanings
}

// newPlan decides about every column of the header that stands on the given
// line of the file; meanings, which it changes, say what the headings mean. look is
// called only if a heading leaves a doubt that cells may take away.
func newPlan(header []string, meanings []meaning, line int, o *Options, look looker) (*plan, error) {
	p := &plan{fates: make([]Drop, len(header)), width: len(header), joinsName: -1}
	headers := make([]string, len(header))
	for i, cell := range header {
		// The header outlives the record whose memory it shares.
		headers[i] = strings.Clone(trimHeader(cell))
	}
	mapped, err := applyMap(headers, meanings, line, o)
	if err != nil {
		return nil, err
	}
	settleOwners(meanings, mapped)
	byCells, err := confirm(headers, meanings, mapped, o, look)
	if err != nil {
		return nil, err
	}
	hasName := settleNames(meanings)
	areas := areaCodes(meanings)
	for _, m := range meanings {
		if m.kind == aField && (m.field == GivenName || m.field == FamilyName) {
			p.familyFirst = p.familyFirst || m.familyFirst
		}
	}

	nameless := 0
	for i, m := range meanings {
		h := headers[i]
		before := len(p.dropped)
		switch {
		case mapped[i] == dropAsAsked:
			p.dropped = append(p.dropped, drop(h, "as-asked", "dropped as asked"))
		case h == "" && m.kind == unknown:
			nameless++
			p.fates[i] = noHeading
		case m.kind == aField:
			c := column{index: i, header: h, field: m.field, area: areas[i], after: m.follows}
			p.add(c, Column{h, m.field, i, byCells[i]}, mapped[i] == mappedByCaller, hasName, o)
		case m.kind == postalAndCity:
			p.addPostalAndCity(i, h, o)
		case m.kind == areaCode && slices.Contains(areas, i) && slices.Contains(o.Fields, Phone):
			p.kept = append(p.kept, Column{Header: h, Field: Phone, Index: i})
		case m.kind == consent || m.kind == noConsent:
			p.consent = append(p.consent, consentColumn{i, m.kind == noConsent})
			p.kept = append(p.kept, Column{Header: h, Field: Shareable, Index: i})
		case m.kind == aRefused:
			p.dropped = append(p.dropped, dropRefused(h, m.refused))
		case m.kind == unneeded:
			p.dropped = append(p.dropped, notAField(h))
		default:
			p.dropped = append(p.dropped, drop(h, "not-recognised", `not recognised; if it is a field of the list, say so with --map "Header=field"`))
		}
		if len(p.dropped) > before {
			p.fates[i] = p.dropped[before]
		}
	}
	if nameless > 0 {
		p.dropped = append(p.dropped, noHeading)
	}
	if len(p.columns) == 0 {
		return nil, &Error{Reason: NothingToKeep, Line: line,
			Msg: fmt.Sprintf(`no column is a field of this list (%s); if one is, say so with --map "Header=field"`, joinFields(o.Fields))}
	}
	return p, nil
}

// add plans a column, or drops it; k is how answers show it.
func (p *plan) add(c column, k Column, byCaller, hasName bool, o *Options) {
	h := c.header
	nameSlot := slices.Index(o.Fields, Name)
	isPart := c.field == GivenName || c.field == FamilyName
	c.slot, c.clean = slices.Index(o.Fields, c.field), cleaners[c.field]
	if isPart && nameSlot >= 0 && (!hasName || byCaller) {
		c.part = given
		if c.field == FamilyName {
			c.part = family
		}
		p.joinsName = nameSlot
	}
	switch {
	case c.slot >= 0:
	case c.part != whole:
		k.Field = Name // what the list will have of it
	case isPart && nameSlot >= 0:
		p.dropped = append(p.dropped, drop(h, "part-of-name", "the column of the whole name is used"))
		return
	case c.field == Name && (slices.Contains(o.Fields, GivenName) || slices.Contains(o.Fields, FamilyName)):
		p.dropped = append(p.dropped, drop(h, "whole-name",
			`a whole name is not split, since only the person knows where; if these are given names, use --map "Header=given_name"`))
		return
	default:
		p.dropped = append(p.dropped, notInList(h))
		return
	}
	p.columns = append(p.columns, c)
	p.kept = append(p.kept, k)
}

var noHeading = drop("", "no-heading", "columns without a heading are not read")

func notInList(h string) Drop { return drop(h, "not-in-list", "not a field of this list") }

// addPostalAndCity plans a column that holds both, as far as the list has them.
func (p *plan) addPostalAndCity(i int, h string, o *Options) {
	before := len(p.columns)
	for _, f := range []Field{PostalCode, City} {
		if slot := slices.Index(o.Fields, f); slot >= 0 {
			clean := (*Cleaner).postalPart
			if f == City {
				clean = (*Cleaner).cityPart
			}
			p.columns = append(p.columns, column{index: i, header: h, field: f, slot: slot, area: -1, clean: clean})
			p.kept = append(p.kept, Column{Header: h, Field: f, Index: i})
		}
	}
	if len(p.columns) == before {
		p.dropped = append(p.dropped, notInList(h))
	}
}

// settleOwners decides about headings that say whose something is. They are the
// person's of the row if no other heading is of a person, and all name one owner:
// in a list of tenants that is who signs. Beside a column "Name", or another owner,
// they may be anybody's and are not read.
func settleOwners(meanings []meaning, mapped []mapping) {
	owner, only, named := "", true, false
	for i, m := range meanings {
		person := m.named() || m.is(Email, Phone)
		if mapped[i] != notMapped && person {
			only = false
		}
		switch {
		case m.owner == "" && person, m.owner != "" && owner != "" && m.owner != owner:
			only = only && !person
		case m.owner != "" && person:
			owner = m.owner
			named = named || m.named()
		}
	}
	for i, m := range meanings {
		if m.owner == "" || mapped[i] != notMapped {
			continue
		}
		switch {
		case !only || m.owner != owner:
			meanings[i] = meaning{}
		case m.kind == unknown && !named:
			// "Passenger", beside "Passenger's cell"
			meanings[i], named = meaning{kind: aField, field: Name}, true
		default:
			meanings[i].owner = ""
		}
	}
}

// settleNames decides what the headings are that mean one thing alone and another
// beside others: "Nom" is the family name beside "Prénom", and "Nombre" the given
// name beside "Apellidos". It reports whether a column holds whole names.
func settleNames(meanings []meaning) (hasName bool) {
	var hasGiven, hasFamily, nameIsFamily, mayBeGiven bool
	for _, m := range meanings {
		if m.kind == nameOrGiven {
			mayBeGiven = true
		}
		if m.kind != aField {
			continue
		}
		hasGiven = hasGiven || m.field == GivenName
		hasFamily = hasFamily || m.field == FamilyName
		hasName = hasName || m.field == Name
		nameIsFamily = nameIsFamily || m.nameIsFamily
	}
	for i, m := range meanings {
		if m.kind != nameOrGiven && m.kind != nameOrFamily {
			continue
		}
		settled := meaning{kind: aField, field: Name, familyFirst: m.familyFirst}
		switch {
		case hasName:
		case m.kind == nameOrGiven && hasFamily && !hasGiven:
			settled.field, hasGiven = GivenName, true
		case m.kind == nameOrGiven && hasGiven && !hasFamily && nameIsFamily,
			m.kind == nameOrFamily && !hasFamily && (hasGiven || mayBeGiven && len(meanings) > 1):
			settled.field, hasFamily = FamilyName, true
		}
		if settled.field == Name {
			hasName = true
		}
		meanings[i] = settled
	}
	return hasName
}

// areaCodes returns for each column of phone numbers the index of the column with
// their area codes, else -1: the nearest one before it that no other has.
func areaCodes(meanings []meaning) []int {
	areas := make([]int, len(meanings))
	open := -1
	for i, m := range meanings {
		areas[i] = -1
		switch {
		case m.kind == areaCode:
			open = i
		case m.kind == aField && m.field == Phone && open >= 0:
			areas[i], open = open, -1
		}
	}
	return areas
}

// cleaners is what cleans each field's cells.
var cleaners = map[Field]func(*Cleaner, string) (string, Reason){
	Name: (*Cleaner).name, GivenName: (*Cleaner).text, FamilyName: (*Cleaner).text,
	Email: (*Cleaner).email, Phone: (*Cleaner).phone, PostalCode: (*Cleaner).postalCode,
	City: (*Cleaner).city, Language: (*Cleaner).text, Pronouns: (*Cleaner).text, Organisation: (*Cleaner).organisation,
	Question1: (*Cleaner).answer, Question2: (*Cleaner).answer, Question3: (*Cleaner).answer,
}

// mapping says what Options.Map does to a column.
type mapping uint8

const (
	notMapped mapping = iota
	mappedByCaller
	dropAsAsked
)

// applyMap changes meanings as o.Map asks and returns which it changed.
func applyMap(headers []string, meanings []meaning, line int, o *Options) ([]mapping, error) {
	mapped := make([]mapping, len(headers))
	keys := make([]string, 0, len(o.Map))
	for key := range o.Map {
		keys = append(keys, key)
	}
	slices.Sort(keys) // the same error every time
	for _, key := range keys {
		target := strings.TrimSpace(o.Map[key])
		columns, err := mappedColumns(headers, key, line)
		if err != nil {
			return nil, err
		}
		for _, i := range columns {
			if target == "" || target == "-" {
				mapped[i] = dropAsAsked
				continue
			}
			if k := recognise(headers[i]).refused; k != nil {
				return nil, &Error{Reason: RefusedMap, Line: line,
					Msg: fmt.Sprintf("map %q to %s: %s; %s", key, target, k.reason, k.instead)}
			}
			if mapped[i] == mappedByCaller && meanings[i].field != Field(target) {
				return nil, &Error{Reason: BadMap, Line: line, Msg: fmt.Sprintf("map %q: the column is mapped to two fields", key)}
			}
			mapped[i] = mappedByCaller
			if Field(target) == Shareable {
				meanings[i] = meaning{kind: consent}
				continue
			}
			meanings[i] = meaning{kind: aField, field: Field(target)}
		}
	}
	return mapped, nil
}

// mappedColumns returns the columns that a key of Options.Map names: those with
// exactly this header, else the one that reads the same.
func mappedColumns(headers []string, key string, line int) ([]int, error) {
	var exact, alike []int
	wanted := trimHeader(key)
	for i, h := range headers {
		switch {
		case h == wanted:
			exact = append(exact, i)
		case wanted != "" && foldHeader(h) == foldHeader(wanted):
			alike = append(alike, i)
		}
	}
	switch {
	case len(exact) > 0:
		return exact, nil
	case len(alike) == 0:
		return nil, &Error{Reason: BadMap, Line: line, Msg: fmt.Sprintf("map %q: the sheet has no such header", key)}
	}
	for _, i := range alike[1:] {
		if headers[i] != headers[alike[0]] {
			return nil, &Error{Reason: BadMap, Line: line,
				Msg: fmt.Sprintf("map %q: both %q and %q read like it; write the header as it stands in the file", key, headers[alike[0]], headers[i])}
		}
	}
	return alike, nil
}

// validate checks what does not depend on the sheet.
func (o *Options) validate() error {
	for _, f := range o.Fields {
		if !f.Known() && !f.Question() {
			return &Error{Reason: BadOptions, Msg: fmt.Sprintf("no field is called %q", f)}
		}
	}
	if o.Region != "" && !KnownRegion(o.Region) {
		return &Error{Reason: BadOptions, Msg: fmt.Sprintf("no region is called %q", o.Region)}
	}
	for header, target := range o.Map {
		f := Field(strings.TrimSpace(target))
		joined := (f == GivenName || f == FamilyName) && slices.Contains(o.Fields, Name)
		if f != "" && f != "-" && f != Shareable && !joined && !slices.Contains(o.Fields, f) {
			return &Error{Reason: BadMap, Msg: fmt.Sprintf("map %q: %q is not a field of this list (%s)", header, f, joinFields(o.Fields))}
		}
	}
	return nil
}

func joinFields(fields []Field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(f))
	}
	return b.String()
}
