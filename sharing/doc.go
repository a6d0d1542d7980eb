// Package sharing decides what leaves the house. In this version that is the
// group's OpenPGP signing certificate, which partners will know the group by, and a
// page that tells them what to do with it. The rules of partners and exports belong
// here, and so will slices of a list and the review of who reaches what. The files
// that contacts leave in are those of package format.
//
// The states and keys of access (requests and grants) are in package vault, where
// they are enforced: a scope is a key, and what can be read is decided by the wraps
// that there are. PROTOCOL.md tells who sends what to whom in it, and who learns
// what.
package sharing
