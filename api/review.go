package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// getReview handles GET /v1/review.
func (s *Server) getReview(c echo.Context, m *vault.Session) error {
	r, err := m.Review(c.Request().Context())
	if err != nil {
		return err
	}
	out := client.Review{Recovery: r.Recovery, Grants: []client.Grant{}, Members: membersJSON(r.Members),
		Lists: make([]client.ReviewList, len(r.Lists)), Proposals: make([]client.Proposal, len(r.Proposals))}
	for i, l := range r.Lists {
		out.Lists[i] = client.ReviewList{ID: l.ID, Title: l.Title, Fields: array(l.Fields), Deadline: stamp(l.Deadline),
			Stewards: l.Stewards, Contacts: l.Contacts, Private: l.Private, Recovery: l.Covered}
	}
	for i, p := range r.Proposals {
		out.Proposals[i] = client.Proposal{Code: p.Code, Subject: p.Subject, Text: p.Text}
	}
	return answer(c, http.StatusOK, out)
}
