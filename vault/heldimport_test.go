package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// unmended is a sheet whose second column nobody can tell, with a column that is
// refused, a row that is, and one with a cell that is left out.
const unmended = "Who,Write to me at,DOB,Mobile\n" +
	"Ana Prueba,ana@example.org,1/2/1990,2125550101\n" +
	"Luis 000-12-3456,luis@example.org,,2125550102\n" +
	"Rosa Prueba,rosa@example.org,,5550\n"

var mending = map[string]string{"Who": "name"}

func holdSheet(t *testing.T, s *vault.Session, id vault.ListID, text string) *vault.HeldImport {
	t.Helper()
	h, err := s.HoldImport(t.Context(), id, strings.NewReader(text), vault.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if h.ID == "" || h.TooLarge {
		t.Fatalf("the sheet does not wait: %+v", h)
	}
	return h
}

func noHeld(t *testing.T, what string, err error) {
	t.Helper()
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != vault.NotFound || e.Code != "no-such-sheet" {
		t.Errorf("%s: got %v, want no such sheet", what, err)
	}
}

func nothingHeld(t *testing.T, what string, v *vault.Vault) {
	t.Helper()
	if sheets, size := v.HeldInMemory(); sheets != 0 || size != 0 {
		t.Errorf("%s: %d sheets and %d bytes are in memory", what, sheets, size)
	}
}

// TestHoldImport: a sheet is looked at, its mapping is mended, it is imported, once, and
// that can be undone; each answer is the one that the file itself gives.
func TestHoldImport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	list, other := h.List(s, "March"), h.List(s, "April")
	preview := func(o vault.ImportOptions) *vault.ImportReport {
		o.Preview = true
		rep, err := s.Import(ctx, other, strings.NewReader(unmended), o)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	held := holdSheet(t, s, list, unmended)
	if d := cmp.Diff(preview(vault.ImportOptions{}), held.Report); d != "" {
		t.Errorf("the first look (-preview +held)\n%s", d)
	}
	if want := h.Clock.Now().Add(15 * time.Minute); !held.Expires.Equal(want) || held.List != list {
		t.Errorf("got %s, %s, want %s", held.Expires, held.List, want)
	}
	var shown []string
	for _, c := range held.Columns {
		shown = append(shown, fmt.Sprintf("%s %d %q %q", c.Header, len(c.Kept), c.Dropped.Slug, c.Samples))
	}
	want := []string{
		`Who 0 "not-recognised" ["Ana Prueba" "Rosa Prueba"]`, `Write to me at 1 "" ["ana@example.org" "luis@example.org" "rosa@example.org"]`,
		`DOB 0 "refused-birth-date" []`, `Mobile 1 "" ["2125550101" "2125550102" "5550"]`,
	}
	if d := cmp.Diff(want, shown); d != "" {
		t.Errorf("columns (-want +got)\n%s", d)
	}

	mended := vault.ImportOptions{Map: mending, Shareable: "yes", ConsentText: "we may pass your address on"}
	again, err := s.PreviewHeld(ctx, held.ID, mended)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(preview(mended), again.Report); d != "" {
		t.Errorf("the second look (-preview +held)\n%s", d)
	}
	if again.ID != held.ID || !again.Expires.Equal(held.Expires) || again.Columns[0].Kept[0].Field != sheet.Name {
		t.Errorf("got %+v", again)
	}
	if lines, _ := h.Contacts(s, list); len(lines) != 0 {
		t.Errorf("looking at it has imported %q", lines)
	}
	for _, bad := range []vault.ImportOptions{{Map: map[string]string{"DOB": "name"}}, {Map: map[string]string{"Nobody": "name"}}, {Shareable: "yes"}, {Encoding: "macintosh"}, {Sheet: "Tab 2"}} {
		if _, err := s.PreviewHeld(ctx, held.ID, bad); vault.KindOf(err) != vault.Invalid {
			t.Errorf("%+v: got %v, want invalid", bad, err)
		}
		if _, err := s.CommitHeld(ctx, held.ID, bad); vault.KindOf(err) != vault.Invalid {
			t.Errorf("%+v: got %v, want invalid", bad, err)
		}
	}

	rep, err := s.CommitHeld(ctx, held.ID, mended)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := s.Import(ctx, other, strings.NewReader(unmended), mended)
	if err != nil {
		t.Fatal(err)
	}
	batch := rep.Batch
	direct.Batch, rep.Batch = "", ""
	if d := cmp.Diff(direct, rep); d != "" || batch == "" {
		t.Errorf("the import (-file +held)\n%s", d)
	}
	lines, _ := h.Contacts(s, list)
	if d := cmp.Diff([]string{"Ana Prueba,ana@example.org,+12125550101,", "Rosa Prueba,rosa@example.org,,"}, lines); d != "" {
		t.Errorf("on the list (-want +got)\n%s", d)
	}
	nothingHeld(t, "imported", h.Vault)
	_, err = s.CommitHeld(ctx, held.ID, mended)
	noHeld(t, "imported twice", err)
	_, err = s.PreviewHeld(ctx, held.ID, mended)
	noHeld(t, "looked at after the import", err)
	noHeld(t, "let go of after the import", s.DropHeld(ctx, held.ID))
	if _, err := s.UndoImport(ctx, list, batch); err != nil {
		t.Fatal(err)
	}
	if lines, _ := h.Contacts(s, list); len(lines) != 0 {
		t.Errorf("after undoing there is %q", lines)
	}
	if n := count(acts(t, h, 0), audit.ListPreview); n != 4 { // two of the file, two of what waited
		t.Errorf("got %d previews in the trail", n)
	}
}

// TestHeldEnds: whatever ends the session, the list or the patience, what waited is out
// of memory then and there.
func TestHeldEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error{
		"let go": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			return s.DropHeld(ctx, h.ID)
		},
		"sign out": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error { return s.End(ctx) },
		"end all": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			_, err := s.EndAll(ctx, false)
			return err
		},
		"ended by another session": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			_, err := as(t, g.House, "birch", birchs).EndAll(ctx, true)
			return err
		},
		"lock-down": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			_, err := g.maple.LockDown(ctx)
			return err
		},
		"passphrase": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			_, err := s.ChangePassphrase(ctx, secret(birchs), secret(newer))
			return err
		},
		"disable": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			return g.maple.DisableMember(ctx, "birch")
		},
		"reset": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			_, err := g.maple.ResetMember(ctx, "birch")
			return err
		},
		"destroy": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			_, err := g.maple.DestroyList(ctx, g.both)
			return err
		},
		"deadline": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			if _, err := s.ShortenList(ctx, g.both, g.Clock.Now().Add(time.Minute)); err != nil {
				return err
			}
			g.Clock.Add(time.Minute)
			g.Vault.KeepDeadlines(ctx)
			return nil
		},
		"a quarter of an hour": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			g.Clock.Add(15*time.Minute - time.Second)
			if _, err := s.PreviewHeld(ctx, h.ID, vault.ImportOptions{}); err != nil {
				return fmt.Errorf("a second before: %w", err)
			}
			g.Clock.Add(time.Second)
			if _, err := s.PreviewHeld(ctx, h.ID, vault.ImportOptions{}); vault.KindOf(err) != vault.NotFound {
				return fmt.Errorf("before anybody has swept up: %w", err)
			}
			g.Vault.KeepDeadlines(ctx)
			return nil
		},
		"shutdown": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			_, err := g.maple.ShutdownNow(ctx)
			return err
		},
		"stop": func(ctx context.Context, g *grove, s *vault.Session, h *vault.HeldImport) error {
			return g.Vault.Close()
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			g := newGrove(t, "none")
			held := holdSheet(t, g.birch, g.both, unmended)
			if sheets, size := g.Vault.HeldInMemory(); sheets != 1 || size == 0 || size > 8<<10 {
				t.Fatalf("%d sheets and %d bytes are in memory", sheets, size)
			}
			key, _ := g.Vault.Held(held.ID)
			if err := end(t.Context(), g, g.birch, held); err != nil {
				t.Fatal(err)
			}
			nothingHeld(t, name, g.Vault)
			if !bytes.Equal(key, make([]byte, len(key))) {
				t.Error("its key was left in memory")
			}
			if _, err := g.birch.CommitHeld(t.Context(), held.ID, vault.ImportOptions{}); err == nil {
				t.Error("it was imported")
			}
			if name == "stop" {
				g.Vault = nil
				g.Store.Close()
				g.Slots.Close()
			}
		})
	}
}

