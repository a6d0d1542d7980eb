package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A memory is the last checkpoint of one vault's audit trail that this user
// has seen. Whoever has the server's disk can write another trail, but none
// that continues this checkpoint unless it holds everything under it.
type memory struct {
	path  string
	vault string
	warn  func(format string, args ...any)
}

// remembered is the file of a memory.
type remembered struct {
	Key        string `json:"key"`        // verifier key, pinned when the vault was first seen
	Checkpoint string `json:"checkpoint"` // signed note; never goes back
}

// memory returns the memory of a vault. With a session file of one's own it
// lies beside it, so that two people on one account do not share it.
func (p *program) memory(vaultID string) (*memory, error) {
	if !vault.ValidID(vaultID) {
		return nil, untrusted("the server does not name its vault", nil)
	}
	if path := p.getenv("RALLYVAULT_SESSION"); path != "" {
		return &memory{path: filepath.Join(path+".checkpoints", vaultID), vault: vaultID, warn: p.warn}, nil
	}
	dir, err := p.stateDir()
	if err != nil {
		return nil, err
	}
	return &memory{path: filepath.Join(dir, "checkpoints", vaultID), vault: vaultID, warn: p.warn}, nil
}

// untrusted is the one way to say that a trail is not what it was. The memory
// stays as it is: it is the evidence.
func untrusted(what string, cause error) error {
	return &vault.Error{Kind: vault.Untrusted, Code: "audit-trail",
		Msg:  what + ": somebody changed or replaced the audit trail",
		Hint: "do not use this server. Ask the others what they see, and compare rallyvault audit export with an older one",
		Err:  cause}
}

// load returns what is remembered, nil if this is the first time.
func (m *memory) load() (*remembered, error) {
	b, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError(m.path, err)
	}
	var r remembered
	if json.Unmarshal(b, &r) != nil || r.Key == "" || r.Checkpoint == "" {
		return nil, &vault.Error{Kind: vault.Untrusted, Code: "memory-damaged",
			Msg:  fmt.Sprintf("the remembered checkpoint in %q is damaged", m.path),
			Hint: "compare rallyvault audit export with what another member sees; only then remove the file"}
	}
	return &r, nil
}

// check asks for the newest checkpoint and holds it to the one remembered. key
// is what a sign-in said the verifier key is, or "".
//
// The memory is locked meanwhile: of two commands at the same time one could
// otherwise accept a trail that does not continue what the other has just seen.
func (m *memory) check(ctx context.Context, c *client.Client, key string) error {
	unlock, err := lockFile(ctx, m.path)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := m.load()
	if err != nil {
		return err
	}
	var size int64
	var root tlog.Hash
	if old != nil {
		if size, root, err = audit.ParseCheckpoint([]byte(old.Checkpoint), old.Key); err != nil {
			return untrusted("the remembered checkpoint does not verify", err)
		}
	}
	now, err := c.AuditCheckpoint(ctx, size)
	switch vault.KindOf(err) {
	case vault.Invalid, vault.NotFound, vault.Conflict, vault.Stale, vault.TooLarge:
		// There is no proof from that size. What the server shows instead says
		// whether its trail is shorter or another one.
		if err != nil && size > 0 {
			now, err = c.AuditCheckpoint(ctx, 0)
		}
	}
	if err != nil {
		return err
	}
	next, err := advance(m.vault, old, size, root, now, key)
	if err != nil || old != nil && *next == *old {
		return err
	}
	if old == nil && key == "" {
		m.warn("no checkpoint of this vault was remembered; remembering the one the server shows now")
	}
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return replaceFile(m.path, append(b, '\n'))
}

// advance returns the memory after now was seen, or why now cannot follow old.
func advance(vaultID string, old *remembered, size int64, root tlog.Hash, now *client.Checkpoint, key string) (*remembered, error) {
	pinned := now.Key
	if old != nil {
		pinned = old.Key
	}
	if key != "" && key != pinned || now.Key != pinned {
		return nil, untrusted("the server signs its audit trail with another key than before", nil)
	}
	newSize, newRoot, err := audit.ParseCheckpoint([]byte(now.Checkpoint), pinned)
	if err != nil {
		return nil, untrusted("the server's checkpoint does not verify", err)
	}
	if old == nil {
		// The key's name ties it to one vault.
		if !named(pinned, vaultID) {
			return nil, untrusted("the server's checkpoint is one of another vault", nil)
		}
		return &remembered{Key: pinned, Checkpoint: now.Checkpoint}, nil
	}
	switch {
	case newSize < size:
		return nil, untrusted(fmt.Sprintf("the server's audit trail has %d entries, but %d were seen before", newSize, size), nil)
	case newSize == size && newRoot != root:
		return nil, untrusted(fmt.Sprintf("the server's audit trail of %d entries is not the one seen before", size), nil)
	case newSize == size:
		return old, nil
	}
	if err := audit.CheckConsistency(now.Proof, size, root, newSize, newRoot); err != nil {
		return nil, untrusted(fmt.Sprintf("the server's audit trail does not continue the %d entries seen before", size), err)
	}
	return &remembered{Key: pinned, Checkpoint: now.Checkpoint}, nil
}

// named reports whether a verifier key ("name+hash+key", c2sp.org/signed-note)
// is the one of a vault.
func named(vkey, vaultID string) bool {
	origin := audit.OriginOf(vaultID) + "+"
	return len(vkey) > len(origin) && vkey[:len(origin)] == origin
}
