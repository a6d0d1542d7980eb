package agebox_test

import (
	"bytes"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing"

	agetest "c2sp.org/CCTV/age"
	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// The fuzzer runs in several processes that share what they find, so keys and
// files are fixed ones, from testdata or from the bytes of the target.

// addVectors gives the small vectors of c2sp.org/CCTV/age whose names begin with
// a prefix as seeds: the file alone, without the vector's header.
func addVectors(f *testing.F, prefixes ...string) {
	f.Helper()
	for _, p := range prefixes {
		names, err := fs.Glob(agetest.Vectors, p+"*")
		if err != nil || len(names) == 0 {
			f.Fatalf("no vectors %s: %v", p, err)
		}
		for _, name := range names {
			data := must(fs.ReadFile(agetest.Vectors, name))(f)
			if header, file, ok := bytes.Cut(data, []byte("\n\n")); ok && len(file) < 8<<10 && !bytes.Contains(header, []byte("compressed")) {
				f.Add(file)
			}
		}
	}
}

// onlyOne fails unless err is the one answer and nothing came with it.
func onlyOne(t *testing.T, got []byte, err error) {
	t.Helper()
	if err != agebox.ErrCannotOpen || err.Error() != agebox.ErrCannotOpen.Error() || got != nil {
		t.Errorf("got %d bytes and %v, want ErrCannotOpen", len(got), err)
	}
}

// FuzzOpen opens any bytes with an identity. What opens, age itself reads to the
// same bytes, binding line and body; everything else is ErrCannotOpen.
func FuzzOpen(f *testing.F) {
	id := vectorIdentity(f)
	stock := must(age.ParseHybridIdentity(string(id.Secret().Bytes())))(f)
	for _, size := range []int{0, 10, 4096} {
		f.Add(must(agebox.Seal(binding, make([]byte, size), id.Recipient()))(f))
	}
	f.Add(stockSeal(f, []byte(binding+"x\n"), stock.Recipient()))
	addVectors(f, "hybrid", "stanza", "hmac")
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := agebox.Open(binding, p, id)
		if err != nil {
			onlyOne(t, got, err)
			return
		}
		if want := stockOpen(t, p, stock); string(want) != binding+"\n"+string(got) {
			t.Error("age reads another plaintext")
		}
	})
}

// FuzzTamper changes one sealed file of each kind in one place and cuts or
// extends it. Unless that changes nothing, the file does not open.
func FuzzTamper(f *testing.F) {
	id, lock, pass := vectorIdentity(f), agebox.Lock{1}, secret("p")
	body := bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // of more than one chunk
	sealed := [][]byte{
		must(agebox.Seal(binding, body, id.Recipient()))(f),
		must(lock.Seal(body))(f),
		must(agebox.SealPassphrase(binding, body, pass, 1))(f),
	}
	f.Add(uint8(0), uint32(0), uint8(1), uint32(0), []byte{})
	f.Add(uint8(1), uint32(100), uint8(0x80), uint32(1), []byte{})
	f.Add(uint8(2), uint32(1<<16), uint8(0), uint32(0), []byte("\n"))
	f.Add(uint8(0), uint32(0), uint8(0), uint32(16), sealed[0][len(sealed[0])-16:])
	f.Fuzz(func(t *testing.T, kind uint8, at uint32, xor uint8, cut uint32, tail []byte) {
		good := sealed[int(kind)%len(sealed)]
		p := bytes.Clone(good)
		p[int(at)%len(p)] ^= xor
		p = append(p[:len(p)-int(cut)%len(p)], tail...)
		if worksHard(p) {
			return
		}
		var got []byte
		var err error
		switch int(kind) % len(sealed) {
		case 0:
			got, err = agebox.Open(binding, p, id)
		case 1:
			got, err = lock.Open(p)
		default:
			got, err = agebox.OpenPassphrase(binding, p, pass)
		}
		switch {
		case !bytes.Equal(p, good):
			onlyOne(t, got, err)
		case err != nil || !bytes.Equal(got, body):
			t.Errorf("the file as it was: got %d bytes, %v", len(got), err)
		}
	})
}

