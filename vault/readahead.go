package vault

import (
	"context"
	"io"
)

// A readAhead opens all segments of a manifest, in order and before they are asked
// for: as many at a time as it has readers.
type readAhead struct {
	ctx     context.Context
	m       *statement
	readers [2]*reader
	opened  [2]chan openedSegment // by reader
	at      int                   // the segment that next gives
	asked   int                   // how many a reader was sent for
	err     error                 // the first; nothing is read after it
}

type openedSegment struct {
	cols *columns
	err  error
}

// newReadAhead begins to read. It stops with ctx, or when it is closed.
func (s *Session) newReadAhead(ctx context.Context, m *statement, names []string) (*readAhead, error) {
	a := &readAhead{ctx: ctx, m: m}
	for i := range a.readers {
		r, err := s.newReader(ctx, m, names)
		if err != nil {
			a.Close()
			return nil, err
		}
		a.readers[i], a.opened[i] = r, make(chan openedSegment, 1)
	}
	for range a.readers {
		a.ask()
	}
	return a, nil
}

// ask sends the reader whose turn it is for the next segment, if there is one.
func (a *readAhead) ask() {
	if a.asked == len(a.m.segments) {
		return
	}
	g, r, to := &a.m.segments[a.asked], a.readers[a.asked%len(a.readers)], a.opened[a.asked%len(a.readers)]
	a.asked++
	go func() {
		var o openedSegment
		o.err = guarded(func() (err error) {
			o.cols, err = r.open(a.ctx, g)
			return err
		})()
		to <- o
	}()
}

// next returns the next segment and what is in it, good until done is called, and
// io.EOF after the last.
func (a *readAhead) next() (*segment, *columns, error) {
	switch {
	case a.err != nil:
		return nil, nil, a.err
	case a.at == len(a.m.segments):
		return nil, nil, io.EOF
	}
	o := <-a.opened[a.at%len(a.opened)]
	a.at++
	a.err = o.err
	return &a.m.segments[a.at-1], o.cols, o.err
}

// done gives up what next returned.
func (a *readAhead) done() { a.ask() }

// Close forgets what was opened, once nothing is being opened any more.
func (a *readAhead) Close() {
	for ; a.at < a.asked; a.at++ {
		<-a.opened[a.at%len(a.opened)]
	}
	for _, r := range a.readers {
		if r != nil {
			r.Close()
		}
	}
}
