package web

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

// fallback is the language of a reader who asks for none that there is.
const fallback = "en"

// pseudo is the language that tests read pages in to see what a right-to-left one
// would do to them: English with every word turned round (CLDR's ar-XB).
const pseudo = "ar-XB"

// A languageTexts is the texts of one language by key. Every file in locales is one
// language, and one more file is one more language. A text is a string, or several by
// the plural form (CLDR) of the number {n}; what stands in braces is replaced.
type languageTexts struct {
	lang    string
	dir     string // "ltr" or "rtl"
	name    string // of the language, in itself
	texts   map[string]entry
	printer *message.Printer
}

// An entry says what a text takes.
type entry struct {
	names []string // of what is replaced, by number in the catalog
}

// texts are those of all languages, the fallback first.
type texts struct {
	order   []string
	by      map[string]*languageTexts
	matcher language.Matcher
}

// readTexts reads the files of locales. They are part of the program, so what is
// wrong with them stops it.
func readTexts(withPseudo bool) *texts {
	files, err := files.ReadDir("locales")
	if err != nil {
		panic("web: " + err.Error())
	}
	raw := map[string]map[string]map[string]string{} // language, key, plural form ("": the only one)
	order := []string{fallback}
	for _, f := range files {
		lang, isTexts := strings.CutSuffix(f.Name(), ".json")
		if !isTexts {
			continue
		}
		raw[lang] = parseTexts(f.Name())
		if lang != fallback {
			order = append(order, lang)
		}
	}
	if withPseudo {
		raw[pseudo] = turnedRound(raw[fallback])
		order = append(order, pseudo)
	}
	out := &texts{order: order, by: map[string]*languageTexts{}}
	builder := catalog.NewBuilder(catalog.Fallback(language.MustParse(fallback)))
	var tags []language.Tag
	for _, lang := range order {
		tag := language.MustParse(lang)
		tags = append(tags, tag)
		l := &languageTexts{lang: lang, texts: map[string]entry{}}
		for key, forms := range raw[lang] {
			l.texts[key] = entry{setText(builder, tag, key, raw[fallback][key], forms)}
		}
		out.by[lang] = l
	}
	for i, lang := range order {
		l := out.by[lang]
		l.printer = message.NewPrinter(tags[i], message.Catalog(builder))
		l.name, l.dir = l.text("language.name"), l.text("language.direction")
	}
	out.matcher = language.NewMatcher(tags)
	return out
}

func parseTexts(name string) map[string]map[string]string {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(read(path.Join("locales", name)), &in); err != nil {
		panic("web: " + name + ": " + err.Error())
	}
	out := map[string]map[string]string{}
	for key, value := range in {
		forms := map[string]string{}
		var one string
		if json.Unmarshal(value, &one) == nil {
			forms[""] = one
		} else if err := json.Unmarshal(value, &forms); err != nil || forms["other"] == "" {
			panic("web: " + name + ": " + key + " is neither a text nor texts by plural form")
		}
		out[key] = forms
	}
	return out
}

var placeholder = regexp.MustCompile(`\{([a-z_]+)\}`)

// setText puts a text into the catalog and returns the names of what it takes, in the
// order of the language that all others are translated from.
func setText(b *catalog.Builder, tag language.Tag, key string, original, forms map[string]string) []string {
	var names []string
	for _, texts := range []map[string]string{original, forms} {
		for _, text := range texts {
			for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
				names = append(names, m[1])
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	verbs := func(text string) string {
		return placeholder.ReplaceAllStringFunc(strings.ReplaceAll(text, "%", "%%"), func(m string) string {
			return fmt.Sprintf("%%[%d]v", slices.Index(names, m[1:len(m)-1])+1)
		})
	}
	var msg catalog.Message
	if text, only := forms[""]; only {
		msg = catalog.String(verbs(text))
	} else {
		n := slices.Index(names, "n")
		if n < 0 {
			panic("web: " + key + " has plural forms and no {n}")
		}
		var cases []any
		for _, form := range []string{"zero", "one", "two", "few", "many", "other"} {
			if text := forms[form]; text != "" {
				cases = append(cases, form, verbs(text))
			}
		}
		msg = plural.Selectf(n+1, "", cases...)
	}
	if err := b.Set(tag, key, msg); err != nil {
		panic("web: " + key + ": " + err.Error())
	}
	return names
}

// turnedRound makes the pseudo-locale: each word is written from right to left by an
// override (U+202E to U+202C), which shows every text that is not in a locale.
func turnedRound(in map[string]map[string]string) map[string]map[string]string {
	word := regexp.MustCompile(`\{[a-z_]+\}|[^\s{}]+`)
	out := map[string]map[string]string{}
	for key, forms := range in {
		out[key] = map[string]string{}
		for form, text := range forms {
			if !strings.HasPrefix(key, "date.") {
				text = word.ReplaceAllStringFunc(text, func(w string) string {
					if w[0] == '{' {
						return w
					}
					return "\u202e" + w + "\u202c"
				})
			}
			out[key][form] = text
		}
	}
	out["language.name"] = map[string]string{"": pseudo}
	out["language.direction"] = map[string]string{"": "rtl"}
	return out
}

// has reports whether there is a text of this key.
func (l *languageTexts) has(key string) bool {
	_, ok := l.texts[key]
	return ok
}

// text returns a text. The pairs are the names of what it takes and their values;
// numbers are written as the language does. A key that is not there, or a value that
// is missing, shows in tests, which walk every use.
func (l *languageTexts) text(key string, pairs ...any) string {
	e, ok := l.texts[key]
	if !ok {
		return key
	}
	args := make([]any, len(e.names))
	for i := range args {
		args[i] = ""
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		if at := slices.Index(e.names, name); at >= 0 {
			args[at] = pairs[i+1]
		}
	}
	return l.printer.Sprintf(key, args...)
}

// number writes a count as the language does.
func (l *languageTexts) number(n int) string { return l.printer.Sprint(n) }

// day writes the day of a time: "Fri 19 Feb 2027". The time is UTC's, as deadlines are.
func (l *languageTexts) day(t time.Time) string {
	t = t.UTC()
	return l.text("date.day",
		"weekday", l.nth("date.weekdays", int(t.Weekday())), "month", l.nth("date.months", int(t.Month())-1),
		"day", fmt.Sprint(t.Day()), "year", fmt.Sprint(t.Year()))
}

// moment writes a time to the minute, in UTC.
func (l *languageTexts) moment(t time.Time) string {
	return l.text("date.moment", "day", l.day(t), "time", t.UTC().Format("15:04"))
}

func (l *languageTexts) nth(key string, i int) string {
	return strings.Split(l.text(key), ",")[i]
}

// left writes how long it is until a time, in days, hours or minutes.
func (l *languageTexts) left(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return l.text("time.days", "n", int((d+12*time.Hour)/(24*time.Hour)))
	case d >= 2*time.Hour:
		return l.text("time.hours", "n", int(d/time.Hour))
	case d >= time.Minute:
		return l.text("time.minutes", "n", int(d/time.Minute))
	case d > 0:
		return l.text("time.soon")
	}
	return l.text("time.over")
}

// choose returns the language for a reader: the one asked for by link, else the best
// of those that the browser names.
func (t *texts) choose(asked, accept string) *languageTexts {
	if l := t.by[asked]; l != nil {
		return l
	}
	_, i := language.MatchStrings(t.matcher, accept)
	return t.by[t.order[i]]
}
