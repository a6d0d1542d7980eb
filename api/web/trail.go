package web

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

const (
	trailEntries = 100  // on one page
	trailStep    = 4096 // entries that are looked through at a time for those of one list
	trailSteps   = 64   // at most for one page
)

// A trailPage is the audit trail of the group, the newest entry first.
type trailPage struct {
	frame
	timeline
	Tab  string
	Code string // of the whole trail; "" on a page of older entries

	// What somebody compares, as typed.
	CompareSize, CompareCode string
	Compared                 string // the code of the trail when it had that size, "" if none was asked for
}

// A listTrailPage is what of the audit trail is about one list.
type listTrailPage struct {
	listFrame
	timeline
}

// A goneTrailPage is that of a list which is not there any more.
type goneTrailPage struct {
	frame
	timeline
	Gone        vault.ListID
	Certificate string // "" until it is made
}

// A timeline is some entries, the newest first.
type timeline struct {
	Entries []trailEntry
	Size    int    // entries of the whole trail
	Base    string // path of the page
	Older   int    // number below which the next page begins, 0 if there is none
	Newest  bool
	Of      vault.ListID // the one list that it is about; "": everything
}

// A trailEntry is an entry as it is shown. It holds no more than the entry does, and the
// names of ids that the reader may know.
type trailEntry struct {
	audit.Entry
	N         int
	ByName    string // handle; "" if the reader may not know it, or it was no member
	AboutName string // likewise of the subject
	ListTitle string // "" if the reader may not know it
	Unit      string // of the count, a key
}

// Member reports whether somebody acted, and not the service by itself.
func (e trailEntry) Member() bool { return vault.ValidID(e.By) }

// Number is the count, and Back and Stayed further ones of an undone import.
func (e trailEntry) Number() int { return count(e.Count) }
func (e trailEntry) Back() int   { return count(e.Restored) }
func (e trailEntry) Stayed() int { return count(e.Kept) }

func count(n *int64) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// Short is the beginning of an id, by which people tell it from others.
func (e trailEntry) Short(id string) string { return short(id) }

func short(id string) string { return id[:min(8, len(id))] }

// countOf names what an act counts, if that is not people.
var countOf = map[audit.Act]string{
	audit.VaultPurge: "trail.count.things", audit.VaultLockdown: "trail.count.sessions", audit.SessionEnd: "trail.count.sessions",
	audit.RecoveryRenew: "trail.count.lists", audit.RecoveryCover: "trail.count.lists", audit.VaultShutdown: "trail.count.lists",
	audit.VaultSilence: "trail.count.days", audit.VaultRestore: "trail.count.entries", audit.ListPreview: "trail.count.rows",
}

// GetTrail handles GET /trail.
func (p *Pages) GetTrail(c echo.Context, m *vault.Session) error {
	page, err := p.trailPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "trail.html", page)
}

func (p *Pages) trailPage(c echo.Context, m *vault.Session) (*trailPage, error) {
	f, err := p.framed(c, m, "group", "trail.title")
	if err != nil {
		return nil, err
	}
	page := &trailPage{frame: f, Tab: "trail"}
	size, root, err := audit.ParseCheckpoint(p.vault.Checkpoint(), p.vault.LogKey())
	if err != nil {
		return nil, err
	}
	if page.timeline, err = p.timeline(c, m, size, "", "/trail"); err != nil {
		return nil, err
	}
	if page.Newest {
		page.Code, err = p.codes.code(p.vault.LogKey(), size, root)
	}
	return page, err
}

// PostTrailVerify handles POST /trail/verify.
func (p *Pages) PostTrailVerify(c echo.Context, m *vault.Session) error {
	r, err := m.AuditVerify(c.Request().Context())
	if err != nil {
		return err
	}
	return p.done(c, "/trail", "trail.verified", "n", int(r.Entries))
}

