package vault

import (
	"fmt"
	"slices"
	"strings"
)

// openToLines is who could open what, had they the disk and what else a line names.
func openToLines() []lineKind {
	return []lineKind{
		{"disk-alone", nil, say("Whoever has the disk with all that is on it, and old copies of it, and nothing else: nothing. They see what is named above, and can check guesses: at handles, and at passphrases.")},
		{"passphrase", nil, (*reporter).passphrases},
		{"guessing", nil, say("Passphrases can be guessed by whoever has the database and the slot file together: each guess takes 64 MiB of memory, and a seventh of a second on an ordinary machine. Six random words are beyond anybody's means, a line of a song is not. Without the slot file there is nothing to guess at.")},
		{"recovery-sheets", nil, (*reporter).sheets},
		{"invitation", nil, (*reporter).invitations},
		{"link", nil, (*reporter).links},
		{"message", nil, (*reporter).messages},
		{"session-file", nil, (*reporter).sessionFile},
		{"host", nil, say("Whoever runs the machine, with a subpoena or without: has the disk, and so what is named above. The service holds no key that opens a list while nobody is signed in. While a member is signed in, that member's key is in the memory of the service, and for the length of a request what it opens: somebody with full power over the running machine who is prepared can take it from there, or change the program so that it keeps what passes. They can stop the service, which ends all sessions, and can delete or copy files. They can forge new entries of the audit trail, and cannot change what somebody remembers of it.")},
		{"backup", nil, say("A copy of the database without the slot file: as the disk, and nothing to guess at. A copy of both, as a snapshot of the machine makes, opens with a passphrase of its day what was destroyed, revoked or replaced since: the locks that were overwritten here are whole there. Find out whether the host makes any.")},
		{"backup-file", nil, say("A backup that rallyvault made, without recovery sheets: opens on this machine alone, and there no more than the disk does today. With enough recovery sheets of its day it opens what it held, also what has been destroyed, revoked or erased since: keep it apart from the sheets, and destroy it when it is old. A further passphrase may have been put around it.")},
		{"partners", nil, (*reporter).sentOut},
		{"paper", nil, (*reporter).paper},
	}
}

// say is a line that says the same of every vault.
func say(text string) func(*reporter) (string, []ReportItem, error) {
	return func(*reporter) (string, []ReportItem, error) { return text, nil, nil }
}

// passphrases says what each member's passphrase opens, by the wraps that there are.
func (r *reporter) passphrases() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, m := range r.members {
		if !m.active() {
			continue
		}
		id := MemberID(m.object)
		handle, err := r.handle(id)
		if err != nil {
			return "", nil, err
		}
		parts := []string{"titles and purposes of lists that are not private, handles, the group's name"}
		_, board := r.self.blobs[wrapName(r.self.int("epoch-P"), keyP, m.object)]
		lists, some := []string{}, []string{}
		for _, l := range r.stewards[id] {
			name, err := r.called(l)
			if err != nil {
				return "", nil, err
			}
			lists = append(lists, l.object)
			parts = append(parts, fmt.Sprintf("all of %s: %s of %s, until %s%s", name, spaced(l.fact(factFields)), number(l.rows(), "contact", "contacts"), r.until(l),
				either(l.fact(factUntilStop) != "", ", and only while the service runs, as its locks are in memory", "")))
		}
		for _, a := range r.given[id] {
			l := r.living(a.fact(factList))
			if l == nil {
				continue // it ends with its list
			}
			name, err := r.called(l)
			if err != nil {
				return "", nil, err
			}
			what, people := "of", l.rows()
			if a.may(actionSlice) {
				what, people = "a call sheet of", int(a.int(factPeople))
			}
			board = board || a.may(ActionExport)
			if !slices.Contains(some, l.object) && !slices.Contains(lists, l.object) {
				some = append(some, l.object)
			}
			parts = append(parts, fmt.Sprintf("%s %s: %s of %s, until %s%s", what, name, spaced(a.fact(factFields)), number(people, "contact", "contacts"), a.fact(factUntil),
				either(l.fact(factUntilStop) != "", ", and only while the service runs", "")))
		}
		if board {
			parts = append(parts, "partners, the ledger of exports, messages that are kept, and the group's OpenPGP private key")
		}
		items = append(items, ReportItem{ID: m.object, Name: handle, Text: strings.Join(parts, "; "),
			Values: values("organiser", isOrganiser(m), "organisers_key", board, "lists", lists, "lists_in_part", some)})
	}
	return "Whoever has the disk with the slot file, and one member's passphrase, opens what that member can open today, and nothing else:", items, nil
}

