package dbcopy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sync/semaphore"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// statement is an INSERT of many rows on its way from the goroutine that reads to the one that sends.
type statement struct {
	text  []byte
	rows  []int64 // of the chunk, by their places in the statement
	loose bool    // to be sent in looseMode
	held  int64   // of the load's room
}

// The room that statements have. One that is longer than wideStatement, which has a single row, is made and sent while no other
// worker makes one: so memory is bounded by bytes and not by rows.
const (
	statementsAhead = 1
	wideStatement   = 4 << 20
)

// room is what the long statements of all workers share: a longer one than all of it goes alone.
type room struct {
	once sync.Once
	sem  *semaphore.Weighted
}

const roomBytes = 64 << 20

func (r *room) weighted() *semaphore.Weighted {
	r.once.Do(func() { r.sem = semaphore.NewWeighted(roomBytes) })
	return r.sem
}

// errStopped ends a reader whose rows nobody takes any more.
var errStopped = errors.New("the sender stopped")

// insert sends the rows of a chunk and gives their number. One goroutine reads them and writes the statements, another sends.
func (w *rowLoader) insert(ctx context.Context, j parcel) (int64, error) {
	b := &builder{rowLoader: w, head: "INSERT INTO " + ddl.Qualified(j.table().schema, j.table().table.Name), columns: j.table().table.Columns,
		out: make(chan *statement, statementsAhead), stop: make(chan struct{})}
	var stored []value.Column
	for i, c := range b.columns {
		if !c.Generated {
			stored, b.at = append(stored, c), append(b.at, i)
		}
	}
	b.head += " (" + value.Names(stored) + ") VALUES "
	b.limit = min(statementBytes, int(w.most)/2)
	if w.spare == nil {
		w.spare = make(chan []byte, statementsAhead+3)
	}
	read := make(chan error, 1)
	go func() {
		defer close(b.out)
		read <- b.run(ctx, j)
	}()
	var failed error
	for s := range b.out {
		if failed == nil {
			if failed = w.send(ctx, j, s); failed != nil {
				close(b.stop)
			}
		}
		w.release(s)
	}
	err := <-read
	if failed != nil {
		return 0, failed
	}
	return b.n, err
}

func (w *rowLoader) release(s *statement) {
	if s.held > 0 {
		w.room.weighted().Release(s.held)
		return // not kept: it is large
	}
	select {
	case w.spare <- s.text[:0]:
	default:
	}
}

// builder writes the statements of one chunk.
type builder struct {
	*rowLoader
	head    string
	columns []value.Column
	at      []int // those that are stored
	limit   int
	out     chan *statement
	stop    chan struct{}
	n       int64
	usual   *statement
	odd     *statement // of rows that only looseMode takes
}

