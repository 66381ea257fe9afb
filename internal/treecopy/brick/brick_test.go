package brick

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/disk"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recorded are a file's attributes on a brick of Gluster 10.3, replica 3; the volume's mount said inode 11821805879331560201, modified and
// changed 2026-11-23 05:19:54.153685047 UTC.
func recorded(t *testing.T) []tree.Attr {
	return []tree.Attr{
		{Name: "trusted.gfid", Value: unhex(t, "f9029383546c4691a40f7dd0092e9b09")},
		{Name: "trusted.gfid2path.66d0cba2cd3bcd3a", Value: "b4a987f5-a367-46be-82d1-bbd063f257a0/28.png"},
		{Name: "trusted.glusterfs.mdata", Value: unhex(t, "010000000000000000000000006b03ccfa0000000009290c37000000006b03ccfa0000000009290c37000000006b03ccfa000000000765e6b2")},
	}
}

// TestUnderstand: what Gluster's attributes say of a file, and which of them make it doubtful.
func TestUnderstand(t *testing.T) {
	zero, one := strings.Repeat("\x00", 12), strings.Repeat("\x00", 3)+"\x01"+strings.Repeat("\x00", 8)
	without := func(name string) func([]tree.Attr) []tree.Attr {
		return func(as []tree.Attr) (out []tree.Attr) {
			for _, a := range as {
				if a.Name != name {
					out = append(out, a)
				}
			}
			return out
		}
	}
	with := func(name, value string) func([]tree.Attr) []tree.Attr {
		return func(as []tree.Attr) []tree.Attr {
			return append(without(name)(as), tree.Attr{Name: name, Value: value})
		}
	}
	for name, c := range map[string]struct {
		change func([]tree.Attr) []tree.Attr
		why    string
	}{
		"as recorded":          {with("trusted.gfid2path.1", "x"), ""},
		"counters at zero":     {with("trusted.afr.assets-client-1", zero), ""},
		"a heal waits":         {with("trusted.afr.assets-client-1", one), "a heal waits"},
		"a write goes on":      {with("trusted.afr.dirty", one), "a heal waits"},
		"a link to another":    {with("trusted.glusterfs.dht.linkto", "assets-replicate-1\x00"), "on another brick"},
		"in pieces":            {with("trusted.glusterfs.shard.block-size", "\x00\x00\x00\x00\x04\x00\x00\x00"), "sharding"},
		"a fragment":           {with("trusted.ec.size", "\x00\x00\x00\x00\x04\x00\x00\x00"), "disperse"},
		"rotten":               {with("trusted.bit-rot.bad-file", "1\x00"), "damaged"},
		"no gfid":              {without("trusted.gfid"), "no gfid"},
		"a gfid cut off":       {with("trusted.gfid", "abc"), "no gfid"},
		"no times":             {without("trusted.glusterfs.mdata"), "features.ctime"},
		"times of a later day": {with("trusted.glusterfs.mdata", "\x02"+strings.Repeat("\x00", 56)), "features.ctime"},
	} {
		t.Run(name, func(t *testing.T) {
			l := looked{attrs: c.change(recorded(t))}
			l.understand()
			if c.why == "" && l.why != "" || !strings.Contains(l.why, c.why) {
				t.Fatalf("why: %q", l.why)
			}
			if c.why != "" {
				return
			}
			st := tree.Stat{Kind: tree.File, Names: 2, Inode: 2581460, MTime: tree.Time{Sec: 1}, CTime: tree.Time{Sec: 1}, Size: 39991}
			l.asVolume(&st)
			at := tree.Time{Sec: 1795411194, Nsec: 153685047}
			if want := (tree.Stat{Kind: tree.File, Names: 1, Inode: 11821805879331560201, MTime: at, CTime: at, Size: 39991}); st != want {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestNoBrick: another directory isn't taken for one.
func TestNoBrick(t *testing.T) {
	if _, err := Open(t.TempDir(), "/", disk.Options{}); !errors.Is(err, ErrNoBrick) {
		t.Error(err)
	}
}
