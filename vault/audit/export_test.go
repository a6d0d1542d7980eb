package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

func export(t testing.TB, l *audit.Log, m *memStore) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := audit.Export(context.Background(), &b, m, l.VerifierKey()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExport(t *testing.T) {
	for _, batches := range [][]int{{}, {1}, {5, 5, 10, 1, 9}, {1000, 1500, 1596, 3000, 3}} {
		l, m := newLog(t, batches...)
		file := export(t, l, m)
		r, err := audit.VerifyExport(iotest.HalfReader(bytes.NewReader(file)), l.VerifierKey(), l.Checkpoint())
		if err != nil {
			t.Fatal(err)
		}
		if r.Entries != l.Size() || r.Root != l.Root() || r.Origin != l.Origin() || r.Key != l.VerifierKey() {
			t.Errorf("%v: got %d entries, root %v of %s, want %d, %v", batches, r.Entries, r.Root, r.Origin, l.Size(), l.Root())
		}
		if r.Entries > 0 && !bytes.Equal(r.Checkpoint, l.Checkpoint()) {
			t.Errorf("%v: got checkpoint %q, want %q", batches, r.Checkpoint, l.Checkpoint())
		}
		var entries int
		for _, line := range bytes.Split(file, []byte("\n"))[1:] {
			if entries < len(m.entries) && bytes.Equal(line, m.entries[entries].data) {
				entries++
			}
		}
		if entries != len(m.entries) {
			t.Errorf("%v: %d of %d entries stand in the export as they were hashed", batches, entries, len(m.entries))
		}
	}
}

func TestVerifyExportNamesTheFault(t *testing.T) {
	l, m := newLog(t, 5, 5, 10)
	good := export(t, l, m)
	early, _ := newLog(t, 5)
	rewritten, rm := newLog(t, 5)
	s := rewritten.Stage()
	for n := range int64(15) {
		if _, err := s.Append(audittest.Entry(100 + n)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.Seal()
	if err != nil || rm.put(b) != nil || rewritten.Commit(s) != nil {
		t.Fatal(err)
	}
	// Lines: header, 0 to 4, checkpoint, 5 to 9, checkpoint, 10 to 19, checkpoint.
	line := func(n int) int { return 1 + n + n/5 - max(0, n-10)/5 }
	for _, tt := range []struct {
		name       string
		change     func(lines []string) []string
		remembered []byte
		entry      int64
		reason     string
	}{
		{"edited", func(x []string) []string {
			x[line(7)] = strings.Replace(x[line(7)], `"count":7`, `"count":8`, 1)
			return x
		}, nil, 7, "entry 7 was changed: it does not match the hash stored for it"},
		{"bytes", func(x []string) []string { x[line(7)] += "x"; return x }, nil, 7, "entry 7 was changed: it does not match the hash stored for it"},
		{"dropped", func(x []string) []string { return slices.Delete(x, line(12), line(14)) }, nil, 12,
			"entries 12 to 13 are missing, and what followed was moved up"},
		{"last of a group dropped", func(x []string) []string { return slices.Delete(x, line(9), line(9)+1) }, nil, 9, "entry 9 is missing"},
		{"inserted", func(x []string) []string { return slices.Insert(x, line(12), x[line(3)]) }, nil, 12, "entry 12 was inserted"},
		{"added to a group", func(x []string) []string { return slices.Insert(x, line(9)+1, x[line(3)]) }, nil, 10, "entry 10 was inserted"},
		{"swapped", func(x []string) []string {
			x[line(11)], x[line(15)] = x[line(15)], x[line(11)]
			return x
		}, nil, 11, "entries 11 to 15 were put in another order"},
		{"not an entry, leaves made to fit", func(x []string) []string {
			return regroup(t, x, line(7), func(m *memStore) { m.entries[0].data = []byte("{}") })
		}, nil, 7, "entry 7 is not in the form of an entry"},
		{"forged checkpoint", func(x []string) []string {
			sig := strings.LastIndex(x[len(x)-1], "— ")
			x[len(x)-1] = x[len(x)-1][:sig] + strings.Replace(x[len(x)-1][sig:], "a", "b", 3)
			return x
		}, nil, 10, "the checkpoint after entry 19 is not one that the log key signed"},
		{"edited, leaves made to fit", func(x []string) []string {
			return regroup(t, x, line(7), func(m *memStore) { edit(m, 0) })
		}, nil, 5,
			"entries 5 to 9 are not what the checkpoint over them was signed for, and the stored hashes were made to fit: which of them was changed can no longer be told"},
		{"group dropped", func(x []string) []string { return slices.Delete(x, line(5), line(9)+2) }, nil, 5,
			"10 entries stand where the checkpoint says there are 15: which of the entries from 5 on are missing or were inserted cannot be told"},
		{"group twice", func(x []string) []string { return slices.Insert(x, line(10), x[line(5):line(9)+2]...) }, nil, 9,
			"the checkpoint for 10 entries stands a second time, or out of order, after entry 14"},
		{"checkpoint dropped", func(x []string) []string { return slices.Delete(x, line(4)+1, line(4)+2) }, nil, 0,
			"the hashes listed for entries 0 to 9 are not complete"},
		{"last checkpoint dropped", func(x []string) []string { return x[:len(x)-1] }, nil, 10,
			"entries 10 to 19 are covered by no checkpoint: added without the log key, or what followed was cut off"},
		{"cut off", func(x []string) []string { return x[:line(10)] }, l.Checkpoint(), 10,
			"the export ends at 10 entries but the checkpoint remembered covers 20: it was cut off, or is older"},
		{"only the header", func(x []string) []string { return x[:1] }, early.Checkpoint(), 0,
			"the export ends at 0 entries but the checkpoint remembered covers 5: it was cut off, or is older"},
		{"rewritten by whoever has the log key", func([]string) []string {
			return strings.Split(strings.TrimSuffix(string(export(t, rewritten, rm)), "\n"), "\n")
		}, l.Checkpoint(), 0, "the first 20 entries are not those of the checkpoint remembered: the trail was rewritten"},
		{"checkpoint spelled otherwise", func(x []string) []string {
			x[len(x)-1] = strings.Replace(x[len(x)-1], "—", `\u2014`, 1)
			return x
		}, nil, 10, "the checkpoint after entry 19 is not in the form of a checkpoint"},
		{"line ends of another system", func(x []string) []string {
			for i := 1; i < len(x); i++ {
				x[i] += "\r"
			}
			return x
		}, nil, 0, "the checkpoint after entry 4 is not in the form of a checkpoint"},
		{"other origin", func(x []string) []string { x[0] = strings.Replace(x[0], "00aa", "00ab", 1); return x }, nil, 0,
			"the export's origin and the name of its log key differ"},
		{"no key", func(x []string) []string { x[0] = strings.Replace(x[0], `"key":"`, `"key":"x`, 1); return x }, nil, 0,
			"the export's header holds no usable log key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := tt.change(strings.Split(strings.TrimSuffix(string(good), "\n"), "\n"))
			var remembered [][]byte
			if tt.remembered != nil {
				remembered = append(remembered, early.Checkpoint(), tt.remembered)
			}
			_, err := audit.VerifyExport(strings.NewReader(strings.Join(lines, "\n")+"\n"), "", remembered...)
			var f *audit.Fault
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a fault", err)
			}
			if f.Entry != tt.entry || f.Reason != tt.reason {
				t.Errorf("got %d, %q\nwant %d, %q", f.Entry, f.Reason, tt.entry, tt.reason)
			}
		})
	}

	t.Run("another key", func(t *testing.T) {
		_, err := audit.VerifyExport(bytes.NewReader(good), audittest.VerifierKey(t, 2))
		var f *audit.Fault
		if !errors.As(err, &f) || f.Entry != 0 {
			t.Errorf("got %v, want a fault", err)
		}
	})
	t.Run("remembered checkpoint of another log", func(t *testing.T) {
		other, err := audit.New(audittest.Origin, audittest.Key(2))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.VerifyExport(bytes.NewReader(good), "", other.Checkpoint()); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("not an export", func(t *testing.T) {
		long := strings.Repeat("x", 5<<20)
		for _, bad := range []string{"", "\n", "{}\n", "PK\x03\x04", string(good[:40]), "name,email\nx,y\n", long, long + "\n"} {
			if _, err := audit.VerifyExport(strings.NewReader(bad), ""); !errors.Is(err, audit.ErrNotExport) {
				t.Errorf("%.20q: got %v, want ErrNotExport", bad, err)
			}
		}
	})
	t.Run("endless line", func(t *testing.T) {
		_, err := audit.VerifyExport(strings.NewReader(string(good)+strings.Repeat("x", 5<<20)), "")
		var f *audit.Fault
		if !errors.As(err, &f) || f.Entry != 20 {
			t.Errorf("got %v, want a fault at entry 20", err)
		}
	})
	t.Run("read error", func(t *testing.T) {
		broken := errors.New("cable")
		if _, err := audit.VerifyExport(iotest.ErrReader(broken), ""); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
}

// regroup changes the entry on a line and makes the leaf on the next checkpoint's line fit it.
func regroup(t *testing.T, lines []string, at int, change func(*memStore)) []string {
	t.Helper()
	m := &memStore{entries: []memEntry{{0, []byte(lines[at])}}}
	before := leafOf(m)
	change(m)
	lines[at] = string(m.entries[0].data)
	for i := at; i < len(lines); i++ {
		lines[i] = strings.Replace(lines[i], before, leafOf(m), 1)
	}
	return lines
}

// A checkpoint over entries that were cut off goes into the export, so that it shows there too,
// to somebody who remembers nothing.
func TestExportOfCutLog(t *testing.T) {
	l, m := newLog(t, 5, 10)
	m.entries = m.entries[:7]
	_, err := audit.VerifyExport(bytes.NewReader(export(t, l, m)), "")
	var f *audit.Fault
	if !errors.As(err, &f) || f.Entry != 7 || f.Reason != "entries 7 to 14 are missing" {
		t.Errorf("got %v, want entries 7 to 14 missing", err)
	}
}

// An export of a damaged log carries the damage to whoever checks it.
func TestExportOfDamagedLog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l, good := newLog(t, rapid.SliceOfN(rapid.IntRange(1, 20), 1, 8).Draw(rt, "batches")...)
		for _, name := range []string{
			"edit bytes", "edit bytes and leaf hash", "edit bytes and all hashes", "drop", "drop and renumber",
			"insert a copy", "swap", "swap with leaf hashes", "cut", "rewritten under another key", "checkpoint dropped from the end",
		} {
			m := good.clone()
			if first, _ := tamperings[name](rt, good, m); first < 0 {
				continue
			}
			var file bytes.Buffer
			if audit.Export(context.Background(), &file, m, l.VerifierKey()) != nil {
				continue // it says that the log is damaged
			}
			_, err := audit.VerifyExport(&file, l.VerifierKey(), l.Checkpoint())
			var f *audit.Fault
			if !errors.As(err, &f) {
				rt.Fatalf("%s: got %v, want a fault", name, err)
			}
		}
	})
}

// Whatever is done to the bytes of an export, it no longer verifies against a checkpoint that
// covers all of it.
func TestExportTampering(t *testing.T) {
	l, m := newLog(t, 5, 1, 12, 3)
	good := export(t, l, m)
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			file := bytes.Clone(good)
			at := rapid.IntRange(0, len(file)-1).Draw(rt, "at")
			switch rapid.IntRange(0, 2).Draw(rt, "how") {
			case 0:
				file[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			case 1:
				file = file[:at]
			case 2:
				file = slices.Insert(file, at, rapid.SliceOfN(rapid.Byte(), 1, 3).Draw(rt, "bytes")...)
			}
			_, err := audit.VerifyExport(bytes.NewReader(file), l.VerifierKey(), l.Checkpoint())
			var f *audit.Fault
			if !errors.As(err, &f) && !errors.Is(err, audit.ErrNotExport) {
				rt.Fatalf("got %v, want a fault", err)
			}
		}
	})
}

