package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/rallyvault/rallyvault/api/client"
)

// reportWidth is how many characters a line of a report has at most: it is printed,
// in a fixed width on A4 or US Letter.
const reportWidth = 78

func (p *program) reportCmd() *cobra.Command {
	return p.command(verb{use: "report", short: "what somebody would find who came today: to print for a lawyer",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			r, err := l.Report(ctx)
			if err != nil {
				return err
			}
			p.say(r, func(w io.Writer) { reportText(w, r) })
			return nil
		})})
}

// reportText writes a report as it is printed. The first part can be handed to
// somebody without the second, which has handles and titles.
func reportText(w io.Writer, r *client.Report) {
	fmt.Fprintln(w, "CONFIDENTIAL")
	fmt.Fprintln(w)
	fmt.Fprintln(w, "IF THEY CAME TODAY")
	fmt.Fprintln(w, "What this vault would show to whoever takes the machine, and what not")
	fmt.Fprintln(w)
	fmt.Fprintf(w, "vault %s\n", clean(r.Vault))
	fmt.Fprintf(w, "as of %s, with %s in the audit trail\n", timeText(r.Time), counted(int(r.Entries), "entry", "entries"))
	fmt.Fprintln(w)
	wrapText(w, "", "Whoever has been told of a legal demand, or expects one: take advice before anything is destroyed, shortened or edited. To destroy it then can harm people, and be an offence.")
	for i, part := range []struct {
		title, about string
		lines        []client.ReportLine
	}{
		{"WHAT CAN BE READ ON THE DISK", "By whoever takes the machine, its disk or a backup, with or without a court order. Ids are random numbers of this vault; on the disk no name stands with them. This part holds nothing that is not on the disk.", r.Disk},
		{"WHO COULD OPEN WHAT", "Had they the disk, and what is named here. Handles and titles are those that the member knows who asked for this report: they are not on the disk, and so keep this part apart from the first.", r.OpenTo},
		{"WHAT IS NOT ON THE DISK", "And, at the end, what that does not cover.", r.NotOnDisk},
	} {
		title := fmt.Sprintf("%d. %s (CONFIDENTIAL)", i+1, part.title)
		fmt.Fprintf(w, "\n\n%s\n%s\n\n", title, strings.Repeat("=", len(title)))
		wrapText(w, "", part.about)
		for n, l := range part.lines {
			fmt.Fprintf(w, "\n%d.%d %s\n", i+1, n+1, clean(l.Code))
			wrapText(w, "  ", l.Text)
			for _, item := range l.Items {
				text := item.Text
				if item.Name != "" {
					text = item.Name + ": " + text
				}
				if item.ID != "" && item.Name != "" {
					text += " [" + item.ID + "]"
				} else if item.ID != "" {
					text = item.ID + ": " + text
				}
				wrapText(w, "    - ", text)
			}
		}
	}
	fmt.Fprint(w, "\n\n")
	wrapText(w, "", fmt.Sprintf("End of the report on vault %s as of %s. CONFIDENTIAL", r.Vault, timeText(r.Time)))
}

// wrapText writes text in lines of reportWidth characters. The first begins with
// prefix, the others with as many blanks. A word that is longer has a line for itself.
func wrapText(w io.Writer, prefix, text string) {
	line, room := prefix, false
	for _, word := range strings.Fields(clean(text)) {
		if room && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > reportWidth {
			fmt.Fprintln(w, line)
			line, room = strings.Repeat(" ", len(prefix)), false
		}
		if room {
			line += " "
		}
		line, room = line+word, true
	}
	fmt.Fprintln(w, line)
}
