package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// waitID reads the id of an act that waits, see accessID.
func waitID(arg string) (vault.WaitID, error) {
	u, err := uuid.Parse(arg)
	if err != nil || len(arg) != 36 {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-wait", Msg: "nothing of that id waits for a second person",
			Hint: "rallyvault waiting ls shows ids"}
	}
	return vault.WaitID(u.String()), nil
}

func (p *program) waitingLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "what takes two organisers and waits for the second, or was refused",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			ws, err := l.Waits(ctx)
			if err != nil {
				return err
			}
			if ws == nil {
				ws = []client.Wait{}
			}
			titles, err := p.titles(ctx, l)
			if err != nil {
				return err
			}
			p.say(ws, func(w io.Writer) {
				if len(ws) == 0 {
					fmt.Fprintln(w, "nothing waits for a second person")
					return
				}
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "WHAT\tASKED FOR BY\tSTATUS\tID")
				for i := range ws {
					what := waitText(&ws[i], titles)
					if ws[i].Why != "" {
						what += " (" + clean(ws[i].Why) + ")"
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, clean(ws[i].By), waitStatus(&ws[i]), ws[i].ID)
				}
				t.Flush()
			})
			return nil
		})})
}

// waitText says in words what waits.
func waitText(w *client.Wait, titles map[vault.ListID]string) string {
	switch w.Act {
	case vault.ActDestroy:
		if w.List == "" {
			return "destroy a list that you do not see"
		}
		return "destroy " + titleText(titles, w.List)
	case vault.ActExtend:
		text := "let a list live longer that you do not see"
		if w.List != "" {
			text = "let " + titleText(titles, w.List) + " live longer"
		}
		if w.To != nil {
			text += ", until " + timeText(*w.To)
		}
		return text
	case vault.ActHold:
		return "let a hold stand: rallyvault hold ls"
	case vault.ActLift:
		return "lift a hold: rallyvault hold ls"
	case vault.ActRecovery:
		return "new recovery shares"
	case vault.ActShutdown:
		if w.At != nil {
			return "end the group and destroy everything on " + timeText(*w.At)
		}
		return "end the group and destroy everything at once"
	case vault.ActSilence:
		return "end the group after another silence: " + clean(w.Silence)
	case vault.ActExport:
		return "send people to a partner: rallyvault export show " + string(w.Export)
	case vault.ActInvite, vault.ActPromote:
		return w.Act + " " + clean(w.Handle) + " as organiser"
	}
	return w.Act + " organiser " + clean(w.Handle)
}

func waitStatus(w *client.Wait) string {
	switch {
	case (w.Act == vault.ActRecovery || w.Act == vault.ActExport || w.Act == vault.ActHold || w.Act == vault.ActLift) && w.Status != vault.WaitRefused:
		return w.Status + " until " + timeText(w.Expires)
	case w.Status == vault.WaitAgreed:
		return "nobody refused: any organiser can carry it out with agree"
	case w.Status == vault.WaitRefused && w.Reason != "":
		return "refused: " + clean(w.Reason)
	case w.Status == vault.WaitRefused:
		return "refused"
	}
	return "counts as agreed from " + timeText(w.Expires)
}

func (p *program) waitingAgreeCmd() *cobra.Command {
	return p.command(verb{use: "agree ID", short: "be the second person: what waits happens", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			id, err := waitID(args[0])
			if err != nil {
				return err
			}
			done, err := l.Agree(ctx, id)
			if err != nil {
				return err
			}
			if done.Act == vault.ActShutdown && len(done.Certificate) > 0 {
				if err := groupEnded(l, done.Certificate); err != nil {
					return err
				}
			}
			if done.Code != "" {
				p.note("give the code to that person alone, by a channel that nobody else reads; it works once, until %s", timeText(*done.Expires))
			}
			p.say(*done, func(w io.Writer) {
				if done.Status == vault.WaitAgreed {
					fmt.Fprintf(w, "agreed: %s can make new recovery shares until %s\n", clean(done.By), timeText(*done.Expires))
					return
				}
				if done.Act == vault.ActShutdown && done.LastWords != nil {
					shutdownText(w, &client.Shutdown{At: done.At, Certificate: done.Certificate, LastWords: *done.LastWords})
					return
				}
				fmt.Fprintf(w, "done: %s\n", waitText(&client.Wait{Act: done.Act, Handle: done.Handle, List: done.List, Export: done.Export, Silence: done.Silence}, nil))
				if done.Code != "" {
					fmt.Fprintf(w, "code %s\n", done.Code)
					fmt.Fprintln(w, "they run: rallyvault join, type or paste the code, and choose a passphrase")
				}
				if len(done.Certificate) > 0 {
					_ = writeJSON(w, done.Certificate)
				}
			})
			return nil
		})})
}

func (p *program) waitingRefuseCmd() *cobra.Command {
	var reason string
	return p.command(verb{use: "refuse ID [--reason R]", short: "keep what waits from happening, or take back what you asked for", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.StringVar(&reason, "reason", "", "why; organisers read it") },
		run: p.signedIn(func(ctx context.Context, l *link, c *cobra.Command, args []string) error {
			id, err := waitID(args[0])
			if err != nil {
				return err
			}
			if reason == "" && c.Flags().Changed("reason") {
				return usage("--reason says nothing")
			}
			r, err := l.Refuse(ctx, id, reason)
			if err != nil {
				return err
			}
			p.say(r, func(w io.Writer) { fmt.Fprintf(w, "refused: %s will not happen\n", r.ID) })
			return nil
		})})
}

func (p *program) memberPromoteCmd() *cobra.Command {
	return p.command(verb{use: "promote HANDLE", short: "make an organiser of a member", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			m, err := l.PromoteMember(ctx, args[0])
			if err != nil {
				return err
			}
			p.note("a new organiser counts as a second person after 72 hours")
			p.say(*m, func(w io.Writer) { fmt.Fprintf(w, "%s is an organiser\n", clean(m.Handle)) })
			return nil
		})})
}
