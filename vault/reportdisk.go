package vault

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A blobKind is one kind of sealed blob: of which kind of object it is, what it is
// called, with * for what differs, what it holds, and to whom it is sealed. FORMAT.md
// has the same table with the bytes.
type blobKind struct{ of, name, what, to string }

func (b *blobKind) cover() string { return "blob " + b.of + "." + b.name }

// Whom something is sealed to, in the words of a report.
const (
	toNobody  = "" // it is in the clear
	toMember  = "one member's passphrase, or the recovery sheets; inside a lock"
	toHolder  = "one member's passphrase; inside a lock"
	toAll     = "every member (O)"
	toBoard   = "the organisers, and who may export (P)"
	toSteward = "the list's stewards (L)"
	toInvited = "an invitation code; inside a lock"
)

// blobKinds: whoever stores another kind of blob adds a line here. The first that
// fits counts.
var blobKinds = []blobKind{
	{kindVault, "recipient/*/O", "public key of all members", toNobody},
	{kindVault, "recipient/*/P", "public key of the organisers", toNobody},
	{kindVault, "recipient/*/R", "public key of the recovery sheets", toNobody},
	{kindVault, "wrap/*/O/*", "key of all members", toMember},
	{kindVault, "wrap/*/P/*", "key of the organisers", toMember},
	{kindVault, "recovery/*/*", "recovery key", "recovery sheets, as many as are needed; inside a lock"},
	{kindVault, blobOrganisation, "name of the group", toAll},
	{kindVault, blobCertificate, "OpenPGP certificate of the group", toAll},
	{kindVault, blobSigningKey, "OpenPGP private key of the group", toBoard},

	{kindMember, blobPassphrase, "a member's own key", "that member's passphrase, stretched; inside a lock"},
	{kindMember, blobHandle, "a handle, as it is spelled", toAll},
	{kindMember, blobInvitation, "key of an invitation", toInvited},
	{kindMember, "wrap/*/O/*", "key of all members, for somebody who was invited", toInvited},
	{kindMember, "wrap/*/P/*", "key of the organisers, for somebody who was invited", toInvited},

	{kindList, "recipient/*/L", "public key of a list", toNobody},
	{kindList, "recipient/*/*", "public key of a field of a list", toNobody},
	{kindList, "wrap/*/L/*", "key of a list", toMember},
	{kindList, "key/*/*", "key of a field of a list", toSteward},
	{kindList, blobTitle, "title, purpose and questions of a list", "every member, of a private list its stewards; inside a lock"},
	{kindList, blobReasons, "reasons that were given, and words people agreed to", toSteward},
	{kindList, blobTombstones, "marks by which an erased person is known again, without a name", toSteward},
	{kindList, blobUndo + "*", "what undoes an import", toSteward},
	{kindList, blobTouched + "*", "which contacts were changed after an import", toSteward},
	{kindList, blobNotice + "*", "whom a partner has to be told to delete", toSteward},
	{kindList, blobSent + "*", "key to whom an export was of, and partners' names", toSteward},

	{kindList, blobExtended + "*", "why a list was to live longer", toSteward},

	{kindAccess, "wrap/*/P/*", "key of the organisers, for somebody who may export", toHolder},
	{kindAccess, "wrap/*/S/*", "key of a call sheet", toHolder},
	{kindAccess, "wrap/*/*/*", "key of one granted field", toHolder},
	{kindAccess, blobReason, "why access was asked for", "the list's stewards, and who asked"},
	{kindAccess, blobAnswer, "why access was refused", "the list's stewards, and who asked"},
	{kindAccess, blobCopy, "people and fields of a call sheet", "the member who has it (S)"},
	{kindAccess, blobPeople, "who is on a call sheet", toSteward},

	{kindWait, blobHandle, "handle of somebody to be invited", toAll},
	{kindWait, blobReason, "why something was refused", toBoard},
	{kindWait, blobWhy, "why something is to happen", toBoard},
	{kindHold, blobWhy, "why nothing is to be destroyed", toBoard},
	{kindHold, blobLifted, "why a hold was lifted", toBoard},
	{kindErasure, blobPerson, "who is to be erased", toSteward},
	{kindPartner, blobAbout, "a partner's name and OpenPGP certificate", "the organisers, and who may export (P); inside a lock"},
	{kindExport, blobLedger, "a line of the ledger: partners, purpose, receipts", toBoard},
	{kindExport, blobMessageKey, "key of a message that is kept", "the organisers, and who may export (P); inside a lock"},
	{kindExport, blobLink, "key of a message that is kept", "the code of a link; inside a lock"},
	{kindDestroyed, blobNote, "certificate of a destruction", toNobody},
}

