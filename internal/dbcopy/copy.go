package dbcopy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// CopyOptions are how rows are copied from a living source.
type CopyOptions struct {
	Schemas    []string // at least one
	Workers    int      // connections to either server that move rows at once; 0: 4
	ChunkBytes int64    // about so many bytes of values a chunk; 0: 4 MiB
	DeferBytes int64    // see LoadOptions
	// Verify has both servers compute each chunk's checksum, the source in the view and the target before the chunk is committed.
	Verify     bool
	MaxLag     time.Duration      // reading pauses while a source that replicates is further behind; 0: 30 s
	MaxRunning int64              // reading pauses while more threads run at the source (Threads_running); 0: no limit
	Again      string             // the command that goes on with this copy, for messages
	Progress   func(CopyProgress) // may be nil; called by one goroutine at a time, at least each second
}

// Copied is what a copy left at the target: from this attempt and those before it.
type Copied struct {
	Source      string            `json:"source"`
	Target      string            `json:"target"`
	Schemas     []string          `json:"schemas"`
	Server      string            `json:"server_uuid"` // the target's
	Run         string            `json:"run"`         // whose the target's mark is
	Fence       uint64            `json:"fence"`
	Position    snapshot.Position `json:"position"` // of all rows: following begins there
	Tables      int64             `json:"tables"`
	Views       int64             `json:"views"`
	Rows        int64             `json:"rows"`
	Bytes       int64             `json:"bytes"`
	Chunks      int64             `json:"chunks"`
	Kept        int64             `json:"kept"`     // chunks of earlier attempts that are as they were in the last view
	Again       int64             `json:"again"`    // chunks of earlier attempts that were not, and were copied again
	Verified    bool              `json:"verified"` // every chunk, by both servers
	Already     bool              `json:"already"`  // all of it was there before this call
	Connections int               `json:"connections"`
	Took        Took              `json:"took"`
	Rewrites    []string          `json:"rewrites"`
	Objects     []string          `json:"objects"`  // functions and procedures that are there
	NotMade     []Finding         `json:"not_made"` // and those that the target doesn't take: refused for the switch
	LeftOut     []string          `json:"left_out"` // triggers and events: they are made at the switch
	// Grants are statements for the target: what the source's accounts may on the schemas. nil: the account may not look at others'.
	Grants []string `json:"grants"`
}

// Took says where the time of this attempt went.
type Took struct {
	All    time.Duration `json:"all"`
	Rows   time.Duration `json:"rows"`
	Keys   time.Duration `json:"keys"` // keys, foreign keys, views
	Paused time.Duration `json:"paused"`
}

const (
	defaultMaxLag = 30 * time.Second
)

var (
	// ErrOtherDefinitions: the target has a half-made copy of the same schemas as they were defined before. Drop it, as the message
	// says, and copy again.
	ErrOtherDefinitions = errors.New("definitions at the source were changed since this copy was begun")
	// errSource is an error of the source: another try at the target is no help.
	errSource = errors.New("read the source")
)

// copyPrefix begins the names of owners that are no runs.
const copyPrefix = "copy-"

func isCopy(run string) bool { return strings.HasPrefix(run, copyPrefix) }

// dropped says how what an owner left is done away with.
func dropped(run string) string {
	if !isCopy(run) {
		return "type slipway rollback " + run + ", or use another target"
	}
	return "to begin anew, drop at the target what it made and its mark: the tables, views and routines that SELECT objects FROM " + ownTable("load") + " lists, then DROP DATABASE " + ddl.Quote(ownSchema)
}

// copier is one attempt of a copy.
type copier struct {
	*load
	src   *Source
	copts CopyOptions
	sv    Survey
	view  *consistent
	pace  *pace
	clock *copyClock
	wide  wide
	// readers move rows; planner cuts tables. It is one of them when the view has one connection alone.
	readers []*viewConn
	planner *viewConn
	out     Copied
}

