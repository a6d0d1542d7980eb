package sheet

import (
	"iter"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// everyWord yields all words of a language but its refused phrases.
func (l *language) everyWord() iter.Seq[string] {
	return func(yield func(string) bool) {
		lists := [][]string{l.nameOrGiven, l.nameOrFamily, l.nameFamilyFirst, l.reach, l.areaCode, l.postalAndCity, l.state, l.and, l.filler, l.mail, l.others,
			l.consent, l.noConsent, l.sharing.what, l.sharing.with, l.sharing.partners, l.sharing.answers, l.unneeded, l.status, l.yes, l.no, l.totals, l.illegible, l.ditto}
		for _, f := range catalogue {
			lists = append(lists, l.fields[f], l.perhaps[f])
		}
		for _, list := range lists {
			for _, w := range list {
				if !yield(w) {
					return
				}
			}
		}
	}
}

// TestWordsAreFolded: a word that is not as foldHeader leaves it never matches.
func TestWordsAreFolded(t *testing.T) {
	check := func(w string) {
		w = strings.ReplaceAll(strings.TrimPrefix(w, "="), "#", "1")
		if got := foldHeader(w); got != w || w == "" {
			t.Errorf("%q folds to %q", w, got)
		}
	}
	for i := range languages {
		for w := range languages[i].everyWord() {
			check(w)
		}
		for slug, phrases := range languages[i].refused {
			known := false
			for _, k := range refusedKinds {
				known = known || k.slug == slug
			}
			if !known {
				t.Errorf("no refused kind is called %q", slug)
			}
			for _, p := range phrases {
				check(p)
			}
		}
		for f := range languages[i].fields {
			if !f.Known() {
				t.Errorf("no field is called %q", f)
			}
		}
		for f := range languages[i].perhaps {
			if f != Email && f != Phone {
				t.Errorf("cells do not tell %q", f)
			}
		}
	}
}

// MeaningOf tells the tests outside what a header means.
func MeaningOf(header string) string {
	m := recognise(header)
	s := map[meaningKind]string{unknown: "unknown", another: "unknown", aField: string(m.field), nameOrGiven: "name-or-given", nameOrFamily: "name-or-family", areaCode: "area-code",
		postalAndCity: "postal-and-city", consent: "consent", noConsent: "no-consent", unneeded: "unneeded"}[m.kind]
	switch m.kind {
	case aRefused:
		s = m.refused.slug
	case perhaps:
		s = strings.TrimSuffix("perhaps "+string(m.field)+" or "+string(m.other), " or ")
	}
	if m.familyFirst {
		s += ", family first"
	}
	if m.nameIsFamily {
		s += ", beside name"
	}
	return s
}

// resolved are the headers that two languages use for different things, with
// the one that the first of them in languages means.
var resolved = map[string]string{}

// wholly are the headings that are one only as they stand, and with filler.
var wholly = map[string]bool{
	// French asks with the word that English has for remarks.
	"comment vous joindre": true, "comment vous contacter": true, "comment pouvons nous vous joindre": true, "comment pouvons nous vous contacter": true,
	"comment vous appelez vous": true, "comment tu tappelles": true,
	// The language of one's mother.
	"mother tongue": true, "lingua madre": true, "اللغه الام": true,
	"email地址": true,
	// A number at work is the person's.
	"telefono del trabajo": true, "telefono de trabajo": true, "tel trabajo": true, "tel del trabajo": true, "telefono trabajo": true,
}

// TestWordsMeanOneThing: tables of different languages are looked up together.
func TestWordsMeanOneThing(t *testing.T) {
	meanings := make(map[string]meaning)
	for i := range languages {
		for m, headers := range languages[i].meanings() {
			for _, h := range headers {
				h = letters(h)
				before, ok := meanings[h]
				if !ok {
					meanings[h] = m
				} else if before != m && resolved[h] == "" {
					t.Errorf("%q means %v and %v", h, before, m)
				}
			}
		}
	}
	answers := make(map[string]string)
	for _, l := range languages {
		for _, w := range l.yes {
			answers[letters(w)] = "yes"
		}
	}
	for _, l := range languages {
		for _, w := range l.no {
			if answers[letters(w)] != "" {
				t.Errorf("%q means yes and no", w)
			}
		}
	}
	kinds := make(map[string]string)
	for _, l := range languages {
		for slug, phrases := range l.refused {
			for _, p := range phrases {
				p = letters(p)
				if other := kinds[p]; other != "" && other != slug {
					t.Errorf("%q is of the kinds %s and %s", p, other, slug)
				}
				kinds[p] = slug
				if m, ok := meanings[strings.TrimPrefix(p, "=")]; ok {
					t.Errorf("%q is refused and means %v", p, m)
				}
			}
		}
	}
	// A heading that holds a refused phrase, or another person, would be lost as
	// soon as anything stood beside it.
	for h, m := range meanings {
		if m.kind == unneeded || wholly[h] || strings.HasPrefix(h, "address ") {
			continue
		}
		if k := refusedIn(h); k != nil {
			t.Errorf("%q means %v and holds a phrase of %s", h, m, k.slug)
		}
		if words().others.in(h) {
			t.Errorf("%q means %v and names another person", h, m)
		}
	}
}

// TestMarkersAreReached: word compares the lower case of ASCII letters alone.
func TestMarkersAreReached(t *testing.T) {
	for _, l := range languages {
		for _, w := range append(l.illegible, l.ditto...) {
			if marker(strings.ToUpper(w)) == None {
				t.Errorf("%q is no marker in capitals", w)
			}
		}
	}
}

// TestStatusIsTold: words that tell somebody's status are found in whatever
// stands around them, and names are none.
func TestStatusIsTold(t *testing.T) {
	for _, cell := range []string{"Ana Paz (undocumented)", "JOSE - SIN PAPELES", "Luis, DACA", "María — orden de deportación", "Wei (U-visa)", "Omar: asylum seeker", "Ana tps", "Li 无证移民", "王丽（绿卡）", "김민수 불법체류자", "Иван, без документов",
		"Jean (demandeur d’asile)", "Ana ICE hold", "visa vencida", "court date 5/3", "Fecha de corte: 3 de mayo", "Иван ГРИН-КАРТА", "عمر طالب لجوء", "Trần Văn A, trục xuất", "ｄａｃａ", "Ana da\u0301ca", "Lin permanent  resident"} {
		if !tellsStatus(cell) || !statusBegins(cell) {
			t.Errorf("%q: told %t, begins %t; want both", cell, tellsStatus(cell), statusBegins(cell))
		}
	}
	for _, cell := range strings.Split(plainNames+";Papeles;Visa;Ice;Corte;Court;Green;Asilomar;Dacanay;Deporter;Permanente;Sin;Green Card-Smith's cousin Gregory", ";") {
		if cell != "Green Card-Smith's cousin Gregory" && tellsStatus(cell) {
			t.Errorf("%q is said to tell a status", cell)
		}
	}
}

// TestStatusBeginsMissesNothing: what folding would find, the look before it lets through.
func TestStatusBeginsMissesNothing(t *testing.T) {
	var all []string
	for i := range languages {
		all = append(all, languages[i].status...)
	}
	for _, s := range all {
		for _, cell := range []string{s, strings.ToUpper(s), strings.ToTitle(s[:1]) + s[1:], "Ana (" + s + ")", strings.ReplaceAll(s, " ", "-"), "x\u200b " + s, strings.ReplaceAll(s, "a", "á"), strings.ReplaceAll(s, "o", "o\u0323\u0302")} {
			if tellsStatus(cell) && !statusBegins(cell) {
				t.Errorf("%q is missed", cell)
			}
		}
		if !tellsStatus(s) {
			t.Errorf("%q is not found", s)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.OneOf(rapid.SampledFrom(all), rapid.StringOf(rapid.SampledFrom([]rune("aÁ' -’\u200b\u0301ßｄÃخ无ДẠ"))), rapid.String())
		cell := strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, "pieces"), rapid.SampledFrom([]string{" ", "", "-", "\u00a0"}).Draw(t, "between"))
		if tellsStatus(cell) && !statusBegins(cell) {
			t.Errorf("%q is missed", cell)
		}
	})
}

