package vault

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// holdUp begins n sign-ins that have to wait and returns when they do.
func (d *door) holdUp(t *testing.T, ctx context.Context, handle string, n int) <-chan error {
	t.Helper()
	d.mu.Lock()
	want := n
	if tr := d.tried[handle]; tr != nil {
		want += tr.held
	}
	d.mu.Unlock()
	errs := make(chan error, n)
	for range n {
		go func() { errs <- d.wait(ctx, handle) }()
	}
	d.until(t, fmt.Sprintf("%d wait for %s", want, handle), func() bool {
		tr := d.tried[handle]
		return tr != nil && tr.held == want
	})
	return errs
}

// until waits for something that is looked at with mu held.
func (d *door) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		ok := is()
		d.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

func limited(t *testing.T, what string, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != Limited || e.Code != "sign-in-busy" || e.RetryAfter == 0 {
		t.Errorf("%s: got %v, want limited", what, err)
	}
}

// TestHeldUpAreBounded: over all handles only so many are held up. One more is
// told so at once, unless there is somebody who would wait longer: handles that
// were made up and guessed at keep nobody out who mistyped once, and nobody who
// did not at all.
func TestHeldUpAreBounded(t *testing.T) {
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := make(chan error, 2*maxHeld)
	for i := range maxHeld / maxPatient {
		handle := fmt.Sprint("made up ", i)
		d.guessed(handle, 8+i%2)
		errs := d.holdUp(t, ctx, handle, maxPatient)
		go func() {
			for range maxPatient {
				all <- <-errs
			}
		}()
	}
	later := newTries(20)
	later.next = time.Now().Add(time.Hour)
	d.mu.Lock()
	d.tried["made up later"] = later
	d.mu.Unlock()
	for range 3 {
		limited(t, "one more of them", d.wait(t.Context(), "made up later"))
	}
	if later.waiting != 0 || len(d.held) != maxHeld {
		t.Errorf("%d of one who was told to come back, %d in all", later.waiting, len(d.held))
	}
	if err := d.wait(t.Context(), "heron"); err != nil {
		t.Errorf("somebody who did not mistype: %v", err)
	}
	d.guessed("maple", 1)
	if err := d.wait(t.Context(), "maple"); err != nil {
		t.Errorf("somebody who mistyped: %v", err)
	}
	limited(t, "the one that had longest to wait", <-all)
	cancel()
	for range maxHeld - 1 {
		if err := <-all; !errors.Is(err, context.Canceled) {
			t.Errorf("one who gave up: got %v", err)
		}
	}
	d.leave("maple")
	d.leave("heron")
	d.until(t, "nobody is left", func() bool {
		for _, tr := range d.tried {
			if tr.waiting+tr.held+len(tr.turn) > 0 {
				return false
			}
		}
		return len(d.held) == 0
	})
}

// TestGivingUpLeavesNoGap: somebody who connects and goes away, again and again,
// does not put the next one's turn off.
func TestGivingUpLeavesNoGap(t *testing.T) {
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	d.guessed("maple", 10) // half a minute from now
	next := d.tried["maple"].next
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		errs := d.holdUp(t, ctx, "maple", maxPatient)
		cancel()
		for range maxPatient {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want canceled", err)
			}
		}
	}
	if got := d.tried["maple"]; !got.next.Equal(next) || got.waiting != 0 || got.held != 0 {
		t.Errorf("the next turn is %v later, %d are waiting", got.next.Sub(next), got.waiting)
	}
}

// TestJoinsLeaveRoom: made-up invitation codes fill half of the queue at most.
func TestJoinsLeaveRoom(t *testing.T) {
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	var leaves []func()
	for range maxJoins {
		leave, err := d.join()
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if len(leaves) != cap(d.queue)/2 {
		t.Errorf("got %d joins and a queue of %d", len(leaves), cap(d.queue))
	}
	_, err = d.join()
	limited(t, "one more", err)
	leaves[0]()
	if _, err := d.join(); err != nil {
		t.Errorf("there is room: %v", err)
	}
}

// WrongAtDoor is how many wrong passphrases in a row the door knows of a handle.
func (v *Vault) WrongAtDoor(handle string) int {
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	if t := v.door.tried[v.handleMAC(v.ID(), handle)]; t != nil {
		return t.failed
	}
	return 0
}