// FuzzLock opens any bytes with a lock.
func FuzzLock(f *testing.F) {
	lock := agebox.Lock{1}
	stock := must(age.NewScryptIdentity(string(lock.Passphrase().Bytes())))(f)
	for _, size := range []int{0, 10, 4096} {
		f.Add(must(lock.Seal(make([]byte, size)))(f))
	}
	f.Add(must(agebox.SealPassphrase(binding, nil, lock.Passphrase(), 2))(f))
	addVectors(f, "scrypt")
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := lock.Open(p) // a work factor above 1 is refused before any work
		if err != nil {
			onlyOne(t, got, err)
			return
		}
		if want := stockOpen(t, p, stock); !bytes.Equal(want, got) {
			t.Error("age reads another plaintext")
		}
	})
}

// workFactor finds what a scrypt stanza asks for.
var workFactor = regexp.MustCompile(`-> scrypt [^ \n]* ([0-9]+)\n`)

// worksHard reports whether opening p as a passphrase file takes longer than a
// fuzzer can wait: up to 18 is worked through by design, and more is refused
// before any work.
func worksHard(p []byte) bool {
	for _, m := range workFactor.FindAllSubmatch(p, -1) {
		if n, err := strconv.Atoi(string(m[1])); err == nil && n > 4 && n <= agebox.MaxWorkFactor {
			return true
		}
	}
	return false
}

// FuzzPassphrase opens any bytes with a passphrase. Work factors that would be
// worked through are tried up to 4, all that are refused beyond 18.
func FuzzPassphrase(f *testing.F) {
	pass := secret("password")
	stock := must(age.NewScryptIdentity(string(pass.Bytes())))(f)
	for _, size := range []int{0, 10, 4096} {
		f.Add(must(agebox.SealPassphrase(binding, make([]byte, size), pass, 1))(f))
	}
	addVectors(f, "scrypt")
	f.Fuzz(func(t *testing.T, p []byte) {
		if worksHard(p) {
			return
		}
		got, err := agebox.OpenPassphrase(binding, p, pass)
		if err != nil {
			onlyOne(t, got, err)
			return
		}
		if want := stockOpen(t, p, stock); string(want) != binding+"\n"+string(got) {
			t.Error("age reads another plaintext")
		}
	})
}

// FuzzParseKeys parses any text as a recipient and as an identity. What parses
// is written as the same text, so a key has one spelling; what does not is
// quoted in no error.
func FuzzParseKeys(f *testing.F) {
	id := vectorIdentity(f)
	r, key := id.Recipient().String(), string(id.Secret().Bytes())
	classic := must(age.ParseX25519Identity("AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"))(f) // of the vectors
	for _, s := range []string{"", r, key, strings.ToUpper(r), strings.ToLower(key), key + "\n", r[:len(r)-6], "age1pq1" + strings.Repeat("q", 1952), classic.String(), classic.Recipient().String(),
		"AGE-SECRET-KEY-PQ-1" + strings.Repeat("Q", 58)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := agebox.ParseRecipient(s); err == nil {
			if r.String() != s {
				t.Errorf("a recipient has two spellings: %q and %q", s, r)
			}
			if _, err := agebox.Seal(binding, nil, r); err != nil {
				t.Errorf("a recipient parses and takes nothing: %v", err)
			}
		} else if len(s) > 24 && strings.Contains(err.Error(), s) {
			t.Errorf("the error quotes the input: %v", err)
		}
		if id, err := agebox.ParseIdentity(crypto.NewSecret([]byte(s))); err == nil {
			if string(id.Secret().Bytes()) != s {
				t.Error("an identity has two spellings")
			}
			sealed := must(agebox.Seal(binding, []byte("body"), id.Recipient()))(t)
			if got, err := agebox.Open(binding, sealed, id); err != nil || string(got) != "body" {
				t.Errorf("an identity parses and does not open: %v", err)
			}
		} else if len(s) > 24 && strings.Contains(err.Error(), s) {
			t.Errorf("the error quotes the input: %v", err)
		}
	})
}
