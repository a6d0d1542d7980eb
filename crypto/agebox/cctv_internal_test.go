package agebox

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	agetest "c2sp.org/CCTV/age"
	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
)

// A vector is one of c2sp.org/CCTV/age, in the words of its README.
type vector struct {
	expect, payload         string
	identities, passphrases []string
	armored                 bool
	file                    []byte
}

func readVector(t *testing.T, name string) vector {
	t.Helper()
	data, err := fs.ReadFile(agetest.Vectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	compressed := false
	for {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			t.Fatal("no end of the vector's header")
		}
		data = rest
		if len(line) == 0 {
			break
		}
		key, value, _ := strings.Cut(string(line), ": ")
		switch key {
		case "expect":
			v.expect = value
		case "payload":
			v.payload = value
		case "identity":
			v.identities = append(v.identities, value)
		case "passphrase":
			v.passphrases = append(v.passphrases, value)
		case "armored":
			v.armored = value == "yes"
		case "compressed":
			compressed = true
		case "file key", "comment":
		default:
			t.Fatalf("unknown key %q", key)
		}
	}
	v.file = data
	if compressed {
		z, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if v.file, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// keys returns age's own keys for a vector: what this package would use if it
// took every kind.
func (v *vector) keys(t *testing.T) (all []age.Identity) {
	t.Helper()
	for _, text := range v.identities {
		if strings.HasPrefix(text, "AGE-SECRET-KEY-PQ-1") {
			id, err := ParseIdentity(crypto.NewSecret([]byte(text)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, id.i)
			continue
		}
		id, err := age.ParseX25519Identity(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	for _, text := range v.passphrases {
		id, err := age.NewScryptIdentity(text)
		if err != nil {
			t.Fatal(err)
		}
		id.SetMaxWorkFactor(MaxWorkFactor)
		all = append(all, id)
	}
	return all
}

// TestCCTV holds this package to the vectors of c2sp.org/CCTV/age.
//
// Under the binding line, every vector that age opens gives its payload, and
// every other gives ErrCannotOpen and not one byte: those whose first chunks
// verify are where a streaming reader would have handed something out. There is
// one exception, armored files: what we store is binary, so all of them are
// refused.
//
// Through the exported functions no vector opens. Their payloads carry no
// binding line; classic X25519 identities are not taken at all, because what is
// recorded today is to stay closed to a quantum computer; and a Lock is 32
// random bytes, so no vector's passphrase is one. Stanzas of other kinds beside
// a hybrid one ("grease", X25519) are passed over, as the specification asks:
// who else can read a file was its maker's choice, and whether it is the right
// file is for the statement's hash to say.
func TestCCTV(t *testing.T) {
	names, err := fs.Glob(agetest.Vectors, "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 147 {
		t.Fatalf("got %d vectors", len(names))
	}
	anyHybrid, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	opened := map[string]int{}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			v := readVector(t, name)
			want := v.expect == "success" && !v.armored
			got := false
			for _, key := range v.keys(t) {
				plain, err := open(v.file, key)
				switch {
				case err == nil && !want:
					t.Errorf("opened %d bytes, want %s", len(plain), v.expect)
				case err == nil:
					got = true
					sum := sha256.Sum256(plain)
					if hex.EncodeToString(sum[:]) != v.payload {
						t.Error("another payload")
					}
					switch key.(type) {
					case *age.HybridIdentity:
						opened["hybrid"]++
					case *age.ScryptIdentity:
						opened["scrypt"]++
					default:
						opened["X25519"]++
					}
				case err != ErrCannotOpen || plain != nil:
					t.Errorf("got %d bytes and %v, want ErrCannotOpen", len(plain), err)
				}
			}
			if got != want {
				t.Errorf("opened %v, want %v: %s", got, want, v.expect)
			}
			v.refused(t, anyHybrid)
		})
	}
	if opened["hybrid"] < 4 || opened["scrypt"] < 1 || opened["X25519"] < 10 {
		t.Errorf("too few vectors opened: %v", opened)
	}
}

// refused gives a vector to every exported way of opening.
func (v *vector) refused(t *testing.T, anyHybrid *Identity) {
	t.Helper()
	// Bindings that a payload could be taken to have: its first line is not one.
	for _, binding := range []string{"rallyvault/1 x", "age", "test"} {
		ids := []*Identity{anyHybrid}
		for _, text := range v.identities {
			id, err := ParseIdentity(crypto.NewSecret([]byte(text)))
			if hybrid := strings.HasPrefix(text, "AGE-SECRET-KEY-PQ-1"); (err == nil) != hybrid {
				t.Errorf("identity taken: %v, want only hybrid ones", err == nil)
			}
			if err == nil {
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			if got, err := Open(binding, v.file, id); err != ErrCannotOpen || got != nil {
				t.Errorf("Open: got %q, %v", got, err)
			}
		}
		for _, pass := range append(slices.Clone(v.passphrases), "password") {
			if got, err := OpenPassphrase(binding, v.file, crypto.NewSecret([]byte(pass))); err != ErrCannotOpen || got != nil {
				t.Errorf("OpenPassphrase: got %q, %v", got, err)
			}
		}
	}
	if got, err := NewLock().Open(v.file); err != ErrCannotOpen || got != nil {
		t.Errorf("Lock.Open: got %q, %v", got, err)
	}
}