// Copy moves the rows of living schemas into the target, all of one view of the source, each chunk exactly once, and goes on where an
// earlier attempt from the same server stopped: a new view is opened, what is there of earlier ones is held against it, and what
// differs is copied again. The schemas must be there at the target.
//
// Two copies at once: the one that began later takes over, the other ends with ErrFenced.
//
// *RefusedError, ErrOtherRun, ErrOtherDefinitions, ErrFenced, ErrLost, *TargetFullError, *TooLongError, *DifferentError when a
// checksum isn't the same, *objects.DifferentError and, of views, *objects.NotMadeError, ErrDenied at the target. Functions and procedures
// that the target doesn't take are no error: Copied.NotMade.
func Copy(ctx context.Context, src *Source, dst *Target, o CopyOptions) (Copied, error) {
	o.Workers, o.ChunkBytes, o.DeferBytes = cmp.Or(o.Workers, defaultWorkers), cmp.Or(o.ChunkBytes, defaultChunkBytes), cmp.Or(o.DeferBytes, defaultDefer)
	o.MaxLag = cmp.Or(o.MaxLag, defaultMaxLag)
	if o.Progress == nil {
		o.Progress = func(CopyProgress) {}
	}
	c := &copier{src: src, copts: o, load: &load{ep: dst.ep, o: LoadOptions{Workers: o.Workers, DeferBytes: o.DeferBytes}, again: o.Again, shared: true}}
	c.load.move = c.moveLive
	c.load.added = func(d *definition, keys int) { c.clock.added(d.table.estBytes * int64(keys)) }
	c.clock = newCopyClock(o.Progress)
	c.load.meter.tell = func(p Progress) { c.clock.doing(p.Doing) }
	defer c.close()
	defer c.clock.stop()
	began := time.Now()
	err := c.run(ctx)
	if err != nil {
		return Copied{}, c.explain(ctx, err)
	}
	c.out.Took.All = time.Since(began)
	c.clock.report()
	return c.out, nil
}

// explain says which server an error came from.
func (c *copier) explain(ctx context.Context, err error) error {
	var refused *RefusedError
	var differ *objects.DifferentError
	var not *objects.NotMadeError
	switch {
	case errors.Is(err, errSource), errors.As(err, &refused):
		return err // said already
	case errors.As(err, &differ), errors.As(err, &not):
		return fmt.Errorf("%s: %w", c.ep.Name, err)
	}
	return c.ep.Denied(ctx, err, append(SchemaGrants("ALL", c.copts.Schemas), OwnGrant("ALL"))...)
}

func (c *copier) run(ctx context.Context) (err error) {
	c.clock.doing("looking at the source's definitions")
	if c.sv, err = c.src.Survey(ctx, c.copts.Schemas); err == nil {
		err = c.sv.Refused()
	}
	if err == nil {
		err = c.src.ep.Explain(c.identify(ctx))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSource, err)
	}
	c.cat, c.set = &c.sv.Catalog, c.sv.Catalog.Text
	if err := c.openPools(); err != nil {
		return err
	}
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	state, err := look(ctx, conn, c.copts.Schemas)
	if err != nil {
		return fmt.Errorf("look at the target: %w", err)
	}
	c.own.Fence = state.Fence
	if err := c.check(ctx, &state); err != nil { // before another copy is stopped, or the source is held
		return err
	}
	if err := c.seize(ctx, conn, &state); err != nil {
		return err
	}
	c.out.Already = state.Phase == PhaseLoaded
	if state.Run == "" || state.Phase == PhaseCompile || state.Phase == PhaseRows {
		c.clock.doing("opening one view of the source over several connections")
		if c.view, err = c.src.begin(ctx, &c.sv, Options{Schemas: c.copts.Schemas, Connections: c.copts.Workers + 1}); err != nil {
			return fmt.Errorf("%w: %w", errSource, err)
		}
		defer c.view.close()
		for _, conn := range c.view.conns {
			c.readers = append(c.readers, &viewConn{Conn: conn})
		}
		if c.planner = c.readers[0]; len(c.readers) > 1 {
			c.readers = c.readers[1:]
		} else {
			c.clock.doing("the source is written to so often that its snapshots did not meet: one connection reads alone")
		}
		c.pos, c.out.Connections = c.view.pos, len(c.readers)
		if err := c.define(); err != nil {
			return err
		}
		if err := c.check(ctx, &state); err != nil {
			return err
		}
	}
	ctx, stop := c.watch.start(ctx, c.load)
	defer stop()
	if err := c.phases(ctx, conn, &state); err != nil {
		return c.watch.reason(err)
	}
	// Also those that the source has since the copy was finished.
	made, unmade, err := c.still(ctx, conn)
	if err != nil {
		return c.watch.reason(err)
	}
	grants, err := c.src.grants(ctx, c.copts.Schemas)
	if err != nil {
		return err
	}
	if c.out.Grants, err = grants.Statements(ctx, conn); err != nil {
		return err
	}
	c.out.Objects, c.out.NotMade = append(made.There, made.Made...), append([]Finding{}, unmade...)
	c.clock.enter(CopyVerifies)
	defer func() { c.out.Took = c.clock.took() }()
	return c.conclude(ctx, conn, state)
}

