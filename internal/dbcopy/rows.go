package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
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

// parcel is the rows of one chunk on their way, wherever they come from: a file of an artifact, or a view of a living source.
type parcel interface {
	String() string // for messages: "file 0001-000002.zst"
	table() *definition
	// each gives the rows from the first on, each time that it is called. A row is valid until take returns. An error of take ends
	// it and is returned.
	each(ctx context.Context, take func(vals [][]byte) error) error
	// in is a query that gives a row when this chunk is in.
	in() string
	// seal judges what went in, in the transaction that it went in with, and gives the statement that notes it there.
	seal(ctx context.Context, q ask.Queryer, rows int64) (string, error)
	// size is known when the rows have been given.
	size() (rows, bytes int64)
}

// filed is a chunk of an artifact.
type filed struct {
	*load
	def   *definition
	chunk *Chunk
}

func (f *filed) String() string       { return "file " + f.chunk.File }
func (f *filed) table() *definition   { return f.def }
func (f *filed) size() (int64, int64) { return f.chunk.Rows, f.chunk.Bytes }
func (f *filed) in() string {
	return "SELECT `file` FROM " + ownTable("chunk") + " WHERE `file` = '" + ddl.Escape(f.chunk.File) + "'"
}

func (f *filed) seal(_ context.Context, _ ask.Queryer, rows int64) (string, error) {
	if rows != f.chunk.Rows {
		return "", fmt.Errorf("%d rows where the manifest has %d: %w", rows, f.chunk.Rows, errContents)
	}
	return fmt.Sprintf("INSERT INTO %s (`file`, `rows`, `fence`) VALUES ('%s', %d, %d)", ownTable("chunk"), ddl.Escape(f.chunk.File), f.chunk.Rows, f.own.Fence), nil
}

func (f *filed) each(ctx context.Context, take func([][]byte) error) error {
	file, err := f.art.File(f.chunk.File)
	if err != nil {
		return err
	}
	src, err := f.art.Read(ctx, file)
	if err != nil {
		return err
	}
	defer src.Close()
	rows := value.NewReader(src, len(f.def.table.Columns))
	for n := 1; ; n++ {
		vals, err := rows.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, snapshot.ErrUnread) {
				err = errors.Join(errContents, err)
			}
			return fmt.Errorf("row %d: %w", n, err)
		}
		if err := take(vals); err != nil {
			return err
		}
	}
}

// moveRows loads the chunks that aren't in yet.
func (l *load) moveRows(ctx context.Context, c *sql.Conn) error {
	done, err := ask.Each(ctx, c, ask.Text, "SELECT `file` FROM "+ownTable("chunk"))
	if err != nil {
		return err
	}
	in := map[string]bool{}
	for _, f := range done {
		in[f] = true
	}
	var jobs []*filed
	for i := range l.defs.tables {
		d := &l.defs.tables[i]
		for k := range d.table.Chunks {
			ch := &d.table.Chunks[k]
			switch {
			case ch.File == "": // the one chunk of an empty table
			case in[ch.File]:
				l.meter.add(d.String(), ch.Rows, ch.Bytes)
			default:
				jobs = append(jobs, &filed{l, d, ch})
			}
		}
	}
	slices.SortStableFunc(jobs, func(a, b *filed) int { return int(b.def.table.Bytes - a.def.table.Bytes) })
	queue := make(chan *filed, len(jobs))
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
					return fmt.Errorf("load %s, %s: %w", j.def, j, err)
				}
				l.moved(j)
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

func (l *load) moved(p parcel) {
	rows, bytes := p.size()
	l.meter.add(p.table().String(), rows, bytes)
	if l.o.Moved != nil {
		l.o.Moved(rows, bytes)
	}
}

// rowLoader is one worker with its connection.
type rowLoader struct {
	*load
	conn  *sql.Conn
	spare chan []byte // for statements, used again
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
func (w *rowLoader) chunk(ctx context.Context, j parcel) error {
	var err error
	for try := 1; try <= tries; try++ {
		if try > 1 {
			w.meter.report(fmt.Sprintf("trying %s, %s again (%d of %d) after: %v", j.table(), j, try, tries, err))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try*try) * 100 * time.Millisecond):
			}
		}
		if err = w.once(ctx, j); err == nil {
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
	if ctx.Err() != nil {
		return err
	}
	return namedByKey(ctx, j, err)
}

// passing: the error may go away by itself. Duplicate keys are among them because a transaction of an earlier attempt
// may end just now; that is found out when the entry is asked for again.
func passing(err error) bool {
	switch ask.Number(err) {
	case 1205, 1213, 1062: // lock wait timeout, deadlock, duplicate entry
		return true
	case 0:
		var differs *DifferentError
		var long *TooLongError
		return !errors.As(err, &differs) && !errors.As(err, &long) && !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, ErrFenced) && !errors.Is(err, errContents) && !errors.Is(err, errSource) && !errors.Is(err, ErrReadWrong)
	}
	return lostNumber(ask.Number(err))
}

// errContents: the artifact's rows aren't what its manifest says, though its bytes are. Nothing helps but another
// snapshot.
var errContents = errors.New("the snapshot's rows are not what its manifest says")

// once is one try: nil when the chunk is in, whoever put it there.
func (w *rowLoader) once(ctx context.Context, j parcel) (err error) {
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
	if err := w.held(ctx); err != nil {
		return err
	}
	in, err := ask.Each(ctx, w.conn, ask.Text, j.in())
	if err != nil {
		return err
	}
	if len(in) > 0 {
		_, err := w.conn.ExecContext(ctx, "ROLLBACK")
		return err
	}
	rows, err := w.insert(ctx, j)
	if err != nil {
		return err
	}
	note, err := j.seal(ctx, w.conn, rows)
	if err != nil {
		return err
	}
	if _, err := w.conn.ExecContext(ctx, note); err != nil {
		return err
	}
	_, err = w.watch.exec(ctx, w.conn, "COMMIT")
	return err
}

// held holds the mark until the transaction's end: whoever takes the load over waits for it or sees what it did.
func (w *rowLoader) held(ctx context.Context) error {
	var fence uint64
	var run string
	if err := w.conn.QueryRowContext(ctx, "SELECT `run`, `fence` FROM "+ownTable("load")+" FOR SHARE").Scan(&run, &fence); err != nil {
		return fmt.Errorf("ask whose load it is: %w", err)
	}
	return fenced(w.own, run, fence)
}
