package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

func (p *program) auditLogCmd() *cobra.Command {
	return p.command(verb{
		use: "log", short: "show the audit trail",
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return p.streamed(ctx, func(ctx context.Context, l *link, w io.Writer) error {
				if p.json {
					return l.AuditLog(ctx, 0, w)
				}
				return auditTable(ctx, l, w)
			})
		},
	})
}

// auditTable prints one entry a line. Columns have their width from the start:
// a table that waits for its longest cell would hold a long trail in memory.
func auditTable(ctx context.Context, l *link, w io.Writer) error {
	return l.AuditEntries(ctx, 0, func(raw json.RawMessage) error {
		var e struct {
			N       int64    `json:"n"`
			Time    string   `json:"time"`
			Act     string   `json:"act"`
			By      string   `json:"by"`
			List    string   `json:"list"`
			Subject string   `json:"subject"`
			Fields  []string `json:"fields"`
			Count   *int64   `json:"count"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return &vault.Error{Kind: vault.Unavailable, Code: "not-rallyvault", Msg: "the server's audit trail is not in a known form", Err: err}
		}
		line := fmt.Sprintf("%6d  %s  %-20s by %s", e.N, clean(e.Time), clean(e.Act), clean(e.By))
		if e.List != "" {
			line += "  list " + clean(e.List)
		}
		if e.Subject != "" {
			line += "  subject " + clean(e.Subject)
		}
		if len(e.Fields) > 0 {
			line += "  fields " + clean(strings.Join(e.Fields, ","))
		}
		if e.Count != nil {
			line += fmt.Sprintf("  count %d", *e.Count)
		}
		_, err := io.WriteString(w, line+"\n")
		return err
	})
}

func (p *program) auditVerifyCmd() *cobra.Command {
	return p.command(verb{
		use: "verify [FILE]", short: "check the whole audit trail, on the server or in an export", max: 1, file: 1,
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return p.verifyFile(ctx, args[0])
			}
			return p.signedIn(p.verifyServer)(ctx, c, args)
		},
	})
}

// verifyServer has the server check its own trail, and then checks it here,
// entry by entry, with the key and the checkpoint remembered on this side. A
// server that lies in the first part is found out in the second.
func (p *program) verifyServer(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
	if _, err := l.AuditVerify(ctx); err != nil {
		return err
	}
	known, err := l.memory.load()
	if err != nil {
		return err
	}
	if known == nil {
		return untrusted("the remembered checkpoint has vanished", nil)
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(l.AuditExport(ctx, pw)) }()
	report, err := audit.VerifyExport(pr, known.Key, []byte(known.Checkpoint))
	pr.Close() // ends the download where the check stopped early
	if err != nil {
		return faulty(err)
	}
	p.verified(report)
	return nil
}

// verifyFile checks an export without any server. If this user knows the vault,
// the export has to be signed with its key and continue what was remembered.
func (p *program) verifyFile(ctx context.Context, name string) error {
	file, _, err := p.open(ctx, name)
	if err != nil {
		return err
	}
	defer file.Close()
	// The vault is named in the first line, which is needed before the check
	// to find the memory, and again by the check.
	head := &headReader{r: file}
	id := head.vault()
	var key string
	var notes [][]byte
	if vault.ValidID(id) {
		if m, err := p.memory(id); err == nil {
			known, err := m.load()
			if err != nil {
				return err
			}
			if known != nil {
				key, notes = known.Key, [][]byte{[]byte(known.Checkpoint)}
			}
		}
	}
	report, err := audit.VerifyExport(head, key, notes...)
	if err != nil {
		return faulty(err)
	}
	if key == "" {
		p.note("no checkpoint of this vault is remembered here; the export was checked with the key it carries:")
		p.note("%s", clean(report.Key))
	}
	p.verified(report)
	return nil
}

func (p *program) verified(r audit.Report) {
	p.say(client.Verification{Entries: r.Entries, Root: r.Root.String(), OK: true}, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "the audit trail verifies\nentries\t%d\nroot\t%s\n", r.Entries, r.Root)
		t.Flush()
	})
}

// faulty turns what VerifyExport found into an error of the right kind.
func faulty(err error) error {
	var f *audit.Fault
	var known *vault.Error
	switch {
	case errors.As(err, &f):
		return &vault.Error{Kind: vault.Untrusted, Code: "audit-trail", Msg: f.Error(),
			Hint: "keep this trail as it is, and compare it with what another member has", Err: &faultError{f.Entry, f.Reason}}
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, audit.ErrNotExport):
		return &vault.Error{Kind: vault.Untrusted, Code: "not-an-export", Msg: "the file does not begin as an audit export does",
			Hint: "rallyvault audit export writes one", Err: &faultError{0, "the first line is not that of an audit export"}}
	}
	return &vault.Error{Kind: vault.Invalid, Code: "file", Msg: "the audit export cannot be read to its end", Err: err}
}

// A headReader lets the first line be looked at before it is read.
type headReader struct {
	r    io.Reader
	head []byte
}

// vault returns the id in the export's first line, "" if there is none.
func (h *headReader) vault() string {
	buf := make([]byte, 4096)
	n, _ := io.ReadFull(h.r, buf)
	h.head = buf[:n]
	line, _, _ := strings.Cut(string(h.head), "\n")
	var first struct {
		Origin string `json:"origin"`
	}
	if json.Unmarshal([]byte(line), &first) != nil {
		return ""
	}
	id, ok := strings.CutPrefix(first.Origin, audit.OriginOf(""))
	if !ok {
		return ""
	}
	return id
}

func (h *headReader) Read(b []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(b, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	return h.r.Read(b)
}

func (p *program) auditExportCmd() *cobra.Command {
	var out string
	return p.command(verb{
		use: "export [--out FILE]", short: "write the audit trail so that it can be checked elsewhere",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "file to write, made anew; default and - are stdout")
		},
		files: []string{"out"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if out == "" || out == "-" {
				if p.json {
					return usage("an export is one JSON value a line: with --json give --out FILE")
				}
				return p.streamed(ctx, func(ctx context.Context, l *link, w io.Writer) error { return l.AuditExport(ctx, w) })
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				n, err := newFile(out, func(w io.Writer) error { return l.AuditExport(ctx, w) })
				if err != nil {
					return err
				}
				p.say(map[string]any{"status": "done", "bytes": n}, func(w io.Writer) {
					fmt.Fprintf(w, "%s written\n", bytesText(n))
				})
				return nil
			})(ctx, c, args)
		},
	})
}

// newFile writes a file that is not there yet, mode 0600, and removes it again
// unless it became whole.
func newFile(name string, write func(io.Writer) error) (n int64, err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, errFileExists(name)
	}
	if err != nil {
		return 0, fileError(name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(name)
		}
	}()
	w := &countWriter{w: f}
	err = write(w)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = fileError(name, err)
	}
	return w.n, err
}

func errFileExists(name string) error {
	return &vault.Error{Kind: vault.Conflict, Code: "file-exists", Msg: fmt.Sprintf("file %q is there already", name),
		Hint: "it is not overwritten; choose another name"}
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