// conclude says what there is now, and verifies what earlier attempts did not.
func (c *copier) conclude(ctx context.Context, conn *sql.Conn, state State) error {
	c.out.Source, c.out.Target, c.out.Schemas = fmt.Sprintf("%s, %s", c.src.Name(), c.cat.Server.Version), c.ep.Name, c.copts.Schemas
	c.out.Server, c.out.Tables, c.out.Views = state.Server, int64(len(c.defs.tables)), int64(len(c.defs.views))
	c.out.Run, c.out.Fence, c.out.Rewrites, c.out.LeftOut = c.own.Run, c.own.Fence, []string{}, []string{}
	for _, f := range c.found {
		if f.Severity == Rewrite {
			c.out.Rewrites = append(c.out.Rewrites, f.Object+": "+f.What)
		}
	}
	for _, o := range c.set.Of(objects.Acting) {
		c.out.LeftOut = append(c.out.LeftOut, o.String())
	}
	if c.copts.Verify {
		if err := c.verifyNoted(ctx); err != nil {
			return err
		}
	}
	var position string
	var unverified int64
	err := conn.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(`rows`),0), COALESCE(SUM(`bytes`),0), COALESCE(SUM(NOT `verified`),0), (SELECT `position` FROM "+ownTable("load")+") FROM "+ownTable("copied")).
		Scan(&c.out.Chunks, &c.out.Rows, &c.out.Bytes, &unverified, &position)
	if err != nil {
		return fmt.Errorf("read what was copied: %w", err)
	}
	c.out.Verified = unverified == 0
	return json.Unmarshal([]byte(position), &c.out.Position)
}

// identify derives the owner from the source's server and the schemas: whoever copies the same from the same server is the same owner,
// from wherever and however often it is started.
func (c *copier) identify(ctx context.Context) error {
	db, err := c.src.ep.Open(TextSession(), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	var host string
	var id, port uint64
	if err := db.QueryRowContext(ctx, "SELECT @@hostname, @@port, @@server_id").Scan(&host, &port, &id); err != nil {
		return err
	}
	h := sha256.New()
	schemas := slices.Sorted(slices.Values(c.copts.Schemas))
	if err := json.NewEncoder(h).Encode([]any{host, port, id, schemas}); err != nil {
		return err
	}
	c.own = Owner{Run: copyPrefix + hex.EncodeToString(h.Sum(nil))[:24]}
	return c.define()
}

// define sets the digest: of all definitions.
func (c *copier) define() error {
	b, err := json.Marshal(c.sv.Catalog.definitions())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	c.id, c.digest = "living", hex.EncodeToString(sum[:])
	return nil
}

// seize makes the target this process's own. The mark of an earlier attempt gets the next fence; a process that is still at it sees
// that at its next statement and stops, and is waited for, since what it has under way may be a definition.
func (l *load) seize(ctx context.Context, c *sql.Conn, s *State) error {
	taken := false
	for {
		switch {
		case s.Run == "":
			l.own.Fence = 1
		case s.Run != l.own.Run || taken && s.Fence != l.own.Fence:
			return fenced(l.own, s.Run, s.Fence)
		case !taken:
			l.own.Fence = s.Fence + 1
			var err error
			if taken, err = l.take(ctx, c, s.Fence); err != nil {
				return err
			}
		}
		var got sql.NullInt64
		if err := c.QueryRowContext(ctx, "SELECT GET_LOCK('"+copyLock+"', 2)").Scan(&got); err != nil {
			return err
		}
		again, err := look(ctx, c, l.cat.schemas())
		if err != nil {
			return err
		}
		if got.Int64 == 1 && again.Run == s.Run && (s.Run == "" || taken && again.Fence == l.own.Fence) {
			*s = again
			return nil
		}
		*s = again
		if got.Int64 == 1 { // what was seen before the lock was had is old
			if _, err := c.ExecContext(ctx, "DO RELEASE_LOCK('"+copyLock+"')"); err != nil {
				return err
			}
			continue
		}
		var holder sql.NullString
		if err := c.QueryRowContext(ctx, "SELECT IS_USED_LOCK('"+copyLock+"')").Scan(&holder); err != nil {
			return err
		}
		l.meter.report("waiting for another copy to stop: it holds connection " + holder.String + " at the target (KILL " + holder.String + " there ends it)")
	}
}

// copyLock is held by the connection that changes definitions, for as long as its process copies.
const copyLock = "_slipway_copy"

// take sets the fence from one number to the next, and says whether it was that number. It waits for chunks under way.
func (l *load) take(ctx context.Context, q ask.Queryer, from uint64) (bool, error) {
	if _, err := q.ExecContext(ctx, "SET SESSION innodb_lock_wait_timeout = 5"); err != nil {
		return false, err
	}
	for {
		r, err := q.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET `fence` = %d WHERE `run` = '%s' AND `fence` = %d", ownTable("load"), l.own.Fence, ddl.Escape(l.own.Run), from))
		if ask.Number(err) == lockWaitTimeout && ctx.Err() == nil {
			l.meter.report("waiting for a transaction of an earlier attempt to end at the target")
			continue
		}
		if err != nil {
			return false, fmt.Errorf("take the target over: %w", err)
		}
		n, err := r.RowsAffected()
		return n > 0, err
	}
}