// PostTrailCompare handles POST /trail/compare: whether another person's code is that of
// the same trail. Without a code it only says what it is here.
func (p *Pages) PostTrailCompare(c echo.Context, m *vault.Session) error {
	form, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.trailPage(c, m)
	if err != nil {
		return err
	}
	page.CompareSize, page.CompareCode = form.Get("size"), form.Get("code")
	size, err := strconv.ParseInt(strings.TrimSpace(page.CompareSize), 10, 64)
	if err != nil || size < 1 {
		page.Trouble = page.wrong("trail.wrong.size", "size")
		return unfit("trail.html", page)
	}
	theirs, readable := "", true
	if strings.TrimSpace(page.CompareCode) != "" {
		if theirs, readable = audit.ParseCode(page.CompareCode); !readable {
			page.Trouble = page.wrong("trail.wrong.code", "code")
			return unfit("trail.html", page)
		}
	}
	if size > int64(page.Size) {
		page.Trouble = page.explain(&vault.Error{Kind: vault.Untrusted, Code: "code-ahead", Msg: "the other person is shown more entries than you are", Fields: []vault.FieldError{{Field: "size"}}})
		return unfit("trail.html", page)
	}
	root, _, _, _, err := m.AuditConsistency(c.Request().Context(), size, 0)
	if err != nil {
		return err
	}
	code, err := p.codes.code(p.vault.LogKey(), size, root)
	switch {
	case err != nil:
		return err
	case theirs != "" && theirs != code:
		page.Compared = code
		page.Trouble = page.explain(&vault.Error{Kind: vault.Untrusted, Code: "code-differs", Msg: "you and the other person are shown two different audit trails", Fields: []vault.FieldError{{Field: "code"}}})
		return unfit("trail.html", page)
	case theirs != "":
		page.Notes = append(page.Notes, page.T("trail.same", "n", int(size)))
	default:
		page.Compared = code
	}
	return p.render(c, http.StatusOK, "trail.html", page)
}

// GetListTrail handles GET /lists/:list/trail. Of a list that was destroyed it goes on
// telling what became of it.
func (p *Pages) GetListTrail(c echo.Context, m *vault.Session) error {
	lf, err := p.listFramed(c, m, "trail", "trail.of-list")
	gone := vault.KindOf(err) == vault.Gone && p.vault.Available() == nil
	if err != nil && !gone {
		return err
	}
	id, err := listID(c)
	if err != nil {
		return err
	}
	size, _, err := audit.ParseCheckpoint(p.vault.Checkpoint(), p.vault.LogKey())
	if err != nil {
		return err
	}
	of, err := p.timeline(c, m, size, id, "/lists/"+string(id)+"/trail")
	if err != nil {
		return err
	}
	if !gone {
		return p.render(c, http.StatusOK, "list-trail.html", listTrailPage{lf, of})
	}
	f, err := p.framed(c, m, "lists", "trail.gone")
	if err != nil {
		return err
	}
	page := goneTrailPage{frame: f, timeline: of, Gone: id}
	page.Certificate, err = m.Certificate(c.Request().Context(), id)
	if err != nil && vault.KindOf(err) != vault.NotFound {
		return err
	}
	return p.render(c, http.StatusGone, "trail-gone.html", page)
}

