package vault

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A Founding is what a group decides when it sets up its vault.
type Founding struct {
	Organisation string
	Handle       string // of the first organiser; better a pseudonym
	Passphrase   crypto.Secret

	// Recovery is "none": a lost passphrase is final. Or it says how many shares
	// on paper open the vault together, of how many: "2/3"; see shares.ParseScheme.
	Recovery string

	// KeepShares is handed the shares before the founding takes effect, and
	// brings them to where they are kept: nobody sees them again, and they are
	// wiped when it returns. An error stops the founding. It is needed unless Recovery is "none".
	KeepShares func([]shares.Share) error

	// Silence is how long no organiser may sign in before the group counts as
	// ended: "off", "180d" or "365d".
	Silence string

	Signing Signing
}

// Signing is the group's OpenPGP key, as package sharing makes it. The vault
// keeps it and does not look inside.
type Signing struct {
	Private     crypto.Secret // transferable secret key, binary
	Certificate []byte        // transferable public key, binary
}

// Names of the vault's own blobs.
const (
	blobOrganisation = "organisation"        // the group's name, sealed to O
	blobCertificate  = "signing-certificate" // OpenPGP, sealed to O
	blobSigningKey   = "signing-key"         // OpenPGP, sealed to P
	blobHandle       = "handle"              // a member's handle as spelled, sealed to O
	blobPassphrase   = "passphrase"          // a member's passphrase file, inside a lock
)

var validHandle = regexp.MustCompile(`^[a-z0-9._-]{2,32}$`)

func checkHandle(h string) error {
	if !validHandle.MatchString(h) {
		return &Error{Kind: Invalid, Op: "vault.handle", Code: "handle", Fields: []FieldError{{"handle", "2 to 32 of a-z 0-9 . _ -"}},
			Msg: "a handle is 2 to 32 of the characters a-z, 0-9, dot, underscore and hyphen", Hint: "a pseudonym is best: a guessed handle can be confirmed from a stolen disk"}
	}
	return nil
}

// handleMAC stands for a handle at rest. Whoever has the slot file can confirm
// a guess; whoever has the database alone cannot.
func (v *Vault) handleMAC(vault, handle string) string {
	secret := v.slots.HandleSecret()
	defer clear(secret)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("rallyvault/1 handle " + vault + " " + handle))
	return Hash(m.Sum(nil)).String()
}

// Found sets the vault up: its keys, its first organiser, the first entry of
// its audit trail. After an error of the code "unknown-outcome" it may be set up
// all the same, so shares that KeepShares has kept must stay.
func (v *Vault) Found(ctx context.Context, f Founding) error {
	const op = "vault.Found"
	if err := f.Check(); err != nil {
		return err
	}
	if f.Recovery != recoveryNone && f.KeepShares == nil {
		return invalid("recovery-shares", "recovery shares need a place to be kept")
	}
	v.founding.Lock()
	defer v.founding.Unlock()
	if v.isOver() {
		return v.errOver()
	}
	if v.Founded() {
		return &Error{Kind: Conflict, Op: op, Code: "set-up-already", Msg: "the vault in this data directory is set up already"}
	}

	if v.writer != nil {
		// The commit of an earlier try may be in doubt; an act of nothing
		// finds out.
		if err := v.nothing(ctx); err != nil {
			return err
		}
		if v.statement(v.slots.VaultID().String()) != nil {
			if err := v.finishFounding(); err != nil {
				return err
			}
			return &Error{Kind: Conflict, Op: op, Code: "set-up-already", Msg: "the vault was set up by the try before this one",
				Hint: "sign in with the handle and the passphrase that were given then"}
		}
	}

	id := uuid.New()
	_, logKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	if v.slots.Founded() { // an earlier set-up did not end
		if err := v.slots.Wipe(); err != nil {
			return slotFault(err)
		}
	}
	if err := v.slots.Found(id, logKey, [32]byte(randomBytes(32)), [32]byte(randomBytes(32))); err != nil {
		return slotFault(err)
	}
	if v.trail, err = audit.New(audit.OriginOf(id.String()), logKey); err != nil {
		return err
	}
	v.logKey = logKey
	v.writer = newWriter(v)

	member := MemberID(newID())
	vd, md, err := v.foundingDrafts(ctx, id.String(), string(member), f)
	if err != nil {
		return err
	}
	err = v.doKnown(ctx, func(t *actTx) error {
		if err := vd.store(t); err != nil {
			return err
		}
		if err := md.store(t); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.VaultSetup, By: string(member)})
	})
	if err != nil {
		return err
	}
	return v.finishFounding()
}

// finishFounding opens the vault whose founding is durable.
func (v *Vault) finishFounding() error {
	v.noteNow()
	v.mu.Lock()
	v.founded = true
	v.mu.Unlock()
	v.caughtUp.Store(true)
	v.startKeepers()
	return nil
}

