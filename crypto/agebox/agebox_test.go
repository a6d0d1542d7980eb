package agebox_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/cryptotest"
)

const binding = "rallyvault/1 column 9b2f0a52 c7d1 1 email 3 1 4096"

func newIdentity(t testing.TB) *agebox.Identity {
	t.Helper()
	id, err := agebox.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func secret(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }

func TestBoxes(t *testing.T) {
	a, b := newIdentity(t), newIdentity(t)
	lock := agebox.NewLock()
	pass := secret("six generated words of a person")
	for _, tt := range []struct {
		name string
		box  cryptotest.Box
	}{
		{"one recipient", cryptotest.Box{
			Seal: func(p []byte) ([]byte, error) { return agebox.Seal(binding, p, a.Recipient()) },
			Open: func(p []byte) ([]byte, error) { return agebox.Open(binding, p, a) },
		}},
		{"second of two recipients", cryptotest.Box{
			Seal: func(p []byte) ([]byte, error) { return agebox.Seal(binding, p, b.Recipient(), a.Recipient()) },
			Open: func(p []byte) ([]byte, error) { return agebox.Open(binding, p, a) },
		}},
		{"lock", cryptotest.Box{Seal: lock.Seal, Open: lock.Open}},
		{"passphrase", cryptotest.Box{
			Seal: func(p []byte) ([]byte, error) { return agebox.SealPassphrase(binding, p, pass, 1) },
			Open: func(p []byte) ([]byte, error) { return agebox.OpenPassphrase(binding, p, pass) },
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.box.CannotOpen = agebox.ErrCannotOpen
			cryptotest.TestBox(t, tt.box)
		})
	}
}

// TestBinding opens files under every binding but their own.
func TestBinding(t *testing.T) {
	id, pass := newIdentity(t), secret("a passphrase")
	for _, body := range []string{"", "body", "\nbody", binding + "\nbody"} {
		bySeal := must(agebox.Seal(binding, []byte(body), id.Recipient()))(t)
		byPass := must(agebox.SealPassphrase(binding, []byte(body), pass, 1))(t)
		for _, other := range []string{
			strings.ToUpper(binding), binding + " ", " " + binding, binding[:len(binding)-1], binding + "\x00", "x",
			strings.Replace(binding, "email", "phone", 1), strings.Repeat(binding, 100),
		} {
			if got, err := agebox.Open(other, bySeal, id); err != agebox.ErrCannotOpen || got != nil {
				t.Errorf("body %q as %q: got %q, %v, want ErrCannotOpen", body, other, got, err)
			}
			if got, err := agebox.OpenPassphrase(other, byPass, pass); err != agebox.ErrCannotOpen || got != nil {
				t.Errorf("body %q as %q by passphrase: got %q, %v, want ErrCannotOpen", body, other, got, err)
			}
		}
		if got, err := agebox.Open(binding, bySeal, id); err != nil || string(got) != body {
			t.Errorf("got %q, %v, want %q", got, err, body)
		}
	}
	for _, bad := range []string{"", "\n", "two\nlines", "end\n", "carriage\rreturn"} {
		if _, err := agebox.Seal(bad, nil, id.Recipient()); err == nil {
			t.Errorf("Seal took binding %q", bad)
		}
		if _, err := agebox.Open(bad, nil, id); err == nil || errors.Is(err, agebox.ErrCannotOpen) {
			t.Errorf("Open with binding %q: got %v, want an error about the binding", bad, err)
		}
		if _, err := agebox.SealPassphrase(bad, nil, pass, 1); err == nil {
			t.Errorf("SealPassphrase took binding %q", bad)
		}
		if _, err := agebox.OpenPassphrase(bad, nil, pass); err == nil || errors.Is(err, agebox.ErrCannotOpen) {
			t.Errorf("OpenPassphrase with binding %q: got %v, want an error about the binding", bad, err)
		}
	}
}

// TestOthersCannotOpen tries the wrong key of each kind, and the right one of
// another kind.
func TestOthersCannotOpen(t *testing.T) {
	a, b := newIdentity(t), newIdentity(t)
	l, k := agebox.NewLock(), agebox.NewLock()
	pass := secret("right passphrase")
	toA := must(agebox.Seal(binding, []byte("body"), a.Recipient()))(t)
	toL := must(l.Seal(toA))(t)
	toPass := must(agebox.SealPassphrase(binding, []byte("body"), pass, 1))(t)
	toLockAsPass := must(agebox.SealPassphrase(binding, []byte("body"), l.Passphrase(), 2))(t)
	classic := must(age.GenerateX25519Identity())(t)
	for _, tt := range []struct {
		name string
		open func() ([]byte, error)
	}{
		{"another identity", func() ([]byte, error) { return agebox.Open(binding, toA, b) }},
		{"identity on a lock's file", func() ([]byte, error) { return agebox.Open(binding, toL, a) }},
		{"identity on a passphrase file", func() ([]byte, error) { return agebox.Open(binding, toPass, a) }},
		{"another lock", func() ([]byte, error) { return k.Open(toL) }},
		{"zero lock", func() ([]byte, error) { return agebox.Lock{}.Open(toL) }},
		{"lock on a recipient's file", func() ([]byte, error) { return l.Open(toA) }},
		{"lock with a work factor of 2", func() ([]byte, error) { return l.Open(toLockAsPass) }},
		{"another passphrase", func() ([]byte, error) { return agebox.OpenPassphrase(binding, toPass, secret("wrong passphrase")) }},
		{"empty passphrase", func() ([]byte, error) { return agebox.OpenPassphrase(binding, toPass, crypto.Secret{}) }},
		{"passphrase on a recipient's file", func() ([]byte, error) { return agebox.OpenPassphrase(binding, toA, pass) }},
		{"classic age file", func() ([]byte, error) {
			return agebox.Open(binding, stockSeal(t, []byte(binding+"\nbody"), classic.Recipient()), a)
		}},
	} {
		if got, err := tt.open(); err != agebox.ErrCannotOpen || got != nil {
			t.Errorf("%s: got %q, %v, want ErrCannotOpen", tt.name, got, err)
		}
	}
}

// TestWorkFactorRefused plants files that ask for more work than is done for
// anybody: the answer comes before the work.
func TestWorkFactorRefused(t *testing.T) {
	pass := secret("a passphrase")
	small := must(agebox.SealPassphrase(binding, nil, pass, 1))(t)
	for _, factor := range []string{"19", "22", "30", "63", "99999999999999999999", "0", "01", "-1", "1e1"} {
		line, rest, _ := bytes.Cut(small, []byte("-> scrypt "))
		salt, after, _ := bytes.Cut(rest, []byte(" 1\n"))
		planted := bytes.Join([][]byte{line, []byte("-> scrypt "), salt, []byte(" " + factor + "\n"), after}, nil)
		start := time.Now()
		if _, err := agebox.OpenPassphrase(binding, planted, pass); err != agebox.ErrCannotOpen {
			t.Errorf("work factor %s: got %v, want ErrCannotOpen", factor, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("work factor %s: took %v, want no work", factor, took)
		}
	}
	for _, logN := range []int{-1, 0, agebox.MaxWorkFactor + 1, 64} {
		if _, err := agebox.SealPassphrase(binding, nil, pass, logN); err == nil {
			t.Errorf("SealPassphrase took work factor %d", logN)
		}
	}
	if _, err := agebox.SealPassphrase(binding, nil, crypto.Secret{}, agebox.WorkFactor); err == nil {
		t.Error("SealPassphrase took an empty passphrase")
	}
	sealed := must(agebox.SealPassphrase(binding, []byte("body"), pass, agebox.WorkFactor))(t)
	if !bytes.Contains(sealed[:80], []byte(" 16\n")) {
		t.Error("the work factor of people's passphrases is not 16")
	}
	if got, err := agebox.OpenPassphrase(binding, sealed, pass); err != nil || string(got) != "body" {
		t.Errorf("got %q, %v, want the body", got, err)
	}
}

func TestParse(t *testing.T) {
	id := newIdentity(t)
	again := must(agebox.ParseIdentity(id.Secret()))(t)
	if again.Recipient().String() != id.Recipient().String() || !again.Secret().Equal(id.Secret()) {
		t.Error("identity changed on the way through its text")
	}
	r := must(agebox.ParseRecipient(id.Recipient().String()))(t)
	sealed := must(agebox.Seal(binding, []byte("body"), r))(t)
	if got, err := agebox.Open(binding, sealed, again); err != nil || string(got) != "body" {
		t.Errorf("got %q, %v, want the body", got, err)
	}

	text, key := id.Recipient().String(), string(id.Secret().Bytes())
	classic := must(age.GenerateX25519Identity())(t)
	bad := []string{"", "age1pq1", text + " ", text[:len(text)-1], strings.ToUpper(text), classic.Recipient().String(),
		key, key + "\n", strings.ToLower(key), key[:len(key)-1] + "Q", classic.String(), "AGE-SECRET-KEY-PQ-1"}
	for _, s := range bad {
		if _, err := agebox.ParseRecipient(s); err == nil {
			t.Errorf("ParseRecipient took %.20q...", s)
		} else if len(s) > 30 && strings.Contains(err.Error(), s[len(s)-20:]) {
			t.Errorf("ParseRecipient quotes its input: %v", err)
		}
		if s == key {
			continue
		}
		if _, err := agebox.ParseIdentity(secret(s)); err == nil {
			t.Errorf("ParseIdentity took %.20q...", s)
		} else if len(s) > 30 && strings.Contains(err.Error(), s[len(s)-20:]) {
			t.Errorf("ParseIdentity quotes its input: %v", err)
		}
	}
	for _, to := range [][]*agebox.Recipient{nil, {nil}, {id.Recipient(), nil}, {{}}} {
		if _, err := agebox.Seal(binding, nil, to...); err == nil {
			t.Errorf("Seal took recipients %v", to)
		}
	}
	if _, err := agebox.Open(binding, sealed, nil); err == nil {
		t.Error("Open took no identity")
	}
	if _, err := (agebox.Lock{}).Seal(nil); err == nil {
		t.Error("a zero lock sealed")
	}
}

func TestRedacted(t *testing.T) {
	id := newIdentity(t)
	raw := id.Secret().Bytes()
	cryptotest.TestRedacted(t, id, raw, raw[len("AGE-SECRET-KEY-PQ-1"):])
	l := agebox.NewLock()
	cryptotest.TestRedacted(t, l, l[:], l.Passphrase().Bytes())
	cryptotest.TestRedacted(t, struct{ Lock agebox.Lock }{l}, l[:], l.Passphrase().Bytes())
	if l == agebox.NewLock() || l.IsZero() || !(agebox.Lock{}).IsZero() {
		t.Error("locks are not random")
	}
}

func stockSeal(t testing.TB, plain []byte, to ...age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w := must(age.Encrypt(&out, to...))(t)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func stockOpen(t testing.TB, sealed []byte, id age.Identity) []byte {
	t.Helper()
	r := must(age.Decrypt(bytes.NewReader(sealed), id))(t)
	return must(io.ReadAll(r))(t)
}

// TestStockLibrary goes both ways between this package and age's own streaming
// interface: data is recoverable with public tools.
func TestStockLibrary(t *testing.T) {
	id := newIdentity(t)
	stock := must(age.ParseHybridIdentity(string(id.Secret().Bytes())))(t)
	pass, lock := secret("a passphrase"), agebox.NewLock()
	byPass := must(age.NewScryptIdentity(string(pass.Bytes())))(t)
	byLock := must(age.NewScryptIdentity(string(lock.Passphrase().Bytes())))(t)
	toPass := must(age.NewScryptRecipient(string(pass.Bytes())))(t)
	toPass.SetWorkFactor(4)
	toLock := must(age.NewScryptRecipient(string(lock.Passphrase().Bytes())))(t)
	toLock.SetWorkFactor(1)

	for _, size := range []int{0, 5, 70_000, 200_000} {
		body := bytes.Repeat([]byte("r"), size)
		plain := append([]byte(binding+"\n"), body...)
		if got := stockOpen(t, must(agebox.Seal(binding, body, id.Recipient()))(t), stock); !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: age reads another plaintext of Seal's", size)
		}
		if got := stockOpen(t, must(agebox.SealPassphrase(binding, body, pass, 4))(t), byPass); !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: age reads another plaintext of SealPassphrase's", size)
		}
		if got := stockOpen(t, must(lock.Seal(body))(t), byLock); !bytes.Equal(got, body) {
			t.Errorf("%d bytes: age reads another plaintext of Lock.Seal's", size)
		}
		if got, err := agebox.Open(binding, stockSeal(t, plain, stock.Recipient()), id); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: Open of age's file: %v", size, err)
		}
		if got, err := agebox.OpenPassphrase(binding, stockSeal(t, plain, toPass), pass); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: OpenPassphrase of age's file: %v", size, err)
		}
		if got, err := lock.Open(stockSeal(t, body, toLock)); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: Lock.Open of age's file: %v", size, err)
		}
	}
}

