package dbgen

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func text(seed uint64, o Options) (out []string) {
	r := rand.New(rand.NewPCG(seed, 0))
	for _, t := range Schema(r, o) {
		out = append(append(out, t.Create), t.Inserts(r)...)
	}
	return out
}

// TestSame: the same random numbers make the same, and others something else.
func TestSame(t *testing.T) {
	a := text(3, Options{Tables: 5})
	if !slices.Equal(a, text(3, Options{Tables: 5})) || slices.Equal(a, text(4, Options{Tables: 5})) {
		t.Error("the text isn't that of its seed")
	}
}

// TestWanted: everything is made sooner or later, under one name each, and nothing else is.
func TestWanted(t *testing.T) {
	hit := map[string]int{}
	for seed := range uint64(2000) {
		for _, tab := range Schema(rand.New(rand.NewPCG(seed, 1)), Options{Tables: 4, Unfollowed: true}) {
			for _, w := range tab.What {
				hit[w]++
			}
		}
	}
	want := Wanted(true)
	for _, w := range want {
		if hit[w] == 0 {
			t.Errorf("never made: %s", w)
		}
		delete(hit, w)
	}
	for w := range hit {
		t.Errorf("made and not wanted: %s", w)
	}
	if slices.Sort(want); len(slices.Compact(want)) != len(Wanted(true)) {
		t.Error("a name is there twice")
	}
}

// TestFollowed: without the keyless ones, every table has a key that can tell rows apart.
func TestFollowed(t *testing.T) {
	for seed := range uint64(500) {
		for _, tab := range Schema(rand.New(rand.NewPCG(seed, 2)), Options{Tables: 4}) {
			if len(tab.Keys) == 0 || slices.ContainsFunc(tab.Keys[0].Columns, func(i int) bool { return tab.Columns[i].Null }) {
				t.Fatalf("seed %d: %s", seed, tab.Create)
			}
		}
	}
}
