package dbcopy

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/stamp"
)

// Target is a MySQL that is loaded.
type Target struct{ ep Endpoint }

// NewTarget dials nothing.
func NewTarget(ep Endpoint) *Target { return &Target{ep} }

// Name is what messages call the target.
func (t *Target) Name() string { return t.ep.Name }

// ownSchema is the schema on the target that is Slipway's own: whose load it is, how far it is, which chunks are in.
// It is made before the first object and dropped by Drop.
const ownSchema = "_slipway"

// Owner is the run that acts, and its fence: a number that rises each time that the run is taken up again.
type Owner struct {
	Run   string
	Fence uint64
}

// Phase is how far a load has come. Phases are stored in the target: never rename one.
type Phase string

// The phases of a load, in order.
const (
	PhaseCompile Phase = "compile" // all definitions are tried on the empty target
	PhaseRows    Phase = "rows"    // tables are there without their keys; chunks go in
	PhaseKeys    Phase = "keys"    // keys, then foreign keys
	PhaseViews   Phase = "views"
	PhaseLoaded  Phase = "loaded"
)

var (
	// ErrOtherRun: the target holds another run's load. Roll that run back, or use another target.
	ErrOtherRun = errors.New("the target belongs to another run")
	// ErrFenced: this run was taken up again by another process, which goes on from here. Stop.
	ErrFenced = stamp.ErrFenced
)

// object is a table, view or routine that a load makes.
type object struct {
	Schema  string `json:"schema"`
	Name    string `json:"name"`
	View    bool   `json:"view,omitempty"`
	Routine string `json:"routine,omitempty"` // "function", "procedure"
}

func (o object) String() string { return ddl.Qualified(o.Schema, o.Name) }

// State is what is on a target.
type State struct {
	Server  string // @@server_uuid
	Version string
	Run     string // whose load it is; "": nobody's
	Fence   uint64
	ID      string // the snapshot that is loaded
	Digest  string // its digest
	Phase   Phase
	// Position is where the source's binary log stood in the view that the rows are of. It holds for all of them once Phase is
	// PhaseLoaded: following begins there. Empty when the source gave none.
	Position snapshot.Position
	Chunks   int64        // that are in
	Objects  int64        // tables and views of that load that are there
	Routines int64        // functions and procedures of it that are
	Foreign  []string     // objects in the schemas that no load of Slipway made
	Missing  []string     // schemas that aren't there
	GTID     binlog.MySQL // @@gtid_executed: what was ever written
	objects  []object
}

// Look reads the state; schemas are those that will be or were loaded. It changes nothing.
func (t *Target) Look(ctx context.Context, schemas []string) (State, error) {
	db, err := t.ep.Open(TextSession(), 1)
	if err != nil {
		return State{}, err
	}
	defer db.Close()
	s, err := look(ctx, db, schemas)
	if err != nil {
		return State{}, t.ep.Denied(ctx, fmt.Errorf("look at the target: %w", err), append(SchemaGrants("SELECT", schemas), OwnGrant("SELECT"))...)
	}
	return s, nil
}

// Row gives the first row of a query, as text with NULL as "", and nil when there is none. The query is run in a read-only
// transaction; ? stands for an argument.
func (t *Target) Row(ctx context.Context, schema, query string, args []string) ([]string, error) {
	out, err := t.row(ctx, schema, query, args)
	if err != nil {
		return nil, t.ep.Explain(fmt.Errorf("ask the target: %w", err))
	}
	return out, nil
}

