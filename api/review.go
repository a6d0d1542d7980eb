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
	return answer(c, http.StatusOK, reviewJSON(r))
}

// postApplication handles POST /v1/review/application.
func (s *Server) postApplication(c echo.Context, m *vault.Session) error {
	r, err := m.ApplyReview(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, reviewJSON(r))
}

func reviewJSON(r *vault.Review) client.Review {
	out := client.Review{Recovery: r.Recovery, Grants: make([]client.Grant, len(r.Grants)), Members: membersJSON(r.Members),
		Lists: make([]client.ReviewList, len(r.Lists)), Proposals: proposalsJSON(r.Proposals), Applied: proposalsJSON(r.Applied)}
	for i, g := range r.Grants {
		out.Grants[i] = client.Grant{ID: g.ID, List: g.List, Member: g.Member, Fields: array(g.Fields), Actions: array(g.Actions),
			Expires: stamp(g.Expires), Rows: g.Rows, LastRead: g.LastRead}
	}
	for i, l := range r.Lists {
		out.Lists[i] = client.ReviewList{ID: l.ID, Title: l.Title, Fields: array(l.Fields), Deadline: stamp(l.Deadline),
			Stewards: l.Stewards, Contacts: l.Contacts, Private: l.Private, Recovery: l.Covered}
	}
	return out
}

func proposalsJSON(ps []vault.Proposal) []client.Proposal {
	out := make([]client.Proposal, len(ps))
	for i, p := range ps {
		out[i] = client.Proposal{Code: p.Code, Subject: p.Subject, Text: p.Text}
	}
	return out
}
