package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// TestHoldOverHTTP: an organiser sets a hold, a member does not and sees no reason, and
// what would destroy answers 409 while it stands.
func TestHoldOverHTTP(t *testing.T) {
	h := founded(t, option{})
	list, contact := h.list(t)
	h.join(t, "birch", "brass compass meadow one")
	_, birch := h.signIn(t, "birch", "brass compass meadow one")
	on := mustJSON(t, client.HoldOn{List: list, Reason: "Purposeful"})
	wantProblem(t, "a member sets", h.do(t, "POST", "/v1/holds", on, "Authorization", "Bearer "+birch), 403, "role")
	wantProblem(t, "a member lifts", h.do(t, "POST", "/v1/holds/lifts", on, "Authorization", "Bearer "+birch), 403, "role")
	wantProblem(t, "nothing to lift", h.do(t, "POST", "/v1/holds/lifts", on), 404, "no-such-hold")
	wantProblem(t, "no reason", h.do(t, "POST", "/v1/holds", `{"reason":""}`), 422, "text")
	wantProblem(t, "an unknown member", h.do(t, "POST", "/v1/holds", `{"reason":"x","until":"2030-01-01T00:00:00Z"}`), 400, "body")

	a := h.do(t, "POST", "/v1/holds", on)
	var set client.Hold
	if err := json.Unmarshal([]byte(a.body), &set); err != nil || a.status != 201 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if set.List != list || set.All || set.Until != nil || set.Status != vault.HoldStands || !strings.Contains(a.body, `"until":null`) {
		t.Errorf("got %s", a.body)
	}
	at := "/v1/lists/" + string(list)
	wantProblem(t, "destroy", h.do(t, "DELETE", at, ""), 409, "held")
	wantProblem(t, "erase", h.do(t, "DELETE", at+"/contacts/"+string(contact), ""), 409, "held")
	wantProblem(t, "set twice", h.do(t, "POST", "/v1/holds", on), 409, "held-already")
	if a := h.do(t, "GET", at, ""); !strings.Contains(a.body, `"hold":{"id":"`+string(set.ID)) {
		t.Errorf("show: got %s", a.body)
	}
	if a := h.do(t, "GET", "/v1/holds", "", "Authorization", "Bearer "+birch); a.status != 200 || !strings.Contains(a.body, string(set.ID)) || strings.Contains(a.body, "Purposeful") {
		t.Errorf("a member sees %d %s", a.status, a.body)
	}
	if a := h.do(t, "GET", "/v1/holds", ""); !strings.Contains(a.body, "Purposeful") {
		t.Errorf("an organiser sees %s", a.body)
	}
	if a := h.do(t, "POST", "/v1/holds/lifts", on); a.status != 200 || !strings.Contains(a.body, `"status":"lifted"`) {
		t.Errorf("lift: got %d %s", a.status, a.body)
	}
	if a := h.do(t, "GET", at, ""); !strings.Contains(a.body, `"hold":null`) {
		t.Errorf("show: got %s", a.body)
	}
	clean(t, "log", h.log.String())
}

// TestExtendOverHTTP: the later deadline is answered, and the reason is for stewards.
func TestExtendOverHTTP(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	at := "/v1/lists/" + string(list)
	to := time.Now().AddDate(0, 0, 300).UTC().Truncate(time.Second)
	x := func(to time.Time, reason string) string {
		return mustJSON(t, client.NewExtension{To: to, Reason: reason})
	}
	wantProblem(t, "no time", h.do(t, "POST", at+"/extensions", `{"reason":"x"}`), 422, "missing")
	wantProblem(t, "no reason", h.do(t, "POST", at+"/extensions", x(to, "")), 422, "text")
	wantProblem(t, "beyond policy", h.do(t, "POST", at+"/extensions", x(to.AddDate(1, 0, 0), "x")), 422, "deadline-policy")
	a := h.do(t, "POST", at+"/extensions", x(to, "Purposeful"))
	var l client.List
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.status != 200 || !l.Deadline.Equal(to) {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if a := h.do(t, "GET", at, ""); !strings.Contains(a.body, `"reason":"Purposeful"`) {
		t.Errorf("show: got %s", a.body)
	}
	clean(t, "log", h.log.String())
}
