package main

import (
	"bytes"
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A program is one run of the binary: its streams, what its command line said
// for all commands, and the answer that waits for success.
type program struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer

	// workFactor is vault.Config.WorkFactor: 0 but in tests, as no flag or
	// variable sets it.
	workFactor int
	below      layers // likewise, for serve

	json       bool // --json
	stdinTaken bool // by "-", which works once

	// answer is what the command has to say on stdout. It is written when
	// everything has succeeded, the check of the audit trail included, so that
	// stdout stays empty on failure.
	answer bytes.Buffer
	begun  bool // part of a long answer is out already
}

// root is the command table.
func (p *program) root() *cobra.Command {
	root := group("rallyvault", "keep the contact lists of a rally sealed",
		p.serveCmd(), p.setupCmd(), p.demoCmd(),
		p.loginCmd(), p.logoutCmd(), p.whoamiCmd(), p.passphraseCmd(),
		group("session", "where you are signed in", p.sessionLsCmd(), p.sessionEndCmd()),
		p.lockdownCmd(), p.renewCmd(), p.shutdownCmd(),
		group("member", "people with a passphrase",
			p.memberInviteCmd(), p.memberLsCmd(), p.memberResetCmd(), p.memberDisableCmd(), p.memberPromoteCmd()),
		p.joinCmd(),
		group("list", "lists of contacts",
			p.listCreateCmd(), p.listEditCmd(), p.listLsCmd(), p.listShowCmd(), p.listContactsCmd(),
			p.listShortenCmd(), p.listExtendCmd(), p.listCalendarCmd(), p.listDestroyCmd(),
			group("steward", "who holds a list's whole key", p.stewardAddCmd(), p.stewardRmCmd())),
		p.importCmd(),
		group("contact", "people on a list",
			p.contactAddCmd(), p.contactCorrectCmd(), p.contactFindCmd(), p.contactEraseCmd()),
		group("access", "some fields of a list, for a coworker, for a time",
			p.accessRequestCmd(), p.accessPendingCmd(), p.accessLsCmd(), p.accessApproveCmd(), p.accessDenyCmd(), p.accessRevokeCmd()),
		group("slice", "call sheets: some people of a list, for some hours",
			p.sliceCutCmd(), p.sliceShowCmd()),
		group("partner", "other organisations that lists are sent to",
			p.partnerAddCmd(), p.partnerVerifyCmd(), p.partnerLsCmd(), p.partnerShowCmd(), p.partnerSheetCmd(), p.partnerUpdateCmd(), p.partnerRmCmd()),
		p.exportCmd(),
		group("notice", "partners who have somebody that was erased here",
			p.noticeLsCmd(), p.noticeGetCmd(), p.noticeDoneCmd()),
		p.signingKeyCmd(),
		group("audit", "the audit trail",
			p.auditLogCmd(), p.auditVerifyCmd(), p.auditExportCmd(), p.auditProveCmd(), p.auditCodeCmd()),
		group("certificate", "what was signed when lists were destroyed",
			p.certificateLsCmd(), p.certificateGetCmd(), p.certificateVerifyCmd()),
		p.reviewCmd(), p.reportCmd(),
		p.recoverCmd(),
		group("recovery", "shares that bring lists back when a passphrase is lost",
			p.recoveryShowCmd(), p.recoveryRenewCmd()),

		group("waiting", "what takes two organisers",
			p.waitingLsCmd(), p.waitingAgreeCmd(), p.waitingRefuseCmd()),
		p.holdCmd(),
		later("intake"),
		p.backupCmd(), p.restoreCmd(),
	)
	root.AddCommand(&cobra.Command{Use: "exit-codes", Short: exitCodes})
	root.PersistentFlags().BoolVar(&p.json, "json", false, "answer with exactly one JSON value on stdout")
	root.SetGlobalNormalizationFunc(dashes)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetHelpFunc(p.help)
	root.SetHelpCommand(&cobra.Command{
		Use: "help [COMMAND]", Short: "say what a command does", Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no such command to explain")
			}
			p.help(of, nil)
			return nil
		},
	})
	return root
}

// exitCodes is what help exit-codes says.
const exitCodes = `what a command's exit status means

   0  done
   1  internal error
   2  bad input or usage, or not in this version
   3  not signed in, or not allowed
   4  no such thing, or not yours: the same answer
   5  conflict: taken, running already, changed meanwhile
   6  waits for a second person
   7  cannot be opened: wrong passphrase, wrong key, damaged
   8  too large or too many
   9  unavailable: no server, busy, disk full, clock behind, stopping
  10  the audit trail does not verify
  11  gone: destroyed, or shut down
 130  interrupted`

// help answers on stdout, since it was asked for; with --json as a JSON value.
func (p *program) help(c *cobra.Command, _ []string) {
	c.InitDefaultHelpFlag()
	text := c.Short + "\n\n" + c.UsageString()
	if p.json {
		p.say(map[string]string{"help": text}, nil)
		return
	}
	p.answer.WriteString(text)
}

// dashes lets the names of fields be flags as they are written elsewhere:
// --given_name and --given-name are one.
func dashes(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	b := []byte(name)
	for i := range b {
		if b[i] == '_' {
			b[i] = '-'
		}
	}
	return pflag.NormalizedName(b)
}

// group is a noun: a command that only has others below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	c.AddCommand(below...)
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && !c.HasParent():
			return c.Help()
		case len(args) == 0:
			return usage("%s needs a command: %s", c.CommandPath(), names(c))
		}
		// The word is not repeated: it may be a query whose verb was forgotten.
		return usage("%s has no such command; it has: %s", c.CommandPath(), names(c))
	}
	return c
}

func names(c *cobra.Command) string {
	var b []byte
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, sub.Name()...)
	}
	return string(b)
}

// later is a command of the contract that is not built yet. It takes any
// arguments, so that a script learns the one thing there is to know.
func later(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, _ []string) error { return notBuilt(c.CommandPath()) },
	}
}

// A verb is a command of ours: how many arguments it takes, which of them is
// the name of a file, and what it does once @FILE and - are resolved.
type verb struct {
	use, short string
	min, max   int
	file       int // 1-based position of the argument that names a file; 0: none
	flags      func(*pflag.FlagSet)
	files      []string // flags whose values name files or directories
	run        func(ctx context.Context, c *cobra.Command, args []string) error
}

// command makes a cobra command of v.
func (p *program) command(v verb) *cobra.Command {
	c := &cobra.Command{Use: v.use, Short: v.short, DisableFlagsInUseLine: true}
	if v.flags != nil {
		v.flags(c.Flags())
	}
	for _, name := range v.files {
		// The flag exists: it was defined three lines above.
		_ = c.Flags().SetAnnotation(name, fileFlag, nil)
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		switch n := len(args); {
		case n < v.min:
			return usageHint("usage: "+c.UseLine(), "%s takes %s; %d given", c.CommandPath(), span(v.min, v.max), n)
		case n > v.max:
			return usageHint("usage: "+c.UseLine(), "%s takes %s; %d given", c.CommandPath(), span(v.min, v.max), n)
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		if err := p.resolveAll(ctx, c, args, v.file); err != nil {
			return err
		}
		return v.run(ctx, c, args)
	}
	return c
}

func span(min, max int) string {
	word := func(n int) string {
		return []string{"no argument", "one argument", "two arguments", "three arguments"}[n]
	}
	if min == max {
		return word(min)
	}
	return word(min) + " to " + word(max)
}
