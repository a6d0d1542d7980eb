package audit

// An Act is what was done. The set is closed: an entry whose act is not listed here is
// refused when it is written and when it is read, so that no text can travel in an act's name.
type Act string

const (
	VaultSetup    Act = "vault.setup"    // the vault was made; By is its first organiser
	VaultPurge    Act = "vault.purge"    // start cleared what an interrupted act had left: unnamed locks, imports without an end; Count says how many
	ClockAccepted Act = "clock.accepted" // somebody declared a clock right that stood behind the newest recorded time
	VaultReview   Act = "vault.review"   // By, an organiser, looked at who can reach what
	VaultLockdown Act = "vault.lockdown" // an organiser ended everybody's sessions, Count of them
	TamperFound   Act = "tamper.found"   // a stored object did not match what the trail vouches for; Subject is the object

	SessionOpen      Act = "session.open"      // a member signed in
	SessionClose     Act = "session.close"     // a member signed out
	SessionEnd       Act = "session.end"       // By ended Count of the member's own sessions
	MemberPassphrase Act = "member.passphrase" // a member's passphrase was replaced; Subject is the member

	MemberInvite      Act = "member.invite"       // Subject was invited; Deadline is when the invitation lapses
	MemberJoin        Act = "member.join"         // Subject used the invitation and set a passphrase
	MemberReset       Act = "member.reset"        // Subject's keys were dropped and an invitation took their place, and its grants are requests again; Deadline as above
	MemberDisable     Act = "member.disable"      // Subject's access was ended; O, and P if Subject held it, were replaced
	MemberPromote     Act = "member.promote"      // Subject became an organiser
	MemberRecover     Act = "member.recover"      // Subject got a new passphrase by recovery shares; By is empty, as shares have no name
	MemberInviteLapse Act = "member.invite.lapse" // Subject, who had no passphrase, was removed

	RecoveryRenew Act = "recovery.renew" // new recovery shares were made, those before are dead; Count is the number of lists they cover
	RecoveryCover Act = "recovery.cover" // Count lists were sealed to the recovery shares that there are
	GroupRekey    Act = "group.rekey"    // P was replaced by one that nobody who lost a grant to export has; O too, where somebody who was out came back with a backup; or, after a restore, O and P by ones that nobody has who was disabled
	SigningRenew  Act = "signing.renew"  // By put another OpenPGP key in place of the group's

	ListCreate        Act = "list.create"         // a list was made; Deadline is its end
	ListEdit          Act = "list.edit"           // title, purpose or fields were edited; Fields are those added
	ListFieldDrop     Act = "list.field.drop"     // Fields were dropped and their keys destroyed
	ListShorten       Act = "list.shorten"        // the deadline was moved to the earlier Deadline
	ListRead          Act = "list.read"           // Fields of Count contacts were read; committed before the first row leaves
	ListStewardAdd    Act = "list.steward.add"    // Subject became a steward
	ListStewardRemove Act = "list.steward.remove" // Subject is no steward any more
	ListImport        Act = "list.import"         // an import ended and stored Count contacts; Subject is the batch
	ListImportUndo    Act = "list.import.undo"    // import Subject was undone: Count contacts are gone, Restored lost what it had added, Kept stay though it brought them
	ListImportLapse   Act = "list.import.lapse"   // import Subject can no longer be undone, and what that took was dropped
	ListPreview       Act = "list.preview"        // a sheet of Count rows was compared with the list, and nothing kept
	ListRekey         Act = "list.rekey"          // Count contacts were sealed anew to keys that nobody who lost access has
	ListDestroyIntent Act = "list.destroy.intent" // destruction was decided and the list is closed to everybody; its locks are still to be overwritten
	ListDestroy       Act = "list.destroy"        // locks were overwritten and rows deleted; By is "deadline" when the deadline did it

	AccessRequest Act = "access.request" // Subject, a request for Fields of List, was made
	AccessGrant   Act = "access.grant"   // Subject was approved for Fields; Deadline is when it lapses
	AccessDeny    Act = "access.deny"    // Subject was refused
	AccessRevoke  Act = "access.revoke"  // Subject was ended, by a steward or given back by its holder; Count contacts had been read with it
	AccessLapse   Act = "access.lapse"   // Subject has lapsed; Count contacts had been read with it
	SliceCut      Act = "slice.cut"      // Subject, a copy of Fields of Count people of List, was given to a member; Deadline is when it lapses
	AccessPurge   Act = "access.purge"   // Subject, which had ended long before, was forgotten

	InboxAdd   Act = "inbox.add"   // somebody was left in the inbox of List by the access Subject
	InboxMerge Act = "inbox.merge" // By, who opened List, took Count people out of its inbox: new ones, known ones and some who were erased before
	ErasureAsk Act = "erasure.ask" // By asked the stewards of List to erase somebody, by the erasure Subject

	PartnerAdd    Act = "partner.add"    // By added the partner Subject, whose fingerprint nobody has compared yet
	PartnerVerify Act = "partner.verify" // By has compared the fingerprint of Subject over another channel
	PartnerChange Act = "partner.change" // Subject got another certificate
	PartnerRemove Act = "partner.remove" // Subject was removed

	ExportMake     Act = "export.make"     // By sealed Fields of Count people of List to partners, as Subject; Deadline is when they have to delete it
	ExportAsk      Act = "export.ask"      // likewise, but it is beyond policy and waits: nobody gets it before it is released
	ExportRelease  Act = "export.release"  // Subject can be handed over
	ExportGet      Act = "export.get"      // By took out the sealed message of Subject
	ExportLink     Act = "export.link"     // By made a link with which the message of Subject can be taken out once; Deadline is when it lapses
	ExportTaken    Act = "export.taken"    // somebody used the link of Subject
	ExportWithdraw Act = "export.withdraw" // By ended the message of Subject before its time: by itself; with somebody who was in it, or may have been, and was erased or said no; or with its partner, who was removed or has another certificate
	ExportLapse    Act = "export.lapse"    // the message of Subject is gone: its time was up, or nobody is left who could agree to it
	ExportReceipt  Act = "export.receipt"  // a partner's signed receipt was recorded: Subject is deleted there

	NoticeDraft Act = "notice.draft" // Subject is what a partner has to be told: whom to delete, who were erased from List
	NoticeGet   Act = "notice.get"   // By sealed Subject, of Count people, to its partner
	NoticeEnd   Act = "notice.end"   // Subject was told, or its time was up

	ListExtend Act = "list.extend" // the deadline was moved to the later Deadline
	HoldSet    Act = "hold.set"    // By set the hold Subject on List, or on everything; it lapses at Deadline unless another organiser agrees
	HoldAgree  Act = "hold.agree"  // By let the hold Subject stand until it is lifted
	HoldLift   Act = "hold.lift"   // the hold Subject was lifted
	HoldLapse  Act = "hold.lapse"  // nobody had agreed to the hold Subject in time
	HoldPurge  Act = "hold.purge"  // Subject, which had ended long before, was forgotten

	WaitOpen         Act = "wait.open"          // By asked for what takes two organisers; Deadline is when Subject counts as agreed
	WaitAgree        Act = "wait.agree"         // By is the second person; the entry before says what happened
	WaitAgreeInvitee Act = "wait.agree.invitee" // likewise, and By is somebody whom the first person had brought in
	WaitSilence      Act = "wait.silence"       // nobody had refused Subject; the entry before says what happened, By saw to it
	WaitRefuse       Act = "wait.refuse"        // By refused Subject, or took it back
	WaitLapse        Act = "wait.lapse"         // Subject cannot happen any more, was not carried out, or was refused long before

	ContactAdd     Act = "contact.add"     // Subject was added
	ContactCorrect Act = "contact.correct" // Fields of Subject were corrected
	ContactErase   Act = "contact.erase"   // Count contacts were erased from List: Subject, or if there are more those of the entries that follow without a count
	ContactFind    Act = "contact.find"    // a search in List gave Count contacts; what was searched for is not kept

	VaultRenew          Act = "vault.renew"           // By, an organiser, said that the group is there still
	VaultSilence        Act = "vault.silence"         // the time after which a silent group ends is Count days now; 0: it does not
	VaultShutdownSet    Act = "vault.shutdown.set"    // the vault ends at Deadline
	VaultShutdownCancel Act = "vault.shutdown.cancel" // By called off the date that was set
	VaultShutdownIntent Act = "vault.shutdown.intent" // the end of the vault was decided and it is closed to everybody; its locks are still to be overwritten
	VaultShutdown       Act = "vault.shutdown"        // the vault ended: all locks were overwritten and all objects deleted, and what any entry before vouched for is gone; Count is the number of lists that it destroyed
	VaultBackup         Act = "vault.backup"          // By made a backup; committed before the first byte leaves
	VaultRestore        Act = "vault.restore"         // the database was put back from a backup, and what the trail says has ended since was ended in it; Count entries that had been written are missing
)

