package vault

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Policy for lists.
const (
	DefaultLife = 90 * 24 * time.Hour  // a list's life when nobody says otherwise
	MaxLife     = 365 * 24 * time.Hour // the longest
	MaxFields   = 6                    // of the catalogue
	FreeFields  = 4                    // more than these need a written reason
	maxLists    = 10_000
)

// Names of a list's blobs.
const (
	blobTitle      = "title"      // titleText, sealed to O (private: L), inside a lock
	blobReasons    = "reasons"    // []reasonText, sealed to L
	blobTombstones = "tombstones" // see tombstone.go, sealed to L
	blobUndo       = "undo/"      // + number of an import: importRecord, sealed to L
	blobTouched    = "touched/"   // + number of an import: touches, sealed to L
)

// titleText is what every member may know of a list.
type titleText struct {
	Title     string            `json:"title"`
	Purpose   string            `json:"purpose"`
	Questions map[string]string `json:"questions,omitempty"` // by q1, q2, q3
}

// reasonText is why somebody did something that needs a reason.
type reasonText struct {
	Time   time.Time `json:"time"` // to the hour
	By     MemberID  `json:"by"`
	About  string    `json:"about"` // "fields", "purpose"
	Reason string    `json:"reason"`
}

// A List is what every member may know of a list.
type List struct {
	ID        ListID
	Title     string
	Purpose   string
	Fields    []string // catalogue fields, then q1, q2, q3
	Questions map[string]string
	Deadline  time.Time
	Created   string // day
	UntilStop bool
	Private   bool
	Region    string
	Stewards  []string // handles, sorted
	May       []string // what the caller may do

	// Damaged is "", or names the place that cannot be opened; nothing but ID
	// is set then.
	Damaged string
}

// ListDetail adds what those may know who can read the list.
type ListDetail struct {
	List
	RekeyPending bool // somebody who lost access may have kept a key that is in use still

	Readable  bool // the caller may read; the rest is zero otherwise
	Contacts  int
	Inbox     int // sign-ups not merged yet
	Shareable ConsentCounts
	Hold      *Hold       // nil: nothing keeps the list from being destroyed
	Extended  []Extension // for its stewards, the later deadlines that were asked for and not refused
}

// ConsentCounts says how many contacts agreed to be shared with partners.
type ConsentCounts struct {
	Yes     int `json:"yes"`
	No      int `json:"no"`
	Unasked int `json:"unasked"`
}

func errNoList() error {
	return &Error{Kind: NotFound, Op: "vault.List", Code: "no-such-list", Msg: "there is no such list, or it is not yours"}
}

func goneList() error {
	return &Error{Kind: Gone, Op: "vault.List", Code: "list-gone", Msg: "this list was destroyed"}
}

// open returns the current manifest of a list that the member may know of.
// Absent, and private without being its steward, are the same answer.
func (s *Session) open(id ListID) (*listState, *statement, error) {
	v := s.v
	v.mu.RLock()
	l := v.lists[id]
	var m *statement
	var damage *damage
	if l != nil {
		m, damage = l.manifest, l.damage
	}
	v.mu.RUnlock()
	switch {
	case l == nil:
		return nil, nil, errNoList()
	case damage != nil:
		return nil, nil, damage.err
	case m.kind == kindDestroyed, m.fact(factEnding) != "", !v.clock.now().Before(deadlineOf(m)):
		if m.fact(factPrivate) != "" && !isSteward(m, s.member) && m.kind != kindDestroyed {
			return nil, nil, errNoList()
		}
		if v.held(id) && v.lasts(m, v.clock.now()) {
			return nil, nil, &Error{Kind: Gone, Op: "vault.List", Code: "list-ended", Msg: "this list has ended: a hold keeps it from being destroyed, and nobody can read it",
				Hint: "when the hold is lifted, it is destroyed"}
		}
		return nil, nil, goneList()
	case m.fact(factPrivate) != "" && !isSteward(m, s.member):
		return nil, nil, errNoList()
	}
	return l, m, nil
}

// openAsSteward is open for those who hold L.
func (s *Session) openAsSteward(id ListID) (*listState, *statement, error) {
	l, m, err := s.open(id)
	if err != nil {
		return nil, nil, err
	}
	if !isSteward(m, s.member) {
		return nil, nil, &Error{Kind: Forbidden, Op: "vault.List", Code: "not-steward",
			Msg: "only a steward of this list may do that", Hint: "ask a steward for access"}
	}
	return l, m, nil
}

// listKey opens a list's L for this request.
func (s *Session) listKey(ctx context.Context, m *statement) (*agebox.Identity, error) {
	epoch := m.int(factEpoch)
	// By the blob it is opened from: a field that was dropped and added again
	// has another key of the same name.
	return s.key(m.blobs[wrapName(epoch, keyL, string(s.member))].sum.String(), func() (*agebox.Identity, error) {
		return s.openWrap(ctx, holding{m, wrapName(epoch, keyL, string(s.member)), epoch, keyL})
	})
}

