package vault_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A nursery is a grove whose store a test breaks, with everything prepared that
// the acts below need.
type nursery struct {
	grove
	faults *vaulttest.Faults
	code   string // of elm, who is invited
	draft  *vault.RecoveryDraft
}

func newNursery(t *testing.T) *nursery {
	t.Helper()
	n := &nursery{grove: grove{House: vaulttest.NewWith(t, "2/3")}, faults: &vaulttest.Faults{}}
	n.Stop()
	n.Wrap = n.faults.Wrap
	n.Start()
	n.plant(t)
	inv, err := n.maple.Invite(t.Context(), "elm", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	n.code = inv.Code
	n.prepare(t)
	return n
}

// prepare signs in and drafts shares, which a restart has ended.
func (n *nursery) prepare(t *testing.T) {
	t.Helper()
	n.maple = n.SignIn()
	var err error
	if n.draft, err = n.maple.DraftRecovery(t.Context(), secret(vaulttest.Passphrase), "2/2"); err != nil {
		t.Fatal(err)
	}
}

// turnovers are the acts that replace what somebody holds, by name.
var turnovers = map[string]func(ctx context.Context, n *nursery) error{
	"passphrase": func(ctx context.Context, n *nursery) error {
		_, err := n.maple.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
		return err
	},
	"recover": func(ctx context.Context, n *nursery) error {
		_, err := n.Vault.Recover(ctx, n.Shares[:2], vaulttest.Handle, secret(newer))
		return err
	},
	"reset": func(ctx context.Context, n *nursery) error {
		_, err := n.maple.ResetMember(ctx, "birch")
		return err
	},
	"disable": func(ctx context.Context, n *nursery) error {
		return n.maple.DisableMember(ctx, "birch")
	},
	"join": func(ctx context.Context, n *nursery) error {
		_, _, err := n.Vault.Join(ctx, n.code, secret(newer))
		return err
	},
	"invite": func(ctx context.Context, n *nursery) error {
		_, err := n.maple.Invite(ctx, "oak", vault.Plain)
		return err
	},
	"renew": func(ctx context.Context, n *nursery) error {
		_, err := n.maple.KeepRecovery(ctx, n.draft.ID)
		return err
	},
}

// access is who can do what with which secret: for each, what it reads. With it
// comes a session of the organiser, whichever passphrase that is now.
func (n *nursery) access(t *testing.T, h *vaulttest.House) (string, *vault.Session) {
	t.Helper()
	var out []string
	var maple *vault.Session
	for _, p := range []struct{ handle, pass string }{{vaulttest.Handle, vaulttest.Passphrase}, {vaulttest.Handle, newer}, {"birch", birchs}, {"elm", newer}} {
		got := "no"
		token, err := h.Vault.SignIn(t.Context(), p.handle, secret(p.pass))
		switch {
		case err == nil:
			s := session(t, h, token)
			if p.handle == vaulttest.Handle {
				maple = s
			}
			got = reads(t, s, n.lists)
		case vault.KindOf(err) != vault.CannotOpen:
			t.Errorf("%s: %v", p.handle, err)
		}
		out = append(out, p.handle+", "+p.pass[:5]+": "+got)
	}
	if maple == nil {
		t.Fatal("neither the old passphrase nor the new one opens anything")
	}
	members, err := maple.Members(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, m := range members {
		out = append(out, m.Handle+" is "+m.State)
	}
	lists, err := maple.Lists(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, l := range lists {
		out = append(out, fmt.Sprintf("list %q of %q %s", l.Title, l.Stewards, l.Damaged))
	}
	if cert, err := maple.SigningCertificate(t.Context()); err != nil || len(cert) == 0 {
		t.Errorf("the certificate: got %d bytes, %v", len(cert), err)
	}
	for what, given := range map[string][]shares.Share{"first shares": n.Shares[1:], "new shares": n.draft.Shares} {
		_, err := h.Vault.Recover(t.Context(), given, "nobody", secret(newer)) // opens R, and asks for the handle then
		var e *vault.Error
		errors.As(err, &e)
		out = append(out, what+": "+e.Code)
	}
	st, err := maple.Recovery(t.Context())
	if err != nil {
		t.Error(err)
	}
	out = append(out, fmt.Sprintf("%+v", *st))
	slices.Sort(out)
	return strings.Join(out, "\n"), maple
}

// TestTurnoverKilled copies the data directory at every step of every turnover,
// as a killed process leaves it, and opens the copy: either what was before
// opens, or what was to be, and never both or neither; and what was acknowledged
// has happened.
func TestTurnoverKilled(t *testing.T) {
	for name, act := range turnovers {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits at the door
			n := newNursery(t)
			mem := memoryDir(t)
			start := filepath.Join(mem, "start")
			vaulttest.CopyTo(t, n.Dir, start)
			type moment struct {
				op, dir string
			}
			moments := []moment{{"start", start}}
			n.faults.Set(func(op string) error {
				if len(moments) > 1 && moments[len(moments)-1].op == op && op != "Update" {
					return nil // between two of a kind nothing is on the disk yet
				}
				dir := filepath.Join(mem, fmt.Sprint(len(moments)))
				vaulttest.CopyTo(t, n.Dir, dir)
				moments = append(moments, moment{op, dir})
				return nil
			})
			if err := act(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			n.faults.Set(nil)
			answer := filepath.Join(mem, "answer")
			vaulttest.CopyTo(t, n.Dir, answer)
			moments = append(moments, moment{"answer", answer})
			n.Stop()
			var states []string
			for _, m := range moments {
				h, err := vaulttest.Open(t, m.dir, n.Clock)
				if err != nil {
					t.Fatalf("killed at %s: %v", m.op, err)
				}
				started := len(acts(t, h, 0))
				got, s := n.access(t, h)
				states = append(states, got)
				sound(t, h, s, started)
				h.Stop()
			}
			before, after := states[0], states[len(states)-1]
			if before == after {
				t.Fatal("the act changed nothing")
			}
			for i, got := range states {
				if got != before && got != after {
					t.Errorf("killed at %s: neither what was nor what was to be:\n%s\nwant\n%s\nor\n%s", moments[i].op, got, before, after)
				}
				if moments[i].op == "Committed" && got != after {
					t.Errorf("killed after the commit: it has not happened")
				}
			}
		})
	}
}

// TestTurnoverFails breaks each kind of step of each turnover: it is not
// acknowledged, and nothing has changed, also at the next start. Last it lets the
// commit be kept and answered with an error: that is found out and acknowledged, and
// what the service believes is what the database has.
func TestTurnoverFails(t *testing.T) {
	for name, act := range turnovers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNursery(t)
			before, _ := n.access(t, n.House)
			var broken []string
			for {
				op := ""
				n.faults.Set(func(at string) error {
					if at == "Committed" && op == "" || at != "Committed" && !slices.Contains(broken, at) && (op == "" || op == at) {
						op = at
						return errBroken
					}
					return nil
				})
				err := act(t.Context(), n)
				n.faults.Set(nil)
				if op == "Committed" {
					if err != nil {
						t.Errorf("an act that the database has: %v", err)
					}
					break
				}
				if !errors.Is(err, errBroken) {
					t.Errorf("%s: got %v", op, err)
				}
				broken = append(broken, op)
				if op != "Commit" {
					continue
				}
				got, _ := n.access(t, n.House)
				n.Stop()
				n.Start()
				again, _ := n.access(t, n.House)
				if got != before || again != before {
					t.Errorf("a commit that failed has changed something:\n%s\nand after a restart\n%s\nwant\n%s", got, again, before)
				}
				n.prepare(t)
			}
			for _, op := range []string{"Update", "PutBlob", "PutStatement", "AppendLog", "Commit"} {
				if !slices.Contains(broken, op) {
					t.Errorf("%s never failed", op)
				}
			}
			got, _ := n.access(t, n.House)
			if got == before {
				t.Error("the database has it and the service does not know")
			}
			n.Stop()
			n.Start()
			started := len(acts(t, n.House, 0))
			again, s := n.access(t, n.House)
			if again != got {
				t.Errorf("after a restart:\n%s\nwant\n%s", again, got)
			}
			sound(t, n.House, s, started)
		})
	}
}

// TestTurnoverSlotsFail: the locks of what was replaced cannot be overwritten.
// The act has happened, which is said; what was before is refused at once, and
// its locks go at the next start.
func TestTurnoverSlotsFail(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	n := newNursery(t)
	n.faults.Set(func(op string) error {
		if op == "Committed" {
			n.Slots.Close() // every write to it fails from here on
		}
		return nil
	})
	before := vaulttest.Copy(t, n.Dir)
	_, err := n.maple.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	refused(t, "changing", err, vault.Unavailable, "lock-not-overwritten", "")
	n.faults.Set(nil)
	n.Abandon()
	if opened(t, before, n.Dir, vaulttest.Passphrase).kinds("wrap") == 0 {
		t.Fatal("the locks were cleared after all: the test has lost its way")
	}
	n.Start()
	cannotSignIn(t, n.House, "the old passphrase", vaulttest.Handle, vaulttest.Passphrase)
	if got := reads(t, as(t, n.House, vaulttest.Handle, newer), n.lists); got != readsAll {
		t.Errorf("the new one reads %q", got)
	}
	if k := len(opened(t, before, n.Dir, vaulttest.Passphrase)); k != 0 {
		t.Errorf("after the next start the old passphrase opens %d things", k)
	}
}
