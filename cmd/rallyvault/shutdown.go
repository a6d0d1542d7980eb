package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

func (p *program) renewCmd() *cobra.Command {
	return p.command(verb{use: "renew", short: "say that the group is there still, as any organiser's sign-in does",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			s, err := l.Renew(ctx)
			if err != nil {
				return err
			}
			p.say(s, func(w io.Writer) {
				if s.Ends == nil {
					fmt.Fprintln(w, "renewed; silence ends nothing here: rallyvault shutdown --silence 180d changes that")
					return
				}
				fmt.Fprintf(w, "renewed; if no organiser signs in until %s, everything is destroyed\n", timeText(*s.Ends))
			})
			return nil
		})})
}

func (p *program) shutdownCmd() *cobra.Command {
	var at, silence string
	var now, yes, cancel bool
	return p.command(verb{
		use:   "shutdown (--at T | --now) --yes | --cancel | --silence off|180d|365d",
		short: "end the group: destroy everything for good, on a date or now",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&at, "at", "", "the date on which everything is destroyed")
			f.BoolVar(&now, "now", false, "destroy everything at once")
			f.BoolVar(&yes, "yes", false, "destroy without asking again")
			f.BoolVar(&cancel, "cancel", false, "call off the date that was set")
			f.StringVar(&silence, "silence", "", "change for how long no organiser may sign in before everything is destroyed: off, 180d or 365d")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			dated, silent := c.Flags().Changed("at"), c.Flags().Changed("silence")
			n := 0
			for _, one := range []bool{dated, now, cancel, silent} {
				if one {
					n++
				}
			}
			order := client.ShutdownOrder{Now: now}
			switch {
			case n != 1:
				return usageHint("rallyvault help shutdown says what they do", "shutdown takes one of --at T, --now, --cancel and --silence")
			case cancel:
				return p.signedIn(p.cancelShutdown)(ctx, c, args)
			case silent:
				return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
					return p.setSilence(ctx, l, silence)
				})(ctx, c, args)
			case !yes:
				return usageHint("add --yes if that is meant", "ending the group cannot be undone: everything in it is destroyed")
			case dated:
				t, err := parseTime("at", at)
				if err != nil {
					return err
				}
				order.At = &t
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				return p.shutdown(ctx, l, order)
			})(ctx, c, args)
		},
	})
}

func (p *program) cancelShutdown(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
	off, err := l.CancelShutdown(ctx)
	if err != nil {
		return err
	}
	p.say(off, func(w io.Writer) { fmt.Fprintln(w, "called off: the group goes on; lists keep their own deadlines") })
	return nil
}

func (p *program) setSilence(ctx context.Context, l *link, silence string) error {
	s, err := l.SetSilence(ctx, silence)
	if err != nil {
		return err
	}
	p.say(s, func(w io.Writer) { fmt.Fprintln(w, silenceText(s.Silence)) })
	return nil
}

func silenceText(silence string) string {
	if silence == "off" {
		return "silence: off, so the vault stays until somebody ends it"
	}
	return "silence: " + silence + ", so everything is destroyed when no organiser signs in for that long"
}

func (p *program) shutdown(ctx context.Context, l *link, order client.ShutdownOrder) error {
	done, err := l.Shutdown(ctx, order)
	if err != nil {
		return err
	}
	if len(done.Certificate) > 0 {
		if err := groupEnded(l, done.Certificate); err != nil {
			return err
		}
	}
	p.say(done, func(w io.Writer) { shutdownText(w, done) })
	return nil
}

// groupEnded checks the certificate with the key of the vault that is remembered.
// Nothing else can be asked of the server any more. The session file stays: with it
// every command is told that the group has ended, and not to sign in.
func groupEnded(l *link, certificate json.RawMessage) error {
	l.over = true
	known, err := l.memory.load()
	if err != nil {
		return err
	}
	if known == nil {
		return untrusted("the server shows no certificate that can be checked", nil)
	}
	cert, err := vault.OpenCertificate(certificate, func(string, string) (string, error) { return known.Key, nil })
	if err != nil {
		return untrusted("the certificate is not signed with the key of this vault", err)
	}
	if cert.Earlier == nil {
		return untrusted("the certificate is not of the end of the group", nil)
	}
	return nil
}