// timeline reads the entries for a page: the last hundred before the number that the
// query says, of one list or of all.
func (p *Pages) timeline(c echo.Context, m *vault.Session, size int64, list vault.ListID, base string) (timeline, error) {
	before, err := strconv.ParseInt(c.QueryParam("before"), 10, 64)
	if err != nil || before < 1 || before > size {
		before = size
	}
	out := timeline{Size: int(size), Base: base, Newest: before == size, Of: list}
	ctx := c.Request().Context()
	raw, older, err := lastEntries(ctx, m, list, before)
	if err != nil {
		return out, err
	}
	out.Older = int(older)
	names, err := newTrailNames(ctx, m)
	if err != nil {
		return out, err
	}
	for _, r := range raw {
		e, err := names.entry(r)
		if err != nil {
			return out, err
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

// A rawEntry is an entry as it is stored.
type rawEntry struct {
	n    int64
	data []byte
}

// lastEntries returns the last entries before a number, the newest first, and the number
// before which there are more, 0 if there are none. Those of one list are found by its id,
// which an entry writes in one way only; a page that would take long ends early.
func lastEntries(ctx context.Context, m *vault.Session, list vault.ListID, before int64) (out []rawEntry, older int64, err error) {
	step, wanted := int64(trailEntries), []byte(nil)
	if list != "" {
		step, wanted = trailStep, []byte(`,"list":"`+string(list)+`"`)
	}
	for range trailSteps {
		from := max(0, before-step)
		var some []rawEntry
		err := m.AuditEntries(ctx, from, before, func(n int64, data []byte) error {
			if wanted == nil || bytes.Contains(data, wanted) {
				some = append(some, rawEntry{n, bytes.Clone(data)})
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
		slices.Reverse(some)
		out, before = append(out, some...), from
		if len(out) >= trailEntries {
			out = out[:trailEntries]
			return out, out[trailEntries-1].n, nil
		}
		if before == 0 {
			return out, 0, nil
		}
	}
	return out, before, nil
}

// trailNames are what the reader may know of the ids in entries.
type trailNames struct {
	ctx    context.Context
	m      *vault.Session
	titles map[string]string
	people map[string]string
}

func newTrailNames(ctx context.Context, m *vault.Session) (*trailNames, error) {
	lists, err := m.Lists(ctx)
	if err != nil {
		return nil, err
	}
	t := &trailNames{ctx, m, map[string]string{}, map[string]string{}}
	for i := range lists {
		t.titles[string(lists[i].ID)] = lists[i].Title
	}
	return t, nil
}

func (t *trailNames) person(id string) (string, error) {
	if name, known := t.people[id]; known || !vault.ValidID(id) {
		return name, nil
	}
	name, err := t.m.AuditName(t.ctx, vault.MemberID(id))
	t.people[id] = name
	return name, err
}

func (t *trailNames) entry(r rawEntry) (out trailEntry, err error) {
	out.N = int(r.n)
	if out.Entry, err = audit.ParseEntry(r.data); err != nil {
		return out, &vault.Error{Kind: vault.Untrusted, Op: "web.trail", Code: "audit-trail", Msg: "entry " + strconv.FormatInt(r.n, 10) + " of the audit trail is in no form that there is", Err: err}
	}
	out.Unit, out.ListTitle = "trail.count.people", t.titles[out.List]
	if unit := countOf[out.Act]; unit != "" {
		out.Unit = unit
	}
	if out.ByName, err = t.person(out.By); err != nil {
		return out, err
	}
	out.AboutName, err = t.person(out.Subject)
	return out, err
}

// codes makes short codes of the trail, one at a time, as each takes memory and time, and
// knows the last few: most people ask for the present one.
type codes struct {
	mu    sync.Mutex
	known []knownCode // the newest last
}

type knownCode struct {
	size int64
	root tlog.Hash
	code string
}

const maxKnownCodes = 8

func (k *codes) code(vkey string, size int64, root tlog.Hash) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.known {
		if c.size == size && c.root == root {
			return c.code, nil
		}
	}
	code, err := audit.Code(vkey, size, root)
	if err != nil {
		return "", err
	}
	k.known = append(k.known, knownCode{size, root, code})
	if len(k.known) > maxKnownCodes {
		k.known = k.known[1:]
	}
	return code, nil
}

// GetCertificate handles GET /lists/:list/certificate: the signed text as it is, as a file.
func (p *Pages) GetCertificate(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	note, err := m.Certificate(c.Request().Context(), id)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="certificate-`+short(string(id))+`.txt"`)
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", []byte(note))
}
