package dbcopy

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// VerifyOptions are how a target is verified.
type VerifyOptions struct {
	Workers  int            // connections that compute checksums at once; 0: 4
	Most     int            // about so many differing rows are looked for and named; 0: 50
	Progress func(Progress) // may be nil; called often, by several goroutines
}

const defaultMost = 50

// Verified is what was found to be the same.
type Verified struct {
	Server string       // the target's @@server_uuid
	GTID   binlog.MySQL // what had been written to it when the verification began: as long as it is the same, so is the rest
	Tables int64
	Chunks int64
	Rows   int64
	Bytes  int64
}

// Difference is one row, or one object, that isn't the same on both sides.
type Difference struct {
	Object string   `json:"object"`
	What   string   `json:"what"`
	Key    string   `json:"key,omitempty"`
	Fields []string `json:"columns,omitempty"` // that differ, where both sides have the row

	Repaired bool   `json:"repaired,omitempty"` // the target's row was written anew, and is equal now
	Why      string `json:"why,omitempty"`      // what else is to be known of it: why it wasn't repaired
}

func (d Difference) String() string {
	s := d.Object
	if d.Key != "" {
		s += ", row with " + d.Key
	}
	s += ": " + d.What
	if len(d.Fields) > 0 {
		s += " in " + strings.Join(d.Fields, ", ")
	}
	if d.Repaired {
		s += "; repaired"
	}
	if d.Why != "" {
		s += "; " + d.Why
	}
	return s
}

// DifferentError: the target hasn't the rows that the snapshot has. Don't open it. Load it again, or find out who
// wrote to it.
type DifferentError struct {
	Target      string
	Living      bool // it was held against a living source and not a snapshot
	Differences []Difference
	More        bool // there are more, which were not looked for
}

func (e *DifferentError) Error() string {
	lines := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		lines[i] = d.String()
	}
	more := ""
	if e.More {
		more = "\n  and more, which were not looked for"
	}
	if e.Living {
		return fmt.Sprintf("%s differs from the source:\n  %s%s", e.Target, strings.Join(lines, "\n  "), more)
	}
	return fmt.Sprintf("%s differs from the snapshot:\n  %s%s", e.Target, strings.Join(lines, "\n  "), more)
}

// Verify compares every row of every table of the artifact with the target: the target's server computes anew what the
// source's server computed when the snapshot was taken. Rows that only the target has are found too, and so are tables.
// It changes nothing. Nobody should write to the target meanwhile: what they write is a difference.
//
// *DifferentError when something differs.
func (t *Target) Verify(ctx context.Context, art *snapshot.Artifact, o VerifyOptions) (Verified, error) {
	cat, err := OpenCatalog(art)
	if err != nil {
		return Verified{}, err
	}
	o.Workers, o.Most = cmp.Or(o.Workers, defaultWorkers), cmp.Or(o.Most, defaultMost)
	v := &verify{ep: t.ep, art: art, cat: &cat, o: o}
	out, err := v.run(ctx)
	if err != nil {
		return Verified{}, t.ep.Explain(err)
	}
	if len(v.diffs) > 0 {
		return Verified{}, &DifferentError{Target: t.ep.Name, Differences: v.diffs, More: v.more}
	}
	return out, nil
}

type verify struct {
	ep    Endpoint
	art   *snapshot.Artifact
	cat   *Catalog
	o     VerifyOptions
	db    *sql.DB
	meter meter
	diffs []Difference
	more  bool
}

// part is a range of a table whose checksum is known.
type part struct {
	def   *definition
	chunk *Chunk // nil: the whole table
}

func (p part) want() (int64, value.Sum) {
	if p.chunk == nil {
		return p.def.table.Rows, p.def.table.Sum
	}
	return p.chunk.Rows, p.chunk.Sum
}

func (v *verify) run(ctx context.Context) (Verified, error) {
	var out Verified
	var err error
	if v.db, err = v.ep.Open(RowSession(), v.o.Workers); err != nil {
		return out, err
	}
	defer v.db.Close()
	defs, err := v.objects(ctx, &out)
	if err != nil {
		return out, err
	}
	var parts []part
	for i := range defs.tables {
		d := &defs.tables[i]
		out.Tables++
		out.Rows, out.Bytes, out.Chunks = out.Rows+d.table.Rows, out.Bytes+d.table.Bytes, out.Chunks+int64(len(d.table.Chunks))
		if !d.ranges {
			parts = append(parts, part{d, nil})
			continue
		}
		for k := range d.table.Chunks {
			parts = append(parts, part{d, &d.table.Chunks[k]})
		}
	}
	v.meter.init(out.Rows, out.Bytes, v.o.Progress)
	bad, err := v.sums(ctx, parts)
	if err != nil {
		return out, err
	}
	v.meter.report("all checksums")
	for _, p := range bad {
		if v.more = v.more || len(v.diffs) >= v.o.Most; v.more {
			break
		}
		v.meter.report("looking for the rows that differ in " + p.def.String())
		if err := v.find(ctx, p); err != nil {
			return out, fmt.Errorf("look for the rows that differ in %s: %w", p.def, err)
		}
	}
	return out, nil
}

