package agebox_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// A streamed file opens for its key, whole, and in no other way: any flipped bit, any
// cut and anything behind it is found before the end.
func TestStreams(t *testing.T) {
	id, err := agebox.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := agebox.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 12<<10) // three chunks
	pass := func(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }
	for _, form := range []struct {
		name string
		seal func(w io.Writer) (io.WriteCloser, error)
		open func(r io.Reader, binding string) (io.Reader, error)
		with func(r io.Reader) (io.Reader, error) // another key
	}{
		{"recipient", func(w io.Writer) (io.WriteCloser, error) { return agebox.SealTo(w, "what", id.Recipient()) },
			func(r io.Reader, b string) (io.Reader, error) { return agebox.OpenFrom(r, b, id) },
			func(r io.Reader) (io.Reader, error) { return agebox.OpenFrom(r, "what", other) }},
		{"passphrase", func(w io.Writer) (io.WriteCloser, error) { return agebox.SealPassphraseTo(w, "what", pass("one"), 4) },
			func(r io.Reader, b string) (io.Reader, error) { return agebox.OpenPassphraseFrom(r, b, pass("one")) },
			func(r io.Reader) (io.Reader, error) { return agebox.OpenPassphraseFrom(r, "what", pass("two")) }},
	} {
		t.Run(form.name, func(t *testing.T) {
			var sealed bytes.Buffer
			w, err := form.seal(&sealed)
			if err != nil {
				t.Fatal(err)
			}
			for rest := body; len(rest) > 0; rest = rest[min(1000, len(rest)):] {
				if _, err := w.Write(rest[:min(1000, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			unended := bytes.Clone(sealed.Bytes())
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			read := func(file []byte, binding string) ([]byte, error) {
				r, err := form.open(iotest.OneByteReader(bytes.NewReader(file)), binding)
				if err != nil {
					return nil, err
				}
				return io.ReadAll(r)
			}
			if got, err := read(sealed.Bytes(), "what"); err != nil || !bytes.Equal(got, body) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			bad := map[string][]byte{"unended": unended, "empty": nil, "extended": append(bytes.Clone(sealed.Bytes()), 0), "cut": sealed.Bytes()[:sealed.Len()-1]}
			for at := 0; at < sealed.Len(); at += 4099 {
				flipped := bytes.Clone(sealed.Bytes())
				flipped[at] ^= 4
				bad[string(rune('0'+at))] = flipped
			}
			for what, file := range bad {
				if _, err := read(file, "what"); err != agebox.ErrCannotOpen {
					t.Errorf("%s: got %v, want ErrCannotOpen", what, err)
				}
			}
			if _, err := read(sealed.Bytes(), "else"); err != agebox.ErrCannotOpen {
				t.Errorf("another binding: got %v", err)
			}
			if _, err := form.with(bytes.NewReader(sealed.Bytes())); err != agebox.ErrCannotOpen {
				t.Errorf("another key: got %v", err)
			}
			broken := errors.New("the disk")
			r, err := form.open(io.MultiReader(bytes.NewReader(sealed.Bytes()[:sealed.Len()/2]), iotest.ErrReader(broken)), "what")
			if err == nil {
				_, err = io.ReadAll(r)
			}
			if !errors.Is(err, broken) {
				t.Errorf("a disk that fails: got %v", err)
			}
		})
	}
}
