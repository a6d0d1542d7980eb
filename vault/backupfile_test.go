package vault

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	backupVault = "3b241101-e2bb-4255-8caf-4136c566a962"
	backupID    = "2f1acc6c-3a5e-4e1c-9f0c-0d1b6f7a3c11"
)

func testHeader() *backupHeader {
	return &backupHeader{vault: backupVault, id: backupID, info: map[string]string{"made": "2026-11-27", "recovery": "2/3", "recovery-set": "1"},
		lock: []byte("z in a lock"), r: []byte("z for r"), copies: map[string][]byte{"recovery/1/1-2": []byte("a copy"), "recovery/1/1-3": []byte("another")}}
}

func TestBackupHeader(t *testing.T) {
	without := testHeader()
	without.r, without.copies, without.info = nil, map[string][]byte{}, map[string]string{"made": "2026-11-27", "recovery": "none"}
	for _, h := range []*backupHeader{testHeader(), without} {
		text := h.encode()
		r := bufio.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("what follows")))
		got, err := readBackupHeader(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, got, cmp.AllowUnexported(backupHeader{})); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "what follows" {
			t.Errorf("left %q to read", rest)
		}
		for n := range text {
			if _, err := readBackupHeader(bufio.NewReader(bytes.NewReader(text[:n]))); err != errBackup {
				t.Fatalf("cut at %d: got %v", n, err)
			}
			flipped := bytes.Clone(text)
			flipped[n] ^= 1
			if got, err := readBackupHeader(bufio.NewReader(bytes.NewReader(flipped))); err == nil && got.sum == h.sum {
				t.Fatalf("flipped at %d: the same sum", n)
			}
		}
	}
}

var testRows = []Row{
	{Kind: RowStatement, Of: backupID, Data: []byte("what it says")},
	{Kind: RowLeftOut, Of: backupVault},
	{Kind: RowBlob, Of: backupID, Name: "title", Data: []byte("sealed")},
	{Kind: RowColumn, Of: backupID, Number: 7, Name: "meta", Data: bytes.Repeat([]byte("x"), 3<<20)},
	{Kind: RowInbox, Of: backupID, Data: []byte("somebody")},
	{Kind: RowEntry, Data: []byte("zero")},
	{Kind: RowCheckpoint, Number: 1, Data: []byte("one")},
	{Kind: RowEntry, Number: 1, Data: []byte("one")},
	{Kind: RowEntry, Number: 2, Data: []byte("two")},
	{Kind: RowCheckpoint, Number: 3, Data: []byte("three")},
	{Kind: rowLocks, Data: []byte("for R")},
}

func writeRows(t testing.TB, rows ...Row) []byte {
	t.Helper()
	var b bytes.Buffer
	w := &rowWriter{w: bufio.NewWriter(&b)}
	for i := range rows {
		if err := w.write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.write(&Row{Kind: rowEnd}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readRows(text io.Reader) (out []Row, err error) {
	r := newRowReader(text)
	for {
		row, err := r.next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		one := *row
		if one.Data = bytes.Clone(row.Data); len(one.Data) == 0 {
			one.Data = nil
		}
		out = append(out, one)
	}
}

func TestBackupRows(t *testing.T) {
	if Raced {
		t.Skip("one thing after another: run it without the race detector")
	}
	text := writeRows(t, testRows...)
	got, err := readRows(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := append([]Row{}, testRows...)
	for i := range want {
		if k := want[i].Kind; k == RowBlob || k == RowColumn {
			want[i].Sum = sha256.Sum256(want[i].Data)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, n := range []int{0, 1, 30, 100, len(text) / 2, len(text) - 30, len(text) - 1} {
		if _, err := readRows(bytes.NewReader(text[:n])); err != errBackup {
			t.Errorf("cut at %d: got %v", n, err)
		}
	}
	if _, err := readRows(bytes.NewReader(append(text, 'z'))); err != errBackup {
		t.Errorf("with something behind it: got %v", err)
	}
}

// What is out of its order is refused by who writes, if it is the trail, and by who reads.
func TestBackupRowsInOrder(t *testing.T) {
	for name, rows := range map[string][]Row{
		"an entry is missing":    {{Kind: RowEntry, Number: 1}},
		"a checkpoint too early": {{Kind: RowEntry}, {Kind: RowCheckpoint, Number: 2}},
		"a checkpoint twice":     {{Kind: RowEntry}, {Kind: RowCheckpoint, Number: 1}, {Kind: RowCheckpoint, Number: 1}},
		"no checkpoint at last":  {{Kind: RowEntry}, {Kind: rowEnd}},
	} {
		w := &rowWriter{w: bufio.NewWriter(io.Discard)}
		var err error
		for i := range rows {
			if err == nil {
				err = w.write(&rows[i])
			}
		}
		if err != errBackupTrail {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, rows := range map[string][]Row{
		"a blob after a column":  {testRows[3], testRows[2]},
		"a statement after all":  {testRows[10], testRows[0]},
		"locks twice, rows then": {testRows[10], testRows[5]},
	} {
		if _, err := readRows(bytes.NewReader(writeRowsAnyhow(rows))); err != errBackup {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func writeRowsAnyhow(rows []Row) []byte {
	var b bytes.Buffer
	w := &rowWriter{w: bufio.NewWriter(&b)}
	for i := range rows {
		w.entries, w.size = rows[i].Number, 0
		_ = w.write(&rows[i])
	}
	w.w.Flush()
	return b.Bytes()
}

// FuzzBackupFile: neither reader panics or takes more memory than there is input, and
// what parses is written again as the same bytes.
func FuzzBackupFile(f *testing.F) {
	small := append([]Row{}, testRows...)
	small[3].Data = []byte("column")
	f.Add(testHeader().encode())
	f.Add(writeRows(f, small...))
	f.Add(writeRows(f, small[5:10]...))
	f.Fuzz(func(t *testing.T, text []byte) {
		if h, err := readBackupHeader(bufio.NewReader(bytes.NewReader(text))); err == nil {
			if again := h.encode(); !bytes.HasPrefix(text, again) {
				t.Errorf("%q parses and is written as %q", text, again)
			}
		}
		if rows, err := readRows(bytes.NewReader(text)); err == nil {
			if again := writeRows(t, rows...); !bytes.Equal(again, text) {
				t.Errorf("%q parses and is written as %q", text, again)
			}
		}
	})
}
