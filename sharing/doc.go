// Package sharing decides what leaves the house. In this version that is one
// thing: the group's OpenPGP signing certificate, which partners will know the
// group by. Requests, grants and exports to partners belong here too.
package sharing
