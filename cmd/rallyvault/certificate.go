package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// maxCertificateFile bounds the file of a certificate, in bytes: one about 20,000 lists.
const maxCertificateFile = 1 << 20

func (p *program) certificateLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "show the lists that were destroyed",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			all, err := l.Destroyed(ctx)
			if err != nil {
				return err
			}
			if all == nil {
				all = []client.Destroyed{}
			}
			p.say(all, func(w io.Writer) {
				if len(all) == 0 {
					fmt.Fprintln(w, "no list was destroyed")
					return
				}
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "DESTROYED AT\tCONTACTS\tLIST")
				for _, d := range all {
					fmt.Fprintf(t, "%s\t%s\t%s\n", timeText(d.Time), contactsText(d.Contacts), clean(string(d.List)))
				}
				t.Flush()
			})
			return nil
		})})
}

func contactsText(n *int64) string {
	if n == nil {
		return "unknown"
	}
	return fmt.Sprint(*n)
}

func (p *program) certificateGetCmd() *cobra.Command {
	var out string
	return p.command(verb{
		use: "get LIST [--out FILE]", short: "write the certificate of a list that was destroyed", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "file to write, made anew; default and - are stdout")
		},
		files: []string{"out"},
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			if !vault.ValidID(args[0]) {
				return usageHint("rallyvault certificate ls shows the ids", "the title of a destroyed list is gone: give its id")
			}
			cert, err := l.Certificate(ctx, vault.ListID(args[0]))
			if err != nil {
				return err
			}
			known, err := l.known()
			if err != nil {
				return err
			}
			checked, err := vault.OpenCertificate([]byte(cert.Note), func(string, string) (string, error) { return known.Key, nil })
			if vault.KindOf(err) == vault.Untrusted {
				return err
			}
			if err != nil || !slices.Contains(checked.Destroyed(), vault.ListID(args[0])) {
				return &vault.Error{Kind: vault.Untrusted, Code: "certificate", Msg: "the server answered with no certificate of this list",
					Hint: "do not use this server. Ask the others what they see", Err: err}
			}
			return p.written(out, []byte(checked.Note), func(string) any { return checked })
		}),
	})
}

func (p *program) certificateVerifyCmd() *cobra.Command {
	var key, trail string
	return p.command(verb{
		use: "verify FILE [--key KEY] [--audit FILE]", short: "check a certificate of destruction, without a server", min: 1, max: 1, file: 1,
		flags: func(f *pflag.FlagSet) {
			keyFlag(f, &key)
			f.StringVar(&trail, "audit", "", "export of the audit trail, in which the destruction has to stand")
		},
		files: []string{"audit"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if c.Flags().Changed("key") {
				if _, err := audit.KeyName(key); err != nil {
					return errNotKey()
				}
			}
			return p.verifyCertificate(ctx, args[0], key, trail)
		},
	})
}

// A certified is what certificate verify says.
type certified struct {
	OK       bool           `json:"ok"`
	Vault    string         `json:"vault"`
	Lists    []vault.ListID `json:"lists"`
	Time     time.Time      `json:"time"`
	Contacts *int64         `json:"contacts"`
	Key      string         `json:"key"`
	KeyKnown bool           `json:"key_known"`          // as of a verification
	InTrail  bool           `json:"in_trail,omitempty"` // the audit trail that was given has it
}

func (p *program) verifyCertificate(ctx context.Context, name, given, trail string) error {
	file, _, err := p.open(ctx, name)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxCertificateFile+1))
	file.Close()
	switch {
	case err != nil:
		return fileError(name, err)
	case len(b) > maxCertificateFile:
		return &vault.Error{Kind: vault.Invalid, Code: "not-a-certificate", Msg: "this is no certificate of destruction: it is too long"}
	}
	var key logKey
	cert, err := vault.OpenCertificate(b, func(vaultID, carried string) (string, error) {
		var err error
		if key, err = p.logKey(vaultID, given); err != nil || key.vkey != "" {
			return key.vkey, err
		}
		if carried == "" {
			return "", usageHint("ask a member of that vault for the key: rallyvault audit export has it in the first line",
				"this computer does not know the vault of the certificate: give its key with --key")
		}
		return carried, nil
	})
	if err != nil {
		return err
	}
	if trail != "" {
		if err := p.inTrail(ctx, cert, key, trail); err != nil {
			return err
		}
	}
	if key.vkey == "" {
		p.unseen(cert.Key)
	}
	v := certified{OK: true, Vault: cert.Vault, Lists: cert.Destroyed(), Time: cert.Time, Contacts: cert.Contacts, Key: cert.Key, KeyKnown: key.vkey != "", InTrail: trail != ""}
	p.say(v, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "the certificate verifies")
		if trail != "" {
			fmt.Fprintln(t, "the audit trail has the destruction, and continues what the certificate names")
		}
		fmt.Fprintf(t, "vault\t%s\n", cert.Vault)
		for _, id := range cert.Destroyed() {
			fmt.Fprintf(t, "list\t%s\n", id)
		}
		fmt.Fprintf(t, "destroyed at\t%s\ncontacts\t%s\nlocks\t%d\n", timeText(cert.Time), contactsText(cert.Contacts), cert.Locks)
		fmt.Fprintf(t, "file system\t%s\nbackups\t%s\n", clean(cert.FileSystem), clean(cert.Backups))
		t.Flush()
	})
	return nil
}

// inTrail checks that an export is the trail that the certificate names, and holds the entry of
// the destruction.
func (p *program) inTrail(ctx context.Context, cert *vault.Certificate, key logKey, name string) error {
	file, _, err := p.open(ctx, name)
	if err != nil {
		return err
	}
	defer file.Close()
	root, err := audit.ParseRoot(cert.LogRoot)
	if err != nil {
		return err
	}
	found := false
	_, err = audit.Reading{Key: cert.Key, Remembered: key.notes,
		Heads: []audit.Head{{Size: cert.LogSize, Root: root, Of: "the certificate"}},
		Each: func(n int64, e audit.Entry) error {
			found = found || records(e, n, cert)
			return nil
		}}.Verify(file)
	if err != nil {
		return faulty(err)
	}
	if !found {
		of := "the vault"
		if cert.List != "" {
			of = "list " + string(cert.List)
		}
		return &vault.Error{Kind: vault.Untrusted, Code: "not-in-trail", Msg: fmt.Sprintf("the audit trail has no destruction of %s as the certificate has it", of),
			Hint: "take an export that is newer than the certificate; if it is, do not rely on either"}
	}
	return nil
}

// records reports whether entry n is that of the destruction that a certificate is about. The
// certificate is signed just before, in the same commit.
func records(e audit.Entry, n int64, c *vault.Certificate) bool {
	if n < c.LogSize || e.Time.Before(c.Time) {
		return false
	}
	if c.Earlier != nil { // the entry counts lists
		return e.Act == audit.VaultShutdown && e.Count != nil && *e.Count == int64(len(c.Lists))
	}
	same := e.Count == nil && c.Contacts == nil || e.Count != nil && c.Contacts != nil && *e.Count == *c.Contacts
	return e.Act == audit.ListDestroy && e.List == string(c.List) && same
}
