package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

// agreed is a running server with one list of many people, all of whom agreed to be
// shared, and a partner.
func (m *machine) agreed(b *testing.B) (srv *served) {
	b.Helper()
	path, _ := m.benchFile(b)
	m.setup()
	srv = m.serve()
	m.login()
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email,phone,postal_code")
	m.must("", "import", "T", path, "--shareable", "yes", "--consent-text", "we share this list with our partners")
	m.newPartner(b)
	return srv
}

// newPartner adds a partner whose fingerprint was compared.
func (m *machine) newPartner(b testing.TB) {
	b.Helper()
	_, certificate, err := pgp.NewSigning("Partner", time.Now())
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(m.path("partner.pgp"), certificate, 0o600); err != nil {
		b.Fatal(err)
	}
	var p struct{ Fingerprint string }
	m.mustJSON(&p, "", "partner", "add", "Partner", m.path("partner.pgp"))
	m.must("", "partner", "verify", "Partner", "--fingerprint", p.Fingerprint, "--how", "by phone")
}

// seal exports everybody, who are so many that it waits, and returns the id.
func (m *machine) seal(b testing.TB) (id string) {
	b.Helper()
	code, stdout, stderr := m.run("", "export", "T", "--partner", "Partner", "--fields", "name,email,phone,postal_code", "--purpose", "P",
		"--delete-by", time.Now().AddDate(0, 1, 0).Format(time.DateOnly), "--out", m.path("sealed.pgp"), "--json")
	if code != 6 {
		b.Fatalf("got exit %d: %s", code, stderr)
	}
	var e struct{ ID string }
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		b.Fatal(err)
	}
	return e.ID
}

// BenchmarkExportOverHTTP opens, filters, signs and encrypts everybody on a list, and
// commits it to the ledger; BenchmarkExportGet takes the message out. Together they are
// to be compared with BenchmarkExportByGPG.
func BenchmarkExportOverHTTP(b *testing.B) {
	m := newMachine(b).asShipped()
	srv := m.agreed(b)
	for b.Loop() {
		m.seal(b)
	}
	b.ReportMetric(srv.peakMiB(), "server-MiB")
}

func BenchmarkExportGet(b *testing.B) {
	m := newMachine(b).asShipped()
	srv := m.agreed(b)
	id := m.seal(b)
	srv.stop()
	m.env = append(m.env, testAhead+"=25h") // there is no other organiser, so it is free by then
	srv = m.serve()
	m.login()
	for b.Loop() {
		os.Remove(m.path("sealed.pgp"))
		m.must("", "export", "get", id, "--out", m.path("sealed.pgp"))
	}
	b.ReportMetric(srv.peakMiB(), "server-MiB")
}

func BenchmarkExportByGPG(b *testing.B) {
	plainTool(b, "sqlite3")
	plainTool(b, "gpg")
	m := newMachine(b).asShipped()
	m.benchFile(b)
	home, err := os.MkdirTemp("", "gpg") // the agent's socket has a path of 108 bytes at most
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = append(os.Environ(), "GNUPGHOME="+home)
		stop.Run()
		os.RemoveAll(home)
	})
	m.shell(b, `export GNUPGHOME=`+home+`
		gpg --batch -q --pinentry-mode loopback --passphrase '' --quick-gen-key us@example.org ed25519 sign never
		gpg --batch -q --pinentry-mode loopback --passphrase '' --quick-gen-key partner@example.org default default never
		sqlite3 plain.db -cmd '.mode csv' '.import sheet.csv contact'`)
	for b.Loop() {
		m.shell(b, `sqlite3 -csv plain.db 'SELECT * FROM contact' | GNUPGHOME=`+home+` gpg --batch -q --yes --trust-model always -es -u us@example.org -r partner@example.org --compress-algo none -o sealed.pgp`)
	}
}
