package api_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
)

// The four sides of the matrix. Every person tries everything on every list with
// every field; TestAccessMatrix compares what comes of it with rule, which was
// written from the contract's table and knows nothing of the code.
var (
	persons = []string{
		"organiser", // and steward of every list here
		"organiser, no list",
		"steward", "member", "holder", "corrector", "adder", "eraser", "caller", "lapsed", "revoked", "pending",
		"steward elsewhere", "exporter", "disabled", "signed out",
	}
	targets = []string{"public", "private", "absent", "destroyed"}

	// Of every list here are the first four; the fifth is in the catalogue only,
	// and "" names none.
	columns = []string{"name", "email", "phone", "q1", "city", ""}

	// Those that do not change what the others are told come first.
	doings = []string{"certificate", "read", "find", "show", "ls", "report", "sheet", "cut", "add", "correct", "erase", "erase by address", "import", "imports", "import undo", "edit", "shorten", "extend",
		"request", "approve", "deny", "revoke", "approve granted", "deny granted", "revoke granted",
		"export", "exports", "export show", "export show own", "message", "link", "mail", "receipt", "export approve", "withdraw",
		"backup", "partners", "partner show", "partner sheet", "partner add", "partner verify", "partner update", "partner rm", "destroy"}
)

// ofFields are the doings that name fields.
var ofFields = []string{"export", "read", "find", "cut", "add", "correct", "request", "approve"}

// What the holder was granted, and the request that waits asks for; and what the
// adder may fill in.
var (
	asked  = []string{"name", "phone"}
	filled = []string{"name", "email"}
)

// A cell of the matrix.
type cell struct{ who, list, field, act string }

func (c cell) String() string { return fmt.Sprintf("%s: %s %s of %s", c.who, c.act, c.field, c.list) }

// A verdict is what an answer has to be: 0 for done.
type verdict struct {
	status        int // of a refusal
	problem, code string
}

var (
	done       = verdict{}
	waits      = verdict{202, "waiting", "waiting"}
	signedOut  = verdict{401, "unauthenticated", "no-session"}
	noList     = verdict{404, "not-found", "no-such-list"}
	noAccess   = verdict{404, "not-found", "no-such-access"}
	gone       = verdict{410, "gone", "list-gone"}
	noGrant    = verdict{403, "forbidden", "no-access"}
	outside    = verdict{403, "forbidden", "field-outside"}
	noSteward  = verdict{403, "forbidden", "not-steward"}
	noRole     = verdict{403, "forbidden", "role"}
	ownRequest = verdict{403, "forbidden", "own-request"}
	ownSlice   = verdict{403, "forbidden", "own-slice"}
	notField   = verdict{422, "invalid", "field-not-in-list"}
	notAsked   = verdict{422, "invalid", "field-not-asked"}
	notPending = verdict{409, "conflict", "not-pending"}
	noKey      = verdict{403, "forbidden", "no-export-key"}
	noExport   = verdict{404, "not-found", "no-such-export"}
	noPartner  = verdict{404, "not-found", "no-such-partner"}
	noMessage  = verdict{410, "gone", "message-gone"}
	notWaiting = verdict{409, "conflict", "not-waiting"}
)

// steward reports who holds a list's key, by the matrix's set-up.
func (c cell) steward() bool {
	return c.list != "absent" && (c.who == "organiser" || c.who == "steward")
}

func (c cell) organiser() bool { return strings.HasPrefix(c.who, "organiser") }

// scope is what somebody may read of a list.
func (c cell) scope() []string {
	switch {
	case c.list == "absent" || c.list == "destroyed":
		return nil
	case c.steward():
		return columns[:4]
	case (c.who == "holder" || c.who == "corrector") && c.list == "public":
		return asked
	}
	return nil
}

// own reports whether the request, or the grant, that a cell is about is theirs.
func (c cell) own() bool {
	granted := strings.HasSuffix(c.act, " granted")
	switch c.list {
	case "public":
		return c.who == "pending" && !granted || c.who == "holder" && granted
	case "private": // nobody else can ask there
		return c.who == "steward" && !granted || c.who == "organiser" && granted
	}
	return false
}