func vectorIdentity(t testing.TB) *agebox.Identity {
	t.Helper()
	text := must(os.ReadFile("testdata/identity.txt"))(t)
	return must(agebox.ParseIdentity(crypto.NewSecret(bytes.TrimSpace(text))))(t)
}

// TestVectors opens files that the age program made, see testdata/README.
func TestVectors(t *testing.T) {
	id := vectorIdentity(t)
	var lock agebox.Lock
	for i := range lock {
		lock[i] = byte(i)
	}
	read := func(name string) []byte { return must(os.ReadFile(filepath.Join("testdata", name)))(t) }
	if got, err := agebox.Open(binding, read("recipient.age"), id); err != nil || string(got) != "body" {
		t.Errorf("recipient.age: got %q, %v", got, err)
	}
	if got, err := lock.Open(read("lock.age")); err != nil || string(got) != "inner" {
		t.Errorf("lock.age: got %q, %v", got, err)
	}
	pass := secret("six generated words of a person")
	if got, err := agebox.OpenPassphrase(binding, read("passphrase.age"), pass); err != nil || string(got) != "body" {
		t.Errorf("passphrase.age: got %q, %v", got, err)
	}
	if got, want := string(lock.Passphrase().Bytes()), "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQTCQKRMFYYDENBWHA5DYPQ"; got != want {
		t.Errorf("got passphrase %q, want %q", got, want)
	}
	sealed := must(lock.Seal([]byte("inner")))(t)
	if !bytes.HasPrefix(sealed, []byte("age-encryption.org/v1\n-> scrypt ")) || !bytes.Contains(sealed[:80], []byte(" 1\n")) {
		t.Errorf("a lock's file begins with %q", sealed[:60])
	}
	if got := len(must(lock.Seal(nil))(t)); got != 181 {
		t.Errorf("a lock adds %d bytes, want the 181 that the documents say", got)
	}
}