// The script that AUDIT.md offers agrees with VerifyExport.
func TestVerifyScript(t *testing.T) {
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("RALLYVAULT_TOOLS") == "required" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("%s is missing", tool)
		}
	}
	l, m := newLog(t, 5, 1, 12, 3)
	good := export(t, l, m)
	edited := bytes.Replace(good, []byte(`"count":7`), []byte(`"count":8`), 1)
	forged, fm := newLog(t, 5, 1)
	fm.checkpoints[1].note = []byte(forge(t, checkpointText(6, forged.Root())))
	for _, tt := range []struct {
		name string
		file []byte
		args []string
		want string // in what it prints
		ok   bool
	}{
		{"good", good, nil, fmt.Sprintf("21 entries, root %v, key %s: ok", l.Root(), l.VerifierKey()), true},
		{"remembered key", good, []string{l.VerifierKey()}, "21 entries", true},
		{"another key", good, []string{audittest.VerifierKey(t, 2)}, "not under this key", false},
		{"edited", edited, nil, "entries 6 to 17 are not", false},
		{"cut", good[:len(good)-1], nil, "cut", false},
		{"forged", export(t, forged, fm), nil, "entries 5 to 5 are not", false},
		{"no checkpoint at the end", good[:bytes.LastIndex(good, []byte(`{"checkpoint"`))], nil, "entries from 18 on", false},
		{"empty", func() []byte { l, m := newLog(t); return export(t, l, m) }(), nil, "0 entries", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "export")
			if err := os.WriteFile(file, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("python3", append([]string{"testdata/verify.py", file}, tt.args...)...).CombinedOutput()
			if (err == nil) != tt.ok || !strings.Contains(string(out), tt.want) {
				t.Errorf("got %v, %s, want %q", err, out, tt.want)
			}
		})
	}
}

