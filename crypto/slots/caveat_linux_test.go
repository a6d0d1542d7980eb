package slots

import (
	"os"
	"strings"
	"testing"
)

func TestCaveat(t *testing.T) {
	for _, tt := range []struct {
		magic uint32
		want  string // "" for no caveat, else a part of it
	}{
		{0xef53, ""}, {0x58465342, ""}, {0x01021994, ""}, {0x4d44, ""},
		{0x9123683e, "(btrfs) copies on write"}, {0x2fc12fc1, "(ZFS) copies on write"},
		{0x794c7630, "(overlay) copies on write"}, {0xca451a4e, "(bcachefs) copies on write"},
		{0xf2f52010, "(F2FS) copies on write"}, {0x6969, "(NFS) stands for another"},
		{0x65735546, "(FUSE) stands for another"}, {0xff534d42, "(SMB) stands for another"},
		{0, "not known"}, {0x12345678, "not known"},
	} {
		got := caveatOf(tt.magic)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%#x: got %q, want %q in it", tt.magic, got, tt.want)
		}
	}
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := caveat(f)
	f.Close()
	// A closed file cannot be asked: nothing is promised then.
	if after := caveat(f); after != caveatUnknown {
		t.Errorf("got %q of a closed file, want %q (open: %q)", after, caveatUnknown, got)
	}
}
