package dbgen

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Options are what is made.
type Options struct {
	Tables int
	// Unfollowed adds what can't be followed: tables whose rows nothing tells apart; and what MySQL 9.7's foreign keys refuse and
	// MariaDB's don't: rows that go with others of their own table, where two of these have others below them (error 6575), and a key
	// that is changed over two levels of ON UPDATE CASCADE (1452).
	Unfollowed bool
	Rows       []int // a table begins with one of these numbers of rows; nil: 0, 1, 2, 30, 150
}

var keyable = slices.DeleteFunc(slices.Clone(Types), func(t Type) bool { return !t.Key })

// named gives types by their names.
func named(names ...string) (out []Type) {
	for _, t := range Types {
		if slices.Contains(names, t.What) {
			out = append(out, t)
		}
	}
	return out
}

// Schema makes the tables of a schema, parents before those that refer to them.
func Schema(r *rand.Rand, o Options) (out []*Table) {
	if o.Rows == nil {
		o.Rows = []int{0, 1, 2, 30, 150}
	}
	for i := range o.Tables {
		t := &Table{Name: Pick(r, "t", "t", "select", "o'brien", "back`tick", "ümläut", "per%cent", "under_score") + strconv.Itoa(i), Rows: Pick(r, o.Rows...)}
		if strings.Trim(t.Name, "t0123456789") != "" {
			t.hit("name that needs quotes")
		}
		t.make(r, o, out)
		out = append(out, t)
	}
	return out
}

func (t *Table) make(r *rand.Rand, o Options, before []*Table) {
	parents := slices.DeleteFunc(slices.Clone(before), func(p *Table) bool {
		return len(p.Keys) == 0 || !p.Keys[0].Whole || p.partitioned ||
			!o.Unfollowed && slices.ContainsFunc(p.Refs, func(f Reference) bool { return f.InPrimary && f.OnUpdate == "CASCADE" })
	})
	kinds := slices.DeleteFunc(slices.Clone(KeyKinds), func(k string) bool {
		return k == "of a parent" && len(parents) == 0 || !o.Unfollowed && slices.Contains(Keyless, k)
	})
	kind := Pick(r, kinds...)
	t.keyed(r, kind, parents)
	if (kind == "auto" || kind == "one column" || kind == "two columns") && r.IntN(8) == 0 {
		t.partitioned = true // then no other key tells rows apart, and nothing refers
		t.hit("partitions")
	}
	if !t.partitioned {
		if len(parents) > 0 && r.IntN(2) == 0 {
			t.reference(r, Pick(r, parents...), false)
		}
		if len(t.Keys) > 0 && t.Keys[0].Whole && len(t.Keys[0].Columns) == 1 && r.IntN(5) == 0 {
			t.reference(r, t, false)
			if f := &t.Refs[len(t.Refs)-1]; !o.Unfollowed {
				f.OnDelete = "SET NULL"
			}
		}
	}
	for range 1 + r.IntN(6) {
		t.fresh(r, Types, r.IntN(3) > 0)
	}
	end := ""
	if t.partitioned {
		end = " PARTITION BY KEY (" + t.names(t.Keys[0].Columns)[0] + ") PARTITIONS 3"
	} else {
		t.beside(r)
		t.composite(r)
	}
	t.Create = "CREATE TABLE " + Quote(t.Name) + " (" + strings.Join(append(append(t.defs, t.keys...), t.constraints(fmt.Sprintf("fk%d", len(before)))...), ", ") + ") ENGINE=InnoDB " +
		Pick(r, "", "ROW_FORMAT=DYNAMIC ", "COMMENT='it''s' ") + "DEFAULT CHARSET=" + Pick(r, "utf8mb4 COLLATE utf8mb4_general_ci", "latin1", "utf8mb3") + end
}

// Wanted are all that a set of schemas which is whole has hit.
func Wanted(unfollowed bool) (out []string) {
	for _, t := range Types {
		out = append(out, t.What)
	}
	for _, k := range KeyKinds {
		if unfollowed || !slices.Contains(Keyless, k) {
			out = append(out, "key: "+k)
		}
	}
	for _, f := range References {
		out = append(out, "reference "+f)
	}
	return append(out, Extras...)
}
