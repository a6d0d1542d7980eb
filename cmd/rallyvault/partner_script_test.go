package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

// A testKey is an OpenPGP key as a partner has one.
type testKey struct {
	entity      *openpgp.Entity
	secret      []byte // binary
	certificate []byte // armored
	fingerprint string
}

// makeTestKey makes a key that lives for so long.
func makeTestKey(made time.Time, life time.Duration) (*testKey, error) {
	e, err := openpgp.NewEntity("Partner", "", "partner@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
		KeyLifetimeSecs: uint32(life / time.Second), Time: func() time.Time { return made }})
	if err != nil {
		return nil, err
	}
	var secret, certificate bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&secret, nil); err != nil {
		return nil, err
	}
	if err := e.Serialize(&certificate); err != nil {
		return nil, err
	}
	k := &testKey{entity: e, secret: secret.Bytes()}
	if k.certificate, err = pgp.Armor(certificate.Bytes()); err != nil {
		return nil, err
	}
	k.fingerprint, err = pgp.Fingerprint(certificate.Bytes())
	return k, err
}

func newTestKey(t testing.TB) *testKey {
	t.Helper()
	k, err := makeTestKey(time.Now().Add(-time.Hour), 3*365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open decrypts a message that has to be signed by the armored certificate.
func (k *testKey) open(message, signer []byte) ([]byte, error) {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(signer))
	if err != nil {
		return nil, err
	}
	m, err := openpgp.ReadMessage(bytes.NewReader(message), append(ring, k.entity), nil, nil)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(m.UnverifiedBody)
	if err == nil {
		err = m.SignatureError
	}
	return b, err
}

// sign signs text in the clear.
func (k *testKey) sign(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, k.entity.PrivateKey, nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

type keysKey struct{}

// scriptPartnerKeys makes what partners send: aid.asc, other.asc and third.asc, with
// the fingerprints in $AID, $OTHER and $THIRD, that of aid spelled otherwise in
// $AIDSPELLED and in the file fingerprint; and secret.asc, expired.asc, two.asc and
// big, which are to be refused. $SOON is a day of the next month.
func scriptPartnerKeys(ts *testscript.TestScript, neg bool, args []string) {
	keys := map[string]*testKey{}
	write := func(name string, b []byte) { ts.Check(os.WriteFile(ts.MkAbs(name), b, 0o600)) }
	for _, name := range []string{"aid", "other", "third"} {
		k, err := makeTestKey(time.Now().Add(-time.Hour), 3*365*24*time.Hour)
		ts.Check(err)
		keys[name] = k
		write(name+".asc", k.certificate)
		ts.Setenv(strings.ToUpper(name), k.fingerprint)
	}
	f := strings.ToLower(keys["aid"].fingerprint)
	spelled := f[:4] + " " + f[4:20] + "  " + f[20:30] + "\t" + f[30:]
	ts.Setenv("AIDSPELLED", spelled)
	write("fingerprint", []byte(spelled+"\n"))
	ts.Setenv("SOON", time.Now().AddDate(0, 0, 30).UTC().Format(time.DateOnly))
	expired, err := makeTestKey(time.Date(2025, 1, 2, 12, 0, 0, 0, time.UTC), 365*24*time.Hour)
	ts.Check(err)
	write("expired.asc", expired.certificate)
	write("secret.asc", keys["other"].secret)
	write("two.asc", append(bytes.Clone(keys["other"].certificate), keys["third"].certificate...))
	write("big", make([]byte, 1<<20+1))
	for name, k := range keys {
		ts.Value(keysKey{}).(map[string]*testKey)[name] = k
	}
}

// scriptDecrypt opens FILE as aid, wants it signed by the certificate in SIGNER, and
// leaves what was in it in the file plain: decrypt FILE SIGNER.
func scriptDecrypt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: decrypt FILE SIGNER")
	}
	plain, err := ts.Value(keysKey{}).(map[string]*testKey)["aid"].open([]byte(ts.ReadFile(args[0])), []byte(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("plain"), plain, 0o600))
	ts.Logf("[plain]\n%s", plain)
}

// scriptSign has a partner sign a file in the clear: sign WHO FILE SIGNED.
func scriptSign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sign WHO FILE SIGNED")
	}
	signed, err := ts.Value(keysKey{}).(map[string]*testKey)[args[0]].sign([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), signed, 0o600))
}
