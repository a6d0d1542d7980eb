package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

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
	if t, err = parseTombstones(body); err != nil {
		return nil, s.v.tampered(ctx, m.object, placeOf(m, blobTombstones), err)
	}
	return t, nil
}

// parseTombstones reads what is sealed. Tags stand in rising order, each once:
// what parses is written again as the same bytes.
func parseTombstones(body []byte) (*tombstones, error) {
	if len(body) < tombstoneKey || (len(body)-tombstoneKey)%tombstoneSize != 0 {
		return nil, errTombstones
	}
	t := &tombstones{key: body[:tombstoneKey], tags: map[[tombstoneSize]byte]bool{}}
	tags := body[tombstoneKey:]
	for i := 0; i < len(tags); i += tombstoneSize {
		if i > 0 && bytes.Compare(tags[i-tombstoneSize:i], tags[i:i+tombstoneSize]) >= 0 {
			return nil, errTombstones
		}
		t.tags[[tombstoneSize]byte(tags[i:])] = true
	}
	return t, nil
}

var errTombstones = errors.New("malformed tombstones")

func (t *tombstones) tag(kind, address, word string) (tag [tombstoneSize]byte) {
	m := hmac.New(sha256.New, t.key)
	m.Write([]byte(kind + "\n" + address + "\n" + word))
	copy(tag[:], m.Sum(nil))
	return tag
}

// Kinds of tags. A word is a part of a name, as names are compared.
const (
	tagWord     = "address and word"
	tagOnlyWord = "address and only word"
	tagNameless = "address without a name"
	tagAnybody  = "address of anybody"
)

// bury remembers a contact. It is met again in a row with one of its addresses
// whose name has two of its words, or no other words, or none at all: "José
// Ángel Peña" in "PEÑA José" and "Jose". Others of the household who share an
// address and a family name are not met, except by the address that somebody
// was erased by, which by names: they asked for it to be forgotten, whoever
// uses it. by is "" for somebody erased by id.
func (t *tombstones) bury(value func(sheet.Field) string, by sheet.Field) {
	words := nameWords(value)
	for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
		address := value(f)
		if address == "" {
			continue
		}
		for _, w := range words {
			t.tags[t.tag(tagWord, address, w)] = true
		}
		if len(words) == 1 {
			t.tags[t.tag(tagOnlyWord, address, words[0])] = true
		}
		t.tags[t.tag(tagNameless, address, "")] = true
		if f == by || len(words) == 0 {
			t.tags[t.tag(tagAnybody, address, "")] = true
		}
	}
}

// keepOut remembers an address, whoever has it.
func (t *tombstones) keepOut(address string) { t.tags[t.tag(tagAnybody, address, "")] = true }

// nameWords are the parts of a contact's name, as names are compared.
func nameWords(value func(sheet.Field) string) []string {
	words := strings.Fields(sheet.NameKey(wholeName(value)))
	slices.Sort(words)
	return slices.Compact(words)
}

// holds reports whether a contact was erased before.
func (t *tombstones) holds(value func(sheet.Field) string) bool {
	if len(t.tags) == 0 {
		return false
	}
	words := nameWords(value)
	for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
		if address := value(f); address != "" && t.meets(address, words) {
			return true
		}
	}
	return false
}

func (t *tombstones) meets(address string, words []string) bool {
	if t.tags[t.tag(tagAnybody, address, "")] {
		return true
	}
	if len(words) == 0 {
		return t.tags[t.tag(tagNameless, address, "")]
	}
	common := 0
	for _, w := range words {
		if t.tags[t.tag(tagOnlyWord, address, w)] {
			return true
		}
		if t.tags[t.tag(tagWord, address, w)] {
			common++
		}
	}
	return common >= 2 || common == len(words)
}

// encode returns t as it is sealed.
func (t *tombstones) encode() []byte {
	tags := make([][]byte, 0, len(t.tags))
	for tag := range t.tags {
		tags = append(tags, tag[:])
	}
	slices.SortFunc(tags, bytes.Compare) // the order of erasing is nobody's business
	body := bytes.Clone(t.key)
	for _, tag := range tags {
		body = append(body, tag...)
	}
	return body
}

// setTombstones seals t into the list.
func (d *draft) setTombstones(t *tombstones, l *agebox.Recipient) error {
	return d.seal(blobTombstones, bind(blobTombstones, d.vault, d.object), t.encode(), l)
}