// called is how a list is called for the member who asks.
func (r *reporter) called(l *statement) (string, error) {
	title, err := r.title(l.object)
	if err != nil || title == "" {
		return "list " + l.object, err
	}
	return fmt.Sprintf("list %s (%q)", l.object, title), nil
}

// until says until when a list opens.
func (r *reporter) until(l *statement) string {
	if l.lives(r.now) {
		return l.fact(factDeadline)
	}
	return "the hold on it is lifted, as it ended on " + l.fact(factDeadline)
}

// living returns a list that has not ended, nil if there is none of that id.
func (r *reporter) living(list string) *statement {
	i, ok := slices.BinarySearchFunc(r.lists, list, func(l *statement, id string) int { return strings.Compare(l.object, id) })
	if !ok {
		return nil
	}
	return r.lists[i]
}

func (r *reporter) sheets() (string, []ReportItem, error) {
	if r.self.recoverySet() == 0 {
		return "There are no recovery sheets: no paper opens anything, and a lost passphrase is final.", []ReportItem{}, nil
	}
	needed, of, _ := strings.Cut(r.self.fact(factRecovery), "/")
	items := []ReportItem{}
	covered := 0
	for _, l := range r.lists {
		c := coverageOf(r.self, l)
		if c == coveredYes {
			covered++
		}
		title, err := r.title(l.object)
		if err != nil {
			return "", nil, err
		}
		items = append(items, ReportItem{ID: l.object, Name: title, Text: map[coverage]string{coveredYes: "opens with the sheets", coveredPending: "does not open with these sheets until one of its stewards has signed in", coveredNo: "opens with no sheet"}[c],
			Values: values("covered", string(c))})
	}
	return fmt.Sprintf("Whoever has the disk with the slot file and %s of the %s recovery sheets of set %d opens everything but lists that live until the service stops: %s, partners, the ledger, all titles. Fewer open nothing; sheets of another set open nothing here, but enough of them a backup of their day. On its back each sheet has what ends the group's OpenPGP key, which opens nothing.",
		needed, of, r.self.recoverySet(), number(covered, "list", "lists")), items, nil
}

func (r *reporter) invitations() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, m := range r.members {
		if !m.invited() || !r.now.Before(m.invitedUntil()) {
			continue
		}
		handle, err := r.handle(MemberID(m.object))
		if err != nil {
			return "", nil, err
		}
		items = append(items, ReportItem{ID: m.object, Name: handle, Text: fmt.Sprintf("%s, until %s", m.fact(factRole), m.fact(factInvitedUntil)), Values: values("role", m.fact(factRole), "until", m.fact(factInvitedUntil))})
	}
	return number(len(items), "invitation code is", "invitation codes are") + " out. Whoever has one and the disk with the slot file opens what all members can: titles of lists that are not private, handles, the group's name; that of an organiser also the organisers' key. No list.", items, nil
}

func (r *reporter) links() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, e := range r.exports {
		if _, ok := e.blobs[blobLink]; ok && r.v.keeps(e, r.now) {
			items = append(items, ReportItem{ID: e.object, Text: "until " + e.fact(factUntil), Values: values("until", e.fact(factUntil))})
		}
	}
	return number(len(items), "one-time link is", "one-time links are") + " out. Whoever has one gets an OpenPGP message that only the partner's key opens. It names the keys that it is for, and so perhaps the partner.", items, nil
}

