package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"slices"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Tombstones keep a later import from silently bringing back somebody who was
// erased. They are HMACs under a key of their own, sealed to L with it: who is
// not on the list any more can be asked of it by a steward, and by nobody
// else, and cannot be read out of it by anybody.
//
// The sealed body is the key (32 bytes) and one tag (16 bytes) after another.
type tombstones struct {
	key  []byte
	tags map[[tombstoneSize]byte]bool
}

const (
	tombstoneKey  = 32 // bytes
	tombstoneSize = 16 // bytes of an HMAC-SHA256, enough that no two people meet
)

func (s *Session) tombstones(ctx context.Context, m *statement) (*tombstones, error) {
	t := &tombstones{tags: map[[tombstoneSize]byte]bool{}}
	if _, ok := m.blobs[blobTombstones]; !ok {
		t.key = randomBytes(tombstoneKey)
		return t, nil
	}
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	body, err := s.v.openBlob(ctx, m, blobTombstones, bind(blobTombstones, m.vault, m.object), l)
	if err != nil {
		return nil, err
	}
	if len(body) < tombstoneKey || (len(body)-tombstoneKey)%tombstoneSize != 0 {
		return nil, damaged(placeOf(m, blobTombstones), nil)
	}
	t.key, body = body[:tombstoneKey], body[tombstoneKey:]
	for ; len(body) > 0; body = body[tombstoneSize:] {
		t.tags[[tombstoneSize]byte(body)] = true
	}
	return t, nil
}

func (t *tombstones) tag(kind, address, name string) (tag [tombstoneSize]byte) {
	m := hmac.New(sha256.New, t.key)
	m.Write([]byte(kind + "\n" + address + "\n"))
	m.Write(sheet.AppendNameKey(nil, name))
	copy(tag[:], m.Sum(nil))
	return tag
}

// bury remembers a contact. Somebody erased by an address, which by names,
// asked for it to be forgotten whoever uses it. Any other is shared perhaps
// with others of the household, who stay; by is "" for somebody erased by id.
func (t *tombstones) bury(value func(sheet.Field) string, by sheet.Field) {
	name := wholeName(value)
	for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
		if value(f) == "" {
			continue
		}
		t.tags[t.tag(string(f)+" and name", value(f), name)] = true
		if f == by {
			t.tags[t.tag(string(f), value(f), "")] = true
		}
	}
}

// holds reports whether a contact was erased before.
func (t *tombstones) holds(value func(sheet.Field) string) bool {
	if len(t.tags) == 0 {
		return false
	}
	name := wholeName(value)
	for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
		if a := value(f); a != "" && (t.tags[t.tag(string(f), a, "")] || t.tags[t.tag(string(f)+" and name", a, name)]) {
			return true
		}
	}
	return false
}

// setTombstones seals t into the list.
func (d *draft) setTombstones(t *tombstones, l *agebox.Recipient) error {
	tags := make([][]byte, 0, len(t.tags))
	for tag := range t.tags {
		tags = append(tags, tag[:])
	}
	slices.SortFunc(tags, bytes.Compare) // the order of erasing is nobody's business
	body := bytes.Clone(t.key)
	for _, tag := range tags {
		body = append(body, tag...)
	}
	return d.seal(blobTombstones, bind(blobTombstones, d.vault, d.object), body, l)
}