// diskLines is what a report says of what lies on the disk. This is the one place:
// whoever stores a new fact, blob, column, table, slot, file or entry of the audit
// trail puts it into covers here, in a line of its own or in one that speaks of it,
// and says there in words what it tells whoever reads it. TestReportCoversDisk fails
// until then. What stands in covers is, with * as in path.Match:
//
//	file NAME               a file of the data directory
//	table T, column T.C     of the database; index I likewise
//	fact KIND.KEY           of a statement
//	blob KIND.NAME          of an object
//	segment KIND.NAME       a sealed column
//	slot KIND               of the slot file
//	entry MEMBER            of an entry of the audit trail
//	text KIND               what can be read where it lies: the test has a pattern for each
func diskLines() []lineKind {
	return []lineKind{
		{"files", []string{"file vault.db", "file vault.db-wal", "file vault.db-shm", "file " + slots.Name, "text sqlite", "text schema", "index inbox_list"}, (*reporter).files},
		{"tls", []string{"file tls"}, (*reporter).tlsFiles},
		{"vault", []string{"table object", "column object.id", "column object.statement", "text statement", "text id",
			"fact vault.founded", "fact vault.reviewed", "fact vault.epoch-O", "fact vault.epoch-P", "fact vault.signing-renewed", "fact vault.left", "fact vault.left-O"}, (*reporter).vault},
		{"ending", []string{"fact vault.silence", "fact vault.shutdown", "fact vault.ending", "slot ending", "slot ended"}, (*reporter).endLine},
		{"recovery", []string{"fact vault.recovery", "fact vault.recovery-set", "fact vault.recovery-made", "fact vault.recovery-share-*"}, (*reporter).recovery},
		{"members", []string{"fact member.role", "fact member.since", "fact member.passphrase-since", "fact member.invitation", "fact member.invitation-recipient",
			"fact member.invited-until", "fact member.disabled", "fact member.newcomer", "fact member.brought-by", "fact member.counts-from", "fact member.recipient"}, (*reporter).memberLines},
		{"handles", []string{"fact member.handle-mac", "slot handle secret"}, (*reporter).handles},
		{"lists", []string{"fact list.fields", "fact list.deadline", "fact list.created", "fact list.region", "fact list.epoch", "fact list.field-epoch", "fact list.next-segment",
			"fact list.private", "fact list.until-stop", "fact list.ending", "fact list.left"}, (*reporter).listLines},
		{"imports", []string{"fact list.batch-*", "fact list.next-batch", "fact list.undo-until"}, (*reporter).imports},
		{"contacts", append(fieldCovers(), "table segment_column", "column segment_column.id", "column segment_column.list", "column segment_column.segment", "column segment_column.name",
			"column segment_column.sha256", "column segment_column.size", "column segment_column.data", "segment list.meta"), (*reporter).contacts},
		{"inbox", []string{"table inbox", "column inbox.id", "column inbox.list", "column inbox.data"}, (*reporter).inboxLines},
		{"erasures", []string{"fact erasure.list", "fact erasure.member", "fact erasure.asked", "fact erasure.restored", "fact erasure.contact"}, (*reporter).erasureLines},
		{"access", []string{"fact access.list", "fact access.member", "fact access.fields", "fact access.actions", "fact access.status", "fact access.for", "fact access.until", "fact access.ended",
			"fact access.keys-epoch", "fact access.lost-epoch", "fact access.group-epoch", "fact access.lost-group-epoch", "fact access.read-rows", "fact access.read-day", "fact access.read-today",
			"fact access.add-day", "fact access.add-today", "fact access.reason-to", "fact access.answer-to", "fact access.until-stop"}, (*reporter).accessLines},
		{"slices", []string{"fact access.people"}, (*reporter).sliceLines},
		{"waiting", []string{"fact wait.act", "fact wait.by", "fact wait.subject", "fact wait.status", "fact wait.until", "fact wait.ended", "fact wait.to"}, (*reporter).waitLines},
		{"holds", []string{"fact hold.list", "fact hold.by", "fact hold.since", "fact hold.status", "fact hold.until", "fact hold.ended", "fact hold.also"}, (*reporter).holdLines},
		{"partners", nil, (*reporter).partnerLines},
		{"exports", []string{"fact export.list", "fact export.member", "fact export.partners", "fact export.fields", "fact export.format", "fact export.status", "fact export.contacts",
			"fact export.withheld-no", "fact export.withheld-unasked", "fact export.asked-at", "fact export.free", "fact export.until", "fact export.delete-by", "fact export.bytes",
			"fact export.receipts", "fact export.handed", "fact export.until-stop", "segment export.part", "segment export.people"}, (*reporter).exportLines},
		{"notices", []string{"fact list.notice-*"}, (*reporter).noticeLines},
		{"destroyed", []string{"fact destroyed.destroyed", "fact destroyed.created", "fact destroyed.contacts", "text certificate"}, (*reporter).destroyed},
		{"sealed", append(blobCovers(), "table blob", "column blob.id", "column blob.object", "column blob.name", "column blob.sha256", "column blob.size", "column blob.data", "text age", "text recipient", "text name"), (*reporter).sealed},
		{"audit", []string{"table log_entry", "column log_entry.n", "column log_entry.data", "table log_hash", "column log_hash.n", "column log_hash.hash",
			"table log_checkpoint", "column log_checkpoint.size", "column log_checkpoint.note", "text entry", "text checkpoint",
			"entry time", "entry act", "entry by", "entry list", "entry subject", "entry fields", "entry count", "entry vouches", "entry deadline", "entry reason_sha256", "entry restored", "entry kept"}, (*reporter).audit},
		{"locks", []string{"slot rallyvault slots", "slot lock"}, (*reporter).locks},
		{"log-key", []string{"slot log key"}, (*reporter).logKey},
		{"backup-key", []string{"slot backup key"}, (*reporter).backupKey},
		{"clock", []string{"slot seen"}, (*reporter).clockLine},
		{"damaged", []string{"blob " + kindSpoilt}, (*reporter).damagedLines},
		{"unnamed", nil, (*reporter).unnamedLine},
	}
}

