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
	width   int // cells of the header
	consent []consentColumn
	kept    []Column

	joinsName int // position of Name in the list's fields where it is joined of parts, else -1
}

// A column is one that is read into a row's cells.
type column struct {
	index  int
	header string // trimmed
	field  Field
	slot   int  // position in the list's fields, -1 if it is only a part of a name
	part   part // of the name that is joined of parts, whole if it is none
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

// newPlan decides about every column of the header that stands on the given
// line of the file.
func newPlan(header []string, line int, o *Options) (*plan, error) {
	p := &plan{width: len(header), joinsName: -1}
	headers := make([]string, len(header))
	meanings := make([]meaning, len(header))
	for i, cell := range header {
		// The header outlives the record whose memory it shares.
		headers[i] = strings.Clone(trimHeader(cell))
		meanings[i] = meaningOf(headers[i], o)
	}
	mapped, err := applyMap(headers, meanings, line, o)
	if err != nil {
		return nil, err
	}

	hasFamily, hasGiven, hasName := false, false, false
	for _, m := range meanings {
		hasFamily = hasFamily || m.kind == aField && m.field == FamilyName
		hasGiven = hasGiven || m.kind == aField && m.field == GivenName
		hasName = hasName || m.kind == aField && m.field == Name
	}
	for i := range meanings {
		if meanings[i].kind == nameOrGiven {
			meanings[i] = meaning{kind: aField, field: Name}
			if hasFamily && !hasGiven && !hasName {
				meanings[i].field = GivenName
			} else {
				hasName = true
			}
		}
	}

	nameless := 0
	for i, m := range meanings {
		h := headers[i]
		switch {
		case mapped[i] == dropAsAsked:
			p.dropped = append(p.dropped, drop(h, "as-asked", "dropped as asked"))
		case h == "" && m.kind == unknown:
			nameless++
		case m.kind == aField:
			p.add(i, h, m.field, mapped[i] == mappedByCaller, hasName, o)
		case m.kind == consent || m.kind == noConsent:
			p.consent = append(p.consent, consentColumn{i, m.kind == noConsent})
			p.kept = append(p.kept, Column{h, Shareable, i})
		case m.kind == aRefused:
			p.dropped = append(p.dropped, drop(h, "refused-"+m.refused.slug, m.refused.reason+"; "+m.refused.instead))
		case m.kind == unneeded:
			p.dropped = append(p.dropped, drop(h, "not-a-field", "not a field of this list"))
		default:
			p.dropped = append(p.dropped, drop(h, "not-recognised", `not recognised; if it is a field of the list, say so with --map "Header=field"`))
		}
	}
	if nameless > 0 {
		p.dropped = append(p.dropped, drop("", "no-heading", "columns without a heading are not read"))
	}
	if len(p.columns) == 0 {
		return nil, &Error{Reason: NothingToKeep, Line: line,
			Msg: fmt.Sprintf(`no column is a field of this list (%s); if one is, say so with --map "Header=field"`, joinFields(o.Fields))}
	}
	return p, nil
}

// add plans column i, which holds field f, or drops it.
func (p *plan) add(i int, h string, f Field, byCaller, hasName bool, o *Options) {
	nameSlot := slices.Index(o.Fields, Name)
	isPart := f == GivenName || f == FamilyName
	c := column{index: i, header: h, field: f, slot: slices.Index(o.Fields, f), clean: cleaners[f]}
	if isPart && nameSlot >= 0 && (!hasName || byCaller) {
		c.part = given
		if f == FamilyName {
			c.part = family
		}
		p.joinsName = nameSlot
	}
	switch {
	case c.slot >= 0:
	case c.part != whole:
		f = Name // what the list will have of it
	case isPart && nameSlot >= 0:
		p.dropped = append(p.dropped, drop(h, "part-of-name", "the column of the whole name is used"))
		return
	case f == Name && (slices.Contains(o.Fields, GivenName) || slices.Contains(o.Fields, FamilyName)):
		p.dropped = append(p.dropped, drop(h, "whole-name",
			`a whole name is not split, since only the person knows where; if these are given names, use --map "Header=given_name"`))
		return
	default:
		p.dropped = append(p.dropped, drop(h, "not-in-list", "not a field of this list"))
		return
	}
	p.columns = append(p.columns, c)
	p.kept = append(p.kept, Column{h, f, i})
}

// cleaners is what cleans each field's cells.
var cleaners = map[Field]func(*Cleaner, string) (string, Reason){
	Name: (*Cleaner).text, GivenName: (*Cleaner).text, FamilyName: (*Cleaner).text,
	Email: (*Cleaner).email, Phone: (*Cleaner).phone, PostalCode: (*Cleaner).postalCode,
	City: (*Cleaner).text, Language: (*Cleaner).text, Pronouns: (*Cleaner).text, Organisation: (*Cleaner).text,
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
