package pgp_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

// inOrder skips a test of other programs under the race detector: they do one thing
// after another, and it takes five times as long.
func inOrder(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("one thing after another: run it without the race detector")
	}
}

// dearmor returns the bytes inside the armor.
func dearmor(t testing.TB, b []byte) []byte {
	t.Helper()
	block, err := armor.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%v in %q", err, b)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(block.Body); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// rows is what is sent: not text, and more than a chunk.
var rows = bytes.Repeat([]byte("Ana;+34 600 000 000\r\n\x00\xff"), 9000)

// A program is an OpenPGP program as a partner has it, with one key.
type program struct {
	name string
	cert []byte // binary
	// open decrypts, and wants the signature of the group to be good.
	open func(t testing.TB, message []byte) ([]byte, error)
	// sign makes receipts of a file in the ways the program knows.
	sign func(t testing.TB, file string) map[string][]byte
}

// group1 is the group's key in these tests, made an hour ago at most.
var group1 = sync.OnceValue(func() *pgp.Signer {
	private, _, err := pgp.NewSigning(group, time.Now())
	if err != nil {
		panic(err)
	}
	s, err := pgp.OpenSigner(private)
	if err != nil {
		panic(err)
	}
	return s
})

func ours(t testing.TB) []byte {
	t.Helper()
	b, err := pgp.Armor(group1().Certificate())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// gnupgPrograms has a key for signatures and one for messages of each kind.
func gnupgPrograms(t *testing.T, kinds ...[2]string) []program {
	g := newGnuPG(t)
	g.run(t, ours(t), "--import")
	var all []program
	for _, algorithm := range kinds {
		name := algorithm[0]
		g.run(t, nil, "--quick-gen-key", name, algorithm[0], "sign", "1y")
		listing := string(g.run(t, nil, "--with-colons", "--list-keys", name))
		_, rest, _ := strings.Cut(listing, "\nfpr:::::::::")
		fpr := rest[:40]
		g.run(t, nil, "--quick-add-key", fpr, algorithm[1], "encr", "1y")
		sign := func(t testing.TB, file string) map[string][]byte {
			all := map[string][]byte{}
			for _, how := range []string{"--clearsign", "--sign", "--sign --armor", "--sign --textmode", "--sign --compress-algo none", "--sign --compress-algo bzip2"} {
				all[how] = g.run(t, nil, append([]string{"--local-user", fpr, "-o", "-"}, append(strings.Fields(how), file)...)...)
			}
			return all
		}
		open := func(t testing.TB, message []byte) ([]byte, error) {
			out, diag, err := g.try(message, "--decrypt")
			if err != nil {
				return nil, fmt.Errorf("%w: %s", err, diag)
			}
			for _, want := range []string{"GOODSIG ", "VALIDSIG " + group1().Fingerprint(), "DECRYPTION_OKAY", "GOODMDC"} {
				if !strings.Contains(diag, "[GNUPG:] "+want) {
					return nil, fmt.Errorf("no %s in %s", want, diag)
				}
			}
			return out, nil
		}
		all = append(all, program{"gpg " + name, g.run(t, nil, "--export", fpr), open, sign})
	}
	return all
}

func sequoiaPrograms(t *testing.T, suites ...string) []program {
	tool(t, "sq")
	dir := t.TempDir()
	signer := writeFile(t, filepath.Join(dir, "group"), ours(t))
	var all []program
	for _, suite := range suites {
		key := filepath.Join(dir, suite)
		command(t, nil, "sq", "key", "generate", "--userid", "Partner", "--cipher-suite", suite, "--export", key)
		cert, _ := command(t, nil, "sq", "key", "extract-cert", key)
		open := func(t testing.TB, message []byte) ([]byte, error) {
			out, diag, err := runCommand(exec.Command("sq", "decrypt", "--recipient-key", key, "--signer-cert", signer), message)
			if err != nil {
				return nil, fmt.Errorf("%w: %s", err, diag)
			}
			return out, nil
		}
		sign := func(t testing.TB, file string) map[string][]byte {
			all := map[string][]byte{}
			for _, how := range []string{"", "--binary", "--cleartext-signature"} {
				out, _ := command(t, nil, "sq", append(append([]string{"sign", "--signer-key", key}, strings.Fields(how)...), file)...)
				all["sign "+how] = out
			}
			return all
		}
		all = append(all, program{"sq " + suite, dearmor(t, cert), open, sign})
	}
	if _, err := exec.LookPath("sqop"); err != nil {
		return all
	}
	key := filepath.Join(dir, "cv25519")
	n := 0
	open := func(t testing.TB, message []byte) ([]byte, error) {
		n++
		file := filepath.Join(dir, fmt.Sprint("verifications", n))
		out, diag, err := runCommand(exec.Command("sqop", "decrypt", "--verify-with="+signer, "--verifications-out="+file, key), message)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, diag)
		}
		if v, err := os.ReadFile(file); err != nil || bytes.Count(v, []byte("\n")) != 1 || !bytes.Contains(v, []byte(group1().Fingerprint())) {
			return nil, fmt.Errorf("verifications %q, %v", v, err)
		}
		return out, nil
	}
	sign := func(t testing.TB, file string) map[string][]byte {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string][]byte{}
		for _, how := range []string{"binary", "text", "clearsigned"} {
			all["inline-sign --as="+how], _ = command(t, in, "sqop", "inline-sign", "--as="+how, key)
		}
		return all
	}
	return append(all, program{"sqop", all[0].cert, open, sign})
}