func fieldCovers() (out []string) {
	for _, f := range append(sheet.Catalogue(), sheet.Question1, sheet.Question2, sheet.Question3) {
		out = append(out, "segment "+kindList+"."+string(f))
	}
	return out
}

func blobCovers() (out []string) {
	for i := range blobKinds {
		out = append(out, blobKinds[i].cover())
	}
	return out
}

// shows begins a line with how many things there are, and says what the disk shows of
// each, or would.
func shows(n int, one, more, what string) string {
	if n == 0 {
		return "No " + more + ". Of one the disk would show " + what
	}
	return number(n, one, more) + ". Of each the disk shows " + what
}

func (r *reporter) files() (string, []ReportItem, error) {
	var items []ReportItem
	for _, name := range sortedKeys(r.stock.Files) {
		items = append(items, ReportItem{ID: name, Text: number(int(r.stock.Files[name]), "byte", "bytes"), Values: values("bytes", r.stock.Files[name])})
	}
	items = append(items, ReportItem{ID: slots.Name, Text: "the slot file: locks and the keys of the service, see below", Values: values("locks", len(r.born))})
	return "The database, with its write-ahead log, and the slot file, which may be in a directory of its own (--locks). Names of tables and columns can be read, and that this is a vault of Rallyvault. Between the rows of the database there may be remains of rows that it has moved, as they were. " +
		either(r.tls.N > 0, "Besides them there is what https takes, see below, and no other file.", "There are no other files."), items, nil
}

