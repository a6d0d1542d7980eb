package vault

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

// A Report says what somebody would find who came today and took the machine, its
// backups or a member's laptop: what can be read, who could open what, and what is
// not there. It is made from the vault as it is.
type Report struct {
	Vault   string // id
	Time    time.Time
	LogSize int64 // entries of the audit trail
	Disk    []ReportLine
	OpenTo  []ReportLine
	Absent  []ReportLine // what is not on the disk, and what that does not cover
}

// A ReportLine is one thing that a report says. There is one for each code in every
// report, also where there is nothing of its kind.
type ReportLine struct {
	Code  string // stable
	Text  string // a sentence or two for people
	Items []ReportItem

	// Covers names what of the files a line of Disk is about, such as
	// "fact list.deadline"; see diskLines. Nil elsewhere.
	Covers []string
}

// A ReportItem is one of the things that a line is about. What has a name here and
// none on the disk, as a member or a list, has it only as far as the member who asks
// may know it, and never under Disk.
type ReportItem struct {
	ID     string // "" if it has none
	Name   string // handle or title, likewise
	Text   string
	Values map[string]any // strings, whole numbers, truth values, and arrays of strings
}

// Report says what somebody would find who came today. Every member may.
//
// It opens no contact, and is in the trail no more than what else is shown of the
// vault itself: lists, what waits, the audit log. An entry would tell whoever has the
// disk in which hour a group was afraid. Under Disk a member sees ids and counts also
// of what they have no part in: whoever has the disk sees them too, and so must those
// who have to judge what that means.
func (s *Session) Report(ctx context.Context) (*Report, error) {
	var r *reporter
	for range 8 {
		r = &reporter{s: s, v: s.v, ctx: ctx}
		if err := r.look(); err != nil {
			return nil, err
		}
		// The store is counted after the statements were taken: what nothing is about may be
		// of somebody who is at work. Then it is not there, or known, at another look.
		if len(r.unnamed()) == 0 {
			break
		}
	}
	out := &Report{Vault: r.self.vault, Time: r.now.UTC().Truncate(time.Second), LogSize: s.v.trail.Size()}
	for _, part := range []struct {
		to    *[]ReportLine
		kinds []lineKind
	}{{&out.Disk, diskLines()}, {&out.OpenTo, openToLines()}, {&out.Absent, absentLines()}} {
		*part.to = []ReportLine{}
		for _, k := range part.kinds {
			if err := s.alive(); err != nil {
				return nil, err
			}
			text, items, err := k.say(r)
			if err != nil {
				return nil, err
			}
			if text == "" {
				continue
			}
			*part.to = append(*part.to, ReportLine{Code: k.code, Text: text, Items: items, Covers: k.covers})
		}
	}
	return out, nil
}

// A lineKind makes one line of a report. A line without a text is left out: only
// what would be said of nothing else.
type lineKind struct {
	code   string
	covers []string
	say    func(*reporter) (text string, items []ReportItem, err error)
}

// A reporter makes one report: from what there was when it began to look.
type reporter struct {
	s   *Session
	v   *Vault
	ctx context.Context
	now time.Time

	self     *statement
	members  []*statement
	lists    []*statement // that have not ended
	ended    []*statement // destroyed, or about to be
	damaged  []string     // ids of lists whose manifest is not what was vouched for
	spoilt   []string     // ids of requests, grants, waits and erasures likewise
	access   []*statement
	waits    []*statement
	erasures []*statement
	partners []*statement
	exports  []*statement
	holds    []*statement

	stewards map[MemberID][]*statement // lists whose key each member holds
	given    map[MemberID][]*statement // grants and slices in force that give each member a key

	stock  *Stock
	tls    Held
	blobs  map[string]Held // by the kind that blobKind gives
	inbox  map[string]int  // by list
	titles map[string]string
	born   []slots.Born
}

