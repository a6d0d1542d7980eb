package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// reportItems is how many things a line of the printed report lists; the file has all.
const reportItems = 25

// A reportPage says what somebody would find who came today.
type reportPage struct {
	frame
	Tab     string
	Report  *vault.Report
	Entries int
	Parts   []reportPart
}

// A reportPart is one of the three questions that the report answers.
type reportPart struct {
	ID, Title string
	Lines     []reportLine
}

type reportLine struct {
	Text  string
	Lang  string // "" if the text is in the page's language
	Items []reportItem
	More  int // items that are not listed
}

// A reportItem is something that a line is about.
type reportItem struct {
	ID    string
	Name  string
	Facts []reportFact
}

// A reportFact is what the disk shows of it, in words.
type reportFact struct {
	Name, Value string
	Lang        string
	Code        bool // Value is an id
}

// GetReport handles GET /report.
func (p *Pages) GetReport(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "group", "report-page.title")
	if err != nil {
		return err
	}
	r, err := m.Report(c.Request().Context())
	if err != nil {
		return err
	}
	page := reportPage{frame: f, Tab: "report", Report: r, Entries: int(r.LogSize)}
	for _, part := range []struct {
		id, title, keys string
		lines           []vault.ReportLine
	}{
		{"disk", f.T("report-page.disk"), "report.disk.", r.Disk},
		{"open-to", f.T("report-page.open-to"), "report.open_to.", r.OpenTo},
		{"not-on-disk", f.T("report-page.not-on-disk"), "report.not_on_disk.", r.Absent},
	} {
		out := reportPart{ID: part.id, Title: part.title}
		for _, l := range part.lines {
			out.Lines = append(out.Lines, f.reportLine(part.keys+l.Code, l))
		}
		page.Parts = append(page.Parts, out)
	}
	return p.render(c, http.StatusOK, "report.html", page)
}

// reportLine puts a line into words. What has no text in the page's language is said as
// the service says it.
func (f frame) reportLine(key string, l vault.ReportLine) reportLine {
	out := reportLine{Text: l.Text, Lang: fallback}
	if f.Has(key) {
		out.Text, out.Lang = f.T(key, "n", len(l.Items)), ""
	}
	for _, item := range l.Items {
		if len(out.Items) == reportItems {
			out.More = len(l.Items) - reportItems
			break
		}
		out.Items = append(out.Items, f.reportItem(item))
	}
	return out
}

func (f frame) reportItem(item vault.ReportItem) reportItem {
	out := reportItem{ID: item.ID, Name: item.Name}
	// Sealed things are named by kind and name, of which the texts know.
	if of, name, named := strings.Cut(item.ID, ": "); named && f.Has("report.blob."+of+"."+name) {
		out.Facts = append(out.Facts, reportFact{Value: f.T("report.blob." + of + "." + name)})
		item.Values = maps.Clone(item.Values)
		for _, said := range []string{"what", "sealed_to", "clear"} {
			delete(item.Values, said)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(item.Values)) {
		if fact, told := f.reportFact(name, item.Values[name]); told {
			out.Facts = append(out.Facts, fact)
		}
	}
	return out
}

// reportWords are the groups of texts for values that are words of a closed set.
var reportWords = map[string]string{"role": "role.", "state": "state.", "status": "status.", "act": "wait.", "covered": "covered.", "silence": "silence.",
	"format": "format.", "by": "by.", "fields": "field.", "actions": "action."}

// reportFact puts a value into words; told is false if there is nothing to say.
func (f frame) reportFact(name string, value any) (fact reportFact, told bool) {
	if key := "report.value." + name; f.Has(key) {
		fact.Name = f.T(key)
	} else {
		fact.Name = strings.ReplaceAll(name, "_", " ")
	}
	word := func(s string) string {
		if key := reportWords[name] + s; reportWords[name] != "" && f.Has(key) {
			return f.T(key)
		}
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return f.Moment(t)
		}
		if t, err := time.Parse(time.DateOnly, s); err == nil {
			return f.Day(t)
		}
		return s
	}
	switch v := value.(type) {
	case bool:
		return fact, v
	case int:
		fact.Value = f.Number(v)
	case int64:
		fact.Value = f.Number(int(v))
	case string:
		fact.Value, fact.Code = word(v), vault.ValidID(v)
		if name == "caveat" {
			fact.Lang = fallback
		}
	case []string:
		words := make([]string, len(v))
		for i := range v {
			words[i] = word(v[i])
			fact.Code = fact.Code || vault.ValidID(v[i])
		}
		fact.Value = strings.Join(words, ", ")
	default:
		return fact, false
	}
	return fact, fact.Value != ""
}
