package runbooks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/runbooks"
)

// rows is what the MySQL of an instance holds of a load: whose it is, which tables and chunks.
type rows struct {
	run     string
	fence   uint64
	art     snapshot.Rows
	phase   dbcopy.Phase
	chunks  map[string]int // times loaded
	tables  map[string]bool
	written int // transactions
	orders  int // that visitors placed
}

const chunkCount = 3

func newRows() rows { return rows{chunks: map[string]int{}, tables: map[string]bool{}} }

func (r *rows) String() string {
	return fmt.Sprintf("load of %q %s tables %v chunks %v", r.run, r.phase, sortedKeys(r.tables), r.chunks)
}

func (r *rows) gtid() binlog.MySQL {
	text := ""
	if r.written > 0 {
		text = fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-%d", r.written)
	}
	s, err := binlog.ParseMySQL(text)
	if err != nil {
		panic(err)
	}
	return s
}

// database is an instance's MySQL as the loader's account sees it.
type database struct {
	w    *world
	name string
}

func (w *world) openTarget(ctx context.Context, i google.Instance) (runbooks.Target, error) {
	if s, there, err := (seeSQL{w}).Instance(ctx, i.Name); err != nil || !there || s.CA != i.CA {
		return nil, errors.Join(err, fmt.Errorf("instance %s: %w", i.Name, google.ErrGone))
	}
	return database{w, i.Name}, nil
}

func (d database) Name() string { return "instance " + d.name }

var errNoSchema = errors.New("unknown database 'shop'")

func (d database) Look(_ context.Context, schemas []string) (dbcopy.State, error) {
	return onServer(d.w, d.name, func(s *server) dbcopy.State {
		r := &s.rows
		out := dbcopy.State{Server: "server-1", Version: "9.7.4", Run: r.run, Fence: r.fence, ID: string(r.art.ID), Digest: r.art.Digest, Phase: r.phase, Chunks: int64(len(r.chunks)), GTID: r.gtid(), Objects: int64(len(r.tables))}
		for _, name := range schemas {
			if _, ok := s.dbs[name]; !ok {
				out.Missing = append(out.Missing, name)
			}
		}
		return out
	})
}

// write is one transaction, or one statement that can be cut off in the middle. The fence is looked at in it.
func (d database) write(own dbcopy.Owner, what string, half, f func(*rows)) error {
	of := func() *rows { return &d.w.servers[d.name].rows }
	var torn func()
	if half != nil {
		torn = func() { half(of()) }
	}
	return d.w.act(onTarget, stamp.Stamp{Run: own.Run, Fence: own.Fence}, what, torn, func() error {
		s := d.w.servers[d.name]
		switch {
		case s == nil:
			return errNoInstance
		case s.rows.run != "" && s.rows.run != own.Run:
			return dbcopy.ErrOtherRun
		case s.rows.fence > own.Fence:
			return dbcopy.ErrFenced
		}
		if _, ok := s.dbs["shop"]; !ok {
			return errNoSchema
		}
		f(&s.rows)
		s.rows.written++
		return nil
	})
}

func (d database) rows() (rows, error) {
	return onServer(d.w, d.name, func(s *server) rows { return s.rows })
}

// Load does what the real one does: a mark, tables, each chunk in a transaction of its own, keys.
func (d database) Load(ctx context.Context, art *snapshot.Artifact, own dbcopy.Owner, o dbcopy.LoadOptions) (dbcopy.Loaded, error) {
	var out dbcopy.Loaded
	sum, err := dbcopy.Summary(art)
	if err != nil {
		return out, err
	}
	r, err := d.rows()
	if err != nil {
		return out, err
	}
	if r.run == "" {
		err = d.write(own, "mark the load", nil, func(r *rows) { r.run, r.fence, r.art, r.phase = own.Run, own.Fence, sum, dbcopy.PhaseCompile })
	} else if r.run == own.Run && r.fence < own.Fence {
		err = d.write(own, "repair: raise the fence of the load", nil, func(r *rows) { r.fence = own.Fence })
	}
	if err != nil {
		return out, err
	}
	if r, err = d.rows(); err != nil {
		return out, err
	}
	if r.phase == dbcopy.PhaseCompile {
		err := d.write(own, "make tables", func(r *rows) { r.tables["orders"] = true }, func(r *rows) { r.tables["orders"], r.tables["items"], r.phase = true, true, dbcopy.PhaseRows })
		if err != nil {
			return out, err
		}
	}
	for i := range chunkCount {
		name := fmt.Sprintf("chunk %d", i)
		if r.chunks[name] > 0 {
			continue
		}
		if err := d.write(own, "load "+name, nil, func(r *rows) { r.chunks[name]++; o.Moved(10, 100) }); err != nil {
			return out, err
		}
	}
	if r, err = d.rows(); err == nil && r.phase == dbcopy.PhaseRows {
		err = d.write(own, "make keys", nil, func(r *rows) { r.phase = dbcopy.PhaseLoaded })
	}
	return dbcopy.Loaded{Server: "server-1", ID: sum.ID, Digest: sum.Digest}, err
}

func (d database) Drop(_ context.Context, own dbcopy.Owner) error {
	r, err := d.rows()
	if err != nil || r.run != own.Run {
		return err
	}
	if len(r.tables) > 0 {
		if err := d.write(own, "drop tables", func(r *rows) { delete(r.tables, "items") }, func(r *rows) { clear(r.tables) }); err != nil {
			return err
		}
	}
	return d.write(own, "drop the mark", nil, func(r *rows) {
		r.run, r.fence, r.art, r.phase = "", 0, snapshot.Rows{}, ""
		clear(r.chunks)
	})
}

func (d database) Verify(_ context.Context, art *snapshot.Artifact, _ dbcopy.VerifyOptions) (dbcopy.Verified, error) {
	r, err := d.rows()
	if err != nil {
		return dbcopy.Verified{}, err
	}
	if len(r.tables) != 2 || len(r.chunks) != chunkCount || r.art.Digest != art.Digest || r.orders > 0 {
		return dbcopy.Verified{}, &dbcopy.DifferentError{Target: d.Name(), Differences: []dbcopy.Difference{{Object: "table shop.orders", What: "differs"}}}
	}
	return dbcopy.Verified{Server: "server-1", GTID: r.gtid(), Tables: 2, Chunks: chunkCount, Rows: 30, Bytes: 300}, nil
}

func (d database) Row(_ context.Context, schema, _ string, args []string) ([]string, error) {
	r, err := d.rows()
	if err != nil || schema != "shop" || len(r.tables) != 2 {
		return nil, errors.Join(err, errNoSchema)
	}
	return append([]string{"SKU-1"}, args...), nil
}
