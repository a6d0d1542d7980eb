package audit_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// What K signs besides checkpoints can never pass for one, nor a checkpoint for such a note.
func TestSignNote(t *testing.T) {
	l, _ := newLog(t, 3)
	const text = "certificate of destruction\n1 list\n"
	signed, err := l.SignNote(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := audit.OpenNote(signed, l.VerifierKey()); err != nil || got != text {
		t.Errorf("got %q, %v, want %q", got, err, text)
	}
	if _, _, err := audit.ParseCheckpoint(signed, l.VerifierKey()); err == nil {
		t.Error("the note passed for a checkpoint")
	}
	if _, err := audit.OpenNote(signed, audittest.VerifierKey(t, 2)); err == nil {
		t.Error("opened under another key")
	}
	signed[3] ^= 1
	if _, err := audit.OpenNote(signed, l.VerifierKey()); err == nil {
		t.Error("opened a note that was changed")
	}
	if _, err := l.SignNote(checkpointText(9, l.Root())); err == nil {
		t.Error("signed a checkpoint as a note")
	}
	if _, err := audit.OpenNote(l.Checkpoint(), l.VerifierKey()); err == nil {
		t.Error("opened a checkpoint as a note")
	}
	if _, err := l.SignNote("no line end"); err == nil {
		t.Error("signed a text without a line end")
	}
	if _, err := audit.OpenNote(signed, "not a key"); err == nil {
		t.Error("opened without a key")
	}
}

// No byte of a note can be another one, gone or doubled, and nothing stands beside it.
func TestOpenNoteEachByte(t *testing.T) {
	l, _ := newLog(t, 3)
	signed, err := l.SignNote("certificate of destruction\n1 list\n")
	if err != nil {
		t.Fatal(err)
	}
	everyEdit(signed, func(what string, file []byte) {
		if _, err := audit.OpenNote(file, l.VerifierKey()); err == nil {
			t.Errorf("%s: opened", what)
		}
	})
	twice := append(bytes.Clone(signed), signed[bytes.Index(signed, []byte("— ")):]...)
	if _, err := audit.OpenNote(twice, l.VerifierKey()); err == nil {
		t.Error("opened with the signature twice")
	}
}

// The recipe of AUDIT.md opens what OpenNote opens.
func TestNoteByHand(t *testing.T) {
	for _, tool := range []string{"bash", "openssl", "xxd"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("RALLYVAULT_TOOLS") == "required" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("%s is missing", tool)
		}
	}
	doc, err := os.ReadFile("AUDIT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(doc), "```bash\n")
	recipe, _, ok := strings.Cut(recipe, "```")
	if !ok {
		t.Fatal("AUDIT.md has no recipe")
	}
	l, _ := newLog(t, 3)
	signed, err := l.SignNote("rallyvault/1 certificate of destruction\nlist 1\n")
	if err != nil {
		t.Fatal(err)
	}
	check := func(note []byte, key string) bool {
		t.Helper()
		c := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", recipe)
		c.Dir = t.TempDir()
		c.Env = append(os.Environ(), "note=note", "key="+key)
		if err := os.WriteFile(filepath.Join(c.Dir, "note"), note, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		return err == nil
	}
	if !check(signed, l.VerifierKey()) {
		t.Error("the note does not open")
	}
	if check(bytes.Replace(signed, []byte("list 1"), []byte("list 2"), 1), l.VerifierKey()) || check(signed, audittest.VerifierKey(t, 2)) {
		t.Error("it opens what was changed, or under another key")
	}
}