// Valid reports whether a is one of the acts above.
func (a Act) Valid() bool {
	switch a {
	case VaultSetup, VaultPurge, ClockAccepted, VaultReview, VaultLockdown, TamperFound,
		SessionOpen, SessionClose, SessionEnd, MemberPassphrase,
		MemberInvite, MemberJoin, MemberReset, MemberDisable, MemberPromote, MemberRecover, MemberInviteLapse, RecoveryRenew, RecoveryCover, GroupRekey, SigningRenew,
		ListCreate, ListEdit, ListFieldDrop, ListShorten, ListRead, ListImport, ListImportUndo, ListImportLapse, ListPreview, ListRekey, ListStewardAdd, ListStewardRemove,
		ListDestroyIntent, ListDestroy,
		AccessRequest, AccessGrant, AccessDeny, AccessRevoke, AccessLapse, AccessPurge, SliceCut,
		InboxAdd, InboxMerge, ErasureAsk,
		PartnerAdd, PartnerVerify, PartnerChange, PartnerRemove,
		ExportMake, ExportAsk, ExportRelease, ExportGet, ExportLink, ExportTaken, ExportWithdraw, ExportLapse, ExportReceipt,
		NoticeDraft, NoticeGet, NoticeEnd,
		ListExtend, HoldSet, HoldAgree, HoldLift, HoldLapse, HoldPurge,
		WaitOpen, WaitAgree, WaitAgreeInvitee, WaitSilence, WaitRefuse, WaitLapse,
		ContactAdd, ContactCorrect, ContactErase, ContactFind,
		VaultRenew, VaultSilence, VaultShutdownSet, VaultShutdownCancel, VaultShutdownIntent, VaultShutdown,
		VaultBackup, VaultRestore:
		return true
	}
	return false
}

// Exact reports whether the act is recorded to the second. Only destructions are: people rely
// on when a list ended. Everything else is recorded to the hour, so that the trail does not
// become a record of who sat at a screen when.
func (a Act) Exact() bool {
	return a == ListDestroyIntent || a == ListDestroy || a == VaultShutdownIntent || a == VaultShutdown
}