func (t *Target) row(ctx context.Context, schema, query string, args []string) ([]string, error) {
	db, err := t.ep.Open(TextSession(), 1)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for _, stmt := range []string{"USE " + ddl.Quote(schema), "START TRANSACTION READ ONLY"} {
		if _, err := c.ExecContext(ctx, stmt); err != nil {
			return nil, err
		}
	}
	vals := make([]any, len(args))
	for i, a := range args {
		vals[i] = a
	}
	rows, err := c.QueryContext(ctx, query, vals...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil || !rows.Next() {
		return nil, errors.Join(err, rows.Err())
	}
	text, ptrs := make([]sql.NullString, len(cols)), make([]any, len(cols))
	for i := range text {
		ptrs[i] = &text[i]
	}
	if err := rows.Scan(ptrs...); err != nil {
		return nil, err
	}
	out := make([]string, len(cols))
	for i, s := range text {
		out[i] = s.String
	}
	return out, rows.Err()
}

// look reads without a snapshot: one writer at a time is the caller's rule, and the fence's.
func look(ctx context.Context, q ask.Queryer, schemas []string) (State, error) {
	var s State
	var gtid string
	if err := q.QueryRowContext(ctx, "SELECT @@server_uuid, @@version, @@global.gtid_executed").Scan(&s.Server, &s.Version, &gtid); err != nil {
		return s, err
	}
	var err error
	if s.GTID, err = binlog.ParseMySQL(gtid); err != nil {
		return s, err
	}
	var objects, position string
	err = q.QueryRowContext(ctx, "SELECT `run`, `fence`, `snapshot`, `digest`, `phase`, `position`, `objects`, (SELECT COUNT(*) FROM "+ownTable("chunk")+") + (SELECT COUNT(*) FROM "+ownTable("copied")+") FROM "+ownTable("load")).
		Scan(&s.Run, &s.Fence, &s.ID, &s.Digest, &s.Phase, &position, &objects, &s.Chunks)
	switch {
	case ask.Number(err) == 1049 || ask.Number(err) == 1146 || errors.Is(err, sql.ErrNoRows): // no such schema, no such table
		s.Run = ""
	case ask.Number(err) == unknownColumn:
		return s, fmt.Errorf("%s was made by another version of this program: go on with that one, or drop what it loaded and then %s: %w", ownTable("load"), ownSchema, err)
	case err != nil:
		return s, err
	default:
		if err := errors.Join(json.Unmarshal([]byte(objects), &s.objects), json.Unmarshal([]byte(position), &s.Position)); err != nil {
			return s, fmt.Errorf("read %s: %w", ownTable("load"), err)
		}
	}
	ours := map[object]bool{}
	for _, o := range s.objects {
		ours[o] = true
	}
	for _, schema := range schemas {
		names, err := ask.Each(ctx, q, ask.Text, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '"+ddl.Escape(schema)+"'")
		if err != nil {
			return s, err
		}
		if len(names) == 0 {
			s.Missing = append(s.Missing, schema)
			continue
		}
		there, err := objectsIn(ctx, q, schema)
		if err != nil {
			return s, err
		}
		for _, o := range there {
			switch {
			case ours[o] && o.Routine != "":
				s.Routines++
			case ours[o]:
				s.Objects++
			default:
				s.Foreign = append(s.Foreign, strings.TrimPrefix(o.Routine+" ", " ")+schema+"."+o.Name)
			}
		}
	}
	return s, nil
}

func objectsIn(ctx context.Context, q ask.Queryer, schema string) ([]object, error) {
	return ask.Each(ctx, q, func(r *sql.Rows) (object, error) {
		o := object{Schema: schema}
		var kind string
		err := r.Scan(&o.Name, &kind, &o.Routine)
		o.View = kind == "VIEW"
		return o, err
	}, "SELECT TABLE_NAME, TABLE_TYPE, '' FROM information_schema.TABLES WHERE TABLE_SCHEMA = '"+ddl.Escape(schema)+"'"+
		" UNION ALL SELECT ROUTINE_NAME, '', LOWER(ROUTINE_TYPE) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '"+ddl.Escape(schema)+"' ORDER BY 1, 3")
}

func ownTable(name string) string { return ddl.Qualified(ownSchema, name) }

// unknownColumn is the server's error number for a column that isn't there.
const unknownColumn = 1054

// mark writes whose load this is, before anything of it is made. The schema may be there already, empty: from a run
// that was killed between this function's first two statements.
func mark(ctx context.Context, q ask.Queryer, own Owner, id, digest string, pos snapshot.Position, objects []object) error {
	list, err := json.Marshal(objects)
	if err != nil {
		return err
	}
	position, err := json.Marshal(pos)
	if err != nil {
		return err
	}
	for _, stmt := range []string{
		"CREATE DATABASE IF NOT EXISTS " + ddl.Quote(ownSchema) + " DEFAULT CHARACTER SET utf8mb4",
		"CREATE TABLE IF NOT EXISTS " + ownTable("chunk") + " (`file` VARCHAR(100) NOT NULL PRIMARY KEY, `rows` BIGINT NOT NULL, `fence` BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB COMMENT='chunks that slipway has loaded'",
		copiedTable,
		// Made and filled in one atomic statement: there is never a mark without a name on it.
		"CREATE TABLE " + ownTable("load") + " (`one` TINYINT NOT NULL PRIMARY KEY CHECK (`one` = 1), `run` VARCHAR(64) NOT NULL, `fence` BIGINT UNSIGNED NOT NULL," +
			" `snapshot` VARCHAR(64) NOT NULL, `digest` CHAR(64) NOT NULL, `phase` VARCHAR(16) NOT NULL, `position` LONGTEXT NOT NULL, `objects` LONGTEXT NOT NULL) ENGINE=InnoDB COMMENT='whose load this database is'" +
			fmt.Sprintf(" SELECT 1 AS `one`, '%s' AS `run`, %d AS `fence`, '%s' AS `snapshot`, '%s' AS `digest`, '%s' AS `phase`, '%s' AS `position`, '%s' AS `objects`",
				ddl.Escape(own.Run), own.Fence, ddl.Escape(id), ddl.Escape(digest), PhaseCompile, ddl.Escape(string(position)), ddl.Escape(string(list))),
	} {
		if _, err := q.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("make %s: %w", ownSchema, err)
		}
	}
	return nil
}

// noteObjects writes what a load makes into its mark.
func noteObjects(ctx context.Context, q ask.Queryer, own Owner, objects []object) error {
	list, err := json.Marshal(objects)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET `objects` = '%s' WHERE `run` = '%s' AND `fence` = %d", ownTable("load"), ddl.Escape(string(list)), ddl.Escape(own.Run), own.Fence))
	if err != nil {
		return fmt.Errorf("note what is made: %w", err)
	}
	return nil
}

// lockWaitTimeout is the server's error number for having waited innodb_lock_wait_timeout seconds for a row.
const lockWaitTimeout = 1205

// advance sets the phase, and the fence when a run is taken up again. It waits for chunks that an earlier process of
// the run still has under way: each holds the mark until it is committed or rolled back. waiting, if not nil, is told.
func advance(ctx context.Context, q ask.Queryer, own Owner, to Phase, waiting func(string)) error {
	if _, err := q.ExecContext(ctx, "SET SESSION innodb_lock_wait_timeout = 5"); err != nil {
		return err
	}
	for {
		r, err := q.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET `fence` = %d, `phase` = '%s' WHERE `run` = '%s' AND `fence` <= %d", ownTable("load"), own.Fence, to, ddl.Escape(own.Run), own.Fence))
		if ask.Number(err) == lockWaitTimeout && ctx.Err() == nil {
			if waiting != nil {
				waiting("waiting for a transaction of an earlier attempt to end at the target")
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("note phase %s: %w", to, err)
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		// Nothing changed: it was so already, or the mark is another's.
		var run string
		var fence uint64
		if err := q.QueryRowContext(ctx, "SELECT `run`, `fence` FROM "+ownTable("load")).Scan(&run, &fence); err != nil {
			return fmt.Errorf("note phase %s: %w", to, err)
		}
		return fenced(own, run, fence)
	}
}

func fenced(own Owner, run string, fence uint64) error {
	if run != own.Run && (isCopy(run) || isCopy(own.Run)) {
		return fmt.Errorf("%w: %s; %s", ErrOtherRun, run, dropped(run))
	}
	if run != own.Run {
		return fmt.Errorf("%w: %s; type slipway rollback %s, or use another instance", ErrOtherRun, run, run)
	}
	if fence > own.Fence {
		return fmt.Errorf("%w: its fence is %d, this process has %d", ErrFenced, fence, own.Fence)
	}
	return nil
}

// dropLimit bounds Drop. Dropping takes seconds: files are unlinked, no row is looked at.
const dropLimit = 5 * time.Minute

var errDropStalls = fmt.Errorf("the server has not answered for %s: if its disk is full, make room there; if it is to be deleted anyway, waive this step", dropLimit)

// Drop removes what own's load made, and the mark last; what is another's, or nobody's, it leaves. A load that is half
// made, or half dropped, or not there, is dropped as well.
//
// A server whose disk is full answers no write at all: after dropLimit that is an error.
func (t *Target) Drop(ctx context.Context, own Owner) error {
	ctx, cancel := context.WithTimeoutCause(ctx, dropLimit, errDropStalls)
	defer cancel()
	if err := t.drop(ctx, own); err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errDropStalls) {
			err = cause
		}
		return t.ep.Explain(fmt.Errorf("drop the load of run %s: %w", own.Run, err))
	}
	return nil
}

func (t *Target) drop(ctx context.Context, own Owner) error {
	db, err := t.ep.Open(TextSession().With(Session{"foreign_key_checks": "0"}), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := look(ctx, db, nil)
	if err != nil {
		return err
	}
	if s.Run == "" {
		return dropEmptyMark(ctx, db)
	}
	if s.Run != own.Run {
		return nil
	}
	if err := advance(ctx, db, own, s.Phase, nil); err != nil { // an earlier process of the run may not go on now
		return err
	}
	if err := dropObjects(ctx, db, s.objects); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "DROP DATABASE "+ddl.Quote(ownSchema))
	return err
}

// dropEmptyMark removes the mark's schema where it has no name on it.
func dropEmptyMark(ctx context.Context, q ask.Queryer) error {
	names, err := ask.Each(ctx, q, ask.Text, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '"+ownSchema+"'")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, func(n string) bool { return n != "chunk" && n != "copied" }) {
		return nil // not what mark leaves half made: nobody's business here
	}
	_, err = q.ExecContext(ctx, "DROP DATABASE IF EXISTS "+ddl.Quote(ownSchema))
	return err
}

// dropObjects needs a session with foreign_key_checks=0.
func dropObjects(ctx context.Context, q ask.Queryer, objects []object) error {
	for _, o := range objects {
		if o.Routine == "" {
			continue
		}
		_, err := q.ExecContext(ctx, "DROP "+strings.ToUpper(o.Routine)+" IF EXISTS "+o.String())
		if n := ask.Number(err); err != nil && n != 1049 && n != 1305 {
			return fmt.Errorf("drop %s %s: %w", o.Routine, o, err)
		}
	}
	for _, view := range []bool{true, false} {
		kind := map[bool]string{true: "VIEW", false: "TABLE"}[view]
		var names []string
		for _, o := range objects {
			if o.View == view && o.Routine == "" {
				names = append(names, o.String())
			}
		}
		// In one statement where it goes, which is quicker; one by one where a schema is gone.
		if names == nil {
			continue
		}
		_, err := q.ExecContext(ctx, "DROP "+kind+" IF EXISTS "+strings.Join(names, ", "))
		for _, n := range names {
			if ask.Number(err) != 1049 { // unknown database
				break
			}
			if _, one := q.ExecContext(ctx, "DROP "+kind+" IF EXISTS "+n); one != nil && ask.Number(one) != 1049 {
				return fmt.Errorf("drop %s: %w", n, one)
			}
		}
		if err != nil && ask.Number(err) != 1049 {
			return fmt.Errorf("drop tables and views: %w", err)
		}
	}
	return nil
}

// Version reads "9.7.4-2" as 90704.
func Version(text string) int {
	n := 0
	parts := strings.SplitN(text, ".", 3)
	for i := range 3 {
		v := 0
		if i < len(parts) {
			digits := parts[i]
			if k := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); k >= 0 {
				digits = digits[:k]
			}
			v, _ = strconv.Atoi(digits) // no digits: 0, which every check takes for too old
		}
		n = n*100 + v
	}
	return n
}
