package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
)

// TestDelays: nothing at first, then doubling from a quarter of a second up to
// half a minute, where it stays.
func TestDelays(t *testing.T) {
	want := []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
		8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
	for failed, w := range want {
		if got := (&tries{failed: failed}).delay(); got != w {
			t.Errorf("after %d failures: got %v, want %v", failed, got, w)
		}
	}
	for _, failed := range []int{63, 64, 65, 1 << 20} {
		if got := (&tries{failed: failed}).delay(); got != maxDelay {
			t.Errorf("after %d failures: got %v, want %v", failed, got, maxDelay)
		}
	}
}

// guessed sets a door to where n wrong passphrases for a handle, the last of
// them now, leave it.
func (d *door) guessed(handle string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := newTries(n)
	t.next = time.Now().Add(t.delay())
	d.tried[handle] = t
}

// guess is one wrong passphrase.
func (d *door) guess(t *testing.T, handle string) {
	t.Helper()
	if err := d.wait(t.Context(), handle); err != nil {
		t.Error(err)
	}
	d.failed(handle)
	d.leave(handle)
}

// TestWaitingIsPerHandle: somebody who tries handle after handle holds nobody
// else up, and those who wait for one handle wait one after the other.
func TestWaitingIsPerHandle(t *testing.T) {
	t.Parallel() // it waits
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	d.guessed("a", 2) // half a second from now
	start := time.Now()
	if err := d.wait(t.Context(), "b"); err != nil || time.Since(start) > 400*time.Millisecond {
		t.Errorf("another handle waited %v, %v", time.Since(start), err)
	}
	var wg sync.WaitGroup
	var firsts, seconds atomic.Int64
	for range 2 {
		wg.Go(func() {
			if err := d.wait(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d >= time.Second {
				seconds.Add(1)
			} else if d >= 500*time.Millisecond {
				firsts.Add(1)
			}
		})
	}
	wg.Wait()
	if firsts.Load()+seconds.Load() != 2 || seconds.Load() == 0 {
		t.Errorf("two waited for one handle: %d half a second, %d a second; want one each", firsts.Load(), seconds.Load())
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.guessed("c", 6)
	if err := d.wait(ctx, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody who has gone: got %v", err)
	}
	if n := d.tried["c"].waiting; n != 0 {
		t.Errorf("%d are still waiting", n)
	}
	for range maxPatient {
		d.tried["c"].waiting++
	}
	err = d.wait(t.Context(), "c")
	var e *Error
	if !errors.As(err, &e) || e.Kind != Limited || e.RetryAfter < time.Second {
		t.Errorf("one too many: got %v, want limited", err)
	}
	d.passed("c")
	for range maxPatient {
		d.leave("c")
	}
	start = time.Now()
	if err := d.wait(t.Context(), "c"); err != nil || time.Since(start) > 4*time.Second {
		t.Errorf("after the right passphrase: waited %v, %v", time.Since(start), err)
	}
}

// TestGuessesAtOnce: many guesses at one handle that begin together are not
// all let in before the first has failed.
func TestGuessesAtOnce(t *testing.T) {
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	in := 0
	for range 50 {
		if err := d.wait(t.Context(), "maple"); err == nil {
			in++
		} else if KindOf(err) != Limited {
			t.Errorf("got %v, want limited", err)
		}
	}
	if in != maxPatient {
		t.Errorf("%d guesses are under way at once, want %d", in, maxPatient)
	}
	for range in {
		d.leave("maple")
	}
	if len(d.tried) != 0 {
		t.Error("a handle without failures is remembered")
	}
}

// TestManyHandlesDoNotHideOne: made-up handles do not push out what is known
// of the one that is really being guessed.
func TestManyHandlesDoNotHideOne(t *testing.T) {
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	d.guessed("maple", 5)
	for i := range 3 * maxTried {
		d.guess(t, fmt.Sprint("made up ", i))
	}
	if len(d.tried) > maxTried {
		t.Errorf("%d handles are remembered, want at most %d", len(d.tried), maxTried)
	}
	if d.tried["maple"] == nil || d.tried["maple"].failed != 5 {
		t.Error("what was known of the handle is forgotten")
	}
}

// TestTwoUnlocksAtATime: a passphrase takes 64 MiB while it is stretched.
func TestTwoUnlocksAtATime(t *testing.T) {
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	pass := crypto.NewSecret([]byte("a passphrase of nobody"))
	d.unlocks <- struct{}{}
	d.unlocks <- struct{}{}
	done := make(chan error, 1)
	go func() {
		_, err := d.open(context.Background(), "b", d.dummy, pass)
		done <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.open(ctx, "b", d.dummy, pass); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third one: got %v, want that it waits", err)
	}
	select {
	case <-done:
		t.Error("a third one was let in")
	default:
	}
	<-d.unlocks
	if err := <-done; err == nil {
		t.Error("the dummy opened")
	}
	if cap(d.unlocks) != 2 || len(d.unlocks) != 1 {
		t.Errorf("got %d of %d unlocks in use, want 1 of 2", len(d.unlocks), cap(d.unlocks))
	}
}

// TestQueueForUnlocks: those who wait for a passphrase to be stretched are
// bounded; one more is told so at once, and who gives up makes room.
func TestQueueForUnlocks(t *testing.T) {
	d, err := newDoor(1)
	if err != nil {
		t.Fatal(err)
	}
	pass := crypto.NewSecret([]byte("a passphrase of nobody"))
	for range maxUnlocks {
		d.unlocks <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := make(chan error, maxQueue)
	for i := range maxQueue {
		of := t.Context()
		if i == 0 {
			of = ctx
		}
		go func() {
			_, err := d.open(of, "b", d.dummy, pass)
			errs <- err
		}()
	}
	full := func(want int) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); len(d.queue) != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d are waiting, want %d", len(d.queue), want)
			}
		}
	}
	full(maxQueue)
	_, err = d.open(t.Context(), "b", d.dummy, pass)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Limited || e.Code != "sign-in-busy" || e.RetryAfter == 0 {
		t.Errorf("one too many: got %v, want limited", err)
	}
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who gave up: got %v", err)
	}
	full(maxQueue - 1)
	for range maxUnlocks {
		<-d.unlocks
	}
	for range maxQueue - 1 {
		if err := <-errs; err == nil || KindOf(err) == Limited {
			t.Errorf("one who waited: got %v, want that the dummy does not open", err)
		}
	}
	if len(d.queue) != 0 || len(d.unlocks) != 0 {
		t.Errorf("%d are waiting and %d unlocking when all have gone", len(d.queue), len(d.unlocks))
	}
}
