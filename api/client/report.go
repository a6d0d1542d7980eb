package client

import (
	"context"
	"net/http"
	"time"
)

// A Report says what somebody would find who came today.
type Report struct {
	Vault     string       `json:"vault"`
	Time      time.Time    `json:"time"`
	Entries   int64        `json:"entries"` // of the audit trail
	Disk      []ReportLine `json:"disk"`
	OpenTo    []ReportLine `json:"open_to"`
	NotOnDisk []ReportLine `json:"not_on_disk"`
}

// A ReportLine is one thing that a report says.
type ReportLine struct {
	Code   string       `json:"code"` // a stable word, such as "lists"
	Text   string       `json:"text"`
	Items  []ReportItem `json:"items"`
	Covers []string     `json:"covers,omitempty"` // what of the files a line of Disk is about
}

// A ReportItem is one of the things that a line is about.
type ReportItem struct {
	ID     string         `json:"id,omitempty"`
	Name   string         `json:"name,omitempty"` // a handle or a title, never under Disk
	Text   string         `json:"text"`
	Values map[string]any `json:"values,omitempty"`
}

// Report asks what somebody would find who came today.
func (c *Client) Report(ctx context.Context) (*Report, error) {
	var r Report
	if err := c.call(ctx, http.MethodGet, "/v1/report", nil, &r); err != nil {
		return nil, err
	}
	return &r, nil
}
