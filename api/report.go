package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// getReport handles GET /v1/report.
func (s *Server) getReport(c echo.Context, m *vault.Session) error {
	r, err := m.Report(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Report{Vault: r.Vault, Time: stamp(r.Time), Entries: r.LogSize,
		Disk: reportJSON(r.Disk), OpenTo: reportJSON(r.OpenTo), NotOnDisk: reportJSON(r.Absent)})
}

func reportJSON(lines []vault.ReportLine) []client.ReportLine {
	out := make([]client.ReportLine, len(lines))
	for i, l := range lines {
		out[i] = client.ReportLine{Code: l.Code, Text: l.Text, Items: make([]client.ReportItem, len(l.Items)), Covers: l.Covers}
		for j, item := range l.Items {
			out[i].Items[j] = client.ReportItem{ID: item.ID, Name: item.Name, Text: item.Text, Values: item.Values}
		}
	}
	return out
}
