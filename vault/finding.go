package vault

import (
	"context"
	"errors"
	"sync"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// findings are the places whose damage is in the audit trail since this
// process started. Every use of a damaged blob meets it again; one entry says
// it, and a reader who asks a thousand times does not fill the trail.
type findings struct {
	mu     sync.Mutex
	places map[string]bool // see placeOf, placeOfColumn
}

// first reports whether a place was not found before, and notes it.
func (f *findings) first(place string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.places[place] {
		return false
	}
	if f.places == nil {
		f.places = map[string]bool{}
	}
	f.places[place] = true
	return true
}

// forget takes a place out again.
func (f *findings) forget(place string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.places, place)
}

// tampered leaves an entry about something stored that is not what the audit
// trail vouches for, and returns the one answer for it: the same whatever is
// wrong with it. What cannot be recorded is refused all the same, and recorded
// when it is met again.
//
// It runs an act, so it is not called from within one.
func (v *Vault) tampered(ctx context.Context, object, place string, cause error) error {
	found := damaged(place, cause)
	if !v.findings.first(place) {
		return found
	}
	v.log.Error("what is stored is not what the audit trail vouches for", "place", place, "error", cause)
	err := v.do(context.WithoutCancel(ctx), func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.TamperFound, Subject: object})
	})
	if err != nil {
		v.findings.forget(place)
		v.log.Error("the finding could not be recorded", "place", place, "error", err)
	}
	return found
}

// errManifest is what is wrong with a list of which nothing can be known.
var errManifest = errors.New("not the one the audit trail vouches for")

func placeOfManifest(list string) string { return "list " + list + ": the manifest" }

// recordDamage leaves an entry for each list whose manifest was found damaged
// when the vault was loaded, which is before anything can be recorded.
func (v *Vault) recordDamage(ctx context.Context) {
	v.mu.RLock()
	var found []ListID
	for id, l := range v.lists {
		if l.damage != nil {
			found = append(found, id)
		}
	}
	v.mu.RUnlock()
	for _, id := range found {
		_ = v.tampered(ctx, string(id), placeOfManifest(string(id)), errManifest) // said to whoever asks for the list
	}
}

// dropSpoilt removes the grants, requests and acts that wait whose statement was
// found damaged, and says so in the trail. What a grant gave nobody knows any more:
// its list is re-keyed, with a new L, and P replaced, so that it opens nothing that
// is written from then on. What cannot be written now is found again at the next start.
func (v *Vault) dropSpoilt(ctx context.Context) {
	for object, list := range v.spoilt {
		v.log.Error("a grant, a request or an act that waits is damaged and counts as ended", "object", object)
		err := v.do(ctx, func(t *actTx) error {
			if m := t.current(string(list)); m != nil && m.lives(t.now) {
				d := m.draft()
				d.stewardLeft()
				if err := d.store(t); err != nil {
					return err
				}
			}
			if list != "" {
				if err := t.keyLeft(); err != nil {
					return err
				}
			}
			if err := t.drop(object); err != nil {
				return err
			}
			return t.record(audit.Entry{Act: audit.TamperFound, Subject: object})
		})
		if err != nil {
			v.log.Error("what is damaged could not be cleared away", "object", object, "error", err)
			continue
		}
		delete(v.spoilt, object)
	}
}
