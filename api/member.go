package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// getMembers handles GET /v1/members.
func (s *Server) getMembers(c echo.Context, m *vault.Session) error {
	ms, err := m.Members(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, membersJSON(ms))
}

// postMember handles POST /v1/members.
func (s *Server) postMember(c echo.Context, m *vault.Session) error {
	var in client.NewMember
	if err := body(c, &in); err != nil {
		return err
	}
	role := in.Role
	switch role {
	case "":
		role = vault.Plain
	case vault.Plain, vault.Organiser:
	default:
		return &vault.Error{Kind: vault.Invalid, Code: "role", Msg: "there is no such role",
			Fields: []vault.FieldError{{Field: "role", Reason: "member or organiser"}}}
	}
	i, err := m.Invite(c.Request().Context(), in.Handle, role)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, invitationJSON(i))
}

// postReset handles POST /v1/members/resets.
func (s *Server) postReset(c echo.Context, m *vault.Session) error {
	var in client.MemberRef
	if err := body(c, &in); err != nil {
		return err
	}
	i, err := m.ResetMember(c.Request().Context(), in.Handle)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, invitationJSON(i))
}

// postDisabling handles POST /v1/members/disablings.
func (s *Server) postDisabling(c echo.Context, m *vault.Session) error {
	var in client.MemberRef
	if err := body(c, &in); err != nil {
		return err
	}
	if err := m.DisableMember(c.Request().Context(), in.Handle); err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Disabled{Handle: in.Handle, State: vault.StateDisabled})
}

// postJoin handles POST /v1/members/joins. Like a sign-in it is about who is
// asking, so a code that opens nothing is a 401: one answer for one that is
// wrong, used or too old.
func (s *Server) postJoin(c echo.Context) error {
	if err := s.collect(c, maxCredentials); err != nil {
		return err
	}
	var in client.Joining
	if err := body(c, &in); err != nil {
		return err
	}
	pass := crypto.NewSecret([]byte(in.Passphrase))
	defer pass.Wipe()
	t, handle, err := s.vault.Join(c.Request().Context(), in.Code, pass)
	if err != nil {
		return unopened(err)
	}
	return answer(c, http.StatusCreated, client.Joined{Handle: handle, Session: s.sessionJSON(t)})
}

func invitationJSON(i vault.Invitation) client.Invitation {
	return client.Invitation{Handle: i.Handle, Code: i.Code, Expires: stamp(i.Expires)}
}

func membersJSON(ms []vault.Member) []client.Member {
	out := make([]client.Member, len(ms))
	for i, m := range ms {
		out[i] = client.Member{ID: m.ID, Handle: m.Handle, Role: m.Role, State: m.State, Since: m.Since, PassphraseSince: m.PassphraseSince, DisabledSince: m.DisabledSince}
		if m.InvitedUntil != nil {
			until := stamp(*m.InvitedUntil)
			out[i].InvitedUntil = &until
		}
		if m.CountsFrom != nil {
			from := stamp(*m.CountsFrom)
			out[i].CountsFrom = &from
		}
	}
	return out
}
