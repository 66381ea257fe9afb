package tree

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The order is that of the names, one directory after the other: what comparing lists of names gives.
func TestCompareIsByNames(t *testing.T) {
	few := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a!", "a\x01", "b", "a0", "\xff", "a.b"}), 1, 4), 2, 2)
	rapid.Check(t, func(t *rapid.T) {
		names := few.Draw(t, "names")
		a, b := Path(strings.Join(names[0], "/")), Path(strings.Join(names[1], "/"))
		want := slices.Compare(names[0], names[1])
		got := Compare(a, b)
		if got < 0 != (want < 0) || got > 0 != (want > 0) {
			t.Errorf("%s, %s: %d, and by names %d", a, b, got, want)
		}
	})
	if Compare("", "a") >= 0 || Compare("a", "") <= 0 || Compare("", "") != 0 {
		t.Error("the root isn't first")
	}
}

func TestParentBaseJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := safePath.Draw(t, "path")
		dir, ok := p.Parent()
		if ok != (p != "") || ok && (dir.Join(p.Base()) != p || Compare(dir, p) >= 0) {
			t.Errorf("%s is in %s, %v", p, dir, ok)
		}
	})
}

func TestCheckRefusesWhatLeadsOut(t *testing.T) {
	for _, bad := range []Path{"/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "./a", "a\x00b", "\x00"} {
		if err := bad.Check(); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), bad.String()) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, good := range []Path{"", "a", "...", "..a", "a../b", " ", "\n", "\xff/\x01", "-rf"} {
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if err := safePath.Draw(t, "path").Check(); err != nil {
			t.Error(err)
		}
	})
}