// rule is the table "Who may" of the contract. What it does not name is refused.
func (c cell) rule() verdict {
	switch {
	case c.who == "signed out" || c.who == "disabled":
		return signedOut
	case c.act == "export":
		return c.ruleExport()
	case slices.Contains(ofLedger, c.act):
		return c.ruleLedger()
	case strings.HasPrefix(c.act, "partner"):
		return c.rulePartner()
	case c.act == "backup" && !c.organiser():
		return noRole
	case c.act == "backup":
		return done
	case c.act == "certificate" && c.list != "destroyed":
		return noList
	case c.act == "certificate":
		return done
	case c.act == "ls" || c.act == "find" || c.act == "report":
		return done // and nothing is shown that is not in scope
	}
	switch verb, _, _ := strings.Cut(c.act, " granted"); verb {
	case "approve", "deny", "revoke":
		switch {
		case c.list == "absent" || c.list == "destroyed":
			return noAccess // it ended with its list
		case !c.own() && !c.steward():
			return noAccess
		case verb == "revoke":
			return done
		case !c.steward():
			return noSteward
		case verb != c.act:
			return notPending
		case verb == "approve" && c.own():
			return ownRequest
		case verb == "approve" && c.field != "" && !slices.Contains(asked, c.field):
			return notAsked
		}
		return done
	}
	switch {
	case c.act == "sheet" && c.who == "caller" && c.list == "public", c.act == "sheet" && c.who == "steward" && c.list == "private":
		return done
	case c.act == "sheet":
		return noAccess // also for who has cut it
	case c.list == "absent":
		return noList
	case c.list == "destroyed":
		return gone
	case c.act == "destroy" && c.organiser():
		return waits // of private lists of others, too
	case c.list == "private" && !c.steward():
		return noList
	}
	onList := c.field != "city"
	switch c.act {
	case "show":
		return done
	case "read":
		switch {
		case len(c.scope()) == 0:
			return noGrant
		case c.field != "" && !slices.Contains(c.scope(), c.field):
			return outside
		}
		return done
	case "request":
		if !onList {
			return notField
		}
		return done
	case "add", "correct", "erase", "erase by address":
		switch {
		case c.who == "adder" && c.act == "add" && !onList:
			return notField
		case c.who == "adder" && c.act == "add" && !slices.Contains(filled, c.field):
			return outside
		case c.who == "adder" && c.act == "add", c.who == "eraser" && strings.HasPrefix(c.act, "erase"):
			return done // it waits for a steward
		case c.who == "corrector" && c.act == "correct" && !onList:
			return notField
		case c.who == "corrector" && c.act == "correct" && slices.Contains(asked, c.field):
			return done
		case c.who == "corrector" && c.act == "correct": // what is not theirs to read, or all at once
			return outside
		case c.steward() && !onList:
			return notField
		case c.steward():
			return done
		case slices.Contains(vault.Actions, strings.TrimSuffix(c.act, " by address")):
			return noGrant // it can be asked for
		}
	case "cut":
		switch {
		case c.who == "steward" && c.list == "private":
			return ownSlice // it would be theirs, and there is another steward
		case c.steward() && !onList:
			return notField
		case c.steward():
			return done
		}
	case "import", "imports", "import undo", "edit", "shorten":
		if c.steward() {
			return done
		}
	case "extend":
		if c.organiser() {
			return waits
		}
		return noRole
	case "destroy":
		return noRole
	}
	return noSteward
}

// ofLedger are the doings with what was exported.
var ofLedger = []string{"exports", "export show", "export show own", "message", "link", "mail", "receipt", "export approve", "withdraw"}

// ruleExport is who may export a list: a steward who is an organiser, as what partners
// are and what is signed with is sealed to a key of the organisers; and who was granted
// it by one.
func (c cell) ruleExport() verdict {
	switch {
	case c.list == "absent":
		return noList
	case c.list == "destroyed":
		return gone
	case c.list == "private" && !c.steward():
		return noList
	case c.who == "exporter" && slices.Contains(filled, c.field):
		return done
	case c.who == "exporter":
		return outside
	case !c.steward():
		return noGrant
	case !c.organiser():
		return noKey
	case c.field == "city":
		return outside
	}
	return done
}