// TestHeldUntilDeadline: nothing waits longer than its list lives.
func TestHeldUntilDeadline(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "soon gone", time.Minute)
	held := holdSheet(t, s, id, "email\nana@example.org\n")
	if want := h.Clock.Now().Add(time.Minute); !held.Expires.Equal(want) {
		t.Errorf("it waits until %s, and the list lives until %s", held.Expires, want)
	}
}

// TestHeldIsOfItsSession: nobody else's sheet is there, not even for another session of
// the same member, and the answer is the one for what never was.
func TestHeldIsOfItsSession(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	held := holdSheet(t, g.maple, g.both, unmended)
	for name, s := range map[string]*vault.Session{"another member": g.birch, "another session": g.SignIn()} {
		for act, try := range map[string]func(vault.HeldID) error{
			"preview": func(id vault.HeldID) error { _, err := s.PreviewHeld(ctx, id, vault.ImportOptions{}); return err },
			"commit":  func(id vault.HeldID) error { _, err := s.CommitHeld(ctx, id, vault.ImportOptions{}); return err },
			"drop":    func(id vault.HeldID) error { return s.DropHeld(ctx, id) },
		} {
			err, never := try(held.ID), try("0197f0a0-0000-4000-8000-000000000000")
			noHeld(t, name+", "+act, err)
			if d := cmp.Diff(fmt.Sprintf("%#v", never), fmt.Sprintf("%#v", err)); d != "" && err.Error() != never.Error() {
				t.Errorf("%s, %s: the answers differ\n%s", name, act, d)
			}
		}
	}
	if _, err := g.maple.CommitHeld(ctx, held.ID, vault.ImportOptions{}); err != nil {
		t.Error(err)
	}
	// Who is no steward of a list hands nothing in for it.
	if _, err := g.birch.HoldImport(ctx, g.alone, strings.NewReader(unmended), vault.ImportOptions{}); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("not a steward: got %v", err)
	}
	// Nor does who ceases to be one import what waits.
	held = holdSheet(t, g.birch, g.both, unmended)
	if err := g.maple.RemoveSteward(ctx, g.both, "birch"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.birch.CommitHeld(ctx, held.ID, vault.ImportOptions{}); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("not a steward any more: got %v", err)
	}
}

