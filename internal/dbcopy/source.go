package dbcopy

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// Source is a MariaDB that is read. It changes nothing there: its sessions are read only.
type Source struct{ ep Endpoint }

// NewSource dials nothing.
func NewSource(ep Endpoint) *Source { return &Source{ep} }

// Name is what messages call the source.
func (s *Source) Name() string { return s.ep.Name }

// Survey looks at the schemas. What it finds is for the caller to judge; see Survey.Refused.
func (s *Source) Survey(ctx context.Context, schemas []string) (Survey, error) {
	db, err := s.ep.Open(TextSession(), 1)
	if err != nil {
		return Survey{}, err
	}
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return Survey{}, s.ep.Explain(err)
	}
	defer c.Close()
	out, err := survey(ctx, c, schemas)
	if err != nil {
		return Survey{}, s.ep.Explain(err)
	}
	return out, nil
}

// Progress is how far a copy has come. Totals are the server's estimates while a snapshot is taken, and exact after.
type Progress struct {
	Rows, TotalRows   int64
	Bytes, TotalBytes int64
	Doing             string // the table or object that was last worked on
}

// Options are how a snapshot is taken.
type Options struct {
	Tool        string         // the program's version, for the manifest
	Schemas     []string       // at least one
	Connections int            // at most so many read at once; 0: 2
	ChunkBytes  int64          // about so many bytes of values a chunk; 0: 4 MiB
	Progress    func(Progress) // may be nil; called often, by several goroutines
}

// Defaults of Options. A chunk is one transaction at the target: large enough that its commit costs little, small enough
// that a lost one is soon made up for. Two connections keep a standby's replication going.
const (
	defaultConnections = 2
	defaultChunkBytes  = 4 << 20
)

var (
	// ErrSchemaChanged: somebody changed a definition while the snapshot was begun, each time it was tried. Try again
	// when nobody does.
	ErrSchemaChanged = errors.New("definitions changed while the snapshot was begun")
	// ErrReadWrong: what was read isn't what the server says it has. A defect of this program, or a server that lies; the
	// snapshot is not kept. Report it.
	ErrReadWrong = errors.New("rows read are not the rows that the server has")
)

// beginTries is how often a snapshot is begun anew when a definition changed under it.
const beginTries = 3

// Take makes run's part "mariadb" in the store: one consistent snapshot of the schemas. The rows in it are checked
// against checksums that the server computes over the same rows, before it is kept. On an error nothing is kept.
func (s *Source) Take(ctx context.Context, store *snapshot.Store, run snapshot.ID, o Options) (snapshot.Rows, error) {
	o.Connections, o.ChunkBytes = cmp.Or(o.Connections, defaultConnections), cmp.Or(o.ChunkBytes, defaultChunkBytes)
	sv, err := s.Survey(ctx, o.Schemas)
	if err == nil {
		err = sv.Refused()
	}
	if err != nil {
		return snapshot.Rows{}, err
	}
	w, err := store.Begin(ctx, run, snapshot.MariaDB, sv.Bytes)
	if err != nil {
		return snapshot.Rows{}, err
	}
	out, err := s.take(ctx, w, &sv, o)
	if err != nil {
		return snapshot.Rows{}, errors.Join(err, w.Abort(ctx))
	}
	return out, nil
}

func (s *Source) take(ctx context.Context, w *snapshot.Writer, sv *Survey, o Options) (snapshot.Rows, error) {
	v, err := s.begin(ctx, sv, o)
	if err != nil {
		return snapshot.Rows{}, err
	}
	defer v.close()
	if sv.Catalog.Grants, err = s.grants(ctx, o.Schemas); err != nil {
		return snapshot.Rows{}, err
	}
	d := &dump{ep: s.ep, w: w, o: o}
	d.meter.init(sv.Rows, sv.Bytes, o.Progress)
	if err := d.run(ctx, v, &sv.Catalog); err != nil {
		return snapshot.Rows{}, err
	}
	d.meter.report("all tables")
	c := snapshot.Contents{Tool: o.Tool, From: fmt.Sprintf("%s, %s, server_id %d", s.ep.Name, sv.Catalog.Server.Version, sv.Catalog.Server.ServerID),
		Position: &v.pos, Objects: sv.Catalog.objects(), Detail: sv.Catalog}
	art, err := w.Commit(ctx, c)
	if err != nil {
		return snapshot.Rows{}, err
	}
	return Summary(art)
}