// ruleLedger: organisers see all that was exported, who was granted to export what is
// their own, and nobody else can tell whether there is any.
func (c cell) ruleLedger() verdict {
	switch own := c.act == "export show own" && c.list == "public"; {
	case !c.organiser() && c.act == "export approve":
		return noRole
	case !c.organiser() && c.who != "exporter":
		return noKey
	case c.act == "exports":
		return done
	case c.list == "absent", c.who == "exporter" && !own:
		return noExport
	case c.act == "export approve":
		return notWaiting
	case c.list == "destroyed" && slices.Contains([]string{"message", "link", "mail", "withdraw"}, c.act):
		return noMessage
	}
	return done
}

// rulePartner: partners are the organisers'; who was granted to export sees them.
func (c cell) rulePartner() verdict {
	changes := c.act != "partners" && c.act != "partner show" && c.act != "partner sheet"
	switch {
	case !c.organiser() && changes && c.act != "partner verify":
		return noRole
	case !c.organiser() && c.who != "exporter":
		return noKey
	case c.list == "absent" && c.act != "partners" && c.act != "partner add":
		return noPartner
	case changes && !c.organiser():
		return noRole
	}
	return done
}

// A matrix is a house with all of these people and lists.
type matrix struct {
	*house
	later            time.Time         // to which everybody wants to extend
	tokens           map[string]string // by person
	clients          map[string]*client.Client
	lists            map[string]vault.ListID
	contacts         map[string]vault.ContactID
	batches          map[string]vault.BatchID
	pending, granted map[string]vault.AccessID // by list
	slices           map[string]vault.AccessID // likewise: the caller's, and on the private list a steward's
	others           []vault.AccessID          // of the public list: the lapsed one, the revoked one, the corrector's and so on
	days, count      int

	key     *partnerKey
	spare   *partnerKey                // what is refused takes no new one
	partner map[string]vault.PartnerID // by list, for want of another place: there is one, and one that is not
	exports map[string]*client.Export  // by list
	own     map[string]vault.ExportID  // the exporter's
}