// fieldKey opens the F of a field, or F_meta, for this request.
func (s *Session) fieldKey(ctx context.Context, m *statement, field string) (*agebox.Identity, error) {
	if !isSteward(m, s.member) {
		return s.grantedKey(ctx, m, field)
	}
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	epoch := m.fieldEpoch()
	return s.key(m.blobs[keyName(epoch, field)].sum.String(), func() (*agebox.Identity, error) {
		return s.v.openKey(ctx, m, keyName(epoch, field), m.keyBinding(epoch, field), l)
	})
}

// lock waits for the right to change a list's contents. Imports hold it for as
// long as they last, so the wait is bounded.
//
// Who may not be kept waiting goes ahead without it: acts compare the manifest
// that they started from, so it is the import that fails, as a whole.
func (l *listState) lock(ctx context.Context, u urgency) (unlock func(), err error) {
	timer := time.NewTimer(u.patience())
	defer timer.Stop()
	select {
	case l.busy <- struct{}{}:
		return func() { <-l.busy }, nil
	case <-timer.C:
		if u == urgent {
			return func() {}, nil
		}
		return nil, &Error{Kind: Unavailable, Op: "vault.lock", Code: "list-busy", RetryAfter: 10 * time.Second,
			Msg: "somebody is importing into this list, or its inbox is being merged; nothing was changed", Hint: "try again when that has ended"}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// An urgency says whether a change waits for an import to end.
type urgency bool

const (
	patient urgency = false
	urgent  urgency = true // erasing, destroying a field, an earlier deadline
)

func (u urgency) patience() time.Duration {
	if u == urgent {
		return 2 * time.Second
	}
	return 5 * time.Second
}

// change returns the manifest of a list that the member may change, with the
// right to change it until unlock is called.
func (s *Session) change(ctx context.Context, id ListID, u urgency) (m *statement, unlock func(), err error) {
	l, _, err := s.openAsSteward(id)
	if err != nil {
		return nil, nil, err
	}
	if unlock, err = l.lock(ctx, u); err != nil {
		return nil, nil, err
	}
	if _, m, err = s.openAsSteward(id); err != nil { // it may have ended while we waited
		unlock()
		return nil, nil, err
	}
	return m, unlock, nil
}

// title opens what every member, or of a private list every steward, may know.
func (s *Session) title(ctx context.Context, m *statement) (t titleText, err error) {
	var key *agebox.Identity
	if m.fact(factPrivate) != "" {
		key, err = s.listKey(ctx, m)
	} else {
		key, err = s.groupKey(ctx, keyO)
	}
	if err != nil {
		return t, err
	}
	body, err := s.v.openBlob(ctx, m, blobTitle, bind(blobTitle, m.vault, m.object), key)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, s.v.tampered(ctx, m.object, placeOf(m, blobTitle), err)
	}
	return t, nil
}

func (s *Session) describe(ctx context.Context, m *statement) (*List, error) {
	t, err := s.title(ctx, m)
	if err != nil {
		return nil, err
	}
	l := &List{
		ID: ListID(m.object), Title: t.Title, Purpose: t.Purpose, Questions: t.Questions,
		Fields: words(fieldsOf(m)), Deadline: deadlineOf(m), Created: m.fact(factCreated),
		UntilStop: m.fact(factUntilStop) != "", Private: m.fact(factPrivate) != "", Region: regionOf(m),
		May: s.may(m),
	}
	for _, id := range stewardsOf(m) {
		h, err := s.handle(ctx, id)
		if err != nil {
			return nil, err
		}
		l.Stewards = append(l.Stewards, h)
	}
	slices.Sort(l.Stewards)
	return l, nil
}

// may lists what the caller may do with a list, in the words of grants.
func (s *Session) may(m *statement) []string {
	may := []string{}
	if isSteward(m, s.member) {
		may = append(may, "read", "add", "correct", "erase", "import", "edit", "shorten")
	} else {
		for _, action := range Actions {
			if len(s.v.grantsOf(m.object, s.member, action, s.v.clock.now())) > 0 {
				may = append(may, action)
			}
		}
	}
	if s.role() == Organiser {
		may = append(may, "extend", "hold", "destroy")
	}
	return may
}

// Lists returns every list the member may know of, the one that ends first in
// front.
func (s *Session) Lists(ctx context.Context) ([]List, error) {
	out := []List{}
	for _, id := range s.v.listIDs() {
		l, err := s.describeNow(ctx, id)
		var e *Error
		switch kind := KindOf(err); {
		case err == nil:
			out = append(out, *l)
		case kind == Gone || kind == NotFound:
		case kind == CannotOpen && errors.As(err, &e):
			// One damaged title must not hide the others.
			out = append(out, List{ID: id, Damaged: e.Params["place"]})
		default:
			return nil, err
		}
	}
	if err := s.alive(); err != nil {
		return nil, err // it may have ended with the group
	}
	slices.SortFunc(out, func(a, b List) int {
		if c := a.Deadline.Compare(b.Deadline); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return out, nil
}

// listIDs returns the ids of all lists, destroyed ones too, sorted.
func (v *Vault) listIDs() []ListID {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Sorted(maps.Keys(v.lists))
}

// describeNow describes a list as it is now, whoever is changing it.
func (s *Session) describeNow(ctx context.Context, id ListID) (l *List, err error) {
	err = again(func() error {
		_, m, err := s.open(id)
		if err != nil {
			return err
		}
		l, err = s.describe(ctx, m)
		return err
	})
	return l, err
}

// visible returns the manifests of the lists the member may know of.
func (s *Session) visible() []*statement {
	ids := s.v.listIDs()
	var out []*statement
	for _, id := range ids {
		if _, m, err := s.open(id); err == nil {
			out = append(out, m)
		}
	}
	return out
}

// damagedList returns what is wrong with the first list that cannot be opened,
// nil if there is none. Whether the member may read it can no longer be told,
// so what speaks of all their lists has to say that one was not looked at.
func (v *Vault) damagedList() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var first *listState
	for _, l := range v.lists {
		if l.damage != nil && !l.damage.ended && (first == nil || l.id < first.id) {
			first = l
		}
	}
	if first == nil {
		return nil
	}
	return first.damage.err
}

// ListHead returns one list without numbers, which takes no longer for a long list
// than for a short one.
func (s *Session) ListHead(ctx context.Context, id ListID) (*List, error) {
	return s.describeNow(ctx, id)
}

// List returns one list; with numbers for those who may read it.
func (s *Session) List(ctx context.Context, id ListID) (*ListDetail, error) {
	var d *ListDetail
	err := again(func() (err error) {
		d, err = s.list(ctx, id)
		return err
	})
	return d, err
}

func (s *Session) list(ctx context.Context, id ListID) (*ListDetail, error) {
	_, m, err := s.open(id)
	if err != nil {
		return nil, err
	}
	l, err := s.describe(ctx, m)
	if err != nil {
		return nil, err
	}
	d := &ListDetail{List: *l, RekeyPending: s.v.rekeyPending(m)}
	if _, err := s.reach(id, ActionRead); err != nil {
		return d, nil
	}
	d.Readable, d.Contacts = true, m.rows()
	if d.Hold, err = s.holdOn(ctx, id); err != nil {
		return nil, err
	}
	if isSteward(m, s.member) {
		if d.Extended, err = s.extensions(ctx, m); err != nil {
			return nil, err
		}
	}
	if d.Inbox, err = s.v.store.InboxLen(ctx, m.object); err != nil {
		return nil, err
	}
	err = s.eachMeta(ctx, m, func(_ *segment, _ int, c *meta) bool {
		switch c.consent {
		case sheet.Yes:
			d.Shareable.Yes++
		case sheet.No:
			d.Shareable.No++
		default:
			d.Shareable.Unasked++
		}
		return true
	})
	if err != nil {
		return nil, err // not half the counts
	}
	return d, nil
}

// ListByTitle returns the one list of exactly this title.
func (s *Session) ListByTitle(ctx context.Context, title string) (ListID, error) {
	var found []string
	var damage error
	for _, id := range s.v.listIDs() {
		var t titleText
		err := again(func() error {
			_, m, err := s.open(id)
			if err != nil {
				return err
			}
			t, err = s.title(ctx, m)
			return err
		})
		switch kind := KindOf(err); {
		case err == nil && t.Title == title:
			found = append(found, string(id))
		case err == nil, kind == Gone, kind == NotFound:
		case kind == CannotOpen:
			damage = err
		default:
			return "", err
		}
	}
	if len(found) == 0 && damage != nil {
		return "", damage
	}
	switch len(found) {
	case 0:
		return "", errNoList()
	case 1:
		return ListID(found[0]), nil
	}
	return "", &Error{Kind: Conflict, Op: "vault.ListByTitle", Code: "title-twice", Params: map[string]string{"ids": strings.Join(found, ",")},
		Msg: "several lists have this title: " + strings.Join(found, ", "), Hint: "use the id"}
}

// slotFault says that a lock could not be written, or not overwritten.
func slotFault(err error) error {
	return &Error{Kind: Unavailable, Op: "vault.slots", Code: "disk", RetryAfter: 30 * time.Second, Err: err,
		Msg:  "the disk is full or cannot be written: the slot file; nothing was saved",
		Hint: "free some space on its disk and try again"}
}