// begin opens the view and reads the definitions again under it, until they are those of before it.
func (s *Source) begin(ctx context.Context, sv *Survey, o Options) (*consistent, error) {
	for range beginTries {
		var tables []string
		for _, sc := range sv.Catalog.Schemas {
			for _, t := range sc.Tables {
				tables = append(tables, ddl.Qualified(sc.Name, t.Name))
			}
		}
		v, err := openConsistent(ctx, s.ep, o.Connections, tables)
		if ask.Number(err) == 1146 || ask.Number(err) == 1412 { // a table is gone, or another by now
			if *sv, err = s.Survey(ctx, o.Schemas); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, s.ep.Explain(err)
		}
		again, err := s.Survey(ctx, o.Schemas)
		if err == nil {
			err = again.Refused()
		}
		if err != nil {
			v.close()
			return nil, err
		}
		same := slices.Equal(again.Catalog.definitions(), sv.Catalog.definitions()) && reflect.DeepEqual(again.Catalog.Text, sv.Catalog.Text)
		*sv = again
		if same {
			sv.Catalog.Server.Connections = len(v.conns)
			return v, nil
		}
		v.close()
	}
	return nil, fmt.Errorf("%s: %w", s.ep.Name, ErrSchemaChanged)
}

// counter is the one part of a definition that changes with the rows.
var counter = regexp.MustCompile(` AUTO_INCREMENT=[0-9]+`)

// definitions lists all that is defined, to compare.
func (c *Catalog) definitions() (out []string) {
	for _, s := range c.Schemas {
		out = append(out, s.Name, s.Collation)
		for _, t := range s.Tables {
			out = append(out, t.Name, counter.ReplaceAllString(t.Create, ""))
		}
		for _, v := range s.Views {
			out = append(out, v.Name, v.Create)
		}
	}
	return out
}

func (c *Catalog) objects() (out []snapshot.Object) {
	for _, s := range c.Schemas {
		for _, t := range s.Tables {
			out = append(out, snapshot.Object{Kind: "table", Name: s.Name + "." + t.Name, Rows: t.Rows, Bytes: t.Bytes})
		}
		for _, v := range s.Views {
			out = append(out, snapshot.Object{Kind: "view", Name: s.Name + "." + v.Name})
		}
	}
	for _, o := range c.Text.Objects {
		out = append(out, snapshot.Object{Kind: string(o.Kind), Name: o.Schema + "." + o.Name})
	}
	return out
}

// OpenCatalog reads an artifact's catalog and refuses one that this program can't go by.
func OpenCatalog(a *snapshot.Artifact) (Catalog, error) {
	var c Catalog
	if err := a.Detail(&c); err != nil {
		return c, err
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("snapshot %s: %w", a.Manifest.ID, err)
	}
	return c, nil
}

// Summary is what is journaled about an artifact.
func Summary(a *snapshot.Artifact) (snapshot.Rows, error) {
	c, err := OpenCatalog(a)
	if err != nil {
		return snapshot.Rows{}, err
	}
	r := snapshot.Rows{ID: a.Manifest.ID, Digest: a.Digest, From: a.Manifest.From, Stored: a.Stored(), Schemas: []string{}, LeftOut: []string{}}
	if a.Manifest.Position != nil {
		r.Position = *a.Manifest.Position
	}
	for _, s := range c.Schemas {
		r.Schemas = append(r.Schemas, s.Name)
		r.Tables, r.Views = r.Tables+int64(len(s.Tables)), r.Views+int64(len(s.Views))
		for _, t := range s.Tables {
			r.Rows, r.Bytes = r.Rows+t.Rows, r.Bytes+t.Bytes
		}
		for _, l := range s.LeftOut {
			r.LeftOut = append(r.LeftOut, l.in(s.Name))
		}
	}
	r.Routines = int64(len(c.Text.Of(objects.Still)))
	for _, o := range c.Text.Of(objects.Acting) {
		r.LeftOut = append(r.LeftOut, o.String())
	}
	return r, nil
}

// dump reads the rows of a view into a writer.
type dump struct {
	ep    Endpoint
	w     *snapshot.Writer
	o     Options
	meter meter
}