// TestHeldOneAtATime: a further sheet takes the place of the one before, in its own
// session; one that cannot be read does not.
func TestHeldOneAtATime(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	first, others := holdSheet(t, g.maple, g.both, unmended), holdSheet(t, g.birch, g.both, unmended)
	if _, err := g.maple.HoldImport(ctx, g.both, strings.NewReader("no sheet\n"), vault.ImportOptions{}); vault.KindOf(err) != vault.Invalid {
		t.Errorf("got %v", err)
	}
	if _, err := g.maple.PreviewHeld(ctx, first.ID, vault.ImportOptions{}); err != nil {
		t.Errorf("after a file that could not be read: %v", err)
	}
	second := holdSheet(t, g.maple, g.both, unmended)
	_, err := g.maple.PreviewHeld(ctx, first.ID, vault.ImportOptions{})
	noHeld(t, "the one before", err)
	for s, held := range map[*vault.Session]*vault.HeldImport{g.maple: second, g.birch: others} {
		if _, err := s.PreviewHeld(ctx, held.ID, vault.ImportOptions{}); err != nil {
			t.Error(err)
		}
		if err := s.DropHeld(ctx, held.ID); err != nil {
			t.Error(err)
		}
	}
	nothingHeld(t, "all let go of", g.Vault)
}

