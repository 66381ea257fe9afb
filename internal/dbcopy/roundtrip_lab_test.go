//go:build lab

package dbcopy

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbgen"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

var (
	seedFlag    = flag.Uint64("seed", 1, "first seed of the generated schemas")
	schemasFlag = flag.Int("schemas", 25, "how many schemas to generate")
)

// TestRoundTrip moves generated schemas and compares each table by the oracle and by Verify.
func TestRoundTrip(t *testing.T) {
	hit := map[string]int{}
	tables, rows, refused := 0, 0, 0
	last := *seedFlag + uint64(*schemasFlag)
	// A set that is to be whole goes on until everything was met.
	for seed := *seedFlag; seed < last || *schemasFlag >= 20 && len(missing(hit)) > 0 && seed < last+2*uint64(*schemasFlag); seed++ {
		ok := t.Run("", func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			r := rand.New(rand.NewPCG(seed, 0))
			maria, my := schemas(t, "gen")
			maria.SetMaxOpenConns(1)
			exec(t, maria, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'")
			gen := dbgen.Schema(r, dbgen.Options{Tables: 1 + r.IntN(5), Unfollowed: true})
			for _, g := range gen {
				exec(t, maria, g.Create)
				exec(t, maria, g.Inserts(r)...)
			}
			art := take(t, Options{Schemas: []string{"gen"}, ChunkBytes: dbgen.Pick[int64](r, 200, 3000, 1<<20), Connections: 1 + r.IntN(3)})
			load1(t, art, LoadOptions{DeferBytes: dbgen.Pick[int64](r, 1, 1<<30)})
			if d := differences(t, art); d != nil {
				t.Errorf("verify finds %q", d)
			}
			for _, g := range gen {
				columns := dbtest.Texts(t, maria, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'gen' AND TABLE_NAME = ?", g.Name)
				if len(columns) != len(g.Columns) {
					t.Fatalf("table %s has columns %q", g.Name, columns)
				}
				rows += dbtest.Equal(t, maria, my, g.Name)
				tables++
				for _, w := range g.What {
					hit[w]++
				}
			}
			if err := testTarget().Drop(t.Context(), testOwner); err != nil {
				t.Error(err)
			}
			if l := left(t, "gen"); len(l) > 0 {
				t.Errorf("left after the drop: %q", l)
			}
		})
		if !ok {
			t.Fatalf("seed %d failed; go test -tags lab -run TestRoundTrip -seed %d -schemas 1", seed, seed)
		}
	}
	t.Logf("%d schemas or more from seed %d: %d tables, %d rows, %d refused", *schemasFlag, *seedFlag, tables, rows, refused)
	if *schemasFlag < 20 {
		return
	}
	for _, w := range missing(hit) {
		t.Errorf("no generated table had: %s", w)
	}
}

// missing is what the generator knows and no table had yet.
func missing(hit map[string]int) (out []string) {
	return slices.DeleteFunc(dbgen.Wanted(true), func(w string) bool { return hit[w] > 0 })
}