// look takes all that there is at one moment, and then what lies in the store.
func (r *reporter) look() (err error) {
	v := r.v
	r.now = v.clock.now()
	v.mu.RLock()
	r.self = v.self
	r.members = slices.Collect(maps.Values(v.members))
	r.access = slices.Collect(maps.Values(v.access))
	r.waits = slices.Collect(maps.Values(v.waits))
	r.erasures = slices.Collect(maps.Values(v.erasures))
	r.partners = slices.Collect(maps.Values(v.partners))
	r.exports = slices.Collect(maps.Values(v.exports))
	r.holds = slices.Collect(maps.Values(v.holds))
	r.spoilt = slices.Sorted(maps.Keys(v.spoilt))
	for id, l := range v.lists {
		switch {
		case l.damage != nil:
			r.damaged = append(r.damaged, string(id))
		case l.manifest.lives(r.now), l.manifest.kind == kindList && l.manifest.fact(factEnding) == "" && v.isHeld(id, r.now): // it can be opened
			r.lists = append(r.lists, l.manifest)
		default:
			r.ended = append(r.ended, l.manifest)
		}
	}
	v.mu.RUnlock()
	slices.Sort(r.damaged)
	for _, some := range [][]*statement{r.members, r.lists, r.ended, r.access, r.waits, r.erasures, r.partners, r.exports, r.holds} {
		slices.SortFunc(some, func(a, b *statement) int { return strings.Compare(a.object, b.object) })
	}

	r.stewards, r.given = map[MemberID][]*statement{}, map[MemberID][]*statement{}
	for _, l := range r.lists {
		for _, id := range stewardsOf(l) {
			r.stewards[id] = append(r.stewards[id], l)
		}
	}
	for _, a := range r.access {
		if id := MemberID(a.fact(factMember)); a.granted(r.now) && (a.opens() || a.may(actionSlice)) {
			r.given[id] = append(r.given[id], a)
		}
	}

	kinds := map[string]string{}
	for s := range r.statements {
		kinds[s.object] = s.kind
	}
	for _, id := range r.damaged {
		kinds[id] = kindList
	}
	for _, id := range r.spoilt {
		kinds[id] = kindSpoilt
	}
	r.blobs = map[string]Held{}
	r.stock, err = v.store.Stock(r.ctx, func(object, name string, size int64) error {
		code := blobCode(cmp.Or(kinds[object], "?"), name)
		h := r.blobs[code]
		r.blobs[code] = Held{h.N + 1, h.Bytes + size}
		return nil
	})
	if err != nil {
		return err
	}
	if v.tls != nil {
		if r.tls, err = v.tls.Stored(); err != nil {
			return &Error{Kind: Internal, Op: "vault.Report", Msg: "the files for https cannot be read", Err: err}
		}
	}
	r.born = v.slots.Slots()
	r.inbox = map[string]int{}
	waiting, err := v.store.InboxLists(r.ctx)
	if err != nil {
		return err
	}
	for _, list := range waiting {
		if r.inbox[list], err = v.store.InboxLen(r.ctx, list); err != nil {
			return err
		}
	}
	return nil
}

// statements yields every statement that is stored.
func (r *reporter) statements(yield func(*statement) bool) {
	for _, some := range [][]*statement{{r.self}, r.members, r.lists, r.ended, r.access, r.waits, r.erasures, r.partners, r.exports, r.holds} {
		for _, s := range some {
			if !yield(s) {
				return
			}
		}
	}
}

// title is that of a list, "" if the member may not know it or it does not open.
func (r *reporter) title(list string) (string, error) {
	if t, ok := r.titles[list]; ok {
		return t, nil
	}
	if r.titles == nil {
		r.titles = map[string]string{}
	}
	var t titleText
	err := again(func() error {
		_, m, err := r.s.open(ListID(list))
		if err != nil {
			return err
		}
		t, err = r.s.title(r.ctx, m)
		return err
	})
	if kind := KindOf(err); err != nil && kind != Gone && kind != NotFound && kind != CannotOpen {
		return "", err
	}
	r.titles[list] = t.Title
	return r.titles[list], nil
}

// handle is that of a member, "" if the one who asks may not know whose the id is.
func (r *reporter) handle(id MemberID) (string, error) { return r.s.AuditName(r.ctx, id) }

// unnamed lists what is stored and what no line of a report is about: as long as there
// is any, the report does not say all, and says that.
func (r *reporter) unnamed() []string {
	covers := reportCovers()
	missing := map[string]bool{}
	known := map[string]bool{}
	need := func(what string) {
		if known[what] {
			return
		}
		if known[what] = covered(covers, what); !known[what] {
			missing[what] = true
		}
	}
	for s := range r.statements {
		for key := range s.facts {
			need("fact " + s.kind + "." + key)
		}
		for i := range s.segments {
			for _, c := range s.segments[i].columns {
				need("segment " + s.kind + "." + c.name)
			}
		}
	}
	for code := range r.blobs {
		need(code)
	}
	for name := range r.stock.Rows {
		need("table " + name)
	}
	for name := range r.stock.Files {
		need("file " + name)
	}
	return slices.Sorted(maps.Keys(missing))
}

// reportCovers is what all lines together are about.
func reportCovers() (all []string) {
	for _, k := range diskLines() {
		all = append(all, k.covers...)
	}
	return all
}

// covered reports whether one of some patterns, as of path.Match, is about a thing.
func covered(patterns []string, thing string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, thing)
		return ok && err == nil
	})
}

// kindSpoilt stands for the kind of what a statement that is damaged was of.
const kindSpoilt = "spoilt"

// blobCode is "blob <kind>.<name>", with what tells one of a kind from another left out.
func blobCode(kind, name string) string {
	if kind == kindSpoilt {
		return "blob " + kindSpoilt
	}
	for i := range blobKinds {
		b := &blobKinds[i]
		if ok, err := path.Match(b.name, name); ok && err == nil && b.of == kind {
			return b.cover()
		}
	}
	return "blob " + kind + "." + name
}

// values pairs names with what they are: a name, its value, and so on. What is empty
// is left out.
func values(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case string:
			if v == "" {
				continue
			}
		case []string:
			if v == nil {
				continue
			}
		case bool:
			if !v {
				continue
			}
		}
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

func number(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// reportTime is how a report writes a time: RFC 3339, whole seconds.
const reportTime = time.RFC3339

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// spaced is a list of words as people read it.
func spaced(words string) string { return strings.ReplaceAll(words, ",", ", ") }