func (r *reporter) tlsFiles() (string, []ReportItem, error) {
	const what = "the private key and the certificates for https, the key of an account with the authority that issues them, and that authority's address. They show the name under which people reach the service, which is public. The key opens nothing that is stored, and nothing that was recorded on the way. Whoever has it, and is between the service and a member, can pretend to be the service until the certificate ends or is revoked, and would then be told that member's passphrase."
	if r.tls.N == 0 {
		return "Nothing for https. Where the service has a certificate of its own (--domain) the disk has, in the directory tls, " + what, nil, nil
	}
	return "In the directory tls: " + what, []ReportItem{{ID: "tls", Text: number(int(r.tls.N), "file", "files") + ", " + number(int(r.tls.Bytes), "byte", "bytes"), Values: values("files", r.tls.N, "bytes", r.tls.Bytes)}}, nil
}

func (r *reporter) vault() (string, []ReportItem, error) {
	return fmt.Sprintf("The vault's id %s, and that it was set up on %s. %s How often its common keys were replaced. Everything that follows has an id and a statement in the clear: how often it was changed, and the names, locks and hashes of what is sealed of it.", r.self.vault, r.self.fact("founded"),
			either(r.self.fact(factReviewed) != "", "The last review was on "+r.self.fact(factReviewed)+".", "There was no review yet.")),
		[]ReportItem{{ID: r.self.vault, Text: "founded " + r.self.fact("founded"), Values: values("founded", r.self.fact("founded"), "reviewed", r.self.fact(factReviewed),
			"key_generation_members", r.self.int("epoch-O"), "key_generation_organisers", r.self.int("epoch-P"), "signing_key_renewed", r.self.int(factSigning))}}, nil
}

func (r *reporter) endLine() (string, []ReportItem, error) {
	silence := r.self.fact(factSilence)
	text := fmt.Sprintf("How long no organiser may sign in before everything is destroyed: %s.", silence)
	date, by, set := strings.Cut(r.self.fact(factShutdown), " ")
	if set {
		text += fmt.Sprintf(" That the group ends on %s, and who (by id) set that.", date)
	} else {
		text += " No date is set on which the group ends; if one were, the disk would show it."
	}
	return text + " Once it has ended, the slot file says so, and holds no lock and no key.", []ReportItem{{ID: r.self.vault, Text: "silence " + silence + either(set, "; ends on "+date+", set by "+by, ""), Values: values("silence", silence, "date", date, "by", by)}}, nil
}

func (r *reporter) recovery() (string, []ReportItem, error) {
	if r.self.recoverySet() == 0 {
		return "That there are no recovery sheets.", nil, nil
	}
	return fmt.Sprintf("That there are recovery sheets (%s, set %d, made on %s), and fingerprints by which a sheet that is found can be told to be one of them. They open nothing.",
		r.self.fact(factRecovery), r.self.recoverySet(), r.self.fact(factRecoveryMade)), []ReportItem{}, nil
}

func (r *reporter) memberLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, m := range r.members {
		state := StateActive
		switch {
		case m.disabled():
			state = StateDisabled
		case m.invited():
			state = StateInvited
		}
		text := fmt.Sprintf("%s, %s, since %s", m.fact(factRole), state, m.fact(factSince))
		for _, f := range [][2]string{{"passphrase of", factPassphraseSince}, {"invited until", factInvitedUntil}, {"disabled", factDisabled}, {"brought by", factBroughtBy}, {"counts from", factCountsFrom}} {
			if m.fact(f[1]) != "" {
				text += ", " + f[0] + " " + m.fact(f[1])
			}
		}
		items = append(items, ReportItem{ID: m.object, Text: text, Values: values("role", m.fact(factRole), "state", state, "since", m.fact(factSince), "passphrase_since", m.fact(factPassphraseSince),
			"invited_until", m.fact(factInvitedUntil), "disabled", m.fact(factDisabled), "brought_by", m.fact(factBroughtBy), "counts_from", m.fact(factCountsFrom))})
	}
	return shows(len(items), "member", "members", "an id, the role, since when, how old the passphrase is, whether an invitation waits, who (by id) invited, reset or promoted them last, and a public key. No name and no handle."), items, nil
}

func (r *reporter) handles() (string, []ReportItem, error) {
	return "For each member a number made from the handle and a secret in the slot file. Whoever has the slot file too, and guesses a handle, can see whether it is a member's. Handles that are pseudonyms give nothing away.", nil, nil
}

