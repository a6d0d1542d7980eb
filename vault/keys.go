package vault

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
)

// Names of keys as they stand in bindings and blob names. F keys go by their
// field. crypto/KEYS.md has the whole table.
const (
	keyO = "O" // every member: titles, handles, the signing certificate
	keyP = "P" // organisers, and who may export: the signing key, partners
	keyL = "L" // a list's stewards: every key of the list
)

// bind makes the first line of a plaintext, which says what it is and where
// it belongs: age files carry no associated data, and anybody who knows a
// recipient can make one.
func bind(kind string, parts ...any) string {
	var b strings.Builder
	b.WriteString("rallyvault/1 ")
	b.WriteString(kind)
	for _, p := range parts {
		fmt.Fprintf(&b, " %v", p)
	}
	return b.String()
}

func wrapName(epoch int64, key, holder string) string {
	return fmt.Sprintf("wrap/%d/%s/%s", epoch, key, holder)
}
func recipientName(epoch int64, key string) string { return fmt.Sprintf("recipient/%d/%s", epoch, key) }
func keyName(epoch int64, field string) string     { return fmt.Sprintf("key/%d/%s", epoch, field) }

// A draft collects the blobs of a new statement together with the bytes to be
// stored in the same transaction.
type draft struct {
	*statement
	base *statement // nil for a new object
	data map[string][]byte
	drop []string

	relies []reliance
}

// A reliance is a fact of another object that a draft was made from.
type reliance struct{ object, key, value string }

// rely voids the draft once a fact of another object has changed: a key that
// was wrapped to a member's identity must not be stored after that identity was
// replaced, or nobody could open it.
func (d *draft) rely(s *statement, key string) {
	d.relies = append(d.relies, reliance{s.object, key, s.fact(key)})
}

func newDraft(kind, vault, object string) *draft {
	return &draft{statement: newStatement(kind, vault, object), data: map[string][]byte{}}
}

func (s *statement) draft() *draft {
	return &draft{statement: s.clone(), base: s, data: map[string][]byte{}}
}

// set adds a blob as it is.
func (d *draft) set(name string, lock slots.ID, data []byte) {
	d.blobs[name] = blobRef{lock: lock, sum: sha256.Sum256(data)}
	d.data[name] = data
}

// remove takes a blob out. Its lock, if it has one, is the caller's to clear
// once the act is durable.
func (d *draft) remove(name string) {
	delete(d.blobs, name)
	delete(d.data, name)
	d.drop = append(d.drop, name)
}

// seal adds a blob sealed to a recipient, without a lock.
func (d *draft) seal(name, binding string, body []byte, to *agebox.Recipient) error {
	sealed, err := agebox.Seal(binding, body, to)
	if err != nil {
		return err
	}
	d.set(name, slots.ID{}, sealed)
	return nil
}

// sealLocked adds a blob sealed to a recipient inside a lock of its own.
func (d *draft) sealLocked(name, binding string, body []byte, to *agebox.Recipient, slot slots.Slot) error {
	inner, err := agebox.Seal(binding, body, to)
	if err != nil {
		return err
	}
	outer, err := slot.Lock.Seal(inner)
	if err != nil {
		return err
	}
	d.set(name, slot.ID, outer)
	return nil
}

// wrap adds a key sealed to one holder, inside a lock of its own.
func (d *draft) wrap(epoch int64, key, holder string, id *agebox.Identity, to *agebox.Recipient, slot slots.Slot) error {
	secret := id.Secret()
	defer secret.Wipe()
	return d.sealLocked(wrapName(epoch, key, holder), d.wrapBinding(epoch, key, holder), secret.Bytes(), to, slot)
}

func (s *statement) wrapBinding(epoch int64, key, holder string) string {
	return bind("wrap", s.vault, s.object, epoch, key, holder)
}

func (s *statement) keyBinding(epoch int64, field string) string {
	return bind("key", s.vault, s.object, epoch, field)
}

// store writes the draft in an act: its blobs and then the statement.
func (d *draft) store(t *actTx) error {
	for _, r := range d.relies {
		if cur := t.current(r.object); cur == nil || cur.fact(r.key) != r.value {
			return errOvertaken()
		}
	}
	for _, name := range d.drop {
		if err := t.DeleteBlob(d.object, name); err != nil {
			return err
		}
	}
	for name, data := range d.data {
		if err := t.PutBlob(d.object, name, d.blobs[name].sum, data); err != nil {
			return err
		}
	}
	return t.put(d.base, d.statement)
}

