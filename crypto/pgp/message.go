package pgp

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	stdcrypto "crypto"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto"
)

// chunk is how much plaintext, in bytes, is signed and encrypted at a time: a power of two,
// so that it becomes one partial body of the literal packet (RFC 9580 §4.2.1.4).
const chunk = 128 << 10

// errClosed is what a message answers that has ended or failed.
var errClosed = errors.New("the openpgp message has ended")

// Encrypt returns a writer for the plaintext of one binary OpenPGP message to the
// holders of to, signed by s. Close ends it; what was written before is no whole
// message without it, and a program must refuse it. So do not close after an error
// of one's own.
//
// The packets (RFC 9580 §10.3) are put together here rather than by openpgp.Encrypt,
// which takes AES-128 or another hash where a certificate prefers it. They are, for
// every certificate:
//
//   - one session key packet for each certificate, with its key id in it: GnuPG and
//     Thunderbird find their key by it. So a message shows every reader of it who
//     else can;
//   - one integrity-protected packet with AES-256. It has a modification detection
//     code (SEIPD version 1), or is authenticated (version 2) where every certificate
//     asks for that, by the features flag or by being version 6: then in GCM if all
//     of them name it, else in OCB, which is mandatory to implement;
//   - in it a one-pass signature, one binary literal packet without name and date,
//     and the signature: EdDSA with SHA-512, of s at now, naming the certificates it
//     is meant for (§5.2.3.36), so that none of them can pass it on as if it had been
//     sent to somebody else.
//
// Nothing is compressed: sizes then do not depend on what is in a file. An error
// names the fingerprint of the certificate that cannot receive at now.
func Encrypt(w io.Writer, to []*Certificate, s *Signer, now time.Time) (io.WriteCloser, error) {
	const op = "encrypt openpgp message"
	if len(to) == 0 {
		return nil, errors.New(op + ": nobody to encrypt to")
	}
	c := config(now)
	signer, err := s.signingKey(now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	keys := make([]*packet.PublicKey, len(to))
	recipients := make([]*packet.Recipient, len(to))
	aead, suite := true, packet.CipherSuite{Cipher: packet.CipherAES256, Mode: packet.AEADModeGCM}
	for i, r := range to {
		k, err := r.entity.EncryptionKeyWithError(r.at(now), c)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %s cannot receive: %w", op, fingerprint(r.entity), err)
		}
		self := k.PrimarySelfSignature
		keys[i] = k.PublicKey
		recipients[i] = &packet.Recipient{KeyVersion: r.entity.PrimaryKey.Version, Fingerprint: r.entity.PrimaryKey.Fingerprint}
		aead = aead && (self.SEIPDv2 || r.entity.PrimaryKey.Version == 6)
		if !slices.Contains(self.PreferredCipherSuites, [2]uint8{uint8(packet.CipherAES256), uint8(packet.AEADModeGCM)}) {
			suite.Mode = packet.AEADModeOCB
		}
	}

	session := make([]byte, packet.CipherAES256.KeySize())
	defer clear(session)
	rand.Read(session) // never fails
	out := bufio.NewWriter(w)
	for i, k := range keys {
		if err := packet.SerializeEncryptedKeyAEAD(out, k, packet.CipherAES256, aead, session, c); err != nil {
			return nil, fmt.Errorf("%s: certificate %s: %w", op, fingerprint(to[i].entity), err)
		}
	}
	sealed, err := packet.SerializeSymmetricallyEncrypted(out, packet.CipherAES256, aead, suite, session, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	m := &message{out: out, sealed: sealed, signer: signer, config: c, buf: make([]byte, 0, chunk)}
	m.signature = &packet.Signature{
		Version:            signer.Version,
		SigType:            packet.SigTypeBinary,
		PubKeyAlgo:         signer.PubKeyAlgo,
		Hash:               stdcrypto.SHA512,
		CreationTime:       now,
		IssuerKeyId:        &signer.KeyId,
		IssuerKeyVersion:   uint8(signer.Version),
		IssuerFingerprint:  signer.Fingerprint,
		IntendedRecipients: recipients,
	}
	if m.hash, err = m.signature.PrepareSign(c); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	ops := packet.OnePassSignature{Version: 3, SigType: packet.SigTypeBinary, Hash: stdcrypto.SHA512,
		PubKeyAlgo: signer.PubKeyAlgo, KeyId: signer.KeyId, IsLast: true}
	if err := ops.Serialize(sealed); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	// The literal packet ends before what it stands in does.
	if m.literal, err = packet.SerializeLiteral(noClose{sealed}, true, "", 0); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return m, nil
}

type noClose struct{ io.Writer }

func (noClose) Close() error { return nil }

// A message is the plaintext side of Encrypt.
type message struct {
	out       *bufio.Writer  // the bytes of the message
	sealed    io.WriteCloser // packets inside the integrity-protected one
	literal   io.WriteCloser // contents of the literal packet
	hash      hash.Hash      // of these contents
	signature *packet.Signature
	signer    *packet.PrivateKey
	config    *packet.Config
	buf       []byte // contents that wait for a whole chunk
	err       error  // the first failure, or errClosed
}

func (m *message) Write(p []byte) (n int, err error) {
	for len(p) > 0 && m.err == nil {
		k := copy(m.buf[len(m.buf):cap(m.buf)], p)
		m.buf, p, n = m.buf[:len(m.buf)+k], p[k:], n+k
		if len(m.buf) == cap(m.buf) {
			m.err = m.flush()
		}
	}
	return n, m.err
}

// flush hashes and encrypts a chunk at the same time. Hashing takes about a third of
// the work, most of the rest is go-crypto's CFB, and both only read the chunk.
func (m *message) flush() error {
	hashed := make(chan struct{})
	go func() {
		m.hash.Write(m.buf)
		close(hashed)
	}()
	_, err := m.literal.Write(m.buf)
	<-hashed
	m.buf = m.buf[:0]
	return err
}

func (m *message) Close() error {
	if m.err != nil {
		return m.err
	}
	m.err = m.end()
	clear(m.buf[:cap(m.buf)])
	if m.err != nil {
		return m.err
	}
	m.err = errClosed
	return nil
}

func (m *message) end() error {
	if err := m.flush(); err != nil {
		return err
	}
	if err := m.literal.Close(); err != nil {
		return err
	}
	if err := m.signature.Sign(m.hash, m.signer, m.config); err != nil {
		return fmt.Errorf("sign openpgp message: %w", err)
	}
	if err := m.signature.Serialize(m.sealed); err != nil {
		return err
	}
	if err := m.sealed.Close(); err != nil {
		return err
	}
	return m.out.Flush()
}

// Decrypt opens a binary OpenPGP message as a partner does, for tests and the
// demonstration: with a private key without passphrase, and only if it is encrypted
// with integrity protection and signed by signer alone. now is the time at which the
// signature must have been made and not lapsed.
//
// What the reader gives is trustworthy only after it has said io.EOF; a message that
// was changed, cut short or signed by somebody else ends with another error.
func Decrypt(r io.Reader, private crypto.Secret, signer *Certificate, now time.Time) (io.Reader, error) {
	own, err := OpenSigner(private)
	if err != nil {
		return nil, err
	}
	m, err := openpgp.ReadMessage(r, openpgp.EntityList{signer.entity, own.entity}, nil, config(now))
	if err != nil {
		return nil, fmt.Errorf("decrypt openpgp message: %w", err)
	}
	if !m.IsEncrypted || m.IsSymmetricallyEncrypted {
		return nil, errors.New("decrypt openpgp message: it is not encrypted to a certificate")
	}
	if len(m.SignatureCandidates) != 1 {
		return nil, fmt.Errorf("decrypt openpgp message: got %d signatures, want 1", len(m.SignatureCandidates))
	}
	return &verified{m, signer.entity.PrimaryKey.Fingerprint}, nil
}

// verified reads the contents of a message and says io.EOF only if the signature
// and the integrity protection are right.
type verified struct {
	m      *openpgp.MessageDetails
	signer []byte // the fingerprint wanted
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.m.UnverifiedBody.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, fmt.Errorf("decrypt openpgp message: %w", err)
	case v.m.SignatureError != nil:
		return n, fmt.Errorf("decrypt openpgp message: %w", v.m.SignatureError)
	case v.m.SignedBy == nil || !bytes.Equal(v.m.SignedBy.Entity.PrimaryKey.Fingerprint, v.signer):
		return n, errors.New("decrypt openpgp message: it is not signed by who should have")
	}
	return n, io.EOF
}
