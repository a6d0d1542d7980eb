package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

func (p *program) demoCmd() *cobra.Command {
	return p.command(verb{use: "demo", short: "tell the whole story on made-up people, in a temporary vault",
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error { return p.demo(ctx) }})
}

// The made-up sheet of the demo: a title above the header, a column nobody
// should keep, a repeated person, a bad address, an identity number.
const demoSheet = `Rally at the harbour - sign in please,,,
,,,
Name,Email,Phone,Immigration status
Marisol Ejemplo,Marisol.Ejemplo@example.org,(212) 555-0171,pending
Tomas Muestra,tomas.muestra@example.org,212-555-0172,none
marisol ejemplo,marisol.ejemplo@example.org,,pending
Ines Prueba,not an address,212 555 0173,asked
Pavel Beispiel,,219-09-9999,
Noor Esempio,,,
`

const (
	demoOrganisation = "Harbour Mutual Aid"
	demoHandle       = "kingfisher"
	demoTitle        = "Harbour rally, sign-in sheet"
	demoPurpose      = "call people before the next rally"
)

// demoMarks are what a disk must not show, in any spelling of their case.
var demoMarks = []string{"marisol", "ejemplo", "muestra", "prueba", "beispiel", "esempio", "example.org",
	"ficticia", "imaginario", "pier legal aid", "bail hearing", "555-0166", "5550166", "do not pass it on", "rvx_",
	"555-0171", "5550171", "5550172", "5550173", "5550174", "219-09-9999", "harbour", "next rally", "tuesday", demoHandle, demoGuest,
	"willow copper", "teapot quill", "meadow cobalt", "SECRET-KEY"}

// A story is a numbered account of what was tried and whether it held.
type story struct {
	w     io.Writer
	steps []storyStep
}

type storyStep struct {
	Step string `json:"step"`
	Held bool   `json:"held"`
}

// tell runs one step and writes how it went. The error of a step that did not
// hold ends the story.
func (s *story) tell(step string, run func() (more []string, err error)) error {
	more, err := run()
	s.steps = append(s.steps, storyStep{step, err == nil})
	mark := "✓"
	if err != nil {
		mark = "✗"
	}
	fmt.Fprintf(s.w, "%2d %s %s\n", len(s.steps), mark, step)
	for _, line := range more {
		fmt.Fprintf(s.w, "       %s\n", line)
	}
	if err != nil {
		fmt.Fprintf(s.w, "       %s\n", sentenceOf(err))
	}
	return err
}

// demo tells the story. On a terminal it is told as it happens; elsewhere it
// is an answer like any other and goes to stdout once all of it held.
func (p *program) demo(ctx context.Context) error {
	var told bytes.Buffer
	s := &story{w: &told}
	if isTerminal(p.stdout) && !p.json {
		s.w = p.stdout
	}
	fmt.Fprint(s.w, "Everybody in this story is made up. The vault is temporary and gone at the end.\n\n")
	err := p.tellDemo(ctx, s)
	if err != nil {
		_, _ = told.WriteTo(p.stderr)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the demo did not hold at step %d: %w", len(s.steps), err)
	}
	fmt.Fprint(s.w, "\nAll of it held. To begin for real: rallyvault serve, and open the set-up link.\n")
	p.say(struct {
		OK    bool        `json:"ok"`
		Steps []storyStep `json:"steps"`
	}{true, s.steps}, func(w io.Writer) { _, _ = told.WriteTo(w) })
	return nil
}

// A demoRun is the state that the steps hand on.
type demoRun struct {
	*story
	cfg        Config
	workFactor int
	house      *house
	door       *door
	client     *client.Client
	session    *client.Session
	list       vault.ListID
	person     vault.ContactID
	passphrase crypto.Secret  // hers, as it is now
	shares     []shares.Share // in force
}

func (p *program) tellDemo(ctx context.Context, s *story) (err error) {
	hardenService()
	dir, err := os.MkdirTemp("", "rallyvault-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demoRun{story: s, workFactor: p.workFactor, passphrase: demoPassphrase(), cfg: Config{Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0"}}
	defer d.stop()
	for _, part := range []func(context.Context) error{d.begin, d.collect, d.tend, d.join, d.share, d.send, d.leave, d.seize, d.check, d.lose, d.end, d.pair, d.close, d.finish} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// start opens the house and the door on the demo's directory.
