package vault

import (
	"github.com/google/uuid"
)

// Identifiers are random UUIDs (RFC 9562 version 4) in their lower-case text
// form. They are different types so that mixing them up does not compile.
type (
	ListID    string
	MemberID  string
	ContactID string
	BatchID   string
	AccessID  string
	WaitID    string
	PartnerID string
	ExportID  string
	NoticeID  string
	HoldID    string
)

func newID() string { return uuid.NewString() }

// ValidID reports whether s is a UUID in canonical lower-case form.
func ValidID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}

// A Role is what a member may do by default.
type Role string

const (
	Organiser Role = "organiser" // creates lists, invites members, ends things
	Plain     Role = "member"    // sees titles, asks for access, uses grants
)
