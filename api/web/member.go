package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A memberLine is a member as organisers see one.
type memberLine struct {
	vault.Member
	SinceDay, PassphraseDay, DisabledDay string
	Own                                  bool
}

// Active, Invited and Disabled are the three states.
func (m memberLine) Active() bool    { return m.State == vault.StateActive }
func (m memberLine) Invited() bool   { return m.State == vault.StateInvited }
func (m memberLine) Disabled() bool  { return m.State == vault.StateDisabled }
func (m memberLine) Organiser() bool { return m.Role == vault.Organiser }

func (f frame) memberLine(m vault.Member) memberLine {
	return memberLine{Member: m, SinceDay: f.dateText(m.Since), PassphraseDay: f.dateText(m.PassphraseSince), DisabledDay: f.dateText(m.DisabledSince),
		Own: f.Me != nil && m.Handle == f.Me.Handle}
}

// A groupPage is the members, for organisers; others learn what else there is.
type groupPage struct {
	frame
	Tab          string
	Members      []memberLine
	Handle, Role string // of an invitation, as typed
}

func (p *Pages) groupPage(c echo.Context, m *vault.Session) (groupPage, error) {
	f, err := p.framed(c, m, "group", "group.title")
	page := groupPage{frame: f, Tab: "members"}
	if err != nil || !f.Me.Organiser {
		return page, err
	}
	ms, err := m.Members(c.Request().Context())
	for _, one := range ms {
		page.Members = append(page.Members, f.memberLine(one))
	}
	return page, err
}

// GetGroup handles GET /group.
func (p *Pages) GetGroup(c echo.Context, m *vault.Session) error {
	page, err := p.groupPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "group.html", page)
}

// PostGroup handles POST /group: an organiser invites somebody.
func (p *Pages) PostGroup(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.groupPage(c, m)
	if err != nil {
		return err
	}
	page.Handle, page.Role = in.Get("handle"), in.Get("role")
	if page.Me.Organiser && page.Role != string(vault.Plain) && page.Role != string(vault.Organiser) {
		page.Trouble = page.wrong("group.wrong.role", "role")
		return unfit("group.html", page)
	}
	i, err := m.Invite(c.Request().Context(), page.Handle, vault.Role(page.Role))
	if vault.KindOf(err) == vault.Waiting {
		return p.waits(c, err)
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "group.html", page)
	}
	return p.showCode(c, m, i, false)
}

// A codePage shows the code of an invitation, for the one time that it can be seen.
type codePage struct {
	frame
	Tab     string
	Handle  string
	Code    string
	Expires time.Time
	Reset   bool   // of a member who was one before
	Join    string // where it is used
}

// showCode answers with a code. Nothing keeps it, so it is not said on the page that
// follows, as other acts are, but in the answer to the act itself.
func (p *Pages) showCode(c echo.Context, m *vault.Session, i vault.Invitation, reset bool) error {
	f, err := p.framed(c, m, "group", "code.title")
	if err != nil {
		return err
	}
	at := p.public
	if at == "" {
		at = "http://" + c.Request().Host // a loopback address: see api's checkHost
	}
	return p.render(c, http.StatusOK, "code.html", codePage{f, "members", i.Handle, i.Code, i.Expires, reset, at + "/join"})
}

// Acts on a member that have a page of their own, which says what they mean.
const (
	actDisable = "disable"
	actReset   = "reset"
	actPromote = "promote"
)

// A memberPage asks whether an act on a member is meant.
type memberPage struct {
	frame
	memberLine
	Tab string
	Act string
}

func (p *Pages) memberPage(c echo.Context, m *vault.Session) (memberPage, error) {
	act := c.Param("act")
	if act != actDisable && act != actReset && act != actPromote {
		return memberPage{}, notFound()
	}
	f, err := p.framed(c, m, "group", "member.title."+act)
	if err != nil {
		return memberPage{}, err
	}
	ms, err := m.Members(c.Request().Context())
	if err != nil {
		return memberPage{}, err
	}
	i := slices.IndexFunc(ms, func(one vault.Member) bool { return string(one.ID) == c.Param("member") })
	if i < 0 {
		return memberPage{}, &vault.Error{Kind: vault.NotFound, Code: "no-such-member", Msg: "there is no such member"}
	}
	return memberPage{frame: f, memberLine: f.memberLine(ms[i]), Tab: "members", Act: act}, nil
}

// GetMemberAct handles GET /members/:member/:act.
func (p *Pages) GetMemberAct(c echo.Context, m *vault.Session) error {
	page, err := p.memberPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "member.html", page)
}

// PostMemberAct handles POST /members/:member/:act.
func (p *Pages) PostMemberAct(c echo.Context, m *vault.Session) error {
	if _, err := form(c); err != nil {
		return err
	}
	page, err := p.memberPage(c, m)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	var i vault.Invitation
	switch page.Act {
	case actDisable:
		err = m.DisableMember(ctx, page.Handle)
	case actReset:
		i, err = m.ResetMember(ctx, page.Handle)
	case actPromote:
		err = m.PromoteMember(ctx, page.Handle)
	}
	switch {
	case vault.KindOf(err) == vault.Waiting && err != nil:
		return p.waits(c, err)
	case err != nil:
		page.Trouble = page.explain(err)
		return again(err, "member.html", page)
	case page.Act == actReset:
		return p.showCode(c, m, i, true)
	}
	return p.done(c, "/group", "member.done."+page.Act)
}