// TestStockProgram opens a wrap as a person would: the age program with its plugin
// for passphrases takes off the lock, and with the identity the inside.
func TestStockProgram(t *testing.T) {
	for _, tool := range []string{"age", "age-plugin-batchpass"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("RALLYVAULT_TOOLS") == "required" {
				t.Fatalf("%s is not installed", tool)
			}
			t.Skipf("%s is not installed", tool)
		}
	}
	id, lock := newIdentity(t), agebox.NewLock()
	wrap := must(lock.Seal(must(agebox.Seal(binding, []byte("body"), id.Recipient()))(t)))(t)
	key := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(key, id.Secret().Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	outer := exec.Command("age", "-d", "-j", "batchpass")
	outer.Env = append(os.Environ(), "AGE_PASSPHRASE="+string(lock.Passphrase().Bytes()))
	outer.Stdin = bytes.NewReader(wrap)
	inside := must(outer.Output())(t)
	inner := exec.Command("age", "-d", "-i", key)
	inner.Stdin = bytes.NewReader(inside)
	if got := must(inner.Output())(t); string(got) != binding+"\nbody" {
		t.Errorf("got %q, want the binding line and the body", got)
	}
}

// Blob sizes as vault stores them: 4,096 rows of a choice column, of padded
// compressed emails, and of an uncompressed column, in bytes.
var blobSizes = []int{4 << 10, 20 << 10, 60 << 10, 200 << 10}

