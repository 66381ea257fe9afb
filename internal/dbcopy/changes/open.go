package changes

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Source is a server whose log is read.
type Source struct {
	Endpoint dbcopy.Endpoint
	Flavor   value.Flavor
}

// Options of a stream.
type Options struct {
	Tables   []Table
	ServerID uint32 // no other server or reader of the source may have it; 0: one is drawn
	// SpillBytes is how much of one transaction is kept in memory; 0: 8 MiB. What is larger goes to a file in SpillDir; "": the
	// system's directory for temporary files.
	SpillBytes int64
	SpillDir   string
	Tell       func(string) // what a person might want to know; may be nil
}

const defaultSpill = 8 << 20

// Stream reads a log. It is for one goroutine; what it gave stays good until its own Close.
type Stream struct {
	src  Source
	opts Options
	id   uint32
	link *link
	a    *assembler
	told bool // that the connection is lost
}

// Open checks that the log can be read, and asks for it from a position on: by GTID where the position has one, else by
// file and offset. What the server's settings forbid comes as one *dbcopy.RefusedError with all of it; a position that the log
// hasn't as *StopError.
func Open(ctx context.Context, src Source, from Position, o Options) (*Stream, error) {
	o.SpillBytes, o.SpillDir = cmp.Or(o.SpillBytes, defaultSpill), cmp.Or(o.SpillDir, os.TempDir())
	if o.ServerID == 0 {
		o.ServerID = 1<<31 | rand.Uint32()>>1
	}
	if from.File.IsZero() && from.MariaDB.IsZero() && from.MySQL.IsZero() {
		return nil, fmt.Errorf("%s: no position to read the log from", src.Endpoint.Name)
	}
	if !reachable(from) {
		return nil, fmt.Errorf("%s: %s is beyond 4 GiB of its file, where the log can be read from by GTID only", src.Endpoint.Name, from.File)
	}
	if err := sweep(o.SpillDir); err != nil {
		return nil, err
	}
	db, err := src.Endpoint.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	s := &Stream{src: src, opts: o, id: o.ServerID}
	if from, err = check(ctx, db, src, from); err != nil {
		return nil, err
	}
	if s.a, err = newAssembler(ctx, db, src, from, o); err != nil {
		return nil, src.Endpoint.Explain(err)
	}
	s.link, err = dump(ctx, src.Endpoint, src.Flavor, s.id, from)
	if err != nil {
		return nil, err
	}
	s.a.connected()
	// The first event comes at once; or, instead of it, that the position can't be read from.
	raw, err := s.link.event(ctx)
	if err == nil {
		_, err = s.a.event(raw)
	} else if ctx.Err() == nil {
		err = s.fatal(ctx, err)
	}
	if err != nil {
		s.link.close()
		return nil, err
	}
	return s, nil
}

func newAssembler(ctx context.Context, db *sql.DB, src Source, from Position, o Options) (*assembler, error) {
	a := &assembler{flavor: src.Flavor, opts: o, tell: o.Tell, end: from, byName: map[string]*table{}, xa: map[string]bool{}}
	for i := range o.Tables {
		t := &table{Table: &Table{o.Tables[i].Schema, o.Tables[i].Name, slices.Clone(o.Tables[i].Columns)}, no: i}
		if err := t.complete(ctx, db); err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		a.tables = append(a.tables, t)
		a.byName[t.Schema+"\x00"+t.Name] = t
		if !slices.Contains(a.followed, t.Schema) {
			a.followed = append(a.followed, t.Schema)
		}
	}
	return a, nil
}