func rnpPrograms(t *testing.T) []program {
	tool(t, "rnp")
	tool(t, "rnpkeys")
	home := t.TempDir()
	rnpkeys := func(args ...string) []byte {
		out, _ := command(t, nil, "rnpkeys", append([]string{"--homedir", home, "--password", "x", "--notty"}, args...)...)
		return out
	}
	rnpkeys("--generate-key", "--userid", "Partner", "--numbits", "2048")
	rnpkeys("--import-keys", writeFile(t, filepath.Join(home, "group.asc"), ours(t)))
	cert := dearmor(t, rnpkeys("--export-key", "Partner"))
	rnp := func(in []byte, args ...string) ([]byte, string, error) {
		return runCommand(exec.Command("rnp", append([]string{"--homedir", home, "--password", "x", "--notty", "--output", "-"}, args...)...), in)
	}
	open := func(t testing.TB, message []byte) ([]byte, error) {
		out, diag, err := rnp(message, "--decrypt", "-")
		if err != nil || !strings.Contains(diag, "Good signature made") || !strings.Contains(strings.ToUpper(diag), group1().Fingerprint()[24:]) {
			return nil, fmt.Errorf("%v: %s", err, diag)
		}
		return out, nil
	}
	sign := func(t testing.TB, file string) map[string][]byte {
		all := map[string][]byte{}
		for _, how := range []string{"--clearsign", "--sign", "--sign --armor"} {
			out, diag, err := rnp(nil, append(append([]string{"--userid", "Partner"}, strings.Fields(how)...), file)...)
			if err != nil {
				t.Fatalf("rnp %s: %v: %s", how, err, diag)
			}
			all[how] = out
		}
		return all
	}
	return []program{{"rnp", cert, open, sign}}
}

// openpgpJS runs OpenPGP.js, which RALLYVAULT_OPENPGPJS has in its node_modules.
func openpgpJSPrograms(t *testing.T) []program {
	tool(t, "node")
	home := os.Getenv("RALLYVAULT_OPENPGPJS")
	if home == "" {
		missing(t, "RALLYVAULT_OPENPGPJS names no directory with openpgp in node_modules")
	}
	dir := t.TempDir()
	signer := writeFile(t, filepath.Join(dir, "group"), ours(t))
	js := func(args ...string) ([]byte, string, error) {
		cmd := exec.Command("node", append([]string{"testdata/openpgp.cjs"}, args...)...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(home, "node_modules"))
		return runCommand(cmd, nil)
	}
	var all []program
	for _, kind := range []string{"v4legacy", "v4nistp256", "v4", "v4aead", "v6", "v6x448"} {
		key := filepath.Join(dir, kind)
		cert, diag, err := js("generate", kind, key)
		if err != nil {
			t.Fatalf("%v: %s", err, diag)
		}
		open := func(t testing.TB, message []byte) ([]byte, error) {
			out, diag, err := js("decrypt", key, signer, writeFile(t, filepath.Join(dir, "message"), message))
			if err != nil || strings.TrimSpace(diag) != "verified "+strings.ToLower(group1().Fingerprint()[24:]) {
				return nil, fmt.Errorf("%v: %s", err, diag)
			}
			return out, nil
		}
		sign := func(t testing.TB, file string) map[string][]byte {
			out, diag, err := js("sign", key, file)
			if err != nil {
				t.Fatalf("%v: %s", err, diag)
			}
			return map[string][]byte{"cleartext": out}
		}
		all = append(all, program{"openpgp.js " + kind, dearmor(t, cert), open, sign})
	}
	return all
}

