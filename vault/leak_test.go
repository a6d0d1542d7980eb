package vault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestMain: what the tests open and close leaves nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCancelledRequestsLeaveNothing: readings, searches and imports that are given
// up at any moment end, and give back what they had taken.
func TestCancelledRequestsLeaveNothing(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "crowd", time.Hour)
	sheet := []string{"email"}
	for i := range 5000 {
		sheet = append(sheet, fmt.Sprintf("p%d@example.org", i))
	}
	h.Import(s, id, sheet...)
	before := goleak.IgnoreCurrent()
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Duration(i*37%1000) * 10 * time.Microsecond)
			cancel()
		}()
		switch i % 3 {
		case 0:
			if r, err := s.ReadContacts(ctx, id, vault.ReadOptions{}); err == nil {
				for {
					if _, err := r.Next(ctx); err != nil {
						break
					}
				}
				r.Close()
			}
		case 1:
			_, _ = s.Find(ctx, sheet[i])
		case 2:
			_, _ = s.Import(ctx, id, endless{}, vault.ImportOptions{Preview: i%2 == 0})
		}
		cancel()
	}
	goleak.VerifyNone(t, before)
	// Nobody holds the list.
	h.Import(s, id, "email", "after@example.org")
}

// endless is a sheet that goes on for as long as somebody reads.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, "email\nsomebody@example.org\n"), nil
}
