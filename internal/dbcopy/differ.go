package dbcopy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// find names the rows that differ in a part whose checksum does. Values are not named: they are customers'.
func (v *verify) find(ctx context.Context, p part) error {
	before := len(v.diffs)
	var err error
	if p.chunk != nil {
		err = v.findInRange(ctx, p)
	} else {
		err = v.findInTable(ctx, p)
	}
	if ask.Number(err) == 1054 { // unknown column
		v.diffs = append(v.diffs, Difference{Object: p.def.String(), What: fmt.Sprintf("its columns are others: %v", err)})
		return nil
	}
	if err == nil && len(v.diffs) == before && !v.more {
		v.diffs = append(v.diffs, Difference{Object: p.def.String(), What: "the checksum of its rows is another, though no row is found to differ when they are read: report this"})
	}
	return err
}

func (v *verify) note(d Difference) {
	if len(v.diffs) >= v.o.Most {
		v.more = true
		return
	}
	v.diffs = append(v.diffs, d)
}

// findInRange compares the rows of one chunk by their keys. The chunk's rows are held in memory.
func (v *verify) findInRange(ctx context.Context, p part) error {
	t := p.def.table
	var at []int
	for _, k := range t.RangeKey() {
		at = append(at, slices.IndexFunc(t.Columns, func(c value.Column) bool { return c.Name == k.Name }))
	}
	keyOf := func(vals [][]byte) string {
		key := make([][]byte, len(at))
		for i, k := range at {
			key[i] = vals[k]
		}
		return string(value.Append(nil, key))
	}
	want := map[string][]byte{}
	var order []string
	if p.chunk.File != "" {
		err := v.stored(ctx, p.chunk.File, len(t.Columns), func(vals [][]byte) error {
			k := keyOf(vals)
			want[k] = value.Append(nil, vals)
			order = append(order, k)
			return nil
		})
		if err != nil {
			return err
		}
	}
	where, err := value.Within(t.RangeKey(), p.chunk.After, p.chunk.UpTo)
	if err != nil {
		return err
	}
	err = v.onTarget(ctx, p, where, func(vals [][]byte) error {
		k := keyOf(vals)
		row, ok := want[k]
		if !ok {
			v.note(Difference{Object: p.def.String(), What: "only the target has it", Key: printKey(t, vals)})
			return nil
		}
		delete(want, k)
		if bytes.Equal(row, value.Append(nil, vals)) {
			return nil
		}
		was, err := value.NewReader(bytes.NewReader(row), len(t.Columns)).Next()
		if err != nil {
			return err
		}
		v.note(Difference{Object: p.def.String(), What: "differs", Key: printKey(t, vals), Fields: differing(t, was, vals)})
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range order {
		row, left := want[k]
		if !left {
			continue
		}
		vals, err := value.NewReader(bytes.NewReader(row), len(t.Columns)).Next()
		if err != nil {
			return err
		}
		v.note(Difference{Object: p.def.String(), What: "the target hasn't it", Key: printKey(t, vals)})
	}
	return nil
}

func differing(t *Table, a, b [][]byte) (out []string) {
	for i, c := range t.Columns {
		if (a[i] == nil) != (b[i] == nil) || !bytes.Equal(a[i], b[i]) {
			out = append(out, c.Name)
		}
	}
	return out
}

// passRows is how many rows of a table without ranges are counted in memory at once (about 100 bytes each).
const passRows = 1_000_000

// findInTable compares the rows of a table as a heap: how often each occurs. A table too large for the memory is read
// several times, each time a share of the rows.
func (v *verify) findInTable(ctx context.Context, p part) error {
	t := p.def.table
	type digest [16]byte
	digestOf := func(vals [][]byte) (d digest) {
		sum := sha256.Sum256(value.Append(nil, vals))
		copy(d[:], sum[:])
		return d
	}
	passes := t.Rows/passRows + 1
	for pass := range passes {
		count := map[digest]int{}
		mine := func(d digest) bool { return int64(uint16(d[0])<<8|uint16(d[1]))%passes == pass }
		tally := func(step int) func([][]byte) error {
			return func(vals [][]byte) error {
				if d := digestOf(vals); mine(d) {
					if count[d] += step; count[d] == 0 {
						delete(count, d)
					}
				}
				return nil
			}
		}
		show := func(sign int, what string) func([][]byte) error {
			return func(vals [][]byte) error {
				if d := digestOf(vals); count[d]*sign > 0 && mine(d) {
					count[d] -= sign
					v.note(Difference{Object: p.def.String(), What: what, Key: printKey(t, vals)})
				}
				return nil
			}
		}
		files := func(do func([][]byte) error) error {
			for _, c := range t.Chunks {
				if c.File == "" {
					continue
				}
				if err := v.stored(ctx, c.File, len(t.Columns), do); err != nil {
					return err
				}
			}
			return nil
		}
		for _, step := range []func() error{
			func() error { return files(tally(1)) },
			func() error { return v.onTarget(ctx, p, "", tally(-1)) },
			func() error { return files(show(1, "the target hasn't it so, or not so often")) },
			func() error { return v.onTarget(ctx, p, "", show(-1, "only the target has it so, or so often")) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	return nil
}

// stored calls do with each row of a file. What do made of it counts only if stored gives no error: the file's checksum
// is compared at its end.
func (v *verify) stored(ctx context.Context, name string, columns int, do func([][]byte) error) error {
	file, err := v.art.File(name)
	if err != nil {
		return err
	}
	r, err := v.art.Read(ctx, file)
	if err != nil {
		return err
	}
	defer r.Close()
	return eachRow(r, columns, do)
}

func eachRow(r io.Reader, columns int, do func([][]byte) error) error {
	rows := value.NewReader(r, columns)
	for {
		vals, err := rows.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = do(vals)
		}
		if err != nil {
			return err
		}
	}
}

// onTarget calls do with each row that the target has in a range.
func (v *verify) onTarget(ctx context.Context, p part, where string, do func([][]byte) error) error {
	t := p.def.table
	rows, err := v.db.QueryContext(ctx, "SELECT "+value.ReadAll(value.MySQL, t.Columns)+" FROM "+ddl.Qualified(p.def.schema, t.Name)+where)
	if err != nil {
		return err
	}
	defer rows.Close()
	in := value.NewScanner(t.Columns)
	for rows.Next() {
		vals, err := in.Scan(rows)
		if err == nil {
			err = do(vals)
		}
		if err != nil {
			return err
		}
	}
	return rows.Err()
}
