package client_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/api/client"
)

func TestFoundIsFlatAndOrdered(t *testing.T) {
	f := client.Found{List: "l", ID: "c", Fields: []string{"phone", "name"}, Values: []string{"+12125550100", `A "B"`}}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"list":"l","id":"c","phone":"+12125550100","name":"A \"B\""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back client.Found
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, back); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
