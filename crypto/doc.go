// Package crypto is everything Rallyvault seals and opens with. It knows bytes
// and keys and nothing of contacts, members, HTTP or SQL, and imports nothing of
// the rest of the program.
//
// The work is done by its children:
//
//   - agebox seals bytes to post-quantum age recipients, to locks and to
//     people's passphrases, and checks the binding line every plaintext begins with;
//   - shares makes and reads recovery shares on paper, and seals to k of n of them;
//   - slots keeps the locks, the log key, the handle secret and the backup key in
//     a file whose slots are overwritten in place;
//   - pgp makes the group's OpenPGP certificate;
//   - cryptotest is the round-trip and tamper suite that every sealing passes.
//
// KEYS.md beside this file names every key, who holds it and how it dies.
//
// # Terms
//
// To seal is to encrypt so that only named holders can open; to open is to
// decrypt and verify all of it. A binding is the one line that says what a
// plaintext is and where it belongs. A lock is the server half of a wrap: a
// 256-bit secret whose loss makes every copy of that wrap worthless.
//
// # What is promised
//
//   - No primitive is our own: sealing is filippo.io/age (c2sp.org/age), OpenPGP is
//     github.com/ProtonMail/go-crypto, the rest is the Go standard library and
//     golang.org/x.
//   - Everything at rest that is sealed to a public key is sealed to age's hybrid
//     of ML-KEM-768 and X25519, and everything else is symmetric.
//   - Opening yields the whole body after the last byte has verified and the
//     binding line has matched, or one error that does not tell why.
//   - A [Secret], an agebox.Identity and an agebox.Lock print as "[redacted]", in
//     fmt, encoding/json and log/slog alike; a Secret also inside unexported
//     fields, of which fmt asks no method. No error of these packages carries
//     plaintext, a passphrase or key material.
//   - A cleared slot is overwritten with zeros and has been handed to the device
//     before Clear returns.
//
// # What is not promised
//
//   - Memory. Go's collector copies and frees as it likes and the libraries below
//     keep copies of what they are given; [Secret.Wipe] shortens the life of one
//     copy and proves nothing about others. Swap, hibernation and memory images
//     are outside what can be withstood here.
//   - Device internals. Flash keeps old copies of what was overwritten, and file
//     systems that copy on write do so above the device; slots.File.Caveat says so
//     where it can be seen.
//   - Who sealed something. age recipients are public and age files are anonymous:
//     whoever knows a recipient can make a file for it, binding line included.
//     What vouches for a blob is the manifest and the log, which package vault keeps.
//   - Sizes. age shows the length of what it holds to the byte; padding is the
//     work of package vault.
package crypto