// TestPrograms lets each program open an export and sign that it is deleted.
func TestPrograms(t *testing.T) {
	inOrder(t)
	for _, tt := range []struct {
		name string
		make func(*testing.T) []program
	}{{"gpg", func(t *testing.T) []program {
		return gnupgPrograms(t, [2]string{"rsa2048", "rsa2048"}, [2]string{"ed25519", "cv25519"}, [2]string{"nistp256", "nistp256"}, [2]string{"brainpoolP256r1", "brainpoolP256r1"})
	}}, {"sq", func(t *testing.T) []program { return sequoiaPrograms(t, "cv25519", "rsa3k") }}, {"rnp", rnpPrograms}, {"openpgp.js", openpgpJSPrograms}} {
		t.Run(tt.name, func(t *testing.T) {
			_, together := receiver(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: time.Now})
			foreign := certificate(t, group1().Certificate())
			for _, p := range tt.make(t) {
				t.Run(p.name, func(t *testing.T) {
					cert := certificate(t, p.cert)
					for _, to := range [][]*pgp.Certificate{{cert}, {together, cert}} {
						got, err := p.open(t, encrypt(t, rows, to, group1(), time.Now()))
						if err != nil || !bytes.Equal(got, rows) {
							t.Errorf("to %d: got %d bytes, want %d, %v", len(to), len(got), len(rows), err)
						}
					}
					// Another group's message must not pass for ours.
					if _, err := p.open(t, encrypt(t, rows, []*pgp.Certificate{cert}, signer(t, time.Now()), time.Now())); err == nil {
						t.Error("takes the signature of another group for ours")
					}
					file := writeFile(t, filepath.Join(t.TempDir(), "receipt.txt"), []byte(line+"\n"))
					other := pgp.ReceiptLine("OTHER", digest)
					for how, signed := range p.sign(t, file) {
						t.Run("receipt "+how, func(t *testing.T) {
							checkReceipt(t, cert, signed, line, time.Now(), "")
							checkReceipt(t, cert, signed, other, time.Now(), "other-text")
							checkReceipt(t, foreign, signed, line, time.Now(), "other-key")
						})
					}
				})
			}
		})
	}
}

// TestProgramsRefuseChanges flips bits in a message: in the whole of what stands
// before the rows, and in places spread over the rest.
func TestProgramsRefuseChanges(t *testing.T) {
	inOrder(t)
	// Packet header, version, key id, algorithm and length of the number come before
	// the first byte of the ephemeral point, 0x40.
	const prefix = 2 + 1 + 8 + 1 + 2
	step := 15 // of each so many places one
	if os.Getenv("RALLYVAULT_LONG") != "" {
		step = 1
	}
	for _, tt := range []struct {
		name string
		make func(*testing.T) []program
	}{{"gpg", func(t *testing.T) []program { return gnupgPrograms(t, [2]string{"ed25519", "cv25519"}) }},
		{"sq", func(t *testing.T) []program { return sequoiaPrograms(t, "cv25519") }}} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.make(t)[0]
			text := rows[:5000]
			message := encrypt(t, text, []*pgp.Certificate{certificate(t, p.cert)}, group1(), time.Now())
			var places []int
			for i := 0; i < 300; i += step {
				places = append(places, i)
			}
			for i := range 200 / step {
				places = append(places, 300+i*(len(message)-301)*step/200)
			}
			places = append(places, len(message)-1)
			for _, i := range places {
				bad := bytes.Clone(message)
				bad[i] ^= 1 << (i % 8)
				got, err := p.open(t, bad)
				if err == nil && i == prefix && bytes.Equal(got, text) {
					continue // it says how the point is written, and gpg does not look at it
				}
				if err == nil {
					t.Errorf("byte %d of %d may be changed", i, len(message))
				}
			}
			for _, n := range []int{50, 120, 300, len(message) / 2, len(message) - 22, len(message) - 1} {
				if _, err := p.open(t, message[:n]); err == nil {
					t.Errorf("all after byte %d of %d may be missing", n, len(message))
				}
			}
		})
	}
}