func (b *builder) run(ctx context.Context, j parcel) (err error) {
	defer func() {
		for _, s := range []*statement{b.usual, b.odd} {
			if s != nil {
				b.release(s)
			}
		}
	}()
	if err := j.each(ctx, func(vals [][]byte) error { return b.row(ctx, vals) }); err != nil {
		return err
	}
	for _, s := range []**statement{&b.usual, &b.odd} {
		if err := b.give(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// begin makes an empty statement with room for size bytes.
func (b *builder) begin(ctx context.Context, size int, loose bool) (*statement, error) {
	s := &statement{loose: loose}
	if size > wideStatement {
		s.held = min(int64(size), roomBytes)
		if err := b.room.weighted().Acquire(ctx, s.held); err != nil {
			return nil, err
		}
		s.text = make([]byte, 0, size)
	} else {
		select {
		case s.text = <-b.spare:
		default:
			s.text = make([]byte, 0, b.limit+b.limit/8)
		}
	}
	s.text = append(s.text, b.head...)
	return s, nil
}

// row adds one row.
func (b *builder) row(ctx context.Context, vals [][]byte) error {
	to, size, odd := &b.usual, len(b.head), false
	for i, c := range b.columns {
		size += len(vals[i]) + 3
		odd = odd || c.OddChoice(vals[i])
	}
	if odd {
		to = &b.odd
	}
	if s := *to; s != nil && len(s.text)+size > b.limit {
		if err := b.give(ctx, to); err != nil {
			return err
		}
	}
	if *to == nil {
		s, err := b.begin(ctx, size+size/8, odd)
		if err != nil {
			return err
		}
		*to = s
	}
	s := *to
	if len(s.rows) > 0 {
		s.text = append(s.text, ',')
	}
	s.text = append(s.text, '(')
	for k, i := range b.at {
		if k > 0 {
			s.text = append(s.text, ',')
		}
		var err error
		if s.text, err = b.columns[i].Literal(s.text, vals[i]); err != nil {
			return fmt.Errorf("row %d: %w", b.n+1, errors.Join(errContents, err))
		}
	}
	s.text = append(s.text, ')')
	s.rows = append(s.rows, b.n)
	b.n++
	if s.held > 0 {
		return b.give(ctx, to)
	}
	return nil
}

// give hands a statement to the sender.
func (b *builder) give(ctx context.Context, s **statement) error {
	if *s == nil {
		return nil
	}
	select {
	case b.out <- *s:
		*s = nil
		return nil
	case <-b.stop:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TooLongError: a row is longer than the target takes in one statement. Raise its limit and go on.
type TooLongError struct{ Bytes, Most int64 }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("a row takes a statement of %d bytes, and the target takes %d; SET GLOBAL max_allowed_packet = %d (a flag, on Cloud SQL), and go on", e.Bytes, e.Most, (e.Bytes>>20+2)<<20)
}

func (w *rowLoader) send(ctx context.Context, j parcel, s *statement) error {
	if n := int64(len(s.text)) + 1; n > w.most {
		return &TooLongError{n, w.most}
	}
	if s.loose {
		if err := w.mode(ctx, looseMode); err != nil {
			return err
		}
	}
	// The text isn't written to again before this returns.
	r, err := w.watch.exec(ctx, w.conn, unsafe.String(unsafe.SliceData(s.text), len(s.text)))
	if err != nil {
		return w.place(ctx, j, s, err)
	}
	if n, err := r.RowsAffected(); err != nil || n != int64(len(s.rows)) {
		return errors.Join(fmt.Errorf("the target took %d of %d rows", n, len(s.rows)), err)
	}
	if s.loose {
		return w.mode(ctx, strictMode)
	}
	return nil
}

func (w *rowLoader) mode(ctx context.Context, mode string) error {
	_, err := w.conn.ExecContext(ctx, "SET SESSION sql_mode = '"+mode+"'")
	return err
}

// atRow is how the server says which of a statement's rows it didn't take.
var atRow = regexp.MustCompile(`at row (\d+)$`)

// place adds to an error which of the chunk's rows the server refused.
func (w *rowLoader) place(_ context.Context, _ parcel, s *statement, err error) error {
	m := atRow.FindStringSubmatch(err.Error())
	if ask.Number(err) == 0 || m == nil {
		return err
	}
	n, perr := strconv.Atoi(m[1])
	if perr != nil || n < 1 || n > len(s.rows) {
		return err
	}
	return &refusedRow{s.rows[n-1], err}
}

// refusedRow: the server refused the n-th row of a chunk.
type refusedRow struct {
	n   int64
	err error
}

func (e *refusedRow) Error() string { return e.err.Error() }
func (e *refusedRow) Unwrap() error { return e.err }

var errFound = errors.New("found")

// namedByKey reads a chunk again for the key of the row that the server refused.
func namedByKey(ctx context.Context, j parcel, err error) error {
	var r *refusedRow
	if !errors.As(err, &r) {
		return err
	}
	n, key := int64(0), ""
	again := j.each(ctx, func(vals [][]byte) error {
		if n++; n-1 == r.n {
			key = printKey(j.table().table, vals)
			return errFound
		}
		return nil
	})
	if key == "" {
		return errors.Join(err, again)
	}
	return fmt.Errorf("row with %s: %w", key, err)
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
		case c.Kind == value.Float && len(v) == 25: // as value.Float says
			parts = append(parts, fmt.Sprintf("%s=%v", ddl.Quote(c.Name), math.Float64frombits(binary.LittleEndian.Uint64(v[9:]))))
		case len(v) > mostKey:
			parts = append(parts, fmt.Sprintf("%s=%q… (%d bytes)", ddl.Quote(c.Name), v[:mostKey], len(v)))
		default:
			parts = append(parts, fmt.Sprintf("%s=%q", ddl.Quote(c.Name), v))
		}
	}
	return strings.Join(parts, ", ")
}