func placeOf(s *statement, blob string) string {
	return fmt.Sprintf("%s %s: %s", s.kind, s.object, blob)
}

// blob returns a blob that a statement names, after comparing its hash.
func (v *Vault) blob(ctx context.Context, s *statement, name string) ([]byte, error) {
	ref, ok := s.blobs[name]
	if !ok {
		return nil, &Error{Kind: NotFound, Op: "vault.blob", Msg: "no such blob"}
	}
	data, err := v.store.Blob(ctx, s.object, name)
	if err != nil && KindOf(err) != NotFound {
		return nil, err
	}
	if err != nil || sha256.Sum256(data) != ref.sum {
		return nil, v.overtaken(ctx, s, func() error { return v.tampered(ctx, s.object, placeOf(s, name), err) })
	}
	return data, nil
}

// overtaken returns errChanged if a statement is not current any more, which
// explains why what it names is not there, and otherwise what found says. A
// commit is in the database a moment before it is in memory: an act of nothing
// is answered when those before it are in both.
func (v *Vault) overtaken(ctx context.Context, s *statement, found func() error) error {
	if v.statement(s.object) == s && v.writer != nil {
		if err := v.nothing(ctx); err != nil {
			return err
		}
	}
	if v.statement(s.object) != s {
		return errChanged
	}
	return found()
}

// openBlob opens a blob sealed to id, inside its lock if it has one.
func (v *Vault) openBlob(ctx context.Context, s *statement, name, binding string, id *agebox.Identity) ([]byte, error) {
	sealed, err := v.blob(ctx, s, name)
	if err != nil {
		return nil, err
	}
	if sealed, err = v.unlock(ctx, s, name, sealed); err != nil {
		return nil, err
	}
	body, err := agebox.Open(binding, sealed, id)
	if err != nil {
		// What was sealed anew meanwhile is no damage for having been opened
		// with the key of now.
		return nil, v.overtaken(ctx, s, func() error { return v.tampered(ctx, s.object, placeOf(s, name), err) })
	}
	return body, nil
}

// unlock takes the outer layer off a blob that has one.
func (v *Vault) unlock(ctx context.Context, s *statement, name string, data []byte) ([]byte, error) {
	id := s.blobs[name].lock
	if id == (slots.ID{}) {
		return data, nil
	}
	lock, ok := v.slots.Lock(id)
	if !ok {
		return nil, v.overtaken(ctx, s, func() error {
			return &Error{Kind: Gone, Op: "vault.unlock", Code: "lock-gone",
				Msg: placeOf(s, name) + ": its lock was overwritten, nobody can open it any more"}
		})
	}
	inner, err := lock.Open(data)
	if err != nil {
		return nil, v.tampered(ctx, s.object, placeOf(s, name), err)
	}
	return inner, nil
}

// openKey opens a blob that holds an identity.
func (v *Vault) openKey(ctx context.Context, s *statement, name, binding string, id *agebox.Identity) (*agebox.Identity, error) {
	body, err := v.openBlob(ctx, s, name, binding, id)
	if err != nil {
		return nil, err
	}
	secret := crypto.NewSecret(body)
	defer secret.Wipe()
	key, err := agebox.ParseIdentity(secret)
	if err != nil {
		return nil, v.tampered(ctx, s.object, placeOf(s, name), err)
	}
	return key, nil
}

// recipient returns a public recipient that a statement vouches for.
func (v *Vault) recipient(ctx context.Context, s *statement, name string) (*agebox.Recipient, error) {
	text, err := v.blob(ctx, s, name)
	if err != nil {
		return nil, err
	}
	r, err := agebox.ParseRecipient(string(text))
	if err != nil {
		return nil, v.tampered(ctx, s.object, placeOf(s, name), err)
	}
	return r, nil
}

// setRecipient adds a public recipient.
func (d *draft) setRecipient(name string, r *agebox.Recipient) {
	d.set(name, slots.ID{}, []byte(r.String()))
}
