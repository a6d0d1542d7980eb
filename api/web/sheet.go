package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
)

const (
	// sheetColumns and sheetLines are what a text sheet may take up: one piece
	// of A4 or US Letter paper as any printer and any terminal's font fill it.
	sheetColumns = 78
	sheetLines   = 60

	// shortVault is how many digits of the vault's id stand on a sheet: enough
	// to tell one vault's sheets from another's.
	shortVault = 8
)

// A sheet is one recovery share as it is printed, in every language at once:
// who finds the sheets in a drawer in ten years may not be who printed them.
// There is no name of the organisation on it, since a sheet that is found or
// taken should not say whose lists it belongs to; who has the group's certificate
// can tell by the fingerprint in the revocation.
//
// On the back is the certificate of revocation of the group's OpenPGP key: what ends
// that key has to be where the key is not. It is a page of its own so that it can be
// copied for partners without the share.
type sheet struct {
	Number     int
	Key        []string // the lines to be typed
	Texts      []sheetText
	Commands   []string
	Revocation []string // lines; nil: there is no second page
}

// A sheetText is what a sheet says in one language.
type sheetText struct {
	Lang               string
	Title, Facts       string
	What               string
	KeepTitle          string
	Keep               []string
	UseTitle           string
	Use                []string
	EndTitle, End      string
	Key, CommandsLabel string // above the lines to be typed
	Page, BackPage     string // "" if there is only one
	Revocation         string // above its lines
	RevocationWhat     []string
}

// newSheet fills the sheet of a share. revocation is armored, nil if there is none.
func (p *Pages) newSheet(s shares.Share, revocation []byte) sheet {
	vault, _, _ := strings.Cut(s.Vault, "-")
	values := []any{"number", strconv.Itoa(s.Number), "of", strconv.Itoa(s.Of), "needed", strconv.Itoa(s.Needed),
		"set", strconv.FormatInt(s.Set, 10), "made", s.Made, "vault", vault[:min(len(vault), shortVault)]}
	text := s.Text()
	out := sheet{Number: s.Number, Key: strings.Split(strings.TrimRight(string(text.Bytes()), "\n"), "\n")}
	text.Wipe()
	if len(revocation) > 0 {
		out.Revocation = strings.Split(strings.TrimRight(string(revocation), "\n"), "\n")
	}
	for _, l := range p.texts.order {
		t := func(key string) string { return p.texts.by[l].text("sheet."+key, values...) }
		out.Texts = append(out.Texts, sheetText{
			Lang: l, Title: t("title"), Facts: t("facts"), What: t("what"), Key: t("key"), CommandsLabel: t("commands"),
			KeepTitle: t("keep.title"), Keep: []string{t("keep.1"), t("keep.2"), t("keep.3")},
			UseTitle: t("use.title"), Use: []string{t("use.1"), t("use.2"), t("use.3")},
			EndTitle: t("end.title"), End: t("end"),
		})
		if out.Revocation != nil {
			last := &out.Texts[len(out.Texts)-1]
			last.Page, last.BackPage = t("page.1"), t("page.2")
			last.Revocation, last.RevocationWhat = t("revocation"), []string{t("revocation.what"), t("revocation.keep")}
		}
	}
	give := strings.Repeat(" --share FILE", s.Needed)
	out.Commands = []string{
		"1  rallyvault recover --data DIR" + give + " \\",
		"       --rehearse",
		"2  rallyvault recover --data DIR" + give + " \\",
		"       --handle HANDLE --new-passphrase-file FILE",
		fmt.Sprintf("3  rallyvault recovery renew --recovery %d/%d --recovery-out DIR", s.Needed, s.Of),
	}
	return out
}

// SheetText returns the sheet of a share as plain text in UTF-8, of at most 60
// lines of 78 columns a page; revocation, armored, is on a second page after a form
// feed, unless it is nil. Whoever has it has the share.
func (p *Pages) SheetText(s shares.Share, revocation []byte) crypto.Secret {
	sh := p.newSheet(s, revocation)
	var b bytes.Buffer
	rule := strings.Repeat("=", sheetColumns) + "\n"
	b.WriteString(rule)
	for _, t := range sh.Texts {
		textTitle(&b, t.Title, t.Page)
		wrap(&b, "   ", "   ", t.Facts)
	}
	b.WriteString(rule + "\n")
	for _, line := range sh.Key {
		b.WriteString(line + "\n")
	}
	b.WriteByte('\n')
	for i, t := range sh.Texts {
		if i > 0 {
			b.WriteString(strings.Repeat("-", sheetColumns) + "\n")
		}
		wrap(&b, "", "", t.What)
		wrap(&b, "", "   ", t.KeepTitle+": "+strings.Join(t.Keep, " "))
		b.WriteString(t.UseTitle + ":\n")
		for n, step := range t.Use {
			wrap(&b, fmt.Sprintf(" %c. ", 'a'+n), "    ", step)
		}
		wrap(&b, "", "   ", t.EndTitle+": "+t.End)
	}
	b.WriteString(rule)
	for _, c := range sh.Commands {
		b.WriteString(c + "\n")
	}
	if sh.Revocation == nil {
		return crypto.NewSecret(b.Bytes())
	}
	b.WriteString("\f" + rule)
	for _, t := range sh.Texts {
		textTitle(&b, t.Title, t.BackPage)
		wrap(&b, "   ", "   ", t.Facts)
	}
	b.WriteString(rule + "\n")
	for _, line := range sh.Revocation {
		b.WriteString(line + "\n")
	}
	b.WriteByte('\n')
	for _, t := range sh.Texts {
		wrap(&b, "", "   ", t.Revocation+": "+strings.Join(t.RevocationWhat, " "))
	}
	return crypto.NewSecret(b.Bytes())
}

func textTitle(b *bytes.Buffer, title, page string) {
	b.WriteString(strings.ToUpper(title))
	if page != "" {
		b.WriteString(" (" + page + ")")
	}
	b.WriteByte('\n')
}

// wrap writes a paragraph in lines of at most sheetColumns.
func wrap(b *bytes.Buffer, first, rest, text string) {
	line := first
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > sheetColumns {
			b.WriteString(line + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(line + "\n")
}

// A sheetPage is a sheet as a page of its own, which needs nothing but itself.
type sheetPage struct {
	Title  string
	Lang   string
	Policy string
	CSS    template.CSS
	Sheet  sheet
}

// SheetPage returns the sheet of a share as an HTML page that prints on one
// piece of A4 or US Letter paper, on both sides of it if there is a revocation. It loads nothing and runs nothing: its policy
// allows its own style by its hash and forbids everything else, and its style
// leaves no margin in which a browser would print where the page came from.
func (p *Pages) SheetPage(s shares.Share, revocation []byte) (crypto.Secret, error) {
	sh := p.newSheet(s, revocation)
	sum := sha256.Sum256(p.sheetCSS)
	page := sheetPage{Lang: sh.Texts[0].Lang, Title: sh.Texts[0].Title, Sheet: sh, CSS: template.CSS(p.sheetCSS), // #nosec: a file of ours
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"}
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, "sheet.html", page); err != nil {
		return crypto.Secret{}, err
	}
	return crypto.NewSecret(b.Bytes()), nil
}