func shutdownText(w io.Writer, done *client.Shutdown) {
	if done.At != nil {
		fmt.Fprintf(w, "set: on %s everything is destroyed; every member sees it, and any organiser can call it off: rallyvault shutdown --cancel\n", timeText(*done.At))
		fmt.Fprintln(w, "before that:")
	} else {
		fmt.Fprintln(w, "the group has ended and everything in it is destroyed; what opened it is gone. The signed certificate, to keep:")
		_ = writeJSON(w, done.Certificate)
		fmt.Fprintln(w, "now:")
	}
	lastWords(w, &done.LastWords)
}

// lastWords says what destroying the vault does not reach.
func lastWords(w io.Writer, words *client.LastWords) {
	fmt.Fprintln(w, "- destroy old backups, or the recovery sheets: enough sheets and an old backup still open what the backup held")
	fmt.Fprintln(w, "- delete the files that were downloaded, and the keys of exports")
	if len(words.Partners) > 0 {
		names := make([]string, len(words.Partners))
		for i, n := range words.Partners {
			names[i] = clean(n)
		}
		fmt.Fprintf(w, "- tell your partners, who may have something from here and should delete it: %s\n", strings.Join(names, ", "))
	}
	if words.Overdue > 0 {
		fmt.Fprintf(w, "- %s should have been confirmed as deleted by now, and was not\n", counted(words.Overdue, "export", "exports"))
	}
	if words.Notices > 0 {
		fmt.Fprintf(w, "- %s to partners, of people who were erased, had not been told\n", counted(words.Notices, "notice", "notices"))
	}
	fmt.Fprintln(w, "- publish the revocation of your signing certificate: it is on the recovery sheets")
}

// remindEnd says when the group ends.
func (p *program) remindEnd(who *client.Who) {
	switch {
	case who.Ends == nil:
	case who.EndsBy == "silence":
		p.note("no organiser has signed in for long: unless one does, everything is destroyed on %s (%s). Ask one to sign in", timeText(*who.Ends), leftText(*who.Ends))
	default:
		p.note("the group ends on %s (%s): everything is destroyed then. An organiser can call it off: rallyvault shutdown --cancel", timeText(*who.Ends), leftText(*who.Ends))
	}
}

// leftText says how soon something is.
func leftText(t time.Time) string {
	left := time.Until(t)
	switch {
	case left < time.Hour:
		return "within the hour"
	case left < 48*time.Hour:
		return "in " + counted(int(left/time.Hour), "hour", "hours")
	}
	return "in " + counted(int(left/(24*time.Hour)), "day", "days")
}

// exportOffline is audit export from a data directory.
func (p *program) exportOffline(ctx context.Context, cfg Config, out string) error {
	export := func(w io.Writer) error { return exportTrail(ctx, cfg, w) }
	switch {
	case out != "" && out != "-":
		return p.exportTo(out, export)
	case p.json:
		return usage("an export is one JSON value a line: with --json give --out FILE")
	}
	return export(&heldBack{p: p})
}

// exportTrail writes the audit trail of a data directory, on which no server runs: once
// the group has ended nobody can ask a server for it.
func exportTrail(ctx context.Context, cfg Config, w io.Writer) error {
	if err := vaultThere(cfg); err != nil {
		return err
	}
	f, err := slots.OpenReadOnly(cfg.locks())
	if err != nil {
		return slotsError(cfg.locks(), err)
	}
	defer f.Close()
	public, ended := f.Ended()
	if !ended {
		key := f.LogKey()
		if key == nil {
			return slotsMissing(cfg)
		}
		public = key.Public().(ed25519.PublicKey)
	}
	vkey, err := audit.VerifierKey(audit.OriginOf(f.VaultID().String()), public)
	if err != nil {
		return err
	}
	store, err := sqlite.OpenReadOnly(ctx, cfg.Data)
	if err != nil {
		return err
	}
	defer store.Close()
	_, size := f.Seen()
	report, err := audit.Verify(ctx, store, vkey, size, nil)
	if err != nil {
		return faulty(err)
	}
	if report.Entries == 0 {
		return &vault.Error{Kind: vault.NotFound, Code: "no-vault", Msg: fmt.Sprintf("there is no vault in the directory %q", cfg.Data)}
	}
	return audit.Export(ctx, w, store, vkey)
}
