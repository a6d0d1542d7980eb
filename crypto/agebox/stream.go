package agebox

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
)

// Backups do not fit in memory, so they are the one thing that is sealed and opened
// as a stream. What a reader gives out before its end has verified chunk by chunk,
// and not yet that nothing is missing: whoever reads keeps it apart, and uses none of
// it, until the reader has returned io.EOF. It does so only behind the chunk that is
// marked as the last one.

// SealTo writes to w an age file like one of Seal, of what is written to the writer it
// returns. Close ends the file; without it no reader takes the file for whole. It does
// not close w.
func SealTo(w io.Writer, binding string, to *Recipient) (io.WriteCloser, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if to == nil || to.r == nil {
		return nil, errors.New("seal: empty recipient")
	}
	return sealTo(w, binding, to.r)
}

// OpenFrom reads an age file that SealTo wrote under this binding. A file that is not
// for id, has another binding, is damaged, cut or extended gives ErrCannotOpen, at the
// latest when it is read; an error of r itself is returned as it is.
func OpenFrom(r io.Reader, binding string, id *Identity) (io.Reader, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if id == nil || id.i == nil {
		return nil, errors.New("open: empty identity")
	}
	return openFrom(r, binding, id.i)
}

// SealPassphraseTo is SealTo for a person's passphrase; logN is WorkFactor everywhere
// but in tests.
func SealPassphraseTo(w io.Writer, binding string, pass crypto.Secret, logN int) (io.WriteCloser, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if logN < 1 || logN > MaxWorkFactor || pass.Len() == 0 {
		return nil, errors.New("seal: no passphrase, or a work factor out of range")
	}
	p, err := age.NewScryptRecipient(string(pass.Bytes()))
	if err != nil {
		return nil, err
	}
	p.SetWorkFactor(logN)
	return sealTo(w, binding, p)
}

// OpenPassphraseFrom is OpenFrom for what SealPassphraseTo wrote.
func OpenPassphraseFrom(r io.Reader, binding string, pass crypto.Secret) (io.Reader, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if pass.Len() == 0 {
		return nil, ErrCannotOpen
	}
	p, err := age.NewScryptIdentity(string(pass.Bytes()))
	if err != nil {
		return nil, ErrCannotOpen
	}
	p.SetMaxWorkFactor(MaxWorkFactor)
	return openFrom(r, binding, p)
}

func sealTo(w io.Writer, binding string, to age.Recipient) (io.WriteCloser, error) {
	out, err := age.Encrypt(w, to)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(out, binding+"\n"); err != nil {
		return nil, err
	}
	return out, nil
}

func openFrom(r io.Reader, binding string, id age.Identity) (io.Reader, error) {
	below := &source{r: r}
	plain, err := age.Decrypt(below, id)
	if err != nil {
		return nil, below.fault()
	}
	o := &opened{plain: plain, below: below}
	line := make([]byte, len(binding)+1)
	if _, err := io.ReadFull(o, line); err != nil {
		if below.err == nil {
			err = ErrCannotOpen
		}
		return nil, err
	}
	if !bytes.Equal(line, []byte(binding+"\n")) {
		return nil, ErrCannotOpen
	}
	return o, nil
}

// A source notes an error of reading that is not the file's fault.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *source) fault() error {
	if s.err != nil {
		return s.err
	}
	return ErrCannotOpen
}

type opened struct {
	plain io.Reader
	below *source
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	if err != nil && err != io.EOF {
		err = o.below.fault()
	}
	return n, err
}
