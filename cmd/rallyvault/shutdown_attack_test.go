package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestEndEndedWithoutCertificate: a server that ended nothing shows the certificate of one
// list, destroyed long ago. That is signed with K too, and is not of the whole vault.
func TestEndEndedWithoutCertificate(t *testing.T) {
	k := keepTrail(t, testVault, 7).add(t, 3, 1)
	path := filepath.Join(t.TempDir(), "memory")
	note, err := k.log.SignNote("rallyvault/1 certificate of destruction\nvault " + testVault + "\nlist " + testVault + "\ntime 2026-01-01T00:00:00Z\ncontacts 1\n")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(remembered{Key: k.log.VerifierKey(), Checkpoint: string(k.log.Checkpoint())})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, err := json.Marshal(map[string]string{"note": string(note)})
	if err != nil {
		t.Fatal(err)
	}
	err = groupEnded(&link{memory: &memory{path: path}}, certificate)
	t.Log(err)
	if err == nil {
		t.Error("the certificate of one list passes for the certificate of a group that has ended: everybody is told that everything is destroyed")
	}
}
