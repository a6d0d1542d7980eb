package slots_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/cryptotest"
	"github.com/rallyvault/rallyvault/crypto/slots"
)

var (
	vaultID      = uuid.MustParse("0190d3a1-6a57-4f9a-9c1e-0c9ad2f6a001")
	logKey       = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x4b}, ed25519.SeedSize))
	handleSecret = [32]byte(bytes.Repeat([]byte{0x48}, 32))
	backupKey    = [32]byte(bytes.Repeat([]byte{0x42}, 32))
)

// dataDir makes a directory as serve does, 0700.
func dataDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, dir string) *slots.File {
	t.Helper()
	f, err := slots.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func found(t testing.TB, dir string) *slots.File {
	t.Helper()
	f := open(t, dir)
	if err := f.Found(vaultID, logKey, handleSecret, backupKey); err != nil {
		t.Fatal(err)
	}
	return f
}

func create(t testing.TB, f *slots.File, n int, logSize int64) []slots.Slot {
	t.Helper()
	made, err := f.Create(slots.ID{}, n, logSize)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func content(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, slots.Name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFoundAndReopen(t *testing.T) {
	dir := dataDir(t)
	f := open(t, dir)
	if f.Founded() || f.VaultID() != uuid.Nil || f.LogKey() != nil || f.HandleSecret() != nil {
		t.Fatal("a blank file has a vault")
	}
	if _, err := f.BackupKey(); !errors.Is(err, slots.ErrNotFounded) {
		t.Errorf("BackupKey of a blank file: got %v, want ErrNotFounded", err)
	}
	if err := f.Note(time.Now(), 1, true); !errors.Is(err, slots.ErrNotFounded) {
		t.Errorf("Note on a blank file: got %v, want ErrNotFounded", err)
	}
	fi, err := os.Stat(filepath.Join(dir, "slots"))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 || fi.Size() != 4096*512 {
		t.Errorf("got mode %v and %d bytes, want 0600 and %d", fi.Mode(), fi.Size(), 4096*512)
	}
	if err := f.Found(vaultID, logKey, handleSecret, [32]byte{}); err == nil {
		t.Error("Found took an empty key")
	}
	if err := f.Found(vaultID, logKey, handleSecret, backupKey); err != nil {
		t.Fatal(err)
	}
	if err := f.Found(vaultID, logKey, handleSecret, backupKey); !errors.Is(err, slots.ErrFounded) {
		t.Errorf("Found twice: got %v, want ErrFounded", err)
	}
	made := create(t, f, 3, 17)
	at := time.Date(2027, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	if err := f.Note(at, 18, true); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, ok := f.Lock(made[0].ID); ok || f.LogKey() != nil {
		t.Error("a closed file gives keys")
	}
	if _, err := f.Create(slots.ID{}, 1, 0); !errors.Is(err, slots.ErrClosed) {
		t.Errorf("Create after Close: got %v, want ErrClosed", err)
	}

	f = open(t, dir)
	b, err := f.BackupKey()
	if !f.Founded() || f.VaultID() != vaultID || !f.LogKey().Equal(logKey) ||
		!bytes.Equal(f.HandleSecret(), handleSecret[:]) || err != nil || !bytes.Equal(b.Bytes(), backupKey[:]) {
		t.Error("the fixed slots did not come back")
	}
	if got, size := f.Seen(); !got.Equal(at.Truncate(time.Millisecond)) || size != 18 {
		t.Errorf("got %v, %d, want %v, 18", got, size, at)
	}
	want := []slots.Born{{ID: made[0].ID, LogSize: 17}, {ID: made[1].ID, LogSize: 17}, {ID: made[2].ID, LogSize: 17}}
	if diff := cmp.Diff(want, f.Slots()); diff != "" {
		t.Errorf("Slots (-want +got):\n%s", diff)
	}
	for _, s := range made {
		if l, ok := f.Lock(s.ID); !ok || l != s.Lock {
			t.Errorf("lock %v did not come back", s.ID)
		}
	}
	if _, ok := f.Lock(slots.ID{1}); ok {
		t.Error("got a lock for an unknown id")
	}
}

// TestOwner: whose a lock is stands in its slot, and comes back when the file
// is opened again: it is what ends a list that cannot name its locks.
func TestOwner(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	a, b := slots.ID(uuid.MustParse("0190d3a1-6a57-4f9a-9c1e-0c9ad2f6a00a")), slots.ID(uuid.MustParse("0190d3a1-6a57-4f9a-9c1e-0c9ad2f6a00b"))
	var want []slots.Born
	var ofA []slots.ID
	for i, owner := range []slots.ID{a, {}, b, a} {
		made, err := f.Create(owner, 2, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range made {
			want = append(want, slots.Born{ID: s.ID, LogSize: int64(i), Owner: owner})
			if owner == a {
				ofA = append(ofA, s.ID)
			}
		}
	}
	if diff := cmp.Diff(want, f.Slots()); diff != "" {
		t.Errorf("Slots (-want +got):\n%s", diff)
	}
	f.Close()
	f = open(t, dir)
	if diff := cmp.Diff(want, f.Slots()); diff != "" {
		t.Errorf("opened again, Slots (-want +got):\n%s", diff)
	}
	// Neither the locks nor their owner stay when they are cleared, and a slot
	// that is used again is its new owner's.
	if err := f.Clear(ofA...); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content(t, dir), a[:]) || !bytes.Contains(content(t, dir), b[:]) {
		t.Error("the owner of cleared locks is still in the file, or another one is not")
	}
	if _, err := f.Create(b, 1, 9); err != nil {
		t.Fatal(err)
	}
	f.Close()
	n := map[slots.ID]int{}
	for _, born := range open(t, dir).Slots() {
		n[born.Owner]++
	}
	if diff := cmp.Diff(map[slots.ID]int{{}: 2, b: 3}, n); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// TestClearLeavesNothing looks for every lock in the raw file, and that the file is
// still the same one.
func TestClearLeavesNothing(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	before, _ := os.Stat(filepath.Join(dir, slots.Name))
	made := create(t, f, 50, 1)
	raw := content(t, dir)
	for _, s := range made {
		if bytes.Count(raw, s.Lock[:]) != 1 || bytes.Count(raw, s.ID[:]) != 2 {
			t.Fatalf("lock %v: is not in its slot once", s.ID)
		}
	}
	var ids []slots.ID
	for _, s := range made[10:40] {
		ids = append(ids, s.ID)
	}
	if err := f.Clear(append(ids, slots.ID{9}, slots.ID{})...); err != nil {
		t.Fatal(err)
	}
	raw = content(t, dir)
	for i, s := range made {
		_, ok := f.Lock(s.ID)
		there := bytes.Contains(raw, s.Lock[:]) || bytes.Contains(raw, s.Lock[:4]) || bytes.Contains(raw, s.ID[:])
		if want := i < 10 || i >= 40; ok != want || there != want {
			t.Errorf("lock %d: opens %v, in the file %v, want %v", i, ok, there, want)
		}
	}
	if err := f.Clear(ids...); err != nil {
		t.Errorf("Clear again: %v", err)
	}
	after, _ := os.Stat(filepath.Join(dir, slots.Name))
	if !os.SameFile(before, after) || after.Size() != before.Size() {
		t.Error("the file was replaced or changed its length")
	}
	// Cleared slots are used again, and only those.
	again := create(t, f, 30, 2)
	if got := len(f.Slots()); got != 50 {
		t.Errorf("got %d live locks, want 50", got)
	}
	for _, s := range append(again, made[:10]...) {
		if l, ok := f.Lock(s.ID); !ok || l != s.Lock {
			t.Errorf("lock %v was overwritten", s.ID)
		}
	}
	if !bytes.Equal(content(t, dir)[58*512:59*512], make([]byte, 512)) {
		t.Error("Create took a new slot while cleared ones were free")
	}
}

func TestGrowth(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	made := create(t, f, 5000, 3)
	if got := len(content(t, dir)); got != 2*4096*512 {
		t.Errorf("got %d bytes, want %d", got, 2*4096*512)
	}
	f.Close()
	f = open(t, dir)
	if got := len(f.Slots()); got != 5000 {
		t.Fatalf("got %d locks, want 5000", got)
	}
	for _, s := range made {
		if l, ok := f.Lock(s.ID); !ok || l != s.Lock {
			t.Fatalf("lock %v did not come back", s.ID)
		}
	}
	// A growth that was cut short is finished when the file is opened.
	f.Close()
	if err := os.Truncate(filepath.Join(dir, slots.Name), 4096*512+5000*100); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir)
	if got := len(content(t, dir)); got != 2*4096*512 {
		t.Errorf("got %d bytes after a cut, want %d", got, 2*4096*512)
	}
	if got := len(f.Slots()); got != 5000 {
		t.Errorf("got %d locks after a cut, want 5000", got)
	}
}

func TestVolatile(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	before := content(t, dir)
	made, err := f.CreateVolatile(2)
	if err != nil {
		t.Fatal(err)
	}
	if l, ok := f.Lock(made[0].ID); !ok || l != made[0].Lock {
		t.Error("a volatile lock is missing")
	}
	if err := f.Clear(made[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Lock(made[0].ID); ok {
		t.Error("a cleared volatile lock is there")
	}
	if len(f.Slots()) != 0 || !bytes.Equal(before, content(t, dir)) {
		t.Error("a volatile lock reached the file")
	}
	f.Close()
	if _, ok := open(t, dir).Lock(made[1].ID); ok {
		t.Error("a volatile lock outlived Close")
	}
}

func TestSeenIsMonotone(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	if at, size := f.Seen(); !at.IsZero() || size != 0 {
		t.Errorf("got %v, %d of a new file, want zero", at, size)
	}
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, tt := range []struct {
		at       time.Time
		size     int64
		wantAt   time.Time
		wantSize int64
	}{
		{noon, 10, noon, 10},
		{noon.Add(-time.Hour), 11, noon, 11},
		{noon.Add(time.Hour), 3, noon.Add(time.Hour), 11},
		{time.Time{}, -5, noon.Add(time.Hour), 11},
		{time.Unix(-1, 0), 0, noon.Add(time.Hour), 11},
		{noon.Add(2 * time.Hour), 11, noon.Add(2 * time.Hour), 11},
	} {
		if err := f.Note(tt.at, tt.size, i%2 == 0); err != nil {
			t.Fatal(err)
		}
		if at, size := f.Seen(); !at.Equal(tt.wantAt) || size != tt.wantSize {
			t.Errorf("note %d: got %v, %d, want %v, %d", i, at, size, tt.wantAt, tt.wantSize)
		}
	}
	f.Close()
	if at, size := open(t, dir).Seen(); !at.Equal(noon.Add(2*time.Hour)) || size != 11 {
		t.Errorf("after a restart: got %v, %d", at, size)
	}
}

func TestSetClock(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	if err := f.Note(noon.AddDate(40, 0, 0), 10, true); err != nil {
		t.Fatal(err)
	}
	if err := f.SetClock(noon, 9); err != nil {
		t.Fatal(err)
	}
	if err := f.Note(noon.Add(-time.Hour), 8, true); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if at, size := open(t, dir).Seen(); !at.Equal(noon) || size != 10 {
		t.Errorf("got %v, %d, want %v, 10", at, size, noon)
	}
}

// TestSetLogSize: it is the one way back for the log size, and leaves the time.
func TestSetLogSize(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	if err := f.Note(noon, 10, true); err != nil {
		t.Fatal(err)
	}
	if err := f.SetLogSize(4); err != nil {
		t.Fatal(err)
	}
	if err := f.Note(noon, 3, true); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f = open(t, dir)
	if at, size := f.Seen(); !at.Equal(noon) || size != 4 {
		t.Errorf("got %v, %d, want %v, 4", at, size, noon)
	}
	if err := f.Note(noon, 5, true); err != nil {
		t.Fatal(err)
	}
	if _, size := f.Seen(); size != 5 {
		t.Errorf("got %d, want 5: it goes on from there", size)
	}
}

func TestWipe(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	create(t, f, 20, 1)
	vol, _ := f.CreateVolatile(1)
	if err := f.Wipe(); err != nil {
		t.Fatal(err)
	}
	if raw := content(t, dir); len(raw) != 4096*512 || len(bytes.Trim(raw, "\x00")) != 0 {
		t.Error("Wipe left something")
	}
	if _, ok := f.Lock(vol[0].ID); ok || f.Founded() || f.LogKey() != nil || len(f.Slots()) != 0 {
		t.Error("something is left in memory after Wipe")
	}
	f.Close()
	f = open(t, dir)
	if f.Founded() {
		t.Error("a wiped file has a vault")
	}
	// A set-up that did not end is wiped and begun again.
	for range 2 {
		if err := f.Found(vaultID, logKey, handleSecret, backupKey); err != nil {
			t.Fatal(err)
		}
		made := create(t, f, 2, 0)
		if err := f.Note(time.Now(), 1, true); err != nil {
			t.Fatal(err)
		}
		if _, ok := f.Lock(made[1].ID); !ok {
			t.Error("no lock after Found")
		}
		if err := f.Wipe(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConcurrent runs every act at once, for the race detector and for locks that
// come and go under readers.
func TestConcurrent(t *testing.T) {
	f := found(t, dataDir(t))
	stays := create(t, f, 5, 1)
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for i := range 20 {
				made, err := f.Create(slots.ID{}, 3, int64(i))
				if err != nil {
					t.Error(err)
					return
				}
				for _, s := range made {
					if l, ok := f.Lock(s.ID); !ok || l != s.Lock {
						t.Errorf("writer %d: a fresh lock is missing", w)
					}
				}
				if err := f.Clear(made[0].ID, made[1].ID, made[2].ID); err != nil {
					t.Error(err)
				}
				if _, ok := f.Lock(made[1].ID); ok {
					t.Errorf("writer %d: a cleared lock is there", w)
				}
				if err := f.Note(time.Unix(int64(i), 0), int64(i), i%4 == 0); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for range 2 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, s := range stays {
					if l, ok := f.Lock(s.ID); !ok || l != s.Lock {
						t.Error("a lasting lock is missing")
						return
					}
				}
				f.Slots()
				f.Seen()
			}
		}()
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if got := len(f.Slots()); got != 5 {
		t.Errorf("got %d locks at the end, want 5", got)
	}
}

// TestByHand follows the recipe in doc.go with the tools it names.
func TestByHand(t *testing.T) {
	for _, tool := range []string{"sh", "od", "tr", "grep", "cut", "xxd", "base32"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("RALLYVAULT_TOOLS") == "required" {
				t.Fatalf("%s is not installed", tool)
			}
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := dataDir(t)
	f := found(t, dir)
	made := create(t, f, 10, 1)
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile(`(?s)//\t(od -An.*?)\npackage`).FindSubmatch(doc)
	if recipe == nil {
		t.Fatal("no recipe in doc.go")
	}
	script := strings.ReplaceAll(string(recipe[1]), "\n//", "\n")
	for _, s := range []slots.Slot{made[0], made[7]} {
		cmd := exec.Command("sh", "-c", "id="+s.ID.String()+"\n"+script)
		cmd.Dir = dir
		out, err := cmd.Output()
		if got, want := strings.TrimSpace(string(out)), string(s.Lock.Passphrase().Bytes()); err != nil || got != want {
			t.Errorf("got %q, %v, want the lock's passphrase", got, err)
		}
	}
}

func TestID(t *testing.T) {
	s := create(t, found(t, dataDir(t)), 1, 0)[0]
	if got, err := slots.ParseID(s.ID.String()); err != nil || got != s.ID || len(s.ID.String()) != 32 {
		t.Errorf("got %v, %v, want %v", got, err, s.ID)
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 31), strings.Repeat("0", 34), strings.Repeat("G", 32), strings.Repeat("A", 32)} {
		if _, err := slots.ParseID(bad); err == nil {
			t.Errorf("ParseID took %q", bad)
		}
	}
	cryptotest.TestRedacted(t, s, s.Lock[:], s.Lock.Passphrase().Bytes())
}

func BenchmarkLock(b *testing.B) {
	f := found(b, dataDir(b))
	s := create(b, f, 1, 0)[0]
	for b.Loop() {
		if _, ok := f.Lock(s.ID); !ok {
			b.Fatal("lock is missing")
		}
	}
}

func BenchmarkCreateClear(b *testing.B) {
	f := found(b, dataDir(b))
	for b.Loop() {
		made, err := f.Create(slots.ID{}, 10, 0)
		if err != nil {
			b.Fatal(err)
		}
		ids := make([]slots.ID, len(made))
		for i, s := range made {
			ids[i] = s.ID
		}
		if err := f.Clear(ids...); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNote(b *testing.B) {
	f := found(b, dataDir(b))
	n := int64(0)
	for b.Loop() {
		n++
		if err := f.Note(time.Time{}, n, false); err != nil {
			b.Fatal(err)
		}
	}
}