func (r *reporter) listLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, m := range r.lists {
		stewards := words(stewardsOf(m))
		text := fmt.Sprintf("%s; until %s; made on %s; %s in %s; stewards %s", spaced(m.fact(factFields)), m.fact(factDeadline), m.fact(factCreated),
			number(m.rows(), "contact", "contacts"), number(len(m.segments), "part", "parts"), strings.Join(stewards, ", "))
		if m.fact(factRegion) != "" {
			text += "; phone numbers of " + m.fact(factRegion)
		}
		if m.fact(factPrivate) != "" {
			text += "; private"
		}
		if m.fact(factUntilStop) != "" {
			text += "; its locks are not on the disk"
		}
		if m.fact(factLeft) != "" {
			text += "; to get new keys"
		}
		items = append(items, ReportItem{ID: m.object, Text: text, Values: values("fields", words(fieldsOf(m)), "deadline", m.fact(factDeadline), "created", m.fact(factCreated), "contacts", m.rows(),
			"segments", len(m.segments), "stewards", stewards, "region", m.fact(factRegion), "private", m.fact(factPrivate) != "", "until_stop", m.fact(factUntilStop) != "",
			"revision", m.revision, "key_generation", m.int(factEpoch))})
	}
	return shows(len(items), "list", "lists", "an id, the kinds of fields, the deadline, how many contacts in how many parts, which members (by id) hold the key, the region of its phone numbers, whether it is private, how often it was changed and how often it got new keys. No title and no purpose."), items, nil
}

func (r *reporter) imports() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, m := range r.lists {
		for _, key := range sortedKeys(m.facts) {
			n, ok := strings.CutPrefix(key, factBatch)
			if !ok {
				continue
			}
			var b batch
			if _, err := fmt.Sscan(n, &b.n); err != nil {
				continue
			}
			b = m.batch(b.n)
			text := fmt.Sprintf("into list %s on %s, %s", m.object, b.day, number(b.contacts, "contact", "contacts"))
			until := ""
			switch {
			case b.undone:
				text += ", undone"
			case !b.until.IsZero():
				until = b.until.Format(reportTime)
				text += ", can be undone until " + until
			}
			items = append(items, ReportItem{ID: string(b.id), Text: text, Values: values("list", m.object, "day", b.day, "contacts", b.contacts, "until", until, "undone", b.undone)})
		}
	}
	return shows(len(items), "import", "imports", "an id, the list, the day, how many contacts it brought, and until when it can be undone, or that it was. Not the sheet, its name or its columns."), items, nil
}

func (r *reporter) contacts() (string, []ReportItem, error) {
	items := []ReportItem{}
	var total Held
	exports := map[string]bool{}
	for _, e := range r.exports {
		exports[e.object] = true
	}
	for _, list := range sortedKeys(r.stock.Columns) {
		h := r.stock.Columns[list]
		if exports[list] {
			continue // in the line of exports
		}
		total.N += h.N
		total.Bytes += h.Bytes
		items = append(items, ReportItem{ID: list, Text: fmt.Sprintf("%s, %s", number(int(h.N), "sealed column", "sealed columns"), number(int(h.Bytes), "byte", "bytes")), Values: values("columns", h.N, "bytes", h.Bytes)})
	}
	return fmt.Sprintf("The contacts themselves, sealed: %s, %d bytes. Each holds one field of up to 4,096 people and is as long as its contents to 12 %%, and 4 KiB at least. Which field it is can be read, and what is in it cannot. Its length and the hash of its sealed form are beside it. The column meta, when it opens, says of each person the day they were added, the import, and whether they agreed to be shared.",
		number(int(total.N), "column", "columns"), total.Bytes), items, nil
}

func (r *reporter) inboxLines() (string, []ReportItem, error) {
	items, n := []ReportItem{}, 0
	for _, list := range sortedKeys(r.inbox) {
		n += r.inbox[list]
		items = append(items, ReportItem{ID: list, Text: number(r.inbox[list], "person waits", "people wait"), Values: values("waiting", r.inbox[list])})
	}
	return shows(n, "person waits to be merged into a list", "people wait to be merged into lists", "for which list, and in which order they came; each is sealed to the list's stewards, and all have one length."), items, nil
}

