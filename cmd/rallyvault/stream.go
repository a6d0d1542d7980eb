package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// holdBack is how much of a streamed answer is kept before any of it is
// written, in bytes. Below it an answer is printed whole or not at all, and the
// audit trail is checked first; above it memory is worth more. It is about a
// quarter of a million contacts.
const holdBack = 16 << 20

// A heldBack writer keeps the first holdBack bytes in the program's answer. When
// there are more it lets them go, and everything after them.
type heldBack struct {
	p    *program
	live bool
}

func (h *heldBack) Write(b []byte) (int, error) {
	if h.live {
		return h.p.stdout.Write(b)
	}
	if h.p.answer.Len()+len(b) <= holdBack {
		return h.p.answer.Write(b)
	}
	h.live = true
	if err := h.p.flush(); err != nil {
		return 0, err
	}
	return h.p.stdout.Write(b)
}

// streamed is signedIn for answers that arrive as a stream.
func (p *program) streamed(ctx context.Context, run func(ctx context.Context, l *link, w io.Writer) error) error {
	return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
		w := &heldBack{p: p}
		err := run(ctx, l, w)
		if err != nil {
			p.answer.Reset()
			// After part of an answer a problem would only make two broken JSON values of one.
			p.begun = w.live
		}
		return err
	})(ctx, nil, nil)
}
