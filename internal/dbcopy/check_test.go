package dbcopy

import (
	"slices"
	"testing"
)

// TestLost: which plans say that a key is lost, and which say nothing.
func TestLost(t *testing.T) {
	src := explained{table: "a", access: "ref", possible: "k", key: "k"}
	for _, c := range []struct {
		name     string
		src, dst []explained
		want     int
	}{
		{"lost", []explained{src}, []explained{{table: "a", access: "ALL"}}, 1},
		{"said once", []explained{src, src}, []explained{{table: "a", access: "ALL"}}, 1},
		{"it could", []explained{src}, []explained{{table: "a", access: "ALL", possible: "k"}}, 0},
		{"another one does", []explained{src}, []explained{{table: "a", access: "index", key: "j"}}, 0},
		{"the target doesn't name the table", []explained{src}, []explained{{table: ""}}, 0},
		{"the source reads all too", []explained{{table: "a", access: "ALL", possible: "k"}}, []explained{{table: "a", access: "ALL"}}, 0},
		{"the source reads a whole key", []explained{{table: "a", access: "index", key: "k"}}, []explained{{table: "a", access: "ALL"}}, 0},
		{"one of two", []explained{src, {table: "b", access: "eq_ref", key: "PRIMARY"}}, []explained{{table: "a", access: "ALL", possible: "k"}, {table: "b", access: "ALL"}}, 1},
	} {
		if got := lost(c.src, c.dst); len(got) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestScratchName(t *testing.T) {
	var got []string
	for _, n := range []string{"_slipway_check_1", "_slipway_check_10", "_slipway_check_", "_slipway_check_1x", "x_slipway_check_1", "_slipway", "_slipway_check_mine"} {
		if scratchName.MatchString(n) {
			got = append(got, n)
		}
	}
	if !slices.Equal(got, []string{"_slipway_check_1", "_slipway_check_10"}) {
		t.Errorf("own are %q", got)
	}
	s := &scratch{of: map[string]string{"a": "_slipway_check_1", "b": "_slipway_check_10"}}
	if got := s.names("x _slipway_check_10.t, _slipway_check_1.t"); got != "x b.t, a.t" {
		t.Errorf("got %q", got)
	}
}