func (r *reporter) messages() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, e := range r.exports {
		if r.v.keeps(e, r.now) {
			items = append(items, ReportItem{ID: e.object, Text: fmt.Sprintf("%s, until %s", number(int(e.int(factContacts)), "contact", "contacts"), e.fact(factUntil)), Values: values("contacts", e.int(factContacts), "until", e.fact(factUntil))})
		}
	}
	return number(len(items), "message to partners is", "messages to partners are") + " kept. Whoever has the disk, the slot file and an organiser's passphrase finds to whom they are; to read one takes the partner's OpenPGP key.", items, nil
}

func (r *reporter) sessionFile() (string, []ReportItem, error) {
	own, err := r.s.Sessions(r.ctx)
	if err != nil {
		return "", nil, err
	}
	return "Whoever takes a laptop on which somebody is signed in can do what that member may, from any place that reaches the service, until the session ends: after 12 hours, by signing out, by rallyvault session end --others or rallyvault lockdown from elsewhere, or when the service stops. The session file is no key that opens anything once the service has stopped, also if the disk of the service is the same laptop's. " +
			"It lets nobody change the passphrase, or make recovery sheets. Beside it lies the last checkpoint of the audit trail, which shows that this device was used with this vault, also after signing out. You have " + number(len(own), "session", "sessions") + " now.",
		[]ReportItem{{Text: number(len(own), "session of your own", "sessions of your own"), Values: values("own_sessions", len(own))}}, nil
}

func (r *reporter) sentOut() (string, []ReportItem, error) {
	due := 0
	contacts := int64(0)
	items := []ReportItem{}
	for _, e := range r.exports {
		partners := len(strings.Split(e.fact(factPartners), ","))
		if e.fact(factStatus) != ExportDone || e.int(factReceipts) >= int64(partners) {
			continue
		}
		due++
		contacts += e.int(factContacts)
		items = append(items, ReportItem{ID: e.object, Text: fmt.Sprintf("%s, to be deleted by %s, %d of %d have signed that it is", number(int(e.int(factContacts)), "contact", "contacts"), e.fact(factDeleteBy), e.int(factReceipts), partners),
			Values: values("contacts", e.int(factContacts), "delete_by", e.fact(factDeleteBy), "receipts", e.int(factReceipts), "partners", partners)})
	}
	return fmt.Sprintf("What was sent is with partners, and nothing here can end that: %s with %s together, of which not every partner has signed that they are deleted.", number(due, "export", "exports"), number(int(contacts), "contact", "contacts")), items, nil
}

func (r *reporter) paper() (string, []ReportItem, error) {
	running := 0
	for _, a := range r.access {
		if a.may(actionSlice) && a.granted(r.now) {
			running++
		}
	}
	return "What members have printed, copied, photographed or exported to their own devices is where they have it, and shows there: " + number(running, "call sheet is", "call sheets are") + " in force now, perhaps on paper.",
		[]ReportItem{{Text: number(running, "call sheet", "call sheets"), Values: values("call_sheets", running)}}, nil
}

