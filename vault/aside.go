package vault

import "context"

// storeAside stores columns of a segment that the manifest m does not name, and
// that its successor will. overtaken is the answer if m has another one already.
func (s *Session) storeAside(ctx context.Context, m *statement, cols []sealedColumn, overtaken *Error) error {
	return s.do(ctx, func(t *actTx) error {
		cur := t.current(m.object)
		if cur.kind != kindList || cur.fact(factEnding) != "" || !t.now.Before(deadlineOf(cur)) {
			return goneList()
		}
		if cur != m {
			return overtaken
		}
		for _, c := range cols {
			if err := t.PutColumn(m.object, c.segment, c.name, c.sum, c.data); err != nil {
				return err
			}
		}
		return nil
	})
}

// discardAside removes what storeAside has stored for an act that failed.
func (s *Session) discardAside(m *statement, staged []segment) {
	if len(staged) == 0 {
		return
	}
	err := s.v.do(context.Background(), func(t *actTx) error {
		// Asked in here: a commit that was in doubt may have happened.
		cur := t.current(m.object)
		for _, g := range staged {
			if _, named := cur.segmentIndex(g.id); named {
				continue
			}
			if err := t.DeleteSegment(m.object, g.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.v.log.Warn("what was stored aside could not be removed; the next start will", "list", m.object, "error", err)
	}
}