func (r *reporter) erasureLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, e := range r.erasures {
		items = append(items, ReportItem{ID: e.object, Text: fmt.Sprintf("from list %s, asked for on %s by %s", e.fact(factList), e.fact(factAsked), e.fact(factMember)),
			Values: values("list", e.fact(factList), "day", e.fact(factAsked), "by", e.fact(factMember))})
	}
	return shows(len(items), "person waits to be erased", "people wait to be erased", "from which list, which member (by id) asked on which day, and whether they had been erased before a backup was restored. Who it is, is sealed."), items, nil
}

func (r *reporter) accessLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	granted := 0
	for _, a := range r.access {
		if a.may(actionSlice) {
			continue
		}
		items = append(items, r.accessItem(a))
		if a.granted(r.now) {
			granted++
		}
	}
	return shows(len(items), "request or grant", "requests and grants", "which member (by id) asked for, has or had what of which list, until when, how many contacts were read or added with it on which day, and which generation of keys was given. Reasons are sealed.") +
		fmt.Sprintf(" %d are in force.", granted), items, nil
}

func (r *reporter) accessItem(a *statement) ReportItem {
	status := statusOf(a, r.now)
	text := fmt.Sprintf("%s: member %s, list %s, %s of %s, until %s", status, a.fact(factMember), a.fact(factList), spaced(a.fact(factActions)), spaced(a.fact(factFields)), a.fact(factUntil))
	if n := a.int(factReadRows); n > 0 {
		text += fmt.Sprintf(", %s read, last on %s", number(int(n), "contact", "contacts"), a.fact(factReadDay))
	}
	v := values("status", status, "member", a.fact(factMember), "list", a.fact(factList), "fields", words(fieldsOf(a)), "actions", strings.Split(a.fact(factActions), ","), "until", a.fact(factUntil),
		"ended", a.fact(factEnded), "rows_read", a.int(factReadRows), "last_read", a.fact(factReadDay))
	if a.may(actionSlice) {
		v["people"] = a.int(factPeople)
		text += fmt.Sprintf(", %s", number(int(a.int(factPeople)), "person", "people"))
	}
	return ReportItem{ID: a.object, Text: text, Values: v}
}

func (r *reporter) sliceLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, a := range r.access {
		if a.may(actionSlice) {
			items = append(items, r.accessItem(a))
		}
	}
	return shows(len(items), "call sheet", "call sheets", "which member (by id) has or had it, of which list and fields, of how many people, until when. Who is on it is sealed."), items, nil
}

func (r *reporter) waitLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, w := range r.waits {
		items = append(items, ReportItem{ID: w.object, Text: fmt.Sprintf("%s, %s: asked for by %s, about %s, until %s%s", w.fact(factAct), w.fact(factStatus), w.fact(factBy), w.fact(factSubject), w.fact(factUntil), either(w.fact(factTo) != "", "; to live until "+w.fact(factTo), "")),
			Values: values("act", w.fact(factAct), "status", w.fact(factStatus), "by", w.fact(factBy), "about", w.fact(factSubject), "until", w.fact(factUntil), "ended", w.fact(factEnded), "to", w.fact(factTo))})
	}
	return shows(len(items), "act waits for a second organiser, or was refused lately", "acts wait for a second organiser, or were refused lately", "what it is, who (by id) wants it, and about which id. A reason is sealed."), items, nil
}

func (r *reporter) holdLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, h := range r.holds {
		on, until := "everything", h.fact(factUntil)
		if h.fact(factList) != "" {
			on = "list " + h.fact(factList)
		}
		text := fmt.Sprintf("%s: on %s, set by %s at %s", h.fact(factStatus), on, h.fact(factBy), h.fact(factSince))
		if until != "" {
			text += ", until " + until + " unless another organiser agrees"
		}
		items = append(items, ReportItem{ID: h.object, Text: text,
			Values: values("status", h.fact(factStatus), "list", h.fact(factList), "by", h.fact(factBy), "since", h.fact(factSince), "also", h.fact(factAlso), "until", until, "ended", h.fact(factEnded))})
	}
	return shows(len(items), "hold, by which nothing is destroyed, stands or ended lately", "holds, by which nothing is destroyed, stand or ended lately", "on which list, or on everything, who (by id) set it when, and until when. The reason is sealed."), items, nil
}

