package web

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// noteTTL is how long a note waits for the page that says it.
	noteTTL = time.Minute

	// maxNotes is how many of a session wait, the last ones: no page makes as many, and
	// a program that acts and looks at no page fills no memory.
	maxNotes = 8
)

// notes are what the next page of a session says, by the hash of its token. They hold
// keys of texts and counts, no data of anybody.
type notes struct {
	mu sync.Mutex
	of map[[sha256.Size]byte][]note
}

type note struct {
	key   string
	pairs []any
	at    time.Time
}

// add leaves a note for the next page. Those that nobody came for go first.
func (n *notes) add(token string, now time.Time, key string, pairs []any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil {
		n.of = map[[sha256.Size]byte][]note{}
	}
	for id, all := range n.of {
		if now.Sub(all[len(all)-1].at) > noteTTL {
			delete(n.of, id)
		}
	}
	id := sha256.Sum256([]byte(token))
	all := append(n.of[id], note{key, pairs, now})
	n.of[id] = all[max(0, len(all)-maxNotes):]
}

// take returns the notes of a session and forgets them.
func (n *notes) take(token string) []note {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := sha256.Sum256([]byte(token))
	all := n.of[id]
	delete(n.of, id)
	return all
}
