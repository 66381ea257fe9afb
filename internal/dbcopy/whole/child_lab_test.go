//go:build lab

package whole

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// child is a copier or a follower that can be killed.
const child dbtest.Child[order] = "SLIPWAY_TEST_WHOLE"

// stream is the follower's, as in slipway db follow.
const stream = "forward"

type order struct {
	Source, Target string // addresses
	Schemas        []string
	Workers        int

	Copy   bool // else it follows
	Chunk  int64
	Defer  int64
	Verify bool

	Until    string // "": for ever
	Spill    int64
	SpillDir string
}

// What a child ends with.
const (
	childFailed = 1
	childLost   = 3 // a server went away
)

// childStatus is what a child ends with.
func childStatus(err error) int {
	if errors.Is(err, dbcopy.ErrLost) {
		return childLost
	}
	return childFailed
}

func (o order) run() error {
	if o.Copy {
		return o.copy(context.Background())
	}
	return o.follow(context.Background())
}

func (o order) copy(ctx context.Context) error {
	began, doing := time.Now(), ""
	tell := func(p dbcopy.CopyProgress) {
		if p.Doing != doing {
			doing = p.Doing
			fmt.Printf("%s %s\n", time.Since(began).Round(time.Millisecond), doing)
		}
	}
	got, err := dbcopy.Copy(ctx, dbcopy.NewSource(endpoint("maria", o.Source, dbpair.Reader)), dbcopy.NewTarget(endpoint("mysql", o.Target, dbpair.Loader)),
		dbcopy.CopyOptions{Schemas: o.Schemas, Workers: o.Workers, ChunkBytes: o.Chunk, DeferBytes: o.Defer, Verify: o.Verify, Again: "the same", Progress: tell})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// saidQuiet is printed for each time that the source said that it had nothing.
const saidQuiet = "quiet"

// heard is a log that tells of heartbeats.
type heard struct{ follow.ServerLog }

func (h heard) Transactions(ctx context.Context, from changes.Position) iter.Seq2[*changes.Transaction, error] {
	return func(yield func(*changes.Transaction, error) bool) {
		for tx, err := range h.ServerLog.Transactions(ctx, from) {
			if err == nil && tx.GTID == "" {
				fmt.Println(saidQuiet)
			}
			if !yield(tx, err) {
				return
			}
		}
	}
}

func (o order) follow(ctx context.Context) error {
	tell := func(s string) { fmt.Println(s) }
	// Not the product's account: the server makes that anew at each start, without what a follower needs.
	source, target := endpoint("maria", o.Source, dbpair.Root), endpoint("mysql", o.Target, dbpair.Loader)
	log, err := follow.Forward(ctx, source, o.Schemas, tell)
	if err != nil {
		return err
	}
	log.Options.SpillBytes, log.Options.SpillDir = o.Spill, o.SpillDir
	f, err := follow.Open(ctx, target, follow.Options{Stream: stream, Schemas: o.Schemas, Workers: o.Workers, Skip: follow.CameBack, Tables: log.Options.Tables, Tell: tell})
	if err != nil {
		return err
	}
	defer f.Close()
	if log.Options.Tables, err = f.Tables(ctx); err != nil {
		return err
	}
	if o.Until == "" {
		return f.Run(ctx, heard{log}, nil)
	}
	p, err := follow.ParsePosition(o.Until)
	if err != nil {
		return err
	}
	return f.Drain(ctx, heard{log}, p)
}

// process is a child.
type process struct {
	cmd  *osexec.Cmd
	out  *bytes.Buffer
	done chan struct{} // it is gone
}

func start(t testing.TB, o order) *process {
	t.Helper()
	p := &process{done: make(chan struct{})}
	p.cmd, p.out = child.Start(t, o)
	go func() {
		_ = p.cmd.Wait() // the exit code says it
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends it with SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.done
}

func (p *process) gone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// code is the exit code of one that is gone; -1: it was killed.
func (p *process) code() int { return p.cmd.ProcessState.ExitCode() }

// said is how often it printed a line with a text.
func (p *process) said(what string) (n int) {
	for line := range strings.Lines(p.out.String()) {
		if strings.Contains(line, what) {
			n++
		}
	}
	return n
}

// tail is the end of what it printed.
func (p *process) tail() string {
	s := p.out.String()
	return s[max(0, len(s)-4000):]
}