func (r *reporter) partnerLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, p := range r.partners {
		items = append(items, ReportItem{ID: p.object, Text: "name and certificate are sealed", Values: values("revision", p.revision)})
	}
	return shows(len(items), "partner", "partners", "an id of this vault, which means nothing elsewhere. Neither who it is, nor an OpenPGP key or its number, can be read."), items, nil
}

func (r *reporter) exportLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, e := range r.exports {
		partners := strings.Split(e.fact(factPartners), ",")
		_, link := e.blobs[blobLink]
		text := fmt.Sprintf("%s: by member %s in the hour of %s, of list %s, %s as %s, %s, to %s; delete by %s", e.fact(factStatus), e.fact(factMember), e.fact(factAskedAt), e.fact(factList), spaced(e.fact(factFields)), e.fact(factFormat),
			number(int(e.int(factContacts)), "contact", "contacts"), strings.Join(partners, ", "), e.fact(factDeleteBy))
		if e.keepsMessage(r.now) {
			text += fmt.Sprintf("; the message, %s, is kept until %s", number(int(e.int(factBytes)), "byte", "bytes"), e.fact(factUntil))
		}
		items = append(items, ReportItem{ID: e.object, Text: text, Values: values("status", e.fact(factStatus), "member", e.fact(factMember), "list", e.fact(factList), "partners", partners, "fields", words(fieldsOf(e)),
			"format", e.fact(factFormat), "contacts", e.int(factContacts), "withheld_no", e.int(factWithheldNo), "withheld_unasked", e.int(factWithheldMute), "made", e.fact(factAskedAt), "free", e.fact(factFree),
			"kept_until", e.fact(factUntil), "delete_by", e.fact(factDeleteBy), "bytes", e.int(factBytes), "receipts", e.int(factReceipts), "handed_over", e.fact(factHanded) != "", "link", link)})
	}
	return shows(len(items), "export", "exports", "who (by id) sent which fields of how many people of which list to which partners (by id), in which hour and which format, how many were held back as they had said no or were not asked, whether the message is kept and handed over and how long it is, until when it is to be deleted, and how many partners have signed that it is. Names, purposes and messages are sealed."), items, nil
}

func (r *reporter) noticeLines() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, m := range r.lists {
		for _, key := range sortedKeys(m.facts) {
			if id, ok := strings.CutPrefix(key, factNotice); ok {
				until, drafted, _ := strings.Cut(m.fact(key), " ")
				items = append(items, ReportItem{ID: id, Text: fmt.Sprintf("of list %s, drafted on %s, until %s", m.object, drafted, until), Values: values("list", m.object, "drafted", drafted, "until", until)})
			}
		}
	}
	return shows(len(items), "notice to a partner that somebody was erased", "notices to partners that somebody was erased", "of which list, and since when. Whom it is to and about is sealed."), items, nil
}

func (r *reporter) destroyed() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, m := range r.ended {
		when := m.fact(factDestroyed)
		if m.kind != kindDestroyed {
			when = "being destroyed"
		}
		text, v := when, values("destroyed", m.fact(factDestroyed), "created", m.fact(factCreated))
		contacts := int64(m.rows())
		if m.kind == kindDestroyed {
			contacts = m.int(factContacts)
		}
		if m.kind == kindDestroyed && m.fact(factContacts) == "" {
			text += "; nobody can say how many it held, as its manifest was damaged"
		} else {
			v["contacts"] = contacts
			text += fmt.Sprintf("; made on %s, held %s", m.fact(factCreated), number(int(contacts), "contact", "contacts"))
		}
		items = append(items, ReportItem{ID: m.object, Text: text, Values: v})
	}
	return shows(len(items), "list that was destroyed", "lists that were destroyed", "the id, when it was made and destroyed, how many contacts it held, and a certificate signed by the service's log key."), items, nil
}