// complete reads what the columns haven't: their whole types, as they are now, and the labels of ENUM and SET.
func (t *table) complete(ctx context.Context, db *sql.DB) error {
	t.labels = make([]*labels, len(t.Columns))
	if slices.ContainsFunc(t.Columns, func(c value.Column) bool { return c.ColumnType == "" }) {
		rows, err := db.QueryContext(ctx, "SHOW COLUMNS FROM "+t.quoted())
		if err != nil {
			return err
		}
		defer rows.Close()
		var skip sql.RawBytes
		i := 0
		for ; rows.Next(); i++ {
			var name, typ string
			if err := rows.Scan(&name, &typ, &skip, &skip, &skip, &skip); err != nil {
				return err
			}
			if i >= len(t.Columns) || name != t.Columns[i].Name {
				return fmt.Errorf("its column no. %d is %s now, which it wasn't when the copy was made: copy it anew", i+1, ddl.Quote(name))
			}
			t.Columns[i].ColumnType = cmp.Or(t.Columns[i].ColumnType, typ)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if i != len(t.Columns) {
			return fmt.Errorf("it has %d columns now, and had %d when the copy was made: copy it anew", i, len(t.Columns))
		}
	}
	var kind sql.NullString
	err := db.QueryRowContext(ctx, "SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.Schema, t.Name).Scan(&kind)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // dropped since: its DROP is in the log
		return err
	}
	if kind.String == "SYSTEM VERSIONED" {
		return &StopError{Kind: StopVersioned, Object: t.String(), At: "its definition", What: "it is system-versioned: the log has a DELETE as an UPDATE and an UPDATE with an INSERT of history",
			Do: "ALTER TABLE " + t.quoted() + " DROP SYSTEM VERSIONING, if its history may go, and copy it anew"}
	}
	for i, c := range t.Columns {
		if c.Kind != value.Choice {
			continue
		}
		if t.labels[i], err = readLabels(ctx, db, c); err != nil {
			return fmt.Errorf("column %s: labels: %w", c.Name, err)
		}
	}
	return nil
}

// connected makes the assembler ready for a new connection's events.
func (a *assembler) connected() {
	a.parser = newParser()
	a.crc, a.quiet, a.file, a.offset = false, false, a.end.File.Name, a.end.File.Offset
}

// Next gives the next transaction, or, about once a second while there is none, that there is none. It waits as long as it
// takes: a lost connection is made anew, and reading goes on behind the last transaction that was given. When ctx ends,
// it returns its error, and may be called again.
func (s *Stream) Next(ctx context.Context) (*Transaction, error) {
	for wait := time.Second; ; {
		t, err := s.next(ctx)
		if err == nil {
			s.told = false
			return t, nil
		}
		s.link.close()
		s.link = nil
		if cerr := s.a.drop(); cerr != nil {
			return nil, cerr
		}
		var stop *StopError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &stop), errors.Is(err, ErrSpill), errors.Is(err, dbcopy.ErrLogin):
			return nil, err
		case !lost(err):
			return nil, s.fatal(ctx, err)
		}
		if !s.told && s.opts.Tell != nil {
			s.opts.Tell(fmt.Sprintf("%s: the connection that its log comes over is lost (%v); trying again from %s", s.src.Endpoint.Name, err, cmp.Or(s.a.end.MariaDB.String(), s.a.end.MySQL.String(), s.a.end.File.String())))
			s.told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
			wait = min(2*wait, 10*time.Second)
		}
	}
}

func (s *Stream) next(ctx context.Context) (_ *Transaction, err error) {
	if s.link == nil {
		if s.link, err = dump(ctx, s.src.Endpoint, s.src.Flavor, s.id, s.a.end); err != nil {
			return nil, err
		}
		s.a.connected()
	}
	for {
		raw, err := s.link.event(ctx)
		if err != nil {
			return nil, err
		}
		t, err := s.a.event(raw)
		if t != nil || err != nil {
			return t, err
		}
		if s.a.quiet {
			s.a.quiet = false
			return s.a.still(), nil
		}
	}
}

// still says that nothing was committed.
func (a *assembler) still() *Transaction {
	return &Transaction{Committed: time.Now().UTC(), End: a.end, Changes: func(func(Change, error) bool) {}, Close: func() error { return nil }}
}

