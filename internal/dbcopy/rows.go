package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// The modes in which rows are stored: every value as it is or an error, but zero dates and the day 31 of any month,
// which MariaDB may hold. MySQL takes the value 0 of an ENUM in the second only, so rows with one are sent apart; what
// else it would cut in them is found when the rows are verified.
const (
	strictMode = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
	looseMode  = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
)

func LoadSession(mode string) Session {
	return RowSession().With(Session{"sql_mode": "'" + mode + "'", "foreign_key_checks": "0", "transaction_isolation": "'READ-COMMITTED'", "innodb_lock_wait_timeout": "20"})
}

// statementBytes is about how long an INSERT gets. Longer ones were no faster here.
const statementBytes = 1 << 20

// job is one chunk to load.
type job struct {
	def   *definition
	chunk *Chunk
}

// moveRows loads the chunks that aren't in yet.
func (l *load) moveRows(ctx context.Context, c *sql.Conn) error {
	done, err := collect(ctx, c, scanString, "SELECT `file` FROM "+ownTable("chunk"))
	if err != nil {
		return err
	}
	in := map[string]bool{}
	for _, f := range done {
		in[f] = true
	}
	var jobs []job
	for i := range l.defs.tables {
		d := &l.defs.tables[i]
		for k := range d.table.Chunks {
			ch := &d.table.Chunks[k]
			switch {
			case ch.File == "": // the one chunk of an empty table
			case in[ch.File]:
				l.meter.add(d.String(), ch.Rows, ch.Bytes)
			default:
				jobs = append(jobs, job{d, ch})
			}
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return int(b.def.table.Bytes - a.def.table.Bytes) })
	queue := make(chan job, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	g, ctx := errgroup.WithContext(ctx)
	for range min(l.o.Workers, len(jobs)) {
		g.Go(func() error {
			w := &rowLoader{load: l}
			defer w.drop()
			for j := range queue {
				if err := w.chunk(ctx, j); err != nil {
					return fmt.Errorf("load %s, file %s: %w", j.def, j.chunk.File, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	l.meter.report("all rows are in")
	return nil
}

// rowLoader is one worker with its connection.
type rowLoader struct {
	*load
	conn *sql.Conn
	stmt []byte
	odd  []byte
}

func (w *rowLoader) drop() {
	if w.conn != nil {
		// Not back into the pool: it may be in a transaction.
		_ = w.conn.Raw(func(any) error { return errBad })
		w.conn.Close()
		w.conn = nil
	}
}

// tries is how often a chunk is tried when it fails in a way that passes: a deadlock, a lost connection.
const tries = 6

// chunk loads one chunk, exactly once: its rows and its entry in the mark's table are one transaction, and after an
// outcome that isn't known the entry is asked for.
func (w *rowLoader) chunk(ctx context.Context, j job) error {
	var err error
	for try := 1; try <= tries; try++ {
		if try > 1 {
			w.meter.report(fmt.Sprintf("trying %s, file %s again (%d of %d) after: %v", j.def, j.chunk.File, try, tries, err))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try*try) * 100 * time.Millisecond):
			}
		}
		if err = w.once(ctx, j); err == nil {
			w.meter.add(j.def.String(), j.chunk.Rows, j.chunk.Bytes)
			if w.o.Moved != nil {
				w.o.Moved(j.chunk.Rows, j.chunk.Bytes)
			}
			return nil
		}
		w.drop()
		if ctx.Err() != nil || !passing(err) {
			break
		}
	}
	if full := w.full(err); full != nil {
		return full
	}
	return err
}

// passing: the error may go away by itself. Duplicate keys are among them because a transaction of an earlier attempt
// may end just now; that is found out when the entry is asked for again.
func passing(err error) bool {
	switch ErrorNumber(err) {
	case 1205, 1213, 1062: // lock wait timeout, deadlock, duplicate entry
		return true
	case 0:
		return !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, ErrFenced) && !errors.Is(err, errContents)
	}
	return lostNumber(ErrorNumber(err))
}

// errContents: the artifact's rows aren't what its manifest says, though its bytes are. Nothing helps but another
// snapshot.
var errContents = errors.New("the snapshot's rows are not what its manifest says")

// once is one try: nil when the chunk is in, whoever put it there.
func (w *rowLoader) once(ctx context.Context, j job) (err error) {
	if w.conn == nil {
		if w.conn, err = w.rows.Conn(ctx); err != nil {
			return err
		}
	}
	// Statements, and not database/sql's transactions: their Commit can't be given up while the server hangs. After an
	// error the connection is dropped, and the server rolls back.
	if _, err := w.conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	// The mark is held until the end: whoever takes the run over waits for this transaction or sees what it did.
	var fence uint64
	var run string
	if err := w.conn.QueryRowContext(ctx, "SELECT `run`, `fence` FROM "+ownTable("load")+" FOR SHARE").Scan(&run, &fence); err != nil {
		return fmt.Errorf("ask whose load it is: %w", err)
	}
	if err := fenced(w.own, run, fence); err != nil {
		return err
	}
	in, err := collect(ctx, w.conn, scanString, "SELECT `file` FROM "+ownTable("chunk")+" WHERE `file` = '"+escape(j.chunk.File)+"'")
	if err != nil {
		return err
	}
	if len(in) > 0 {
		_, err := w.conn.ExecContext(ctx, "ROLLBACK")
		return err
	}
	if err := w.insert(ctx, j); err != nil {
		return err
	}
	if _, err := w.conn.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (`file`, `rows`, `fence`) VALUES ('%s', %d, %d)", ownTable("chunk"), escape(j.chunk.File), j.chunk.Rows, w.own.Fence)); err != nil {
		return err
	}
	_, err = w.watch.exec(ctx, w.conn, "COMMIT")
	return err
}

// insert sends the rows of a chunk in statements of many rows.
func (w *rowLoader) insert(ctx context.Context, j job) error {
	t := j.def.table
	file, err := w.art.File(j.chunk.File)
	if err != nil {
		return err
	}
	src, err := w.art.Read(file)
	if err != nil {
		return err
	}
	defer src.Close()
	var stored []value.Column
	var at []int
	for i, c := range t.Columns {
		if !c.Generated {
			stored, at = append(stored, c), append(at, i)
		}
	}
	head := "INSERT INTO " + qualified(j.def.schema, t.Name) + " (" + value.Names(stored) + ") VALUES "
	rows := value.NewReader(src, len(t.Columns))
	in := &inserter{w: w, j: j, head: head, limit: min(statementBytes, int(w.most)/2), stmt: w.stmt[:0]}
	odd := &inserter{w: w, j: j, head: head, limit: in.limit, stmt: w.odd[:0], loose: true}
	defer func() { w.stmt, w.odd = in.stmt, odd.stmt }()
	var total int64
	for ; ; total++ {
		vals, err := rows.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if !errors.Is(err, snapshot.ErrDamaged) {
				err = errors.Join(errContents, err)
			}
			return fmt.Errorf("row %d: %w", total+1, err)
		}
		to := in
		for i, c := range t.Columns {
			if c.OddChoice(vals[i]) {
				to = odd
			}
		}
		if err := to.row(ctx, total, stored, vals, at); err != nil {
			return err
		}
	}
	if total != j.chunk.Rows {
		return fmt.Errorf("%d rows where the manifest has %d: %w", total, j.chunk.Rows, errContents)
	}
	if err := in.flush(ctx); err != nil {
		return err
	}
	return odd.flush(ctx)
}

// inserter builds and sends INSERTs of many rows.
type inserter struct {
	w     *rowLoader
	j     job
	head  string
	limit int
	loose bool
	stmt  []byte
	rows  []int64 // of the chunk, by their places in the statement
}

// row adds a row: the n-th of the chunk.
func (in *inserter) row(ctx context.Context, n int64, stored []value.Column, vals [][]byte, at []int) (err error) {
	if len(in.rows) == 0 {
		in.stmt = append(in.stmt[:0], in.head...)
	}
	from := len(in.stmt)
	if len(in.rows) > 0 {
		in.stmt = append(in.stmt, ',')
	}
	in.stmt = append(in.stmt, '(')
	for k, c := range stored {
		if k > 0 {
			in.stmt = append(in.stmt, ',')
		}
		if in.stmt, err = c.Literal(in.stmt, vals[at[k]]); err != nil {
			return fmt.Errorf("row %d: %w", n+1, errors.Join(errContents, err))
		}
	}
	in.stmt = append(in.stmt, ')')
	if len(in.stmt) > in.limit && len(in.rows) > 0 { // send what was there before this row; it begins the next
		row := slices.Clone(in.stmt[from+1:])
		in.stmt = in.stmt[:from]
		if err := in.flush(ctx); err != nil {
			return err
		}
		in.stmt = append(append(in.stmt[:0], in.head...), row...)
	}
	in.rows = append(in.rows, n)
	return nil
}

func (in *inserter) flush(ctx context.Context) error {
	if len(in.rows) == 0 {
		return nil
	}
	if in.loose {
		if err := in.mode(ctx, looseMode); err != nil {
			return err
		}
	}
	r, err := in.w.watch.exec(ctx, in.w.conn, string(in.stmt))
	if err != nil {
		return in.place(err)
	}
	if n, err := r.RowsAffected(); err != nil || n != int64(len(in.rows)) {
		return errors.Join(fmt.Errorf("the target took %d of %d rows", n, len(in.rows)), err)
	}
	in.rows = in.rows[:0]
	if in.loose {
		return in.mode(ctx, strictMode)
	}
	return nil
}

func (in *inserter) mode(ctx context.Context, mode string) error {
	_, err := in.w.conn.ExecContext(ctx, "SET SESSION sql_mode = '"+mode+"'")
	return err
}

// atRow is how the server says which of a statement's rows it didn't take.
var atRow = regexp.MustCompile(`at row (\d+)$`)

// place adds the key of the row that the server refused.
func (in *inserter) place(err error) error {
	m := atRow.FindStringSubmatch(err.Error())
	if ErrorNumber(err) == 0 || m == nil {
		return err
	}
	n, perr := strconv.Atoi(m[1])
	if perr != nil || n < 1 || n > len(in.rows) {
		return err
	}
	key, kerr := in.w.keyOf(in.j, in.rows[n-1])
	if kerr != nil {
		return errors.Join(err, kerr)
	}
	return fmt.Errorf("row with %s: %w", key, err)
}

// keyOf reads the n-th row of a chunk again and prints its key.
func (l *load) keyOf(j job, n int64) (string, error) {
	file, err := l.art.File(j.chunk.File)
	if err != nil {
		return "", err
	}
	src, err := l.art.Read(file)
	if err != nil {
		return "", err
	}
	defer src.Close()
	rows := value.NewReader(src, len(j.def.table.Columns))
	for i := int64(0); ; i++ {
		vals, err := rows.Next()
		if err != nil {
			return "", err
		}
		if i == n {
			return printKey(j.def.table, vals), nil
		}
	}
}

// mostKey bounds how much of a key's value is printed, in bytes.
const mostKey = 64

// printKey names a row by its primary or range key, or, in a table without either, by its first columns.
func printKey(t *Table, vals [][]byte) string {
	names := t.Primary
	if len(names) == 0 {
		names = t.Key
	}
	for i := 0; len(names) < 3 && i < len(t.Columns) && len(t.Primary)+len(t.Key) == 0; i++ {
		names = append(names, t.Columns[i].Name)
	}
	var parts []string
	for i, c := range t.Columns {
		if !slices.Contains(names, c.Name) {
			continue
		}
		switch v := vals[i]; {
		case v == nil:
			parts = append(parts, ddl.Quote(c.Name)+"=NULL")
		case c.Kind == value.Number || c.Kind == value.Bits || c.Kind == value.Year:
			parts = append(parts, fmt.Sprintf("%s=%s", ddl.Quote(c.Name), v))
		case len(v) > mostKey:
			parts = append(parts, fmt.Sprintf("%s=%q… (%d bytes)", ddl.Quote(c.Name), v[:mostKey], len(v)))
		default:
			parts = append(parts, fmt.Sprintf("%s=%q", ddl.Quote(c.Name), v))
		}
	}
	return strings.Join(parts, ", ")
}
