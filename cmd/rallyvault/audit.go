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
	var key string
	return p.command(verb{
		use: "verify [FILE] [--key KEY]", short: "check the whole audit trail, on the server or in an export, or a proof of one entry", max: 1, file: 1,
		flags: func(f *pflag.FlagSet) { keyFlag(f, &key) },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			switch {
			case c.Flags().Changed("key") && len(args) == 0:
				return usage("--key is for a file: of a server, the key is remembered")
			case c.Flags().Changed("key"):
				if _, err := audit.KeyName(key); err != nil {
					return errNotKey()
				}
			}
			if len(args) == 1 {
				return p.verifyFile(ctx, args[0], key)
			}
			return p.signedIn(p.verifyServer)(ctx, c, args)
		},
	})
}

func keyFlag(f *pflag.FlagSet, key *string) {
	f.StringVar(key, "key", "", "verifier key of the vault's log, as you wrote it down or another member has it")
}

func errNotKey() error {
	return usageHint("it looks like rallyvault/VAULT+12345678+BASE64", "--key is not a verifier key")
}

// A verification of a file is client.Verification and whose word the key is.
type verification struct {
	client.Verification
	Key      string `json:"key"`
	KeyKnown bool   `json:"key_known"` // it was remembered, or given; else the file's own key vouches for the file

	// Of a proof of one entry: its number, the entry, and the code of the log that holds
	// it, for audit code.
	N     *int64          `json:"n,omitempty"`
	Entry json.RawMessage `json:"entry,omitempty"`
	Code  string          `json:"code,omitempty"`
}

// verifyServer has the server check its own trail, and then checks it here,
// entry by entry, with the key and the checkpoint remembered on this side. A
// server that lies in the first part is found out in the second.
func (p *program) verifyServer(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
	if _, err := l.AuditVerify(ctx); err != nil {
		return err
	}
	known, err := l.known()
	if err != nil {
		return err
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(l.AuditExport(ctx, pw)) }()
	report, err := audit.VerifyExport(pr, known.Key, []byte(known.Checkpoint))
	pr.Close() // ends the download where the check stopped early
	if err != nil {
		return faulty(err)
	}
	p.verified(report, client.Verification{Entries: report.Entries, Root: report.Root.String(), OK: true})
	return nil
}

// A logKey is the key under which a file of a vault is checked.
type logKey struct {
	vkey  string   // "" if nobody knows one: the file's own has to do
	notes [][]byte // the checkpoint remembered, if there is one
}

// logKey returns what is known of a vault's key here: what was remembered, or given. Both have
// to be the same.
func (p *program) logKey(vaultID, given string) (logKey, error) {
	k := logKey{vkey: given}
	if !vault.ValidID(vaultID) {
		return k, nil
	}
	m, err := p.memory(vaultID)
	if err != nil {
		return k, nil // there is no place to remember anything
	}
	known, err := m.load()
	switch {
	case err != nil:
		return k, err
	case known == nil:
		return k, nil
	case given != "" && given != known.Key:
		return k, &vault.Error{Kind: vault.Untrusted, Code: "other-key", Msg: "the key given is not the one this computer remembers for that vault",
			Hint: "ask another member for theirs; only then decide which is right"}
	}
	return logKey{known.Key, [][]byte{[]byte(known.Checkpoint)}}, nil
}

// unseen says that a file was checked with the key that came with it, which proves no
// more than that whoever has this key signed it.
func (p *program) unseen(vkey string) {
	p.note("signed by a key this computer has not seen before:")
	p.note("%s", clean(vkey))
	p.hint("compare it with the key that another member has, and give it with --key")
}

// verifyFile checks an export, or a proof of one entry, without any server. If this user
// knows the vault, it has to be signed with its key and go with what was remembered.
func (p *program) verifyFile(ctx context.Context, name, given string) error {
	file, _, err := p.open(ctx, name)
	if err != nil {
		return err
	}
	defer file.Close()
	// The vault is named in the first line, which is needed before the check
	// to find the memory, and again by the check.
	head := &headReader{r: file}
	if head.proof() {
		return p.verifyProof(ctx, head, given)
	}
	key, err := p.logKey(head.vault(), given)
	if err != nil {
		return err
	}
	report, err := audit.VerifyExport(head, key.vkey, key.notes...)
	if err != nil {
		return faulty(err)
	}
	if key.vkey == "" {
		p.unseen(report.Key)
	}
	p.verified(report, verification{Verification: client.Verification{Entries: report.Entries, Root: report.Root.String(), OK: true},
		Key: report.Key, KeyKnown: key.vkey != ""})
	return nil
}

