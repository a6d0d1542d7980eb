package vault_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// benchRows is how many contacts the benchmarks work on; RALLYVAULT_BENCH_ROWS
// sets another number.
func benchRows() int { return benchRowsOr(100_000) }

func benchRowsOr(n int) int {
	if n, err := strconv.Atoi(os.Getenv("RALLYVAULT_BENCH_ROWS")); err == nil {
		return n
	}
	return n
}

// benchSheet is a clean sheet of made-up people.
var benchSheet = sync.OnceValue(func() []byte { return benchSheetOf(benchRows()) })

func benchSheetOf(rows int) []byte {
	var b bytes.Buffer
	b.WriteString("name,email,phone,postal_code\n")
	for i := range rows {
		fmt.Fprintf(&b, "Ana Lopez%x,ana.lopez%x@s%d.example.org,+1212%03d%04d,%05d\n", i, i, i%7, 200+i/10000%800, i%10000, 10001+i%400)
	}
	return b.Bytes()
}

func BenchmarkImport(b *testing.B) {
	h := vaulttest.New(b)
	s := h.SignIn()
	b.SetBytes(int64(len(benchSheet())))
	b.ReportAllocs()
	for i := range b.N {
		id := h.List(s, fmt.Sprint("bench ", i))
		rep, err := s.Import(b.Context(), id, bytes.NewReader(benchSheet()), vault.ImportOptions{})
		if err != nil || rep.Stored != benchRows() {
			b.Fatal(rep, err)
		}
	}
}

// filled is a vault with one full list.
func filled(b *testing.B) (*vaulttest.House, *vault.Session, vault.ListID) {
	h := vaulttest.New(b)
	s := h.SignIn()
	id := h.List(s, "bench")
	if _, err := s.Import(b.Context(), id, bytes.NewReader(benchSheet()), vault.ImportOptions{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return h, s, id
}

func BenchmarkReadContacts(b *testing.B) {
	_, s, id := filled(b)
	for b.Loop() {
		r, err := s.ReadContacts(b.Context(), id, vault.ReadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			page, err := r.Next(b.Context())
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			n += len(page)
		}
		r.Close()
		if n != benchRows() {
			b.Fatal(n)
		}
	}
}

// BenchmarkFirstPage reads the first fifty contacts of a list of ten and of a long
// one: at most twice the time.
func BenchmarkFirstPage(b *testing.B) {
	h := vaulttest.New(b)
	s := h.SignIn()
	signed, err := h.Vault.SignIn(b.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		b.Fatal(err)
	}
	for _, rows := range []int{10, benchRowsOr(200_000)} {
		id := h.List(s, fmt.Sprint("bench ", rows))
		if _, err := s.Import(b.Context(), id, bytes.NewReader(benchSheetOf(rows)), vault.ImportOptions{}); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				of, err := h.Vault.Session(b.Context(), signed.Token)
				if err != nil {
					b.Fatal(err)
				}
				r, err := of.ReadContacts(b.Context(), id, vault.ReadOptions{Count: 50})
				if err != nil {
					b.Fatal(err)
				}
				page, err := r.Next(b.Context())
				if err != nil || len(page) != min(rows, 50) {
					b.Fatal(len(page), err)
				}
				r.Close()
				of.Close()
			}
		})
	}
}

// BenchmarkRekey is to be compared with BenchmarkReadContacts: at most three times
// its time.
func BenchmarkRekey(b *testing.B) {
	h, s, id := filled(b)
	inv, err := s.Invite(b.Context(), "birch", vault.Plain)
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := h.Vault.Join(b.Context(), inv.Code, crypto.NewSecret([]byte("six words nobody guesses at all")))
	if err != nil {
		b.Fatal(err)
	}
	birch, err := h.Vault.Session(b.Context(), token.Token)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		a, err := birch.RequestAccess(b.Context(), id, vault.AccessRequest{Fields: []string{"name"}, For: time.Hour, Reason: "r"})
		if err == nil {
			_, err = s.ApproveAccess(b.Context(), a.ID, vault.Decision{})
		}
		if err == nil {
			_, err = s.RevokeAccess(b.Context(), a.ID)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if l, err := s.List(b.Context(), id); err != nil || l.RekeyPending {
		b.Fatal(l, err)
	}
}

func BenchmarkFind(b *testing.B) {
	_, s, _ := filled(b)
	for name, query := range map[string]string{"email": "ana.lopez1f@s3.example.org", "phone": "+12122000031", "name": "lopez1f0"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				found, err := s.Find(b.Context(), query)
				if err != nil || len(found) == 0 {
					b.Fatal(found, err)
				}
			}
		})
	}
}

func BenchmarkErase(b *testing.B) {
	_, s, id := filled(b)
	i := 0
	for b.Loop() {
		e, err := s.EraseByAddress(b.Context(), id, fmt.Sprintf("ana.lopez%x@s%d.example.org", i, i%7), "")
		if err != nil || e.Erased != 1 {
			b.Fatal(e, err)
		}
		i += 97
	}
}

func BenchmarkDestroy(b *testing.B) {
	h := vaulttest.New(b)
	s := h.SignIn()
	for b.Loop() {
		b.StopTimer()
		id := h.List(s, "bench")
		if _, err := s.Import(b.Context(), id, bytes.NewReader(benchSheet()), vault.ImportOptions{}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.DestroyList(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDisable disables a member of a vault with a thousand lists, every
// title of which is sealed anew.
func BenchmarkDisable(b *testing.B) {
	h := vaulttest.New(b)
	s := h.SignIn()
	for i := range 1000 {
		h.List(s, fmt.Sprint("bench ", i))
	}
	code := func(inv vault.Invitation, err error) {
		if err == nil {
			_, _, err = h.Vault.Join(b.Context(), inv.Code, crypto.NewSecret([]byte("nobody guesses what the birch says")))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	code(s.Invite(b.Context(), "birch", vault.Plain))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.DisableMember(b.Context(), "birch"); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		code(s.ResetMember(b.Context(), "birch"))
		b.StartTimer()
	}
}