// Check refuses a founding that Found would refuse, before anything is made for
// it. Signing is not looked at.
func (f *Founding) Check() error {
	const op = "vault.Found"
	if err := checkText(op, "organisation", f.Organisation); err != nil {
		return err
	}
	if err := checkHandle(f.Handle); err != nil {
		return err
	}
	if err := checkPassphrase(f.Passphrase, f.Organisation, f.Handle); err != nil {
		return err
	}
	if f.Recovery != recoveryNone {
		if _, _, err := parseScheme(f.Recovery); err != nil {
			return err
		}
	}
	if f.Silence == "" {
		return nil
	}
	return checkSilence(f.Silence)
}

// foundingDrafts makes O, P, the first member's M, and everything sealed to
// them; and the recovery shares, which are kept somewhere when it returns. The
// locks are durable then.
func (v *Vault) foundingDrafts(ctx context.Context, vault, member string, f Founding) (vd, md *draft, err error) {
	var keys [3]*agebox.Identity // M, O, P
	for i := range keys {
		if keys[i], err = agebox.NewIdentity(); err != nil {
			return nil, nil, err
		}
	}
	m, o, p := keys[0], keys[1], keys[2]
	locks, err := v.slots.Create(slots.ID{}, 3, 0)
	if err != nil {
		return nil, nil, slotFault(err)
	}

	vd = newDraft(kindVault, vault, vault)
	vd.facts["founded"] = v.clock.now().Format(time.DateOnly)
	vd.facts[factRecovery] = recoveryNone
	vd.facts[factSilence] = cmp.Or(f.Silence, silenceOff)
	vd.setInt("epoch-O", 1)
	vd.setInt("epoch-P", 1)
	vd.setRecipient(recipientName(1, keyO), o.Recipient())
	vd.setRecipient(recipientName(1, keyP), p.Recipient())

	md = newDraft(kindMember, vault, member)
	md.facts[factRole] = string(Organiser)
	md.facts[factSince] = vd.facts["founded"]
	md.facts[factPassphraseSince] = vd.facts["founded"]
	md.facts[factHandleMAC] = v.handleMAC(vault, f.Handle)
	md.facts[factRecipient] = m.Recipient().String()
	file, err := v.passphraseFile(ctx, vault, member, m, f.Passphrase)
	if err != nil {
		return nil, nil, err
	}
	for _, err := range []error{
		sealInto(md, blobPassphrase, file)(locks[0]),
		vd.wrap(1, keyO, member, o, m.Recipient(), locks[1]),
		vd.wrap(1, keyP, member, p, m.Recipient(), locks[2]),
		vd.seal(blobOrganisation, bind(blobOrganisation, vault), pad([]byte(f.Organisation)), o.Recipient()),
		vd.seal(blobCertificate, bind(blobCertificate, vault), f.Signing.Certificate, o.Recipient()),
		vd.seal(blobSigningKey, bind(blobSigningKey, vault), f.Signing.Private.Bytes(), p.Recipient()),
		md.seal(blobHandle, bind(blobHandle, vault, member), pad([]byte(f.Handle)), o.Recipient()),
	} {
		if err != nil {
			return nil, nil, err
		}
	}
	if f.Recovery == recoveryNone {
		return vd, md, nil
	}
	return vd, md, v.foundRecovery(vd, f, o, p)
}

func passphraseBinding(vault, member string) string { return bind("passphrase", vault, member) }

// maxProse is the longest paragraph that is kept, in characters.
const maxProse = 4000

// checkProse is checkText for paragraphs, such as the words of a consent.
func checkProse(op, field, s string) error {
	n := utf8.RuneCountInString(s)
	bad := n > maxProse || !utf8.ValidString(s) || strings.TrimSpace(s) == ""
	for _, r := range s {
		bad = bad || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f
	}
	if bad {
		return &Error{Kind: Invalid, Op: op, Code: "text", Params: map[string]string{"field": field},
			Msg: fmt.Sprintf("%s is 1 to %d characters", field, maxProse), Fields: []FieldError{{field, "too long, empty, or not text"}}}
	}
	return nil
}

// checkText enforces the contract for titles, purposes, reasons and names.
func checkText(op, field, s string) error {
	n := utf8.RuneCountInString(s)
	bad := n < 1 || n > 200 || !utf8.ValidString(s)
	blank := true
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			bad = true
		}
		if r != ' ' {
			blank = false
		}
	}
	if bad || blank {
		return &Error{Kind: Invalid, Op: op, Code: "text", Params: map[string]string{"field": field},
			Msg:    field + " is 1 to 200 characters without line breaks",
			Fields: []FieldError{{field, "1 to 200 characters without line breaks"}}}
	}
	return nil
}