// maxProof bounds a proof of one entry, in bytes: more than package audit takes.
const maxProof = 2 << 20

func (p *program) verifyProof(ctx context.Context, r io.Reader, given string) error {
	b, err := io.ReadAll(io.LimitReader(r, maxProof))
	if err != nil {
		return faulty(err)
	}
	proof, err := audit.ParseProof(b)
	if err != nil {
		return faulty(err)
	}
	name, _ := audit.KeyName(proof.Key)
	key, err := p.logKey(strings.TrimPrefix(name, audit.OriginOf("")), given)
	if err != nil {
		return err
	}
	is, err := proof.Verify(key.vkey, key.notes...)
	if err != nil {
		return faulty(err)
	}
	code, err := audit.Code(is.Key, is.Size, is.Root)
	if err != nil {
		return err
	}
	if key.vkey == "" {
		p.unseen(is.Key)
	}
	v := verification{Verification: client.Verification{Entries: is.Size, Root: is.Root.String(), OK: true}, Key: is.Key, KeyKnown: key.vkey != "",
		N: &is.Index, Entry: json.RawMessage(proof.Entry), Code: code}
	p.say(v, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "the proof holds\nentry\t%d of %d\n", is.Index, is.Size)
		fmt.Fprintf(t, "is\t%s\nroot\t%s\ncode\t%s\n", clean(string(proof.Entry)), is.Root, code)
		t.Flush()
	})
	p.hint(fmt.Sprintf("whether your own trail had these %d entries, the server has to show: rallyvault audit code %s --size %d", is.Size, code, is.Size))
	return nil
}

func (p *program) verified(r audit.Report, v any) {
	p.say(v, func(w io.Writer) {
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
	case errors.Is(err, audit.ErrNotProof):
		return &vault.Error{Kind: vault.Untrusted, Code: "not-a-proof", Msg: "the file begins as the proof of an entry does, and is none: it was changed or cut",
			Hint: "rallyvault audit prove writes one", Err: &faultError{0, "the file is not in the form of a proof"}}
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
	read bool
}

// look reads the beginning.
func (h *headReader) look() {
	if h.read {
		return
	}
	buf := make([]byte, 4096)
	n, _ := io.ReadFull(h.r, buf)
	h.head, h.read = buf[:n], true
}

// proof reports whether this begins as a proof of one entry does.
func (h *headReader) proof() bool {
	h.look()
	return strings.HasPrefix(string(h.head), audit.ProofFormat+"\n")
}

// vault returns the id in the export's first line, "" if there is none.
func (h *headReader) vault() string {
	h.look()
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
	cfg := newConfig(p.getenv)
	return p.command(verb{
		use: "export [--out FILE] [--data DIR]", short: "write the audit trail so that it can be checked elsewhere",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "file to write, made anew; default and - are stdout")
			f.StringVar(&cfg.Data, "data", cfg.Data, "take it from the directory of a vault on which no server runs, as of a group that has ended")
			f.StringVar(&cfg.Locks, "locks", cfg.Locks, "directory of the slot file (default the vault's own)")
		},
		files: []string{"out", "data", "locks"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if c.Flags().Changed("data") {
				return p.exportOffline(ctx, cfg, out)
			}
			if out == "" || out == "-" {
				if p.json {
					return usage("an export is one JSON value a line: with --json give --out FILE")
				}
				return p.streamed(ctx, func(ctx context.Context, l *link, w io.Writer) error { return l.AuditExport(ctx, w) })
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				return p.exportTo(out, func(w io.Writer) error { return l.AuditExport(ctx, w) })
			})(ctx, c, args)
		},
	})
}

func (p *program) exportTo(out string, export func(io.Writer) error) error {
	n, err := newFile(out, export)
	if err != nil {
		return err
	}
	p.say(map[string]any{"status": "done", "bytes": n}, func(w io.Writer) {
		fmt.Fprintf(w, "%s written\n", bytesText(n))
	})
	return nil
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
