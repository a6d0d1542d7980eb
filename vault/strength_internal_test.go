package vault

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
)

func TestCommonPassphrases(t *testing.T) {
	for _, p := range []string{"aaaaaaaaaaaa", "abababababab", "ABCabcABCabc", "passwordpassword", "Password1234", "123456789012", "qwertyuiop12", "abcdefghijkl", "contraseña12", "letmeinletmein!", "rallyvault2026"} {
		if err := checkPassphrase(crypto.NewSecret([]byte(p))); KindOf(err) != Invalid {
			t.Errorf("%q: got %v, want invalid", p, err)
		}
	}
	for _, p := range []string{"correct horse battery staple", "tres gatos negros", "ünïcödé wörds", "k3jd-9fja-q0vm"} {
		if err := checkPassphrase(crypto.NewSecret([]byte(p))); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", "short", "eleven char", "ááááéééíó"} {
		var e *Error
		if err := checkPassphrase(crypto.NewSecret([]byte(p))); !errors.As(err, &e) || e.Code != "passphrase-short" {
			t.Errorf("%q: got %v, want too short", p, err)
		}
	}
}

// TestWeakPassphrases: what is refused can be guessed in a few months by one machine
// that has the disk, and what is not is what people use who were told to take words.
func TestWeakPassphrases(t *testing.T) {
	known := []string{"Maple Street Neighbours", "heron"}
	for _, p := range []string{"qwertyuiopas", "password12345", "P@ssw0rd1234", "dragondragon1", "footballfootball", "iloveyou1234", "jennifer1990", "Summer2026!!",
		"barcelona2026", "michael19850412", "1q2w3e4r5t6y", "january 2026!", "maplestreet2026", "Maple Street Neighbours", "maple street 2026", "rallyvault-2026!", "heron1heron1",
		strings.Repeat("password", 200)} {
		var e *Error
		if err := checkPassphrase(crypto.NewSecret([]byte(p)), known...); !errors.As(err, &e) || e.Kind != Invalid || e.Code != "passphrase-weak" && e.Code != "passphrase-common" {
			t.Errorf("%.30q: got %v, want weak", p, err)
		} else if strings.Contains(e.Error()+e.Hint, p) {
			t.Errorf("%.30q: the refusal repeats it", p)
		}
	}
	for _, p := range []string{"correct horse battery staple", "marsh lantern oboe quartz", "test passphrase 12345", "test passphrase", "next passphrase", "mi gato negro",
		"maple street oboe quartz", "heron lantern oboe", strings.Repeat("marsh lantern oboe quartz ", 40)} {
		if err := checkPassphrase(crypto.NewSecret([]byte(p)), known...); err != nil {
			t.Errorf("%.30q: %v", p, err)
		}
	}
	// What is known counts: the name alone is fine for whom it says nothing of.
	name := crypto.NewSecret([]byte("quillfeather street"))
	if err := checkPassphrase(name); err != nil {
		t.Errorf("somebody else's street: %v", err)
	}
	if err := checkPassphrase(name, "Quillfeather Street"); !hasCode(err, "passphrase-weak") {
		t.Errorf("the group's own: got %v, want weak", err)
	}
}

// TestLongPassphrasesCostLittle: the estimate takes a time that grows with a power of
// the length, and anybody may have one made.
func TestLongPassphrasesCostLittle(t *testing.T) {
	long := strings.Repeat("1q2w3e4r5t19901112Aa1!", 1<<12)
	start := time.Now()
	if err := checkPassphrase(crypto.NewSecret([]byte(long))); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second { // a thousand characters take minutes
		t.Errorf("took %v", took)
	}
}
