package sheet

import (
	"encoding/xml"
	"math"
	"strconv"
	"strings"
	"time"
)

// sharedTexts are the texts that the cells of a workbook name by number.
type sharedTexts struct {
	text []byte
	ends []uint32
}

func (s *sharedTexts) len() int { return len(s.ends) }

func (s *sharedTexts) at(n int) string {
	from := uint32(0)
	if n > 0 {
		from = s.ends[n-1]
	}
	return string(s.text[from:s.ends[n]])
}

func (s *sharedTexts) read(b *book, part string) error {
	return b.walk(part, maxSharedXML, func(x *xmlReader, t xml.StartElement) (err error) {
		if t.Name.Local != "si" {
			return nil
		}
		if len(s.ends) >= maxShared {
			return workbookTooLarge()
		}
		if s.text, err = x.plainText(s.text); err != nil {
			return err
		}
		s.ends = append(s.ends, uint32(len(s.text)))
		return nil
	})
}

// A numberFormat says how a cell shows its number, as far as that matters for a
// sheet of people: dates, so that they are known as such, and digits with zeros
// before them, as postal codes and some phone numbers have.
type numberFormat struct {
	date  bool
	zeros string // "00000", "00000-0000": the whole format; "" for any other
}

// readStyles reads which format each style has (ECMA-376 part 1 §18.8).
func (b *book) readStyles(part string) error {
	codes := map[string]string{}
	within := false
	return b.walk(part, maxSmallXML, func(x *xmlReader, t xml.StartElement) error {
		switch t.Name.Local {
		case "numFmt":
			if len(codes) < 1<<12 {
				codes[attribute(t, "numFmtId")] = attribute(t, "formatCode")
			}
		case "cellXfs":
			within = true
		case "cellStyles", "dxfs":
			within = false
		case "xf":
			if within {
				if len(b.styles) >= 1<<16 {
					return workbookTooLarge()
				}
				id := attribute(t, "numFmtId")
				b.styles = append(b.styles, formatOf(id, codes[id]))
			}
		}
		return nil
	})
}

// formatOf knows the formats that have no code of their own (§18.8.30), by number.
func formatOf(id, code string) numberFormat {
	if code == "" {
		switch n, _ := strconv.Atoi(id); {
		case n >= 14 && n <= 22, n >= 27 && n <= 36, n >= 45 && n <= 47, n >= 50 && n <= 58:
			return numberFormat{date: true}
		}
		return numberFormat{}
	}
	if len(code) > 255 {
		return numberFormat{}
	}
	if strings.Trim(code, "0-") == "" && strings.Contains(code, "00") {
		return numberFormat{zeros: code}
	}
	// Letters of dates, outside of text in quotation marks, behind a backslash,
	// and in brackets, where colours and places stand.
	quoted, bracketed := false, false
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\\' || c == '_' || c == '*':
			i++
		case c == '[':
			bracketed = true
		case c == ']':
			bracketed = false
		case bracketed:
		case strings.IndexByte("ymdhsYMDHS", c) >= 0:
			return numberFormat{date: true}
		}
	}
	return numberFormat{}
}

// show returns a number as text, and whether it is one. Whole numbers are shown
// whole, also where a narrow column would show a power of ten.
func (f numberFormat) show(value string) (string, bool) {
	if f.date {
		if days, err := strconv.ParseFloat(value, 64); err == nil && days >= 1 && days < 2_958_466 {
			// Day 60 is 29 February 1900, which there was not (§18.17.4.1).
			at := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).Add(time.Duration(math.Round(days*86400)) * time.Second)
			return at.Format("2006-01-02"), true
		}
	}
	if !allDigits(value) {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return "", false
		}
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			value = strconv.FormatFloat(n, 'f', -1, 64)
		} else {
			return strconv.FormatFloat(n, 'g', -1, 64), true
		}
	}
	if f.zeros == "" || !allDigits(value) {
		return value, true
	}
	places := strings.Count(f.zeros, "0")
	for len(value) < places {
		value = "0" + value
	}
	// The digits from the right take the places of the zeros.
	var out []byte
	for i, d := len(f.zeros)-1, len(value)-1; i >= 0 || d >= 0; i-- {
		if i >= 0 && f.zeros[i] == '-' {
			out = append(out, '-')
			continue
		}
		if d >= 0 {
			out = append(out, value[d])
			d--
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out), true
}
