package web

import (
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/vault"
)

// A desk is what the pages know of the sheet that somebody is adding: what was chosen,
// what came of it, what was typed. The sheet itself waits in the vault. A session has
// one desk. Between requests it is sealed in memory, to a key that only the session's
// token gives, and it is cleared after a quarter of an hour, as the sheet is.
type desk struct {
	ID      string // in the path of its pages
	List    vault.ListID
	Held    vault.HeldID // "": nothing waits in the vault
	Expires time.Time

	TooLarge bool // the sheet was looked at and does not wait

	Map         map[string]string // as vault.ImportOptions has it
	Encoding    string
	Sheet       string
	Shareable   string
	ConsentText string

	Batch   vault.BatchID // "" until it was added
	Account account

	Typed bool
	Rows  [][]string // typed, in the order of the list's fields; nothing that looks like an identity number
}

const (
	// deskTTL is how long a desk is kept after its sheet was added, or if the sheet
	// does not wait: as long as one that does.
	deskTTL = 15 * time.Minute

	// maxDesks bounds what all desks take together, in bytes. A desk takes some
	// kilobytes, and a megabyte if its sheet has a row of headings of that size.
	maxDesks = 8 << 20

	deskPurpose = "rallyvault/1 page desk"
)

// desks are those of all sessions, by the hash of the token.
type desks struct {
	mu   sync.Mutex
	of   map[[sha256.Size]byte]*sealedDesk
	size int
}

type sealedDesk struct {
	sealed []byte // nonce, then XChaCha20-Poly1305
	ends   time.Time
	timer  *time.Timer
}

// put keeps a desk in the place of the session's last one.
func (d *desks) put(token string, now time.Time, k *desk) error {
	if k.ID == "" {
		k.ID = uuid.NewString()
	}
	if k.Expires.IsZero() {
		k.Expires = now.Add(deskTTL)
	}
	plain, err := json.Marshal(k)
	if err != nil {
		return err
	}
	defer clear(plain)
	id := sha256.Sum256([]byte(token))
	sealed, err := sealFor(token, deskPurpose, id[:], plain)
	if err != nil {
		return err
	}
	one := &sealedDesk{sealed: sealed, ends: k.Expires}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[[sha256.Size]byte]*sealedDesk{}
	}
	d.dropLocked(id)
	for len(d.of) > 0 && d.size+len(one.sealed) > maxDesks {
		d.dropLocked(d.largest())
	}
	d.of[id] = one
	d.size += len(one.sealed)
	// By the machine's clock; open goes by the vault's.
	one.timer = time.AfterFunc(max(0, k.Expires.Sub(now)), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.of[id] == one {
			d.dropLocked(id)
		}
	})
	return nil
}

// largest is the desk that makes way for others, of several such the first to end: whoever
// fills the room with headings of a megabyte puts nobody else's away.
func (d *desks) largest() (id [sha256.Size]byte) {
	var most *sealedDesk
	for of, one := range d.of {
		if most == nil || len(one.sealed) > len(most.sealed) || len(one.sealed) == len(most.sealed) && one.ends.Before(most.ends) {
			id, most = of, one
		}
	}
	return id
}

// open returns the desk of a session, nil if it has none.
func (d *desks) open(token string, now time.Time) *desk {
	id := sha256.Sum256([]byte(token))
	d.mu.Lock()
	one := d.of[id]
	if one != nil && !now.Before(one.ends) {
		d.dropLocked(id)
		one = nil
	}
	var sealed []byte
	if one != nil { // dropping it clears it
		sealed = append(sealed, one.sealed...)
	}
	d.mu.Unlock()
	if one == nil {
		return nil
	}
	plain, err := openFor(token, deskPurpose, id[:], sealed)
	if err != nil {
		return nil
	}
	defer clear(plain)
	k := new(desk)
	if json.Unmarshal(plain, k) != nil {
		return nil
	}
	return k
}

// drop clears the desk of a session.
func (d *desks) drop(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropLocked(sha256.Sum256([]byte(token)))
}

func (d *desks) dropLocked(id [sha256.Size]byte) {
	one := d.of[id]
	if one == nil {
		return
	}
	one.timer.Stop()
	d.size -= len(one.sealed)
	clear(one.sealed)
	delete(d.of, id)
}
