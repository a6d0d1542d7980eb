package api_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: what the tests open and close leaves nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
