package web

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A reviewPage is a review in ten minutes: who can reach what, and what ought to be
// done about it.
type reviewPage struct {
	frame
	Tab      string
	Recovery string
	Grants   []grantLine
	Lists    []reviewLine
	Members  []memberLine
	Apply    []proposalLine // what the button does
	Others   []proposalLine // what somebody has to see to
}

type grantLine struct {
	vault.ReviewGrant
	Title   string
	What    whatLine
	LastDay string
}

type reviewLine struct {
	vault.ReviewList
	Names []string
}

// A proposalLine is something that a review finds, and what it is about.
type proposalLine struct {
	vault.Proposal
	Said   string // in the page's language, "" if there is no text for it
	Title  string // of a list
	Member string
	Href   string
}

// Key is what a form says that the reader has seen.
func (p proposalLine) Key() string { return p.Code + " " + p.Subject }

// applied are the codes of the proposals that a review carries out.
var applied = []string{"grant-unused", "member-stale"}

func (p *Pages) reviewPage(c echo.Context, m *vault.Session) (reviewPage, error) {
	f, err := p.framed(c, m, "group", "review.title")
	if err != nil {
		return reviewPage{}, err
	}
	r, err := m.Review(c.Request().Context())
	if err != nil {
		return reviewPage{}, err
	}
	lists, err := listsByID(c, m)
	if err != nil {
		return reviewPage{}, err
	}
	page := reviewPage{frame: f, Tab: "review", Recovery: r.Recovery}
	titles := map[string]string{}
	for _, l := range r.Lists {
		titles[string(l.ID)] = l.Title
		page.Lists = append(page.Lists, reviewLine{l, f.fieldNames(lists[l.ID], l.Fields)})
	}
	for _, g := range r.Grants {
		page.Grants = append(page.Grants, grantLine{g, titles[string(g.List)], f.whatLine(g.Actions, f.fieldNames(lists[g.List], g.Fields)), f.dateText(g.LastRead)})
	}
	for _, one := range r.Members {
		page.Members = append(page.Members, f.memberLine(one))
	}
	for _, one := range r.Proposals {
		line := page.proposal(one, titles, lists)
		if slices.Contains(applied, one.Code) {
			page.Apply = append(page.Apply, line)
		} else {
			page.Others = append(page.Others, line)
		}
	}
	return page, nil
}

// proposal says what a proposal is about.
func (r *reviewPage) proposal(in vault.Proposal, titles map[string]string, lists map[vault.ListID]*vault.List) proposalLine {
	out := proposalLine{Proposal: in}
	if key := "proposal." + in.Code; r.Has(key) {
		out.Said = r.T(key)
	}
	switch in.Code {
	case "recovery-none":
		out.Href = "/recovery"
	case "grant-unused":
		for _, g := range r.Grants {
			if string(g.ID) == in.Subject {
				out.Title, out.Member = g.Title, g.Member
			}
		}
	case "member-stale", "passphrase-old":
		out.Member = in.Subject
	default:
		out.Title = titles[in.Subject]
		if lists[vault.ListID(in.Subject)] != nil {
			out.Href = "/lists/" + in.Subject
		}
	}
	return out
}

// GetReview handles GET /review.
func (p *Pages) GetReview(c echo.Context, m *vault.Session) error {
	page, err := p.reviewPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "review.html", page)
}

// PostReview handles POST /review: what was proposed is done, in one act. If more is
// proposed by now than the reader was shown, they are shown it first.
func (p *Pages) PostReview(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.reviewPage(c, m)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(page.Apply, func(l proposalLine) bool { return !slices.Contains(in["seen"], l.Key()) }) {
		page.Trouble = page.wrong("review.wrong.changed")
		return unfit("review.html", page)
	}
	r, err := m.ApplyReview(c.Request().Context())
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "review.html", page)
	}
	return p.done(c, "/review", "review.done", "n", len(r.Applied))
}