func (m *matrix) handle(who string) string {
	return map[string]string{"organiser": handle, "organiser, no list": "osprey", "steward": "stork", "member": "martin", "holder": "hoopoe", "corrector": "curlew", "adder": "avocet", "eraser": "eider", "caller": "catbird", "lapsed": "lark",
		"revoked": "raven", "pending": "plover", "steward elsewhere": "egret", "exporter": "dunlin", "disabled": "dodo"}[who]
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	var later atomic.Int64
	m := &matrix{house: founded(t, option{now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }}),
		tokens: map[string]string{}, clients: map[string]*client.Client{}, lists: map[string]vault.ListID{"absent": absent},
		contacts: map[string]vault.ContactID{"absent": absent}, batches: map[string]vault.BatchID{"absent": absent},
		pending: map[string]vault.AccessID{"absent": absent}, granted: map[string]vault.AccessID{"absent": absent},
		slices: map[string]vault.AccessID{"absent": absent}, days: 80, later: time.Now().AddDate(0, 0, 300).UTC().Truncate(time.Second),
		key: newPartnerKey(t), spare: newPartnerKey(t), partner: map[string]vault.PartnerID{"absent": absent}, exports: map[string]*client.Export{"absent": {ID: absent}}, own: map[string]vault.ExportID{}}
	ctx := t.Context()
	m.tokens["organiser"], m.clients["organiser"] = m.token, m.Client
	join := func(who string, role vault.Role) {
		i, err := m.Invite(ctx, client.NewMember{Handle: m.handle(who), Role: role})
		if err != nil {
			t.Fatal(err)
		}
		c := m.another(t)
		j, err := c.Join(ctx, i.Code, secret(nextPassphrase))
		if err != nil {
			t.Fatal(err)
		}
		m.tokens[who], m.clients[who] = j.Session.Token, c
	}
	for _, who := range persons[2 : len(persons)-1] {
		join(who, vault.Plain)
	}
	m.partner["public"] = m.house.partner(t, "Quillfeather Aid", m.key)
	for _, list := range []string{"public", "private", "destroyed"} {
		m.lists[list] = m.newList(t, list, "steward")
		var err error
		var added *client.Added
		if added, err = m.AddContact(ctx, m.lists[list], m.person(list)); err != nil {
			t.Fatal(err)
		}
		m.contacts[list] = added.ID
		if err := m.CorrectContact(ctx, m.lists[list], added.ID, client.Correction{Shareable: "yes"}); err != nil {
			t.Fatal(err)
		}
		m.partner[list] = m.partner["public"]
		m.exports[list] = m.house.send(t, m.lists[list], m.partner[list])
		m.own[list] = m.exports[list].ID
		m.batches[list] = m.imported(t, list)
		m.pending[list], m.granted[list] = m.request(t, list, "approve"), m.request(t, list, "revoke granted")
		a, err := m.CutSlice(ctx, m.lists[list], client.Cut{Member: m.handle(m.caller(list)), Fields: asked, Contacts: []vault.ContactID{added.ID}, For: 8 * 3600, Reason: "Purposeful"})
		if err != nil {
			t.Fatal(err)
		}
		m.slices[list] = a.ID
	}
	m.newList(t, "elsewhere", "steward elsewhere")
	for _, who := range []string{"lapsed", "revoked", "corrector", "adder", "eraser", "exporter"} {
		r := client.AccessRequest{Fields: asked, For: 72 * 3600, Reason: "Purposeful"}
		switch who {
		case "lapsed", "revoked":
			r.For = 3600
		case "corrector":
			r.Actions = []string{"read", "correct"}
		case "adder":
			r.Fields, r.Actions = filled, []string{"add"}
		case "eraser":
			r.Actions = []string{"erase"}
		case "exporter":
			r.Fields, r.Actions = filled, []string{"export"}
		}
		a, err := m.clients[who].RequestAccess(ctx, m.lists["public"], r)
		if err == nil {
			_, err = m.ApproveAccess(ctx, a.ID, client.Approval{})
		}
		if err == nil && who == "revoked" {
			_, err = m.RevokeAccess(ctx, a.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		m.others = append(m.others, a.ID)
	}
	e, err := m.clients["exporter"].Export(ctx, m.lists["public"], client.NewExport{Partners: []vault.PartnerID{m.partner["public"]}, Fields: filled, Purpose: "Purposeful", DeleteBy: time.Now().AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	m.own["public"] = e.ID
	m.own["absent"] = absent
	if _, err := m.DisableMember(ctx, m.handle("disabled")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.DestroyList(ctx, m.lists["destroyed"]); err != nil {
		t.Fatal(err)
	}
	join("organiser, no list", vault.Organiser) // not sooner: a list would not have been destroyed at once
	later.Store(int64(2 * time.Hour))
	return m
}

// caller is who has a slice of a list.
func (m *matrix) caller(list string) string {
	if list == "private" {
		return "steward"
	}
	return "caller"
}

func (m *matrix) newList(t *testing.T, list, steward string) vault.ListID {
	t.Helper()
	m.count++
	l, err := m.CreateList(t.Context(), client.NewList{Title: fmt.Sprintf("Gorgonzola %d", m.count), Purpose: "Purposeful", Fields: columns[:3],
		Questions: []string{"Can drive?"}, Private: list == "private", Stewards: []string{m.handle(steward)}})
	if err != nil {
		t.Fatal(err)
	}
	return l.ID
}

// person is who is on a list, to be found by any of it.
func (m *matrix) person(list string) map[string]string {
	n := slices.Index(targets, list)
	return map[string]string{"name": "Ana Quillfeather " + strings.Repeat("b", n+1), "email": fmt.Sprintf("ana%d@quillfeather.example", n), "phone": fmt.Sprintf("212555014%d", n), "q1": "yes"}
}

// somebody is a contact that is on no list yet.
func (m *matrix) somebody() map[string]string {
	m.count++
	return map[string]string{"name": fmt.Sprintf("Bo Gray %d", m.count), "email": fmt.Sprintf("bo%d@example.org", m.count)}
}

func (m *matrix) added(t *testing.T, list string) (vault.ContactID, string) {
	t.Helper()
	who := m.somebody()
	a, err := m.AddContact(t.Context(), m.lists[list], who)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID, who["email"]
}

func (m *matrix) imported(t *testing.T, list string) vault.BatchID {
	t.Helper()
	who := m.somebody()
	r, err := m.Import(t.Context(), m.lists[list], client.ImportOptions{}, strings.NewReader("name,email\n"+who["name"]+","+who["email"]+"\n"), nil)
	if err != nil || r.Batch == nil {
		t.Fatal(r, err)
	}
	return *r.Batch
}

// request makes what a cell of an act is about: a request, or a grant. On the
// private list only its stewards can ask.
func (m *matrix) request(t *testing.T, list, act string) vault.AccessID {
	t.Helper()
	granted := strings.HasSuffix(act, " granted")
	owner, by := "pending", "organiser"
	switch {
	case list == "private" && granted:
		owner, by = "organiser", "steward"
	case list == "private":
		owner = "steward"
	case granted:
		owner = "holder"
	}
	a, err := m.clients[owner].RequestAccess(t.Context(), m.lists[list], client.AccessRequest{Fields: asked, For: 72 * 3600, Reason: "Purposeful"})
	if err == nil && granted {
		a, err = m.clients[by].ApproveAccess(t.Context(), a.ID, client.Approval{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// try does what a cell says. Whoever may gets something of their own to do it to,
// so that the next one finds everything as it was.
func (m *matrix) try(t *testing.T, c cell, allowed bool) answer {
	t.Helper()
	id, contact, batch := m.lists[c.list], m.contacts[c.list], m.batches[c.list]
	access, email := m.pending[c.list], m.person(c.list)["email"]
	if strings.HasSuffix(c.act, " granted") {
		access = m.granted[c.list]
	}
	if allowed {
		switch c.act {
		case "destroy":
			id = m.newList(t, c.list, "steward")
		case "erase", "erase by address":
			contact, email = m.added(t, c.list)
		case "import undo":
			batch = m.imported(t, c.list)
		case "approve", "deny", "revoke", "approve granted", "deny granted", "revoke granted":
			access = m.request(t, c.list, c.act)
		}
	}
	token := []string{"Authorization", "-"}
	if c.who != "signed out" {
		token[1] = "Bearer " + m.tokens[c.who]
	}
	send := func(method, path string, body any, headers ...string) answer {
		t.Helper()
		text, ok := body.(string)
		if !ok && body != nil {
			b, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		return m.do(t, method, path, text, append(headers, token...)...)
	}
	export, partner, key := m.exports[c.list], m.partner[c.list], m.spare
	if allowed {
		switch c.act {
		case "partner add":
			key = newPartnerKey(t)
		case "receipt", "withdraw", "message", "link", "mail": // undoing an import has ended the others
			list := m.lists["public"]
			if c.list != "destroyed" {
				list = id
			}
			export = m.house.send(t, list, partner)
		case "partner rm", "partner update":
			m.count++
			partner, key = m.house.partner(t, fmt.Sprintf("Quillfeather %d", m.count), newPartnerKey(t)), newPartnerKey(t)
		}
	}
	if c.act == "export show own" {
		export = &client.Export{ID: m.own[c.list]}
	}
	at, of := "/v1/lists/"+string(id), "/v1/access/"+string(access)
	named := []string{c.field}
	if c.field == "" {
		named = columns[:4]
	}
	values := map[string]string{}
	for _, f := range named {
		values[f] = map[string]string{"name": "Ana Quillfeather " + strings.Repeat("c", 3), "phone": "2125550188", "q1": "no", "city": "Troy"}[f]
		if f == "email" {
			values[f] = m.person(c.list)["email"]
		}
	}
	switch act, _, _ := strings.Cut(c.act, " granted"); act {
	case "export":
		return send("POST", at+"/exports", client.NewExport{Partners: []vault.PartnerID{m.partner["public"]}, Fields: named, Purpose: "Purposeful", DeleteBy: time.Now().AddDate(0, 1, 0), Format: "json"})
	case "exports", "export show", "export show own", "message", "link", "mail", "receipt", "export approve", "withdraw":
		ex := "/v1/exports/" + string(export.ID)
		switch act {
		case "exports":
			return send("GET", "/v1/exports", nil)
		case "message":
			return send("GET", ex+"/message", nil)
		case "link":
			return send("POST", ex+"/links", nil)
		case "mail":
			return send("POST", ex+"/mails", client.Addressee{To: "aid@example.org"})
		case "receipt":
			return send("POST", ex+"/receipts", client.Receipt{Receipt: m.key.sign(t, pgp.ReceiptLine(string(export.ID), export.SHA256))})
		case "export approve":
			return send("POST", ex+"/approval", nil)
		case "withdraw":
			return send("DELETE", ex+"/message", nil)
		}
		return send("GET", ex, nil)
	case "backup":
		return send("POST", "/v1/backups", nil)
	case "partners":
		return send("GET", "/v1/partners", nil)
	case "partner add":
		m.count++
		return send("POST", "/v1/partners", client.NewPartner{Name: fmt.Sprintf("Quillfeather %d", m.count), Certificate: key.certificate})
	case "partner show":
		return send("GET", "/v1/partners/"+string(partner), nil)
	case "partner sheet":
		return send("GET", "/v1/partners/"+string(partner)+"/sheet", nil)
	case "partner verify":
		return send("PUT", "/v1/partners/"+string(partner)+"/verification", client.Comparison{Fingerprint: m.key.fingerprint, How: compared})
	case "partner update":
		return send("PUT", "/v1/partners/"+string(partner)+"/certificate", client.Certificate{Certificate: key.certificate})
	case "partner rm":
		return send("DELETE", "/v1/partners/"+string(partner), nil)
	case "read":
		query := ""
		if c.field != "" {
			query = "?fields=" + c.field
		}
		return send("GET", at+"/contacts"+query, nil)
	case "find":
		return send("POST", "/v1/contacts/search", client.SearchQuery{Query: cmp.Or(m.person(c.list)[c.field], "quillfeather")})
	case "certificate":
		return send("GET", at+"/certificate", nil)
	case "show":
		return send("GET", at, nil)
	case "sheet":
		return send("GET", "/v1/slices/"+string(m.slices[c.list]), nil)
	case "cut":
		return send("POST", at+"/slices", client.Cut{Member: m.handle(m.caller(c.list)), Fields: named, Contacts: []vault.ContactID{contact}, For: 60, Reason: "Purposeful"})
	case "ls":
		return send("GET", "/v1/access", nil)
	case "report":
		return send("GET", "/v1/report", nil)
	case "add":
		who := m.somebody()
		for f, v := range values {
			if f != "name" && f != "email" {
				who[f] = v
			}
		}
		return send("POST", at+"/contacts", client.NewContact{Values: who})
	case "correct":
		return send("PATCH", at+"/contacts/"+string(contact), client.Correction{Values: values})
	case "erase":
		return send("DELETE", at+"/contacts/"+string(contact), nil)
	case "erase by address":
		return send("POST", "/v1/contacts/erasures", client.ErasureRequest{List: id, Email: email})
	case "import":
		const form = "--x\r\nContent-Disposition: form-data; name=\"options\"\r\n\r\n{}\r\n--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nname,email\nCy Gray,cy@example.org\n\r\n--x--\r\n"
		return send("POST", at+"/imports", form, "Content-Type", "multipart/form-data; boundary=x")
	case "imports":
		return send("GET", at+"/imports", nil)
	case "import undo":
		return send("DELETE", at+"/imports/"+string(batch), nil)
	case "edit":
		m.count++
		title := fmt.Sprintf("Gorgonzola %d", m.count)
		return send("PATCH", at, client.ListEdit{Title: &title})
	case "shorten":
		m.days--
		return send("PUT", at+"/deadline", client.NewDeadline{To: time.Now().AddDate(0, 0, m.days).UTC().Truncate(time.Second)})
	case "extend":
		return send("POST", at+"/extensions", client.NewExtension{To: m.later, Reason: "Purposeful"})
	case "destroy":
		return send("DELETE", at, nil)
	case "request":
		return send("POST", at+"/access", client.AccessRequest{Fields: named, For: 60, Reason: "Purposeful"})
	case "approve":
		var a client.Approval
		if c.field != "" {
			a.Fields = named
		}
		return send("POST", of+"/approval", a)
	case "deny":
		return send("POST", of+"/denial", client.Denial{Reason: "Purposeful"})
	case "revoke":
		return send("DELETE", of, nil)
	}
	panic(c.act)
}

// looked checks that what was shown is what may be seen.
func (m *matrix) looked(t *testing.T, c cell, a answer) {
	t.Helper()
	scope := c.scope()
	switch c.act {
	case "export":
		var e client.Export
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			t.Fatal(err)
		}
		ours, _, err := m.SigningKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		message := m.do(t, "GET", "/v1/exports/"+string(e.ID)+"/message", "")
		plain := string(m.key.open(t, []byte(message.body), ours))
		for f, v := range m.person(c.list) {
			if f == "name" && c.act != "" && strings.Contains(plain, "Quillfeather ccc") {
				continue // corrected before
			}
			if shown := strings.Contains(plain, v); f != "q1" && f != "phone" && shown != (c.field == "" || c.field == f) {
				t.Errorf("%v: %s is shown: %t in %s", c, f, shown, plain)
			}
		}
		if strings.Contains(plain, "phone\":") != (c.field == "" || c.field == "phone") {
			t.Errorf("%v: got %s", c, plain)
		}
	case "exports":
		var all []client.Export
		if err := json.Unmarshal([]byte(a.body), &all); err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if c.who == "exporter" && e.By != m.handle("exporter") {
				t.Errorf("%v: somebody else's is shown", c)
			}
		}
		if c.organiser() && len(all) < 4 {
			t.Errorf("%v: got %s", c, a.body)
		}
	case "read":
		want := append([]string{"id"}, scope...)
		if c.field != "" {
			want = []string{"id", c.field}
		}
		if header, _, _ := strings.Cut(a.body, "\r\n"); header != strings.Join(want, ",") {
			t.Errorf("%v: got header %q, want %q", c, header, want)
		}
		for f, v := range m.person(c.list) {
			if shown := strings.Contains(a.body, v); f != "q1" && shown != slices.Contains(want, f) {
				t.Errorf("%v: %s is shown: %t", c, f, shown)
			}
		}
	case "find":
		var hits []map[string]string
		if err := json.Unmarshal([]byte(a.body), &hits); err != nil {
			t.Fatal(err)
		}
		by := c.field
		if m.person(c.list)[by] == "" || by == "q1" {
			by = "name"
		}
		n := 0
		for _, hit := range hits {
			// A hit on another list is judged by what they may read there.
			on := ""
			for list, id := range m.lists {
				if string(id) == hit["list"] {
					on = list
				}
			}
			want := append([]string{"id", "list"}, cell{who: c.who, list: on}.scope()...)
			got := slices.Sorted(maps.Keys(hit))
			if diff := gocmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" || len(want) == 2 {
				t.Errorf("%v: on %q (-want +got)\n%s", c, on, diff)
			}
			if on == c.list {
				n++
			}
		}
		if (n > 0) != slices.Contains(scope, by) && c.field != "q1" {
			t.Errorf("%v: %d found", c, n)
		}
	case "add":
		if inbox := strings.Contains(a.body, `"inbox":true`); inbox != (c.who == "adder") {
			t.Errorf("%v: got %s", c, a.body)
		}
	case "erase", "erase by address":
		if waits := strings.Contains(a.body, `"asked":1`); waits != (c.who == "eraser") || waits == strings.Contains(a.body, `"erased":1`) {
			t.Errorf("%v: got %s", c, a.body)
		}
	case "sheet":
		for f, v := range m.person(c.list) {
			if shown := strings.Contains(a.body, v); f != "q1" && shown != slices.Contains(asked, f) {
				t.Errorf("%v: %s is shown: %t", c, f, shown)
			}
		}
	case "report":
		m.reported(t, c, a)
	case "show":
		if figures := strings.Contains(a.body, `"contacts":`); figures != (len(scope) > 0) {
			t.Errorf("%v: figures are shown: %t", c, figures)
		}
	case "ls":
		var got []client.Access
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		var shown, want []vault.AccessID
		for _, x := range got {
			if x.List == m.lists[c.list] {
				shown = append(shown, x.ID)
			}
		}
		all := map[string][]vault.AccessID{
			"public":  append([]vault.AccessID{m.pending["public"], m.granted["public"], m.slices["public"]}, m.others...),
			"private": {m.pending["private"], m.granted["private"], m.slices["private"]},
		}[c.list]
		if c.steward() {
			want = all
		} else if i := slices.Index([]string{"pending", "holder", "caller", "lapsed", "revoked", "corrector", "adder", "eraser", "exporter"}, c.who); i >= 0 && c.list == "public" {
			want = all[i : i+1]
		}
		if diff := gocmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(shown))); diff != "" {
			t.Errorf("%v (-want +got)\n%s", c, diff)
		}
	}
}

// after takes back what a cell that was done has left.
func (m *matrix) after(t *testing.T, c cell, a answer) {
	t.Helper()
	if c.act != "request" && c.act != "approve" && c.act != "cut" {
		return
	}
	var made client.Access
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		t.Fatal(err)
	}
	if c.act != "request" && c.field != "" && !slices.Equal(made.Fields, []string{c.field}) {
		t.Errorf("%v: got %v", c, made.Fields)
	}
	if _, err := m.clients["steward"].RevokeAccess(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
}

// TestAccessMatrix tries every cell: first all that is refused, of which nothing
// may be left anywhere, then all that waits for a second person, and all that is
// allowed.
func TestAccessMatrix(t *testing.T) {
	m := newMatrix(t)
	var refused, waiting, allowed []cell
	for _, act := range doings {
		for _, who := range persons {
			for _, list := range targets {
				for _, field := range columns {
					c := cell{who, list, field, act}
					switch {
					case field != "" && !slices.Contains(ofFields, act):
					case strings.HasPrefix(act, "partner") && (list == "private" || list == "destroyed"):
					case c.rule() == done:
						allowed = append(allowed, c)
					case c.rule() == waits:
						waiting = append(waiting, c)
					default:
						refused = append(refused, c)
					}
				}
			}
		}
	}
	all := func() string {
		s := m.do(t, "GET", "/v1/partners", "").body + m.do(t, "GET", "/v1/exports", "").body + m.do(t, "GET", "/v1/lists", "").body + m.do(t, "GET", "/v1/access", "").body
		for _, list := range []string{"public", "private"} {
			s += m.do(t, "GET", "/v1/lists/"+string(m.lists[list])+"/contacts?format=json", "").body
		}
		return s
	}
	before, trail := all(), string(m.vault.Checkpoint())
	for _, c := range refused {
		a, want := m.try(t, c, false), c.rule()
		if a.problem == nil || a.status != want.status || a.problem.Type != "/problems/"+want.problem || a.problem.Code != want.code {
			t.Errorf("%v: got %d %s, want %+v", c, a.status, a.body, want)
		}
		if now := string(m.vault.Checkpoint()); now != trail {
			t.Errorf("%v: refused, and something is in the trail", c)
			trail = now
		}
	}
	if all() != before {
		t.Error("what was refused has changed something")
	}
	for _, c := range waiting {
		if a := m.try(t, c, true); a.problem == nil || a.status != waits.status || a.problem.Code != waits.code || a.problem.Exit != 6 || a.problem.Params["id"] == "" {
			t.Errorf("%v: got %d %s, want it to wait", c, a.status, a.body)
		}
	}
	for _, c := range allowed {
		a := m.try(t, c, true)
		if a.status != http.StatusOK && a.status != http.StatusCreated && a.status != http.StatusNoContent {
			t.Errorf("%v: got %d %s, want it done", c, a.status, a.body)
			continue
		}
		m.looked(t, c, a)
		m.after(t, c, a)
	}
	clean(t, "log", m.log.String())
	t.Logf("%d cells refused, %d wait, %d done", len(refused), len(waiting), len(allowed))
}