func FuzzVerifyExport(f *testing.F) {
	l, m := newLog(f, 3, 1, 2)
	good := export(f, l, m)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.Replace(good, []byte(`"count":4`), []byte(`"count":5`), 1))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := audit.VerifyExport(bytes.NewReader(file), l.VerifierKey())
		if err != nil {
			return
		}
		// Without the log key only what was signed verifies: the export up to a checkpoint.
		if !bytes.HasPrefix(good, file) {
			t.Errorf("accepted %d entries that were never signed: %q", r.Entries, file)
		}
	})
}

// TestReading: an export is read for what else is asked of it.
func TestReading(t *testing.T) {
	l, m := newLog(t, 5, 1, 12)
	file := export(t, l, m)
	heads := map[int64]tlog.Hash{}
	for _, size := range []int64{0, 3, 6, 18} { // 3 has no checkpoint
		root, err := tlog.TreeHash(size, reader(m))
		if err != nil {
			t.Fatal(err)
		}
		heads[size] = root
	}
	var n int64
	each := func(i int64, e audit.Entry) error {
		if b, err := e.Marshal(); err != nil || i != n || !bytes.Equal(b, m.entries[i].data) {
			t.Errorf("got entry %d, %s, %v, want entry %d", i, b, err, n)
		}
		n++
		return nil
	}
	for size, root := range heads {
		n = 0
		r, err := audit.Reading{Key: l.VerifierKey(), Heads: []audit.Head{{Size: size, Root: root, Of: "the test"}}, Each: each}.Verify(bytes.NewReader(file))
		if err != nil || r.Entries != 18 || n != 18 {
			t.Errorf("head %d: got %d entries of %d, %v", size, n, r.Entries, err)
		}
		var f *audit.Fault
		_, err = audit.Reading{Heads: []audit.Head{{Size: size, Root: tlog.Hash{1}, Of: "the test"}}}.Verify(bytes.NewReader(file))
		if !errors.As(err, &f) || !strings.Contains(f.Reason, "not those of the test") {
			t.Errorf("another head %d: got %v", size, err)
		}
	}
	for _, size := range []int64{19, -1, 1 << 62} {
		if _, err := (audit.Reading{Heads: []audit.Head{{Size: size, Of: "the test"}}}).Verify(bytes.NewReader(file)); err == nil {
			t.Errorf("head %d: accepted", size)
		}
	}
	stop := errors.New("stop")
	if _, err := (audit.Reading{Each: func(int64, audit.Entry) error { return stop }}).Verify(bytes.NewReader(file)); !errors.Is(err, stop) {
		t.Errorf("got %v, want stop", err)
	}
	if _, err := (audit.Reading{Key: strings.Replace(l.VerifierKey(), "+", "+0", 1)}).Verify(bytes.NewReader(file)); err == nil {
		t.Error("another spelling of the key: accepted")
	}
}