// TestHeldTooLarge: what would take too much memory is previewed whole and does not
// wait, alone or together with others, and nothing of it stays.
func TestHeldTooLarge(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	large := sheetOf(30_000, 0)
	want, err := g.maple.Import(ctx, g.both, strings.NewReader(large), vault.ImportOptions{Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	g.Vault.SetHeldBounds(300<<10, 600<<10)
	try := func(s *vault.Session, text string, tooLarge bool) *vault.HeldImport {
		t.Helper()
		held, err := s.HoldImport(ctx, g.both, strings.NewReader(text), vault.ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if held.TooLarge != tooLarge || (held.ID == "") != tooLarge || held.Expires.IsZero() != tooLarge || len(held.Columns) == 0 {
			t.Errorf("too large: got %t, %q, %d columns", held.TooLarge, held.ID, len(held.Columns))
		}
		return held
	}
	held := try(g.maple, large, true)
	if d := cmp.Diff(want, held.Report); d != "" {
		t.Errorf("its preview (-want +got)\n%s", d)
	}
	nothingHeld(t, "too large", g.Vault)
	g.Vault.SetHeldBounds(24<<20, 500<<10)
	try(g.maple, large, true)
	nothingHeld(t, "too large for all together", g.Vault)
	g.Vault.SetHeldBounds(300<<10, 64<<20)
	small := sheetOf(100, 0)
	waits := try(g.maple, small, false)
	_, one := g.Vault.HeldInMemory()
	g.Vault.SetHeldBounds(300<<10, one+256<<10-1)
	try(g.birch, small, true)
	if sheets, size := g.Vault.HeldInMemory(); sheets != 1 || size != one {
		t.Errorf("%d sheets and %d bytes, want the first alone, %d", sheets, size, one)
	}
	g.Vault.SetHeldBounds(300<<10, one+256<<10)
	try(g.birch, small, false)
	if _, err := g.maple.CommitHeld(ctx, waits.ID, vault.ImportOptions{}); err != nil {
		t.Error(err)
	}
	if sheets, size := g.Vault.HeldInMemory(); sheets != 1 || size != one {
		t.Errorf("%d sheets and %d bytes, want the second alone, %d", sheets, size, one)
	}
}

// TestHeldLarge: a sheet of many chunks and segments waits sealed, in less memory than
// it has, and is imported whole.
func TestHeldLarge(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	list := h.List(s, "crowd")
	text := sheetOf(60_000, 0)
	held := holdSheet(t, s, list, text)
	if _, size := h.Vault.HeldInMemory(); size > len(text) || size < 512<<10 {
		t.Errorf("%d bytes of a sheet take %d", len(text), size)
	}
	rep, err := s.CommitHeld(t.Context(), held.ID, vault.ImportOptions{})
	if err != nil || rep.Stored != held.Report.Stored || rep.Rows != 60_000 {
		t.Errorf("got %+v, %v", rep, err)
	}
	nothingHeld(t, "imported", h.Vault)
}

// TestHeldTampered: what was changed in memory, or stands in another's place, is not
// imported.
func TestHeldTampered(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	text := sheetOf(9000, 0)
	mine, theirs := holdSheet(t, g.maple, g.both, text), holdSheet(t, g.birch, g.both, text)
	refused := func(what string) {
		t.Helper()
		for _, err := range []error{
			func() error { _, err := g.maple.PreviewHeld(ctx, mine.ID, vault.ImportOptions{}); return err }(),
			func() error { _, err := g.maple.CommitHeld(ctx, mine.ID, vault.ImportOptions{}); return err }(),
		} {
			if vault.KindOf(err) != vault.CannotOpen {
				t.Errorf("%s: got %v, want cannot open", what, err)
			}
		}
	}
	key, sealed := g.Vault.Held(mine.ID)
	places := map[string]*byte{"key": &key[len(key)-1], "header": &sealed[0][30], "first": &sealed[0][4000], "last": &sealed[len(sealed)-1][len(sealed[len(sealed)-1])-1]}
	for name, b := range places {
		*b ^= 1
		refused(name)
		*b ^= 1
	}
	last := &sealed[len(sealed)-1]
	whole := *last
	*last = whole[:len(whole)-100]
	refused("cut")
	*last = whole
	g.Vault.SwapHeld(mine.ID, theirs.ID)
	refused("another's")
	g.Vault.SwapHeld(mine.ID, theirs.ID)
	// Another one of the same member, for the same list.
	other := g.SignIn()
	third := holdSheet(t, other, g.both, text)
	g.Vault.SwapHeld(mine.ID, third.ID)
	refused("another of one's own")
	g.Vault.SwapHeld(mine.ID, third.ID)
	if lines, _ := g.Contacts(g.maple, g.both); len(lines) != 1 {
		t.Errorf("%d people are on the list, want 1", len(lines))
	}
	if _, err := g.maple.CommitHeld(ctx, mine.ID, vault.ImportOptions{}); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

// TestHeldIsNowhereElse: no file has anything of a sheet that waits, or is imported,
// that it has not without; what is in memory has no word of it, nor a key.
func TestHeldIsNowhereElse(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	h := vaulttest.New(t)
	s := h.SignIn()
	list := h.List(s, "March")
	before := everything(t, h.Dir)
	held := holdSheet(t, s, list, unmended)
	key, sealed := h.Vault.Held(held.ID)
	key = bytes.Clone(key) // it will be overwritten
	box := bytes.Join(sealed, nil)
	words := []string{"Ana Prueba", "ana@example.org", "2125550101", "1990", "000-12-3456", "luis@example.org", "Write to me at", "AGE-SECRET-KEY"}
	for _, w := range words {
		if bytes.Contains(box, []byte(w)) || bytes.Contains(key, []byte(w)) {
			t.Errorf("%q is in memory in the clear", w)
		}
	}
	if !bytes.HasPrefix(box, []byte("age-encryption.org/v1\n")) || !bytes.HasPrefix(key, []byte("age-encryption.org/v1\n")) {
		t.Error("what waits is no age file")
	}
	look := func(when string) {
		t.Helper()
		for name, data := range everything(t, h.Dir) {
			for _, w := range append(words, string(box[30:90]), string(box[len(box)-60:]), string(key[len(key)-60:])) {
				if strings.Contains(data, w) {
					t.Errorf("%s: %s has %q", when, name, w)
				}
			}
			if _, known := before[name]; !known {
				t.Errorf("%s: there is a file %s", when, name)
			}
		}
		files, err := os.ReadDir(tmp)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !f.IsDir() { // the test's own directories
				t.Errorf("%s: there is a file %s", when, f.Name())
			}
		}
	}
	look("waiting")
	if _, err := s.PreviewHeld(t.Context(), held.ID, vault.ImportOptions{Map: mending}); err != nil {
		t.Fatal(err)
	}
	look("looked at")
	if _, err := s.CommitHeld(t.Context(), held.ID, vault.ImportOptions{Map: mending}); err != nil {
		t.Fatal(err)
	}
	look("imported")
}

// TestHeldTwiceAtOnce: of requests that use one sheet at the same time, one imports it.
func TestHeldTwiceAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	for range 5 {
		list := h.List(s, "March")
		held := holdSheet(t, s, list, crowd)
		var wg sync.WaitGroup
		var mu sync.Mutex
		imported, looked := 0, 0
		for i := range 6 {
			wg.Go(func() {
				var err error
				if i%2 == 0 {
					_, err = s.CommitHeld(ctx, held.ID, vault.ImportOptions{})
				} else {
					_, err = s.PreviewHeld(ctx, held.ID, vault.ImportOptions{})
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					noHeld(t, "too late", err)
				case i%2 == 0:
					imported++
				default:
					looked++
				}
			})
		}
		wg.Wait()
		if imported != 1 {
			t.Errorf("imported %d times, looked at %d times", imported, looked)
		}
		if l, err := s.List(ctx, list); err != nil || l.Contacts != held.Report.Stored {
			t.Errorf("got %+v, %v, want %d people", l, err, held.Report.Stored)
		}
		nothingHeld(t, "imported", h.Vault)
	}
}

// TestHeldEndsUnderWay: a sheet that is dropped while a request reads it is not
// imported by it, and its memory is given back when the request has ended.
func TestHeldEndsUnderWay(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newStage(t)
	for name, end := range map[string]func(s *vault.Session, id vault.HeldID) error{
		"let go":   func(s *vault.Session, id vault.HeldID) error { return s.DropHeld(ctx, id) },
		"sign out": func(s *vault.Session, _ vault.HeldID) error { return s.End(ctx) },
	} {
		s := st.SignIn()
		held := holdSheet(t, s, st.list, sheetOf(8*vault.MaxSegmentRows, 0)) // more than is read ahead
		_, before := st.Vault.HeldInMemory()
		ended := make(chan error, 1)
		var once sync.Once
		st.faults.Set(func(op string) error {
			if op != "PutColumn" {
				return nil
			}
			once.Do(func() {
				go func() { ended <- end(s, held.ID) }()
				for {
					sheets, size := st.Vault.HeldInMemory()
					if sheets == 0 {
						if size != before {
							t.Errorf("%s: %d bytes are taken while it is read, want %d", name, size, before)
						}
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
			return nil
		})
		_, err := s.CommitHeld(ctx, held.ID, vault.ImportOptions{})
		st.faults.Set(nil)
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		switch name {
		case "let go":
			noHeld(t, name, err)
		default:
			if vault.KindOf(err) != vault.Unauthenticated {
				t.Errorf("%s: got %v", name, err)
			}
		}
		nothingHeld(t, name, st.Vault)
		if lines, _ := st.Contacts(st.s, st.list); len(lines) != 3 {
			t.Errorf("%s: %d people are on the list, want 3", name, len(lines))
		}
	}
}

// TestHeldAfterFailure: a sheet whose import failed goes on waiting; one of which it was
// not known whether it failed is imported once.
func TestHeldAfterFailure(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newStage(t)
	l, err := st.s.CreateList(ctx, vault.NewList{Title: "Names", Purpose: "p", Fields: []string{"name"}})
	if err != nil {
		t.Fatal(err)
	}
	const text = "name\nAna Prueba\nLuis Prueba\n" // whom nothing merges
	for _, step := range []string{"Update", "PutColumn", "Commit", "Committed"} {
		held := holdSheet(t, st.s, l.ID, text)
		before, _ := st.Contacts(st.s, l.ID)
		st.faults.Set(func(op string) error {
			if op == step {
				return errors.New("no room")
			}
			return nil
		})
		_, err := st.s.CommitHeld(ctx, held.ID, vault.ImportOptions{})
		st.faults.Set(nil)
		if err == nil && step != "Committed" {
			t.Errorf("%s: imported all the same", step)
		}
		after, _ := st.Contacts(st.s, l.ID)
		if step != "Committed" && len(after) != len(before) {
			t.Errorf("%s: an import that failed has added somebody", step)
		}
		rep, again := st.s.CommitHeld(ctx, held.ID, vault.ImportOptions{})
		if len(after) == len(before)+2 { // it had been kept
			noHeld(t, step, again)
		} else if again != nil || rep.Stored != 2 {
			t.Errorf("%s: a second try: got %+v, %v", step, rep, again)
		}
		if lines, _ := st.Contacts(st.s, l.ID); len(lines) != len(before)+2 {
			t.Errorf("%s: %d people, want %d", step, len(lines), len(before)+2)
		}
		nothingHeld(t, step, st.Vault)
	}
}

// TestHeldGivenUp: a request that is given up leaves what it would have held, and what it
// used, in order.
func TestHeldGivenUp(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	list := h.List(s, "March")
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			cancel()
		}()
		if _, err := s.HoldImport(ctx, list, io.MultiReader(strings.NewReader("email\n"), endless{}), vault.ImportOptions{}); err == nil {
			t.Error("a sheet without end was read")
		}
		cancel()
	}
	nothingHeld(t, "given up", h.Vault)
	held := holdSheet(t, s, list, sheetOf(20_000, 0))
	for i := range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
		_, _ = s.PreviewHeld(ctx, held.ID, vault.ImportOptions{})
		_, _ = s.CommitHeld(ctx, held.ID, vault.ImportOptions{})
		cancel()
	}
	lines, _ := h.Contacts(s, list)
	if _, err := s.CommitHeld(t.Context(), held.ID, vault.ImportOptions{}); err != nil && len(lines) == 0 {
		t.Errorf("it does not wait any more: %v", err)
	}
	if lines, _ := h.Contacts(s, list); len(lines) != held.Report.Stored {
		t.Errorf("%d people, want %d", len(lines), held.Report.Stored)
	}
	nothingHeld(t, "imported", h.Vault)
}

// TestHeldInDoubt: an import that was kept and answered with an error is not made again
// by the next try.
func TestHeldInDoubt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	h.Stop()
	d := &doubter{}
	h.Wrap = d.Wrap
	h.Start()
	s := h.SignIn()
	l, err := s.CreateList(ctx, vault.NewList{Title: "Names", Purpose: "p", Fields: []string{"name"}})
	if err != nil {
		t.Fatal(err)
	}
	held := holdSheet(t, s, l.ID, "name\nAna Prueba\nLuis Prueba\n") // whom nothing merges
	var once sync.Once
	d.faults.Set(func(op string) (err error) {
		if op == "Committed" && slices.Contains(d.faults.Acts(), audit.ListImport) {
			once.Do(func() { d.blind.Store(true); err = errBroken })
		}
		return err
	})
	if _, err := s.CommitHeld(ctx, held.ID, vault.ImportOptions{}); err == nil {
		t.Error("nobody knows whether it was imported, and it is said to be")
	}
	if sheets, _ := h.Vault.HeldInMemory(); sheets != 1 {
		t.Errorf("%d sheets wait", sheets)
	}
	if _, err := s.CommitHeld(ctx, held.ID, vault.ImportOptions{}); err == nil {
		t.Error("still in doubt, and imported")
	}
	d.trust()
	_, err = s.CommitHeld(ctx, held.ID, vault.ImportOptions{})
	noHeld(t, "a further try", err)
	if lines, _ := h.Contacts(s, l.ID); len(lines) != 2 {
		t.Errorf("%d people, want 2", len(lines))
	}
	nothingHeld(t, "imported", h.Vault)
}