// absentLines is what is not on the disk, and what may be on it all the same.
func absentLines() []lineKind {
	return []lineKind{
		{"people", nil, say("Names, email addresses, phone numbers, postal codes, answers and whatever else lists hold of people: sealed, in every file, from the moment they arrive. Nothing of them is in a temporary file, a log or a core dump.")},
		{"titles", nil, say("Titles, purposes and questions of lists, reasons that members gave, and the words that people agreed to: sealed.")},
		{"group", nil, say("The group's name, members' handles, and who partners are: sealed. So are the OpenPGP keys, also their numbers.")},
		{"passphrases", nil, say("Passphrases, recovery sheets, invitation codes and links: in no file, in no form but what is needed to check a guess at a handle or a passphrase.")},
		{"session-keys", nil, say("What opens a session: in the memory of the service only, and gone when it stops.")},
		{"network", nil, say("IP addresses, user agents, referrers and other traces of visitors: the service writes them nowhere. What it logs, on its standard error, is times, kinds of requests and ids, and it is the machine's to keep or not.")},
		{"when-signed", nil, say("Who signed up when: of each contact the day it was added is sealed with it. Of an import the day can be read, of other acts the hour, of nobody's sign-up a time.")},
		{"searches", nil, say("What was searched for: the trail says that somebody searched a list in some hour, and how many were found.")},
		{"refused", nil, say("Columns that no list takes, such as immigration status, birth dates, identity numbers, health, addresses and notes, and rows that were refused: dropped in memory, and written nowhere. Nor are the files that were uploaded, or their names.")},
		{"until-stop", nil, (*reporter).untilStop},
		{"destroyed", nil, (*reporter).gone},
		{"ended", nil, (*reporter).endedAccess},
		{"erased", nil, say("People who were erased: their values are gone from every list whose steward has opened it since, but not while a hold keeps them there. What a partner has to be told of them is kept, sealed to the stewards, until it was. A keyed mark that knows them again, should they be imported once more, is sealed to the stewards.")},
		{"caveat-file-system", nil, (*reporter).fileSystem},
		{"caveat-snapshots", nil, say("Not covered: whoever copied the slot file before something was destroyed can still open that with a passphrase of its day. Snapshots of machines and backups of whole disks make such copies.")},
		{"caveat-elsewhere", nil, say("Not covered: what a proxy in front of the service, the host or a network provider notes of who connects and when, and what lies on members' own devices.")},
		{"caveat-memory", nil, say("Not covered: an image of the machine's memory, swap, or hibernation while somebody is signed in. The service makes no core dumps; let swap be encrypted, or off.")},
		{"caveat-flash", nil, say("Not covered: flash memory read below the file system may still hold a block that was overwritten.")},
		{"caveat-off", nil, say("Not covered: a disk that is taken while the service is off and a deadline passes. What was due is destroyed when the service starts next, and not before.")},
		{"caveat-running", nil, say("Not covered: a program put in this one's place while members are signed in, a member's own device that somebody else controls, and a reader with a camera.")},
	}
}

func (r *reporter) untilStop() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, l := range r.lists {
		if l.fact(factUntilStop) != "" {
			items = append(items, ReportItem{ID: l.object, Text: "until " + l.fact(factDeadline) + " at the latest", Values: values("deadline", l.fact(factDeadline))})
		}
	}
	return number(len(items), "list lives", "lists live") + " until the service stops: their locks are in its memory only. Once it is off nothing of them opens, with any passphrase or sheet.", items, nil
}

func (r *reporter) gone() (string, []ReportItem, error) {
	items := []ReportItem{}
	for _, l := range r.ended {
		if l.kind == kindDestroyed {
			items = append(items, ReportItem{ID: l.object, Text: "destroyed " + l.fact(factDestroyed), Values: values("destroyed", l.fact(factDestroyed))})
		}
	}
	return number(len(items), "list was", "lists were") + " destroyed. Their locks were overwritten, so that no copy of the database from any time opens them, but a backup from before together with enough recovery sheets; then the sealed contacts were overwritten and deleted.", items, nil
}

func (r *reporter) endedAccess() (string, []ReportItem, error) {
	n := 0
	for _, a := range r.access {
		if s := statusOf(a, r.now); s == StatusRevoked || s == StatusLapsed {
			n++
		}
	}
	out := len(slices.DeleteFunc(slices.Clone(r.members), func(m *statement) bool { return !m.disabled() }))
	return fmt.Sprintf("The keys of %s lately and of %s: their locks are overwritten, so that no copy of the database opens with them. What those people had read, they may remember.",
		number(n, "grant that ended", "grants that ended"), number(out, "member who was disabled", "members who were disabled")), []ReportItem{{Text: number(n, "grant", "grants") + ", " + number(out, "member", "members"), Values: values("ended", n, "disabled", out)}}, nil
}

func (r *reporter) fileSystem() (string, []ReportItem, error) {
	if c := r.v.slots.Caveat(); c != "" {
		return "Here overwriting is weaker than elsewhere: " + c + ".", []ReportItem{{Text: c, Values: values("caveat", c)}}, nil
	}
	return "The slot file lies on a file system that is known to overwrite in place. A journal that carries data, a volume manager with snapshots, or flash below it are not seen from here.", []ReportItem{}, nil
}
