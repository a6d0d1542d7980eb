package sheet

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A View is a column as somebody who decides about it sees it.
type View struct {
	Header  string   // as it stands in the file, trimmed; Options.Map goes by it
	Index   int      // 0-based; -1 for what stands in no column, and cannot be mapped
	Kept    []Column // what it is read as: none; or one; a postal code and a city are two
	Dropped Drop     // why it is not read; zero if it is
	Refused bool     // of a kind that no list may hold, whatever Options.Map says

	// Samples are the first few different cells of the column, shortened. There are
	// none of a refused column, and none that looks like an identity number or says
	// something that is not kept.
	Samples []string
}

const (
	// maxSamples is how many cells of a column are shown.
	maxSamples = 3
	// maxSample is the longest of them, in characters.
	maxSample = 60
)

// ShowSamples has Next collect Samples for Views. It is called before the first Next.
func (s *Sheet) ShowSamples() {
	s.shown = &samples{cells: make([][]string, len(s.header.cells))}
	for i, m := range s.header.meanings {
		if m.kind == aRefused {
			s.shown.done++
			s.shown.cells[i] = make([]string, maxSamples)
		}
	}
}

// Views returns all columns in the order of the file, and behind them what is not
// read and stands in no column. It is complete once Next has returned io.EOF.
func (s *Sheet) Views() []View {
	cards := s.cards()
	var views []View
	for i, cell := range s.header.cells {
		if cards != nil && !cards.seen[i] {
			continue
		}
		v := View{Header: trimHeader(cell), Index: i, Dropped: s.plan.fates[i], Refused: s.header.meanings[i].kind == aRefused}
		for _, k := range s.plan.kept {
			if k.Index == i {
				v.Kept = append(v.Kept, k)
			}
		}
		if s.shown != nil && !v.Refused {
			v.Samples = slices.Clone(s.shown.cells[i])
		}
		views = append(views, v)
	}
	nowhere := []Drop{}
	switch {
	case cards != nil:
		nowhere = cards.unread
	case s.strays && !slices.Contains(s.plan.fates, noHeading):
		nowhere = append(nowhere, noHeading)
	}
	for _, d := range nowhere {
		views = append(views, View{Header: d.Header, Index: -1, Dropped: d, Refused: strings.HasPrefix(d.Slug, "refused-")})
	}
	return views
}

// samples are those that were found so far.
type samples struct {
	cells [][]string // by column
	done  int        // columns that have all
}

// take looks at the cells of a record.
func (sm *samples) take(s *Sheet, cells []string, refusal Reason) {
	if sm.done == len(sm.cells) {
		return
	}
	switch refusal {
	case IdentityNumber, Totals, RepeatedHeader, MoreCells:
		return
	}
	for i := range sm.cells[:min(len(cells), len(sm.cells))] {
		if len(sm.cells[i]) == maxSamples {
			continue
		}
		show, ok := s.sampleOf(cells[i])
		if !ok || slices.Contains(sm.cells[i], show) {
			continue
		}
		if sm.cells[i] = append(sm.cells[i], show); len(sm.cells[i]) == maxSamples {
			sm.done++
		}
	}
}

// sampleOf returns a cell as it is shown.
func (s *Sheet) sampleOf(cell string) (show string, ok bool) {
	if len(cell) > maxCell || blank(cell) {
		return "", false
	}
	switch clean, why := s.clean.text(cell); why {
	case None:
		if clean == "" {
			return "", false // n/a
		}
	case IdentityCell:
		// Nine digits may be a phone number.
		if phone, _ := s.clean.phone(cell); phone == "" {
			return "", false
		}
	case DateCell, StatusCell, TooLong:
		return "", false
	}
	show = cleanText(cell)
	if utf8.RuneCountInString(show) > maxSample {
		show = string([]rune(show)[:maxSample]) + "…"
	}
	return strings.Clone(show), true
}
