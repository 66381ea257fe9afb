package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/ui"
)

func newDBCopy(p *program) *cobra.Command {
	var x pair
	var o dbcopy.CopyOptions
	cmd := &cobra.Command{
		Use:   "copy --source env:SRC --target env:DST --schema NAME",
		Short: "copy a living MariaDB's schemas straight into a MySQL",
		Long: "copy makes the tables of a MariaDB's schemas at a MySQL and fills them, all of one consistent view of the source, without files in\n" +
			"between and without a lock at the source; then functions, procedures and views. Triggers and events are for the switch: what they do\n" +
			"is in the log that is followed. The schemas must be there at the target, and empty.\n\n" +
			"Killed at any instant, it goes on when the same command is typed again: it opens a new view, holds what is there against it, and\n" +
			"copies again what differs. With --verify both servers compute a checksum of every row.\n\n" + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.copyDB(cmd, x, o) },
	}
	x.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&o.Workers, "workers", 4, "connections to either server that move rows at once")
	f.Int64Var(&o.ChunkBytes, "chunk-bytes", 4<<20, "about so many bytes of values are one chunk: one transaction at the target")
	f.BoolVar(&o.Verify, "verify", false, "have both servers compute a checksum of each chunk before it is committed")
	f.DurationVar(&o.MaxLag, "max-lag", 30*time.Second, "pause while a source that replicates is further behind than this")
	f.Int64Var(&o.MaxRunning, "max-running", 0, "pause while more threads than this run at the source, the copy's own among them (0: no limit)")
	return cmd
}

// copyMemory is what the program's memory is kept to, as far as rows allow: a garbage collector that is told of no limit lets dead
// statements grow to as much again as live ones.
const copyMemory = 192 << 20

func (p *program) copyDB(cmd *cobra.Command, x pair, o dbcopy.CopyOptions) error {
	source, target, err := x.endpoints(cmd)
	if err != nil {
		return err
	}
	for _, bad := range []struct {
		is   bool
		flag string
	}{{o.Workers < 1 || o.Workers > 64, "--workers: 1 to 64"}, {o.ChunkBytes < 1, "--chunk-bytes: at least 1"}, {o.MaxLag < time.Second, "--max-lag: at least 1s"}, {o.MaxRunning < 0, "--max-running: 0 or more"}} {
		if bad.is {
			return &usageError{errors.New(bad.flag), cmd.CommandPath()}
		}
	}
	debug.SetMemoryLimit(copyMemory)
	o.Schemas, o.Again = x.schemas, "slipway db copy again, with the same flags"
	tell := &copyTeller{w: p.err}
	if p.output == text {
		o.Progress = tell.progress
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second Ctrl-C kills
	c, err := dbcopy.Copy(ctx, dbcopy.NewSource(source), dbcopy.NewTarget(target), o)
	if err != nil {
		return dbFailed(err, dbCall{again: "slipway db copy again, with the same flags: it goes on", schemas: x.schemas, began: true, stopped: "the copy was interrupted; the chunks that are in stay"})
	}
	if err := p.print(c, func(w io.Writer) error { return writeCopied(w, &c) }); err != nil {
		return err
	}
	if len(c.NotMade) > 0 {
		return hint(errNotMade, "deal with these before the switch; slipway db copy again, with the same flags, makes what is missing. slipway db follow can begin meanwhile")
	}
	return nil
}

// errNotMade: all rows are there, and some functions or procedures aren't.
var errNotMade = errors.New("the rows are in, but the target doesn't take every function and procedure")

// copyTeller says how far a copy is: at once what begins or pauses, the rest now and then.
type copyTeller struct {
	w     io.Writer
	mu    sync.Mutex
	last  time.Time
	phase dbcopy.CopyPhase
	pause string
}

// tellCopyEvery is how long nothing is said while all goes as before.
const tellCopyEvery = 5 * time.Second

func (t *copyTeller) progress(c dbcopy.CopyProgress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.Phase == t.phase && c.Paused == t.pause && time.Since(t.last) < tellCopyEvery {
		return
	}
	t.last, t.phase, t.pause = time.Now(), c.Phase, c.Paused
	fmt.Fprintln(t.w, copyLine(c))
}

func copyLine(c dbcopy.CopyProgress) string {
	var b strings.Builder
	if c.Bytes > 0 {
		fmt.Fprintf(&b, "%s of %s, %d of %d rows", ui.Bytes(c.Bytes), ui.Bytes(c.TotalBytes), c.Rows, c.TotalRows)
		if c.Rate > 0 {
			fmt.Fprintf(&b, ", %s/s", ui.Bytes(int64(c.Rate)))
		}
		if c.Left > 0 {
			fmt.Fprintf(&b, ", %s left", c.Left.Round(time.Second))
		}
		b.WriteString(": ")
	}
	if c.Paused != "" {
		return b.String() + "paused: " + c.Paused
	}
	return b.String() + c.Doing
}

func writeCopied(w io.Writer, c *dbcopy.Copied) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s, schemas %s\n", c.Source, c.Target, strings.Join(c.Schemas, ", "))
	if c.Already {
		b.WriteString("the copy was there already: nothing was copied now\n")
	}
	fmt.Fprintf(&b, "%d rows, %s, in %d chunks; %d tables, %d views, %d functions and procedures\n", c.Rows, ui.Bytes(c.Bytes), c.Chunks, c.Tables, c.Views, len(c.Objects))
	if !c.Already {
		fmt.Fprintf(&b, "%s: rows %s, keys and views %s, paused %s; read over %d connections in one view\n", c.Took.All.Round(time.Millisecond), c.Took.Rows.Round(time.Millisecond),
			c.Took.Keys.Round(time.Millisecond), c.Took.Paused.Round(time.Millisecond), c.Connections)
	}
	if c.Kept+c.Again > 0 {
		fmt.Fprintf(&b, "of earlier attempts %d chunks are as they were, %d had changed and were copied again\n", c.Kept, c.Again)
	}
	if c.Verified {
		b.WriteString("every row is verified by both servers\n")
	} else {
		b.WriteString("not verified: --verify does that\n")
	}
	for _, r := range c.Rewrites {
		fmt.Fprintf(&b, "  rewritten: %s\n", r)
	}
	for _, o := range c.Objects {
		fmt.Fprintf(&b, "  there: %s\n", o)
	}
	for _, f := range c.NotMade {
		fmt.Fprintf(&b, "  not made: %s: %s\n", f.Object, f.What)
		if f.Fix != "" {
			fmt.Fprintf(&b, "    fix: %s\n", f.Fix)
		}
	}
	for _, l := range c.LeftOut {
		fmt.Fprintf(&b, "  for the switch: %s\n", l)
	}
	if c.Grants == nil {
		b.WriteString("  grants of accounts weren't looked at: the account may not read mysql.* at the source\n")
	}
	for _, g := range c.Grants {
		fmt.Fprintf(&b, "  for the target's accounts, when they are made: %s\n", g)
	}
	fmt.Fprintf(&b, "all rows are those at %s of the source's binary log (GTID %s); what was written since isn't there: slipway db follow\n", c.Position.File, c.Position.GTID)
	_, err := io.WriteString(w, b.String())
	return err
}
