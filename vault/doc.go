// Package vault holds the rules of Rallyvault: what a vault, a member, a list
// and a contact are, which keys open what, and what has to be written to the
// audit trail before anything else may happen. It knows neither how its blobs
// are stored (see Store; package vault/sqlite implements it) nor how it is
// served (package api).
//
// # Vocabulary
//
//   - vault: one organisation's data, with one slot file and one audit trail
//   - member: a person with a passphrase; role organiser or member
//   - list: contacts gathered for one purpose, with fields, stewards and a deadline
//   - steward: a member who holds a list's whole key L
//   - field: one kind of datum, from the catalogue of package vault/sheet
//   - contact: one person on a list
//   - segment: up to 4,096 contacts stored together, one sealed column a field
//   - wrap: a key sealed to one holder, inside a lock
//   - lock: the server half of one wrap, in a slot of the slot file
//   - epoch: the generation of a list's keys
//   - recovery share: an age identity on paper, of which k of n open R, to which
//     everything is wrapped that members hold
//   - invitation: a code by which somebody becomes a member and chooses a passphrase
//   - statement: the text that says what an object consists of, with the
//     SHA-256 of every blob; a list's statement is its manifest
//   - act: a change or a reading; it is in the audit trail or it did not happen
//
// FORMAT.md beside this file describes every byte at rest; crypto/KEYS.md
// every key.
//
// # What is in memory
//
// A Vault keeps the public part of its state in memory: the statements of the
// vault, its members and its lists, each compared at start with the hash that
// the audit trail vouches for. From then on the statements in memory are the
// authority, and whatever is read from the store must have the hash that they
// name: somebody who can write to the database alone can break the service and
// cannot make it accept anything. Private keys are opened for the length of
// one request and never cached.
package vault