// run reads the tables, the largest first, each by one connection.
func (d *dump) run(ctx context.Context, v *consistent, c *Catalog) error {
	type job struct {
		schema string
		no     int
		table  *Table
	}
	var jobs []job
	for i := range c.Schemas {
		for k := range c.Schemas[i].Tables {
			jobs = append(jobs, job{c.Schemas[i].Name, len(jobs) + 1, &c.Schemas[i].Tables[k]})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(b.table.estBytes, a.table.estBytes) })
	queue := make(chan job, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	g, ctx := errgroup.WithContext(ctx)
	for _, conn := range v.conns {
		g.Go(func() error {
			for j := range queue {
				r := &tableDump{dump: d, conn: conn, schema: j.schema, no: j.no, t: j.table}
				if err := r.run(ctx); err != nil {
					return fmt.Errorf("read table %s.%s: %w", j.schema, j.table.Name, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// tableDump reads one table over one connection.
type tableDump struct {
	*dump
	conn   *sql.Conn
	schema string
	no     int
	t      *Table
	hash   value.Hasher
	buf    []byte
	file   *snapshot.Chunk
	cur    Chunk
}

// firstRows and mostRows bound how many rows are asked for at once, in a table that is read in ranges.
const (
	firstRows = 1000
	mostRows  = 200_000
)

func (r *tableDump) run(ctx context.Context) (err error) {
	defer func() {
		if r.file != nil { // only after an error, and the part will not be kept
			_, cerr := r.file.Close()
			err = errors.Join(err, cerr)
		}
	}()
	r.hash.Columns = r.t.Columns
	from := "SELECT " + value.ReadAll(value.MariaDB, r.t.Columns) + " FROM " + ddl.Qualified(r.schema, r.t.Name)
	key := r.t.RangeKey()
	if len(key) == 0 {
		if _, err := r.batch(ctx, from, nil, nil); err != nil {
			return err
		}
		return r.finish(ctx)
	}
	limit := int64(firstRows)
	if r.t.estRows > 0 && r.t.estBytes > 0 {
		limit = r.o.ChunkBytes * r.t.estRows / r.t.estBytes
	}
	var last value.Bound
	for {
		limit = max(1, min(limit, mostRows))
		where, err := value.Within(key, last, nil)
		if err != nil {
			return err
		}
		n, err := r.batch(ctx, fmt.Sprintf("%s%s ORDER BY %s LIMIT %d", from, where, value.Names(key), limit), key, &last)
		if err != nil {
			return err
		}
		if n < limit {
			return r.finish(ctx)
		}
		if r.t.Bytes > 0 {
			limit = r.o.ChunkBytes * r.t.Rows / r.t.Bytes
		}
	}
}

// batch reads the rows of one query into one chunk or more and has the server compute the checksums of those that it
// ended. last is set to the key of the last row.
func (r *tableDump) batch(ctx context.Context, query string, key []value.Column, last *value.Bound) (n int64, err error) {
	first := len(r.t.Chunks)
	rows, err := r.conn.QueryContext(ctx, query)
	if err != nil {
		return 0, r.ep.Explain(err)
	}
	defer rows.Close()
	in := value.NewScanner(r.t.Columns)
	at := make([]int, len(key))
	for i, k := range key {
		at[i] = slices.IndexFunc(r.t.Columns, func(c value.Column) bool { return c.Name == k.Name })
	}
	for ; rows.Next(); n++ {
		vals, err := in.Scan(rows)
		if err != nil {
			return n, err
		}
		var size int64
		for i, c := range r.t.Columns {
			size += int64(len(vals[i]))
			r.t.OddChoice = r.t.OddChoice || c.OddChoice(vals[i])
		}
		if err := r.row(ctx, vals, size); err != nil {
			return n, err
		}
		if r.cur.Bytes < r.o.ChunkBytes {
			if len(key) > 0 {
				*last = keepKey(*last, vals, at)
			}
			continue
		}
		if len(key) > 0 {
			*last = keepKey(*last, vals, at)
			r.cur.UpTo = slices.Clone(*last)
			for i, v := range r.cur.UpTo {
				r.cur.UpTo[i] = slices.Clone(v)
			}
		}
		if err := r.end(); err != nil {
			return n, err
		}
	}
	if err := rows.Err(); err != nil {
		return n, r.ep.Explain(err)
	}
	return n, r.compare(ctx, first)
}

// keepKey copies a row's key, reusing the room of the one before.
func keepKey(to value.Bound, vals [][]byte, at []int) value.Bound {
	if to == nil {
		to = make(value.Bound, len(at))
	}
	for i, k := range at {
		to[i] = append(to[i][:0], vals[k]...)
	}
	return to
}

// row writes one row into the current chunk and begins one if there is none.
func (r *tableDump) row(ctx context.Context, vals [][]byte, size int64) (err error) {
	if r.file == nil {
		name := fmt.Sprintf("%04d-%06d.zst", r.no, len(r.t.Chunks)+1)
		r.file, err = r.w.Create(ctx, name, fmt.Sprintf("table %s.%s, chunk %d", r.schema, r.t.Name, len(r.t.Chunks)+1))
		if err != nil {
			return err
		}
		r.cur = Chunk{File: name}
		if n := len(r.t.Chunks); n > 0 && len(r.t.Key) > 0 {
			r.cur.After = r.t.Chunks[n-1].UpTo
		}
	}
	r.buf = value.Append(r.buf[:0], vals)
	if _, err := r.file.Write(r.buf); err != nil {
		return err
	}
	r.cur.Sum.Add(r.hash.Row(vals))
	r.cur.Rows++
	r.cur.Bytes += size
	r.t.MaxRow = max(r.t.MaxRow, size)
	r.meter.add("table "+r.schema+"."+r.t.Name, 1, size)
	return nil
}

// end ends the current chunk.
func (r *tableDump) end() error {
	if r.file == nil {
		return nil
	}
	_, err := r.file.Close()
	r.file = nil
	if err != nil {
		return err
	}
	r.t.Rows, r.t.Bytes = r.t.Rows+r.cur.Rows, r.t.Bytes+r.cur.Bytes
	r.t.Sum.AddSum(r.cur.Sum)
	r.t.Chunks = append(r.t.Chunks, r.cur)
	return nil
}

// finish ends the last chunk, takes away its edge, since it is of all keys up to the highest that can be, and holds
// the whole table against the server.
func (r *tableDump) finish(ctx context.Context) error {
	n := len(r.t.Chunks)
	if r.file == nil && n == 0 && len(r.t.Key) > 0 {
		r.t.Chunks = append(r.t.Chunks, Chunk{}) // so that rows in an empty table's copy are looked for
		return r.compare(ctx, 0)
	}
	if err := r.end(); err != nil {
		return err
	}
	if len(r.t.Key) > 0 {
		first := n
		if n == len(r.t.Chunks) { // nothing came after the last edge
			r.t.Chunks[n-1].UpTo = nil
			first = n - 1
		}
		return r.compare(ctx, first)
	}
	return r.hold(ctx, "the table", Chunk{Rows: r.t.Rows, Sum: r.t.Sum}, nil)
}

// compare has the server compute the checksums of the chunks from the first-th on, in the snapshot that they were read
// in, by another way than they were read.
func (r *tableDump) compare(ctx context.Context, first int) error {
	if len(r.t.Key) == 0 {
		return nil // a chunk is no range; the table is compared as a whole
	}
	for i := first; i < len(r.t.Chunks); i++ {
		if err := r.hold(ctx, fmt.Sprintf("chunk %d", i+1), r.t.Chunks[i], r.t.RangeKey()); err != nil {
			return err
		}
	}
	return nil
}

func (r *tableDump) hold(ctx context.Context, what string, c Chunk, key []value.Column) error {
	rows, sum, err := serverSum(ctx, r.conn, value.MariaDB, r.schema, r.t, key, c.After, c.UpTo)
	if err != nil {
		return fmt.Errorf("checksum of %s: %w", what, r.ep.Explain(err))
	}
	if rows != c.Rows || sum != c.Sum {
		return fmt.Errorf("%s: read %d rows with checksum %s, the server has %d with %s: %w", what, c.Rows, c.Sum, rows, sum, ErrReadWrong)
	}
	return nil
}

// serverSum has a server count the rows of a range and add up their hashes.
func serverSum(ctx context.Context, q ask.Queryer, f value.Flavor, schema string, t *Table, key []value.Column, after, upTo value.Bound) (rows int64, sum value.Sum, err error) {
	where, err := value.Within(key, after, upTo)
	if err != nil {
		return 0, sum, err
	}
	var text string
	err = q.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM("+value.Hash(f, t.Columns)+"),0) FROM "+ddl.Qualified(schema, t.Name)+where).Scan(&rows, &text)
	if err != nil {
		return 0, sum, err
	}
	sum, err = value.ParseSum(text)
	return rows, sum, err
}
