package vault

import (
	"context"
	"slices"
	"time"
)

// A Batch is an import of a list that can still be undone.
type Batch struct {
	ID       BatchID   `json:"batch"`
	Day      string    `json:"day"`      // of the import, in UTC
	Contacts int       `json:"contacts"` // that it brought
	Until    time.Time `json:"until"`    // it can be undone until then, and within the hour after it
}

// Imports returns the imports of a list that can be undone, the last one first. The
// list's stewards may ask.
func (s *Session) Imports(_ context.Context, id ListID) ([]Batch, error) {
	_, m, err := s.openAsSteward(id)
	if err != nil {
		return nil, err
	}
	out := []Batch{}
	for _, n := range slices.Backward(m.undoable()) {
		// The hour that addBatch adds is not promised.
		b := m.batch(n)
		if until := b.until.Add(-time.Hour); s.v.clock.now().Before(until) {
			out = append(out, Batch{ID: b.id, Day: b.day, Contacts: b.contacts, Until: until})
		}
	}
	return out, nil
}
