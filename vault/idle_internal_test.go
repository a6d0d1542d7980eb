package vault

import (
	"bytes"
	"testing"
	"time"
)

// TestIdleSessionIsWiped: what was sealed is overwritten, whoever finds that the
// limit has passed.
func TestIdleSessionIsWiped(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for what, find := range map[string]func(*sessionTable, time.Time){
		"sweep":   (*sessionTable).sweep,
		"get":     func(s *sessionTable, now time.Time) { s.get(sessionID{1}, now) },
		"enter":   func(s *sessionTable, now time.Time) { s.enter(sessionID{1}, now) },
		"list":    func(s *sessionTable, now time.Time) { s.list(sessionID{2}, "m", now) },
		"end all": func(s *sessionTable, now time.Time) { s.endOwn(sessionID{2}, "m", true, now) },
	} {
		var told []sessionID
		table := newSessionTable(func(id sessionID) { told = append(told, id) })
		sealed := bytes.Repeat([]byte{7}, 64)
		table.byID[sessionID{1}] = &sealedSession{member: "m", sealed: sealed, expires: now.Add(time.Hour), used: now, idle: time.Minute, ended: make(chan struct{})}
		table.byID[sessionID{2}] = &sealedSession{member: "m", expires: now.Add(time.Hour), used: now, ended: make(chan struct{})}
		find(table, now.Add(time.Minute))
		if !bytes.Equal(sealed, make([]byte, 64)) {
			t.Errorf("%s: what was sealed is still there", what)
		}
		if table.byID[sessionID{1}] != nil || len(told) != 1 || told[0] != (sessionID{1}) {
			t.Errorf("%s: got %d sessions, told of %v", what, len(table.byID), told)
		}
	}
}