func (d *demoRun) start(ctx context.Context, found bool) (err error) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if d.house, err = openHouse(ctx, d.cfg, log, d.workFactor); err != nil {
		return err
	}
	if found {
		err = d.house.found(ctx, vault.Founding{Organisation: demoOrganisation, Handle: demoHandle, Passphrase: demoPassphrase(),
			Recovery: "2/3", KeepShares: d.keepShares, Silence: vault.DefaultSilence}, nil)
		if err != nil {
			return err
		}
	}
	ln, err := net.Listen("tcp", d.cfg.Listen)
	if err != nil {
		return listenError(d.cfg.Listen, err)
	}
	if d.door, err = openDoor(d.cfg, ln, d.house, log); err != nil {
		return err
	}
	d.client, err = client.New(d.door.url)
	return err
}

func demoPassphrase() crypto.Secret {
	return crypto.NewSecret([]byte("willow copper tunnel seven"))
}

// stop is start undone; what is not open is skipped.
func (d *demoRun) stop() error {
	if d.client != nil {
		d.client.Close()
		d.client = nil
	}
	if d.door != nil {
		d.door.Close()
		d.door = nil
	}
	if d.house == nil {
		return nil
	}
	h := d.house
	d.house = nil
	return h.Close()
}

func (d *demoRun) begin(ctx context.Context) error {
	err := d.tell("a group sets up its vault, with three recovery sheets, and the service starts on this machine only", func() ([]string, error) {
		return nil, d.start(ctx, true)
	})
	if err != nil {
		return err
	}
	return d.tell("an organiser signs in with a passphrase; a wrong one opens nothing", func() ([]string, error) {
		_, err := d.client.SignIn(ctx, demoHandle, crypto.NewSecret([]byte("not the passphrase")))
		if err := wants(err, vault.CannotOpen); err != nil {
			return nil, err
		}
		d.session, err = d.client.SignIn(ctx, demoHandle, demoPassphrase())
		return nil, err
	})
}

func (d *demoRun) collect(ctx context.Context) error {
	err := d.tell("she makes a list: a purpose, three fields, and a day on which it is destroyed", func() ([]string, error) {
		l, err := d.client.CreateList(ctx, client.NewList{Title: demoTitle, Purpose: demoPurpose, Fields: []string{"name", "email", "phone"}})
		if err != nil {
			return nil, err
		}
		d.list = l.ID
		if !l.DefaultDeadline || l.Deadline.Before(time.Now().Add(89*24*time.Hour)) {
			return nil, errors.New("the deadline is not the policy's")
		}
		return []string{"it is destroyed at " + timeText(l.Deadline) + ", because nothing else was said"}, nil
	})
	if err != nil {
		return err
	}
	return d.tell("she puts the sign-in sheet on it, as it is; every row and column is accounted for", func() ([]string, error) {
		r, err := d.client.Import(ctx, d.list, client.ImportOptions{}, strings.NewReader(demoSheet), nil)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		accountFor(&b, r, false)
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if r.Rows != 6 || r.Stored != 3 || r.Merged != 1 || r.Refused != 2 || len(r.Refusals) != 2 || len(r.Dropped) != 1 {
			return lines, errors.New("the account of the sheet is not the expected one")
		}
		return lines, nil
	})
}

