package vault

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// A PlantStore is a store in which a test plants blobs that open: what somebody
// could do who knows the recipient and could make the audit trail vouch for it.
type PlantStore struct {
	Store
	mu      sync.Mutex
	planted map[string][]byte // by object and name
}

// Blob implements Store.
func (s *PlantStore) Blob(ctx context.Context, object, name string) ([]byte, error) {
	s.mu.Lock()
	data, ok := s.planted[object+" "+name]
	s.mu.Unlock()
	if ok {
		return data, nil
	}
	return s.Store.Blob(ctx, object, name)
}

// plant puts body under a binding into the place of a blob of m, and returns the
// manifest that names it.
func (s *Session) plant(m *statement, name string, body []byte, to *agebox.Identity) (*statement, error) {
	d := m.draft()
	if err := d.seal(name, bind(name, m.vault, m.object), body, to.Recipient()); err != nil {
		return nil, err
	}
	store := s.v.store.(*PlantStore)
	store.mu.Lock()
	store.planted = map[string][]byte{m.object + " " + name: d.data[name]}
	store.mu.Unlock()
	return d.statement, nil
}

// PlantTitle opens body as the title of a list, and returns it as it would be
// sealed again.
func (s *Session) PlantTitle(ctx context.Context, id ListID, body []byte) (again []byte, err error) {
	_, m, err := s.open(id)
	if err != nil {
		return nil, err
	}
	o, err := s.groupKey(ctx, keyO)
	if err != nil {
		return nil, err
	}
	if m, err = s.plant(m, blobTitle, body, o); err != nil {
		return nil, err
	}
	t, err := s.title(ctx, m)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(t)
	return pad(text), err
}

// PlantReasons opens body as the reasons of a list and adds one, and returns
// them as they would be sealed.
func (s *Session) PlantReasons(ctx context.Context, id ListID, body []byte) (again []byte, err error) {
	_, m, err := s.openAsSteward(id)
	if err != nil {
		return nil, err
	}
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	if m, err = s.plant(m, blobReasons, body, l); err != nil {
		return nil, err
	}
	d := m.draft()
	if _, err := s.addReason(ctx, d, "purpose", "so it was decided"); err != nil {
		return nil, err
	}
	return agebox.Open(bind(blobReasons, m.vault, m.object), d.data[blobReasons], l)
}

// AuditSize is the number of entries of the audit trail.
func (v *Vault) AuditSize() int64 { return v.trail.Size() }
