package web

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	dir     string           // "ltr" or "rtl"
	name    string           // of the language, in itself
	texts   map[string]entry // the same for all languages
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

// Texts are read once, however many Pages there are. Nobody who is not a test pays
// for the pseudo-locale.
var (
	realTexts   = sync.OnceValue(func() *texts { return readTexts(false) })
	pseudoTexts = sync.OnceValue(func() *texts { return readTexts(true) })
)

// readTexts reads the files of locales. They are part of the program, so what is
// wrong with them stops it.
func readTexts(withPseudo bool) *texts {
	files, err := files.ReadDir("locales")
	if err != nil {
		panic("web: " + err.Error())
	}
	raw := map[string]map[string]forms{} // by language and key
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
	entries := make(map[string]entry, len(raw[fallback]))
	for key, forms := range raw[fallback] {
		entries[key] = entry{forms.names()}
	}
	out := &texts{order: order, by: map[string]*languageTexts{}}
	builder := catalog.NewBuilder(catalog.Fallback(language.MustParse(fallback)))
	var tags []language.Tag
	for _, lang := range order {
		tag := language.MustParse(lang)
		tags = append(tags, tag)
		for key, forms := range raw[lang] {
			if err := builder.Set(tag, key, forms.message(entries[key].names)); err != nil {
				panic("web: " + lang + ": " + key + ": " + err.Error())
			}
		}
	}
	for i, lang := range order {
		l := &languageTexts{lang: lang, texts: entries, printer: message.NewPrinter(tags[i], message.Catalog(builder))}
		l.name, l.dir = l.text("language.name"), l.text("language.direction")
		out.by[lang] = l
	}
	out.matcher = language.NewMatcher(tags)
	return out
}

// forms is a text as it is written in locales, by plural form; "" is that of a text
// which has only one.
type forms map[string]string

func parseTexts(name string) map[string]forms {
	var in map[string]any
	if err := json.Unmarshal(read(path.Join("locales", name)), &in); err != nil {
		panic("web: " + name + ": " + err.Error())
	}
	out := make(map[string]forms, len(in))
	for key, value := range in {
		switch value := value.(type) {
		case string:
			out[key] = forms{"": value}
			continue
		case map[string]any:
			out[key] = forms{}
			for form, text := range value {
				out[key][form], _ = text.(string)
			}
		}
		if out[key]["other"] == "" {
			panic("web: " + name + ": " + key + " is neither a text nor texts by plural form")
		}
	}
	return out
}

var placeholder = regexp.MustCompile(`\{([a-z_]+)\}`)

// names are those of what a text takes.
func (f forms) names() []string {
	var names []string
	for _, text := range f {
		for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return slices.Clip(slices.Compact(names))
}

// message makes of a text what the catalog takes. names are what the text takes in
// the language that all others are translated from.
func (f forms) message(names []string) catalog.Message {
	verbs := func(text string) string {
		return placeholder.ReplaceAllStringFunc(strings.ReplaceAll(text, "%", "%%"), func(m string) string {
			at := slices.Index(names, m[1:len(m)-1])
			if at < 0 {
				panic("web: " + text + " takes " + m + ", and what it is translated from does not")
			}
			return fmt.Sprintf("%%[%d]v", at+1)
		})
	}
	if text, only := f[""]; only {
		return catalog.String(verbs(text))
	}
	n := slices.Index(names, "n")
	if n < 0 {
		panic(fmt.Sprintf("web: %q has plural forms and no {n}", f["other"]))
	}
	var cases []any
	for _, form := range []string{"zero", "one", "two", "few", "many", "other"} {
		if text := f[form]; text != "" {
			cases = append(cases, form, verbs(text))
		}
	}
	return plural.Selectf(n+1, "", cases...)
}

// turnedRound makes the pseudo-locale: each word is written from right to left by an
// override (U+202E to U+202C), which shows every text that is not in a locale.
func turnedRound(in map[string]forms) map[string]forms {
	word := regexp.MustCompile(`\{[a-z_]+\}|[^\s{}]+`)
	out := make(map[string]forms, len(in))
	for key, original := range in {
		out[key] = forms{}
		for form, text := range original {
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
	out["language.name"] = forms{"": pseudo}
	out["language.direction"] = forms{"": "rtl"}
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