// objects holds the target's tables and views against the snapshot's and gives the definitions of those that are there.
func (v *verify) objects(ctx context.Context, out *Verified) (definitions, error) {
	db, err := v.ep.Open(TextSession(), 1)
	if err != nil {
		return definitions{}, err
	}
	defer db.Close()
	state, err := look(ctx, db, v.cat.schemas())
	if err != nil {
		return definitions{}, fmt.Errorf("look at the target: %w", err)
	}
	out.Server, out.GTID = state.Server, state.GTID
	collations, err := ask.Each(ctx, db, ask.Text, "SELECT COLLATION_NAME FROM information_schema.COLLATIONS")
	if err != nil {
		return definitions{}, fmt.Errorf("ask for collations: %w", err)
	}
	to := objects.To{Has: func(c string) bool { return slices.Contains(collations, c) }}
	defs, found := define(v.cat, to.Has)
	if err := refused(found); err != nil {
		return defs, err
	}
	there := map[object]bool{}
	for _, s := range v.cat.schemas() {
		list, err := objectsIn(ctx, db, s)
		if err != nil {
			return defs, err
		}
		for _, o := range list {
			there[o] = true
		}
	}
	has := func(o object) bool {
		defer delete(there, o)
		return there[o]
	}
	for _, d := range defs.views {
		if !has(object{Schema: d.schema, Name: d.view.Name, View: true}) {
			v.diffs = append(v.diffs, Difference{Object: d.String(), What: "the target hasn't it"})
		}
	}
	all := defs.tables
	defs.tables = nil
	for _, d := range all {
		if !has(object{Schema: d.schema, Name: d.table.Name}) {
			v.diffs = append(v.diffs, Difference{Object: d.String(), What: "the target hasn't it"})
			continue
		}
		defs.tables = append(defs.tables, d)
	}
	// A function or procedure that isn't there is no difference: the load said why the target doesn't take it.
	for _, o := range v.cat.Text.Of(objects.Still) {
		has(object{Schema: o.Schema, Name: o.Name, Routine: string(o.Kind)})
	}
	var extra []Difference
	for o := range there {
		extra = append(extra, Difference{Object: o.Schema + "." + o.Name, What: "only the target has it"})
	}
	slices.SortFunc(extra, func(a, b Difference) int { return strings.Compare(a.Object, b.Object) })
	v.diffs = append(v.diffs, extra...)
	return defs, v.still(ctx, db, to)
}

// still holds the functions and procedures that are there against the snapshot's.
func (v *verify) still(ctx context.Context, db *sql.DB, to objects.To) error {
	if v.cat.Text.Objects == nil {
		return nil
	}
	c, err := db.Conn(ctx) // reading their texts changes the session's schema
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := objects.Look(ctx, c, v.cat.Text, objects.Still, to)
	if err != nil {
		return fmt.Errorf("look at functions and procedures: %w", err)
	}
	for _, d := range st.Differ {
		v.diffs = append(v.diffs, Difference{Object: d.Object, What: strings.Join(d.What, ", ")})
	}
	return nil
}

// sums has the target compute all checksums and gives the parts whose checksum is another, in their order.
func (v *verify) sums(ctx context.Context, parts []part) ([]part, error) {
	var mu sync.Mutex
	wrong := make([]bool, len(parts))
	next := 0
	g, ctx := errgroup.WithContext(ctx)
	for range min(v.o.Workers, len(parts)) {
		g.Go(func() error {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(parts) {
					return nil
				}
				p := parts[i]
				var key []value.Column
				var after, upTo value.Bound
				if p.chunk != nil {
					key, after, upTo = p.def.table.RangeKey(), p.chunk.After, p.chunk.UpTo
				}
				rows, sum, err := serverSum(ctx, v.db, value.MySQL, p.def.schema, p.def.table, key, after, upTo)
				if ask.Number(err) == 1054 { // unknown column
					err = nil
					rows = -1
				}
				if err != nil {
					return fmt.Errorf("checksum of %s: %w", p.def, err)
				}
				wantRows, want := p.want()
				wrong[i] = rows != wantRows || sum != want
				v.meter.add(p.def.String(), wantRows, p.bytes())
			}
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var bad []part
	for i, p := range parts {
		if wrong[i] {
			bad = append(bad, p)
		}
	}
	return bad, nil
}

func (p part) bytes() int64 {
	if p.chunk == nil {
		return p.def.table.Bytes
	}
	return p.chunk.Bytes
}