func (r *reporter) sealed() (string, []ReportItem, error) {
	items := []ReportItem{}
	var n, bytes int64
	for i := range blobKinds {
		b := &blobKinds[i]
		h, ok := r.blobs[b.cover()]
		if !ok {
			continue
		}
		n, bytes = n+h.N, bytes+h.Bytes
		text, sealedTo := fmt.Sprintf("%d: %s. ", h.N, b.what), b.to
		if b.to == toNobody {
			text += "In the clear"
		} else {
			text += "Sealed to " + b.to
		}
		items = append(items, ReportItem{ID: b.of + ": " + b.name, Text: fmt.Sprintf("%s, %d bytes", text, h.Bytes), Values: values("count", h.N, "bytes", h.Bytes, "what", b.what, "sealed_to", sealedTo, "clear", b.to == toNobody)})
	}
	return fmt.Sprintf("Besides the contacts %s of %d bytes together. What each is called can be read, and its length and hash, such as wrap/1/L/ and a member's id: so who holds which key, and not the key. Each is an age file for a hybrid post-quantum key or a passphrase, or a public key. What is inside a lock opens with the slot file only, and then is still sealed.",
		number(int(n), "blob", "blobs"), bytes), items, nil
}

func (r *reporter) audit() (string, []ReportItem, error) {
	n := r.v.trail.Size()
	return fmt.Sprintf("The audit trail: %s. Which member (by id) did what, to which list or other id, with which kinds of fields and how many contacts, in which hour; destructions to the second. Signing in and out is among it. No name, no text that anybody typed, no search term, no IP address. With it a tree of hashes and %s.",
			number(int(n), "entry", "entries"), number(int(r.stock.Rows["log_checkpoint"]), "signed checkpoint", "signed checkpoints")),
		[]ReportItem{{ID: "audit trail", Text: number(int(n), "entry", "entries"), Values: values("entries", n, "checkpoints", r.stock.Rows["log_checkpoint"])}}, nil
}

func (r *reporter) locks() (string, []ReportItem, error) {
	return fmt.Sprintf("In the slot file: the vault's id, and %s, each with an id, how long the audit trail was when it was made, and for which list. A lock takes one outer layer off one sealed thing; what is inside is still sealed to a passphrase, to sheets or to a member's key. It opens nothing by itself.",
		number(len(r.born), "lock", "locks")), []ReportItem{{ID: slots.Name, Text: number(len(r.born), "lock", "locks"), Values: values("locks", len(r.born))}}, nil
}

func (r *reporter) logKey() (string, []ReportItem, error) {
	return "In the slot file: the log key K. It signs the audit trail and certificates of destruction. Whoever has it can sign false ones that are new, and cannot change what somebody remembers or has on paper. It opens nothing.", nil, nil
}

func (r *reporter) backupKey() (string, []ReportItem, error) {
	return "In the slot file: the backup key B, for backups of this machine on this machine. It takes the outer layer off a backup that this machine made, and what is in there is sealed as it is here: B opens no contact, and nothing that has ended since.", nil, nil
}

func (r *reporter) clockLine() (string, []ReportItem, error) {
	at, size := r.v.slots.Seen()
	return fmt.Sprintf("In the slot file: the newest time that the service has noted, %s, and the greatest length of the audit trail, %d. So, until when it ran, to the minute.", at.UTC().Format(reportTime), size),
		[]ReportItem{{ID: slots.Name, Text: at.UTC().Format(reportTime), Values: values("newest_time", at.UTC().Format(reportTime), "log_size", size)}}, nil
}

func (r *reporter) damagedLines() (string, []ReportItem, error) {
	if len(r.damaged)+len(r.spoilt) == 0 {
		return "", nil, nil
	}
	items := []ReportItem{}
	for _, id := range append(slices.Clone(r.damaged), r.spoilt...) {
		items = append(items, ReportItem{ID: id, Text: "what it says of itself is not what the audit trail vouches for"})
	}
	return number(len(items), "thing is", "things are") + " damaged, and this report cannot say what is stored of it. It is sealed as everything of its kind.", items, nil
}

// unnamedLine is what keeps a report from saying that it is complete when it is not.
func (r *reporter) unnamedLine() (string, []ReportItem, error) {
	missing := r.unnamed()
	if len(missing) == 0 {
		return "", nil, nil
	}
	items := []ReportItem{}
	for _, m := range missing {
		items = append(items, ReportItem{ID: m, Text: "no line of this report is about it"})
	}
	return "This report is not complete: the vault stores something that it says nothing of. Tell those who write the program.", items, nil
}
