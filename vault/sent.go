package vault

import (
	"context"
	"encoding/json"

	"golang.org/x/crypto/blake2b"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// Whom an export was of is kept until its list ends: sixteen bytes a person, sealed to
// Y. The first eight are the beginning of the contact's id: of a million people, one
// of 2^44 who were never sent is taken for one who was. The others say what was sent,
// without having it: so a partner is told nothing of somebody that it did not get.
const (
	personSize = 8
	valuesSize = 8
)

// A valuesHash is BLAKE2b-256 (RFC 7693), cut to eight bytes, of a key of the export
// and a person's values as they were sent. The key is in front of them: BLAKE2 allows
// that, and keyed BLAKE2b would spend a whole block on it for every person.
type valuesHash struct {
	text []byte // the key, then what is hashed
	key  int    // its length, in bytes
}

func newValuesHash(y *agebox.Identity) *valuesHash {
	secret := y.Secret()
	defer secret.Wipe()
	key := blake2b.Sum256(append([]byte("rallyvault/1 sent "), secret.Bytes()...))
	return &valuesHash{text: key[:], key: len(key)}
}

// sum appends the hash of a person's values, in the order of the export's fields.
func (v *valuesHash) sum(dst, person []byte, values []string) []byte {
	v.text = append(v.text[:v.key], person...)
	for _, value := range values {
		v.text = append(append(v.text, value...), 0) // no value holds a zero
	}
	sum := blake2b.Sum256(v.text)
	return append(dst, sum[:valuesSize]...)
}

// A sent is an export that some people were in.
type sent struct {
	export   *statement
	partners []ledgerPartner
	unknown  bool // whom it was of cannot be read
	people   map[[personSize]byte][valuesSize]byte
	valuesOf *valuesHash
}

// had reports whether somebody was in the export, with these values.
func (x *sent) had(id [16]byte, values []string) bool {
	person := [personSize]byte(id[:personSize])
	sum, in := x.people[person]
	return in && [valuesSize]byte(x.valuesOf.sum(nil, person[:], values)) == sum
}

// unknownPartner stands for partners of whom it cannot be read who they are.
const unknownPartner = "a partner that cannot be read: see rallyvault export ls"

// sentIn opens Y and the partners of an export of a list. The member holds L.
func (s *Session) sentIn(ctx context.Context, m, e *statement) (y *agebox.Identity, partners []ledgerPartner, err error) {
	name := blobSent + e.object
	if _, ok := m.blobs[name]; !ok {
		return nil, nil, damaged(placeOf(m, name), errManifest)
	}
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	binding, _ := m.restBinding(name)
	body, err := s.v.openBlob(ctx, m, name, binding, l)
	if err != nil {
		return nil, nil, err
	}
	defer clear(body)
	var t sentText
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, nil, s.v.tampered(ctx, m.object, placeOf(m, name), err)
	}
	secret := crypto.NewSecret([]byte(t.Key))
	defer secret.Wipe()
	if y, err = agebox.ParseIdentity(secret); err != nil {
		return nil, nil, s.v.tampered(ctx, m.object, placeOf(m, name), err)
	}
	return y, t.Partners, nil
}

// wasSent fills in which of some people were in an export.
func (s *Session) wasSent(ctx context.Context, x *sent, y *agebox.Identity, who map[[personSize]byte]bool) error {
	x.valuesOf = newValuesHash(y)
	for i := range x.export.segments {
		g := &x.export.segments[i]
		if _, ok := g.column(columnPeople); !ok {
			continue
		}
		sealed, err := s.v.sealedColumns(ctx, x.export, g, []string{columnPeople})
		if err != nil {
			return err
		}
		body, err := agebox.Open(partBinding(x.export, columnPeople, g.id), sealed[0], y)
		if err != nil {
			return s.v.tampered(ctx, x.export.object, placeOfColumn(x.export, g.id, columnPeople), err)
		}
		for ; len(body) >= personSize+valuesSize; body = body[personSize+valuesSize:] {
			if id := [personSize]byte(body); who[id] {
				x.people[id] = [valuesSize]byte(body[personSize:])
			}
		}
	}
	return nil
}

// sentTo returns the exports of a list that some people were in. One of which that
// cannot be known is among them.
func (s *Session) sentTo(ctx context.Context, m *statement, gone map[[16]byte]bool) (out []*sent, err error) {
	exports := s.v.exportsOf(m.object)
	if len(exports) == 0 || len(gone) == 0 {
		return nil, nil
	}
	who := make(map[[personSize]byte]bool, len(gone))
	for id := range gone {
		who[[personSize]byte(id[:personSize])] = true
	}
	for _, e := range exports {
		x := &sent{export: e, people: map[[personSize]byte][valuesSize]byte{}}
		var y *agebox.Identity
		if y, x.partners, err = s.sentIn(ctx, m, e); err == nil {
			err = s.wasSent(ctx, x, y, who)
		}
		if beyondRepair(err) {
			x.unknown = true
			if x.partners == nil {
				x.partners = []ledgerPartner{{Name: unknownPartner}}
			}
			err = nil
		}
		if err != nil {
			return nil, err
		}
		if x.unknown || len(x.people) > 0 {
			out = append(out, x)
		}
	}
	return out, nil
}