func (d *demoRun) tend(ctx context.Context) error {
	err := d.tell("she reads the list back: three people, and nothing that was not asked for", func() ([]string, error) {
		rows, err := d.read(ctx)
		if err != nil {
			return nil, err
		}
		if len(rows) != 4 || !slices.Equal(rows[0], []string{"id", "name", "email", "phone"}) ||
			!slices.Contains(rows[1], "marisol.ejemplo@example.org") || !slices.Contains(rows[1], "+12125550171") {
			return nil, errors.New("what was read is not what was stored")
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	err = d.tell("somebody calls: found by phone number, in any spelling, and corrected", func() ([]string, error) {
		found, err := d.find(ctx, "212.555.0172", 1)
		if err != nil {
			return nil, err
		}
		d.person = found[0].ID
		if err := d.client.CorrectContact(ctx, d.list, d.person, client.Correction{Values: map[string]string{"phone": "(212) 555-0174"}}); err != nil {
			return nil, err
		}
		if _, err := d.find(ctx, "212.555.0172", 0); err != nil {
			return nil, err
		}
		_, err = d.find(ctx, "+1 212 555 0174", 1)
		return nil, err
	})
	if err != nil {
		return err
	}
	return d.tell("somebody wants to be forgotten: one act, and she is on no list any more", func() ([]string, error) {
		e, err := d.client.EraseByAddress(ctx, client.ErasureRequest{Email: "marisol.ejemplo@example.org"})
		if err != nil {
			return nil, err
		}
		if e.Erased != 1 {
			return nil, errors.New("the person was not erased")
		}
		_, err = d.find(ctx, "marisol.ejemplo@example.org", 0)
		return nil, err
	})
}

func (d *demoRun) seize(context.Context) error {
	return d.tell("somebody takes the disk: no name, address, number, title, reason or handle is in any file", func() ([]string, error) {
		files, size, shown, err := searchPlain(d.cfg.Data, demoMarks)
		if err == nil && shown != "" {
			err = fmt.Errorf("the file %s shows what it should not", shown)
		}
		if err == nil && (files < 2 || size == 0) {
			err = errors.New("there are no files to look into")
		}
		return []string{fmt.Sprintf("looked into %s, %s", counted(files, "file", "files"), bytesText(size))}, err
	})
}

// searchPlain looks for marks in every file under dir, whatever their case, and
// names the first file that shows one.
func searchPlain(dir string, marks []string) (files int, size int64, shown string, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		size += int64(len(b))
		b = bytes.ToLower(b)
		for _, m := range marks {
			if bytes.Contains(b, []byte(strings.ToLower(m))) {
				shown = e.Name()
			}
		}
		return nil
	})
	return files, size, shown, err
}

func (d *demoRun) check(ctx context.Context) error {
	return d.tell("all of that is in the audit trail, which anybody can check without the server", func() ([]string, error) {
		if _, err := d.client.AuditVerify(ctx); err != nil {
			return nil, err
		}
		var trail bytes.Buffer
		if err := d.client.AuditExport(ctx, &trail); err != nil {
			return nil, err
		}
		r, err := audit.VerifyExport(bytes.NewReader(trail.Bytes()), d.session.LogKey)
		if err != nil {
			return nil, err
		}
		// The second line is the first entry: one changed hour must be noticed.
		forged := bytes.Replace(trail.Bytes(), []byte(":00:00Z"), []byte(":30:00Z"), 1)
		var fault *audit.Fault
		if _, err := audit.VerifyExport(bytes.NewReader(forged), d.session.LogKey); !errors.As(err, &fault) {
			return nil, errors.New("a changed entry was not noticed")
		}
		return []string{fmt.Sprintf("%s; with one of them changed, the check says so", counted(int(r.Entries), "entry", "entries"))}, nil
	})
}

func (d *demoRun) end(ctx context.Context) error {
	err := d.tell("a list that lives for two seconds is gone after two seconds, by itself", func() ([]string, error) {
		l, err := d.client.CreateList(ctx, client.NewList{Title: "Short", Purpose: demoPurpose, Fields: []string{"name"}, DeleteAfter: 2})
		if err != nil {
			return nil, err
		}
		if _, err := d.client.List(ctx, l.ID); err != nil {
			return nil, err
		}
		for time.Now().Before(l.Deadline.Add(3 * time.Second)) {
			if _, err = d.client.List(ctx, l.ID); err != nil {
				break
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
		if time.Now().Before(l.Deadline) {
			return nil, errors.New("the list was gone too early")
		}
		return nil, wants(err, vault.Gone)
	})
	if err != nil {
		return err
	}
	return d.tell("the list is not needed any more: destroyed, with a certificate, and nobody can read it", func() ([]string, error) {
		if _, err := d.client.DestroyList(ctx, d.list); err != nil {
			return nil, err
		}
		_, err := d.read(ctx)
		return nil, wants(err, vault.Gone)
	})
}

func (d *demoRun) close(ctx context.Context) error {
	return d.tell("the service stops; started again, the session of before opens nothing", func() ([]string, error) {
		if err := d.stop(); err != nil {
			return nil, err
		}
		if err := d.start(ctx, false); err != nil {
			return nil, err
		}
		d.client.SetToken(d.session.Token)
		_, err := d.client.WhoAmI(ctx)
		if err := wants(err, vault.Unauthenticated); err != nil {
			return nil, err
		}
		return nil, d.stop()
	})
}

func (d *demoRun) read(ctx context.Context) ([][]string, error) {
	var b bytes.Buffer
	if err := d.client.Contacts(ctx, d.list, client.ContactsQuery{}, &b); err != nil {
		return nil, err
	}
	return csv.NewReader(&b).ReadAll()
}

func (d *demoRun) find(ctx context.Context, query string, n int) ([]client.Found, error) {
	found, err := d.client.Find(ctx, query)
	if err == nil && len(found) != n {
		err = fmt.Errorf("%s found instead of %d", counted(len(found), "person", "people"), n)
	}
	return found, err
}

// wants returns nil if err is of the kind that the story expects.
func wants(err error, k vault.Kind) error {
	switch {
	case err == nil:
		return fmt.Errorf("it was not refused (%s)", k)
	case vault.KindOf(err) == k:
		return nil
	}
	return err
}