func BenchmarkSeal(b *testing.B) {
	r := newIdentity(b).Recipient()
	for _, size := range blobSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			body := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := agebox.Seal(binding, body, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	id := newIdentity(b)
	for _, size := range blobSizes {
		sealed := must(agebox.Seal(binding, make([]byte, size), id.Recipient()))(b)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := agebox.Open(binding, sealed, id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpenWrap opens a wrap of an identity, lock and inside.
func BenchmarkOpenWrap(b *testing.B) {
	id, lock := newIdentity(b), agebox.NewLock()
	wrap := must(lock.Seal(must(agebox.Seal(binding, id.Secret().Bytes(), id.Recipient()))(b)))(b)
	b.ReportAllocs()
	for b.Loop() {
		inner, err := lock.Open(wrap)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := agebox.Open(binding, inner, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseIdentity(b *testing.B) {
	s := newIdentity(b).Secret()
	for b.Loop() {
		if _, err := agebox.ParseIdentity(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPassphrase(b *testing.B) {
	pass := secret("six generated words")
	sealed := must(agebox.SealPassphrase(binding, nil, pass, agebox.WorkFactor))(b)
	for b.Loop() {
		if _, err := agebox.OpenPassphrase(binding, sealed, pass); err != nil {
			b.Fatal(err)
		}
	}
}
