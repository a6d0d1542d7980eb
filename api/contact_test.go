package api_test

import (
	"testing"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/sharing/format"
)

// TestClientFormats: what a client can ask for is there.
func TestClientFormats(t *testing.T) {
	for _, f := range []client.Format{"", client.CSV, client.JSON, client.VCard} {
		if _, err := format.House(string(f)); err != nil {
			t.Errorf("%q: %v", f, err)
		}
	}
}
