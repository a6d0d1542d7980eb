// Package slots keeps the few secrets whose end has to be certain, in a file of
// aligned slots that are overwritten where they lie.
//
// A lock (agebox.Lock) is the server half of one wrap. To end an access, a list
// or a group, its slots are overwritten with zeros and the file is flushed to the
// device: every copy of the wraps is dead from then on, also those in backups.
//
// A database is the wrong place for that. On a raw ext4 image, after SQLite's
// secure_delete and a truncated write-ahead log, every deleted secret was still on
// the device in freed blocks; an overwritten slot was the only form that left none.
// So the file has one name, "slots", mode 0600, and for its whole life is never
// renamed, truncated, copied into a backup or written by way of a journal of ours.
// It is made at full size with its blocks written, and grows by whole zeroed
// blocks. One process at a time has it, by flock.
//
// # Layout
//
// The file is a row of 512-byte slots, slot n at offset 512 n. Numbers are
// big-endian and unsigned, what is not named is zero. A slot is blank (512 zero
// bytes), sound (its checksum fits) or damaged.
//
//	offset  bytes
//	     0     16  kind, ASCII, padded with zeros
//	    16    464  content by kind, below
//	   480     32  SHA-256 over the slot's number (8 bytes) and its bytes 0 to 479
//
// The checksum finds torn and misplaced slots; it keeps nobody from forging one,
// as whoever can write the file has the locks anyway.
//
//	slot  kind                content
//	   0  "rallyvault slots"   16   4  format version, 1
//	                           32  16  vault id
//	   1  "log key"            64  32  seed of the Ed25519 key K (RFC 8032 §5.1.5)
//	   2  "backup key"         64  32  B
//	   3  "handle secret"      64  32  key of the HMAC that stands for handles
//	 4,5  "seen"               16   8  counter
//	                           24   8  newest time seen, Unix milliseconds, 0: none
//	                           32   8  greatest log size seen, entries
//	   6  "ending"            (nothing) the vault is ending: slots 2, 3 and from 8 on mean nothing
//	   7  "ended"             32   8  log size when K was overwritten, entries
//	                          64  32  public half of K; slots 1 to 6 mean nothing
//	  8-  "lock"               16  16  slot id
//	                           32   8  log size when the lock was made, entries
//	                           40  16  owner: UUID of the list it is for, or zero
//	                           64  32  the lock
//	                          464  16  slot id again
//
// Of slots 4 and 5 the sound one with the greater counter counts. Writes go to
// the other one, until a flush has made what they left the one that counts on the
// device too: a torn write loses the newest values at most. The id stands on both sides of
// the lock because a write may tear while the slot is cleared: from whichever end
// the zeros ran, one id is whole as long as the lock is, and Clear finds it by that. Locks start at 4096 bytes so that no write to them shares a
// page with the fixed slots.
//
// A file is founded when slot 0 is sound: it is written last. Before, and after
// Wipe, slot 0 is blank and slots 1 to 5 mean nothing.
//
// A vault ends in two steps: EndLocks writes slot 6 and then zeros over all locks, B and
// the handle secret; K goes on signing. EndLogKey writes slot 7 and then zeros over
// everything but slots 0 and 7, K last. Each of these is on the device before the next
// begins, and whoever opens a file in between goes on where it was cut short. What is
// left says which vault it was, and holds no secret.
//
// The passphrase of a wrap's outer age file is the lock in RFC 4648 base32, upper
// case, no padding. By hand, for a slot id of 32 hex digits:
//
//	od -An -v -tx1 -w512 slots | tr -d ' ' | grep "^6c6f636b0\{24\}$id" |
//	    cut -c129-192 | xxd -r -p | base32 | tr -d '='
package slots