const plainNames = "Ana Alvarez;Luis Baptiste;Mei Chen;Fatima Diallo;Jean Estrada;Rosa Flores;Omar Garcia;Linh Haddad;Aditi Ibrahim;Kofi Jimenez;Yara Khan;Tomas Lopez;Ines Morales;Pavel Nguyen;Noor Okafor;Hana Perez;Diego Quispe;" +
	"Amara Ramirez;Sofia Santos;Malik Torres;María del Carmen Ejemplo;José Ángel Muñoz;Nguyễn Văn An;Trần Thị Bích;Łukasz Żak;O'Brien-Smith;Carmen Cardenas;Gregory Green;Carlos Cardona;Deborah Depp;Vicente Visconti;Noah Nova;Order Ortiz;" +
	"Иван Петров;Дмитрий Соколов;王丽;김민수;محمد علي;فاطمة الزهراء"

// TestStatusBeginsIsRare: the look lets few names through.
func TestStatusBeginsIsRare(t *testing.T) {
	names, through := strings.Split(plainNames, ";"), 0
	for _, n := range names {
		if statusBegins(n) {
			through++
			t.Logf("%q is looked at", n)
		}
	}
	if through*8 > len(names) {
		t.Errorf("%d of %d names are looked at, want at most an eighth", through, len(names))
	}
}

func BenchmarkStatus(b *testing.B) {
	for _, name := range []string{"Ana Alvarez", "María del Carmen Ejemplo", "王丽"} {
		b.Run("begins/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				statusBegins(name)
			}
		})
	}
	b.Run("tells", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tellsStatus("maria del carmen ejemplo")
		}
	})
}

// BenchmarkRecognise is what a header costs. The last is the worst that a header may be.
func BenchmarkRecognise(b *testing.B) {
	for name, h := range map[string]string{"known": "Email Address", "question": "What is the best phone number to reach you at?", "unknown": "Interpreter needed?", "worst": strings.Repeat("a ", maxHeader/2), "worst/han": strings.Repeat("您", maxHeader/3),
		"worst/filler": strings.Repeat("language do you ", 63), "worst/refused": "email " + strings.Repeat("address ", 127), "worst/share": strings.Repeat("ok to share ", 85), "worst/asides": strings.Repeat("(a)", maxHeader/3), "worst/parts": strings.Repeat("a/", maxHeader/2)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				recognise(h)
			}
		})
	}
}