// fatal says what an error of the server's means.
func (s *Stream) fatal(ctx context.Context, err error) error {
	if number(err) != 1236 {
		return explain(s.src.Endpoint, err)
	}
	text := err.Error()
	e := StopError{Kind: StopDamaged, At: s.a.end.String(), What: "the server can't read its log there: " + text, Do: damaged}
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(strings.ToLower(text), p) })
	}
	switch {
	case has("same server_uuid", "same server_id"):
		return fmt.Errorf("%s: another reader of its log has server_id %d too: %w", s.src.Endpoint.Name, s.id, err)
	case has("purged", "could not find first log file", "too old", "missing the gtid"):
		e.Kind, e.What, e.Do = StopPurged, "the server hasn't the log from there any more: "+text, s.oldest(ctx)
	case has("which is not in the master's binlog", "not in the", "diverge", "more gtid"):
		e.Kind, e.What, e.Do = StopOtherLog, "the position isn't one of this server's log: "+text, "give the position of this server, or copy anew"
	}
	return &e
}

// oldest says what of the log there still is.
func (s *Stream) oldest(ctx context.Context) string {
	db, err := s.src.Endpoint.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return "copy anew"
	}
	defer db.Close()
	return advice(ctx, db, s.src.Flavor)
}

// String is for people: the GTIDs where there are, else the file.
func (p Position) String() string {
	return cmp.Or(p.MariaDB.String(), p.MySQL.String(), p.File.String())
}

// Close ends the connection. Transactions that were given stay good.
func (s *Stream) Close() error {
	s.link.close()
	s.link = nil
	return s.a.drop()
}

// Newest is the time of the last event that was read, whatever it was; the zero time before the first.
func (s *Stream) Newest() time.Time { return s.a.newest }

// Tip is where the server's log ends now.
func (s *Stream) Tip(ctx context.Context) (Position, error) {
	return Tip(ctx, s.src)
}

// Tip is where a server's log ends now.
func Tip(ctx context.Context, src Source) (Position, error) {
	db, err := src.Endpoint.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return Position{}, err
	}
	defer db.Close()
	p, err := tip(ctx, db, src.Flavor)
	if err != nil {
		return Position{}, src.Endpoint.Explain(err)
	}
	return p, nil
}

func tip(ctx context.Context, db *sql.DB, f value.Flavor) (p Position, err error) {
	query := "SHOW MASTER STATUS"
	if f == value.MySQL {
		query = "SHOW BINARY LOG STATUS" // since 8.2; the other name is gone in 8.4
	}
	rows, err := db.QueryContext(ctx, query)
	if err != nil && f == value.MySQL {
		rows, err = db.QueryContext(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		return p, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return p, err
	}
	if !rows.Next() {
		return p, errors.Join(rows.Err(), errors.New("the server has no binary log"))
	}
	vals, ptrs := make([]sql.NullString, len(cols)), make([]any, len(cols))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	if err := rows.Scan(ptrs...); err != nil {
		return p, err
	}
	if p.File, err = binlog.ParseFile(vals[0].String + ":" + vals[1].String); err != nil {
		return p, err
	}
	if f == value.MySQL && len(vals) > 4 {
		p.MySQL, err = binlog.ParseMySQL(vals[4].String)
		return p, err
	}
	if err := rows.Close(); err != nil {
		return p, err
	}
	if f == value.MariaDB {
		p.MariaDB, err = gtidAt(ctx, db, p.File)
	}
	return p, err
}

// gtidAt is MariaDB's GTID position at a place in its log.
func gtidAt(ctx context.Context, db *sql.DB, f binlog.File) (binlog.MariaDB, error) {
	var text sql.NullString
	if err := db.QueryRowContext(ctx, "SELECT BINLOG_GTID_POS(?, ?)", f.Name, f.Offset).Scan(&text); err != nil {
		return binlog.MariaDB{}, err
	}
	if !text.Valid {
		return binlog.MariaDB{}, fmt.Errorf("the server knows no GTID position at %s of its log", f)
	}
	return binlog.ParseMariaDB(text.String)
}
