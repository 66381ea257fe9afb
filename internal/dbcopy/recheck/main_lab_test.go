//go:build lab

package recheck

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
)

// servers are the two that all tests share.
var servers struct{ maria, mysql *dbpair.Server }

func TestMain(m *testing.M) {
	machine.Main()
	checker.Main(checkerOrder.run, nil)
	os.Exit(dbtest.Main(m, "recheck", func(ctx context.Context, lab *dbpair.Lab) (err error) {
		servers.maria, servers.mysql, err = dbtest.Pair(ctx, lab)
		return err
	}))
}

func endpoint(s *dbpair.Server, user string) dbcopy.Endpoint {
	return dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
}

const schema = "shop"

// pair is a source and a target that are the same when a test begins, and a follower between them that leaves out what it is told to.
type pair struct {
	*testing.T
	maria, my *sql.DB // with all rights
	from      changes.Position
	link      Link
	unfollow  func() error // stops the follower, and gives how it ended

	mu     sync.Mutex
	skip   func(*changes.Change) bool // changes that the follower passes by
	passed int
}

// newPair makes the tables on both sides, and starts the follower.
func newPair(t *testing.T, tables ...string) *pair {
	t.Helper()
	p := &pair{T: t, maria: admin(t, servers.maria), my: admin(t, servers.mysql)}
	clean := func() {
		for _, db := range []*sql.DB{p.maria, p.my} {
			for _, stmt := range []string{"DROP DATABASE IF EXISTS " + schema, "DROP DATABASE IF EXISTS _slipway"} {
				if _, err := db.ExecContext(context.Background(), stmt); err != nil {
					t.Error(err)
				}
			}
		}
	}
	clean()
	for _, db := range []*sql.DB{p.maria, p.my} {
		p.do(db, "CREATE DATABASE "+schema+" CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "USE "+schema)
		p.do(db, tables...)
	}
	p.from = p.tip()
	p.link = NewLink(endpoint(servers.maria, dbpair.Reader), endpoint(servers.mysql, dbpair.Loader), []string{schema})
	p.link.from.Endpoint.User = dbpair.Root // Reader isn't a replica
	t.Cleanup(clean)
	p.follow()
	t.Cleanup(func() {
		if err := p.unfollow(); !errors.Is(err, context.Canceled) {
			t.Errorf("the follower ended: %v", err)
		}
	})
	return p
}

// follow starts the follower. skip are transactions of a definition that was changed at the target by hand.
func (p *pair) follow(skip ...string) {
	p.Helper()
	log, err := follow.Forward(p.Context(), endpoint(servers.maria, dbpair.Root), []string{schema}, func(string) {})
	if err != nil {
		p.Fatal(err)
	}
	o := follow.Options{Stream: follow.ForwardStream, Schemas: []string{schema}, From: &p.from, Skip: follow.CameBack, Tables: log.Options.Tables}
	if skip != nil {
		o.From = nil
	}
	f, err := follow.Open(p.Context(), endpoint(servers.mysql, dbpair.Loader), o)
	if err != nil {
		p.Fatal(err)
	}
	now := log.Options.Tables
	for _, gtid := range skip {
		if log.Options.Tables, err = f.Tables(p.Context()); err != nil {
			p.Fatal(err)
		}
		if _, err := f.SkipDDL(p.Context(), log, gtid, "a person"); err != nil {
			p.Fatal(err)
		}
		log.Options.Tables = now
	}
	ctx, cancel := context.WithCancel(p.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, passing{log, p}, nil) }()
	p.unfollow = func() error {
		cancel()
		defer f.Close()
		return <-done
	}
}

// admin is a pool of one connection, so that USE holds for all that comes.
func admin(t *testing.T, s *dbpair.Server) *sql.DB {
	t.Helper()
	db := dbtest.Admin(t, s, "")
	db.SetMaxOpenConns(1)
	return db
}

func (p *pair) do(db *sql.DB, stmts ...string) {
	p.Helper()
	dbtest.Exec(p, db, stmts...)
}

// passing is a log that leaves changes out.
type passing struct {
	follow.Log
	p *pair
}

func (l passing) Transactions(ctx context.Context, from changes.Position) iter.Seq2[*changes.Transaction, error] {
	return func(yield func(*changes.Transaction, error) bool) {
		for tx, err := range l.Log.Transactions(ctx, from) {
			if err == nil && tx.Rows > 0 {
				all := tx.Changes
				tx.Changes = func(yield func(changes.Change, error) bool) {
					for ch, err := range all {
						if err == nil && l.p.skips(&ch) {
							continue
						}
						if !yield(ch, err) {
							return
						}
					}
				}
			}
			if !yield(tx, err) {
				return
			}
		}
	}
}

func (p *pair) skips(ch *changes.Change) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.skip == nil || !p.skip(ch) {
		return false
	}
	p.passed++
	return true
}

// passBy has the follower pass by changes from now on, nil: none.
func (p *pair) passBy(skip func(*changes.Change) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skip = skip
}

func (p *pair) tip() changes.Position {
	p.Helper()
	at, err := changes.Tip(p.Context(), changes.Source{Endpoint: endpoint(servers.maria, dbpair.Root)})
	if err != nil {
		p.Fatal(err)
	}
	return at
}

// caughtUp waits until the target has all that the source has.
func (p *pair) caughtUp() changes.Position {
	p.Helper()
	want := p.tip()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		at, err := follow.Applied(p.Context(), p.link.to, follow.ForwardStream)
		if err != nil {
			p.Fatal(err)
		}
		if follow.Covered(at, want) {
			return want
		}
		if time.Since(began) > time.Minute {
			p.Fatalf("the follower is at %s, and not at %s", at, want)
		}
	}
}

// checking is a verification under way.
type checking struct {
	p     *pair
	until chan changes.Position
	done  chan error
	stop  context.CancelFunc

	mu  sync.Mutex
	at  changes.Position
	lag time.Duration
}

func (p *pair) check(link Link) *checking {
	ctx, stop := context.WithCancel(p.Context())
	c := &checking{p: p, until: make(chan changes.Position, 1), done: make(chan error, 1), stop: stop}
	go func() {
		c.done <- link.Recheck(ctx, p.from, c.until, func(at changes.Position, lag time.Duration) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.at, c.lag = at, lag
		}, func(string) {})
	}()
	return c
}

// end is how it ended, within a time.
func (c *checking) end(within time.Duration) error {
	c.p.Helper()
	select {
	case err := <-c.done:
		return err
	case <-time.After(within):
		c.stop()
		c.p.Fatalf("it has not ended within %s: %v", within, <-c.done)
		return nil
	}
}

// drain verifies to where the source is now.
func (c *checking) drain() error {
	c.p.Helper()
	c.until <- c.p.caughtUp()
	return c.end(time.Minute)
}

// reaches waits until all up to a position is verified.
func (c *checking) reaches(want changes.Position, within time.Duration) {
	c.p.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		at := c.at
		c.mu.Unlock()
		if follow.Covered(at, want) {
			return
		}
		select {
		case err := <-c.done:
			c.p.Fatalf("it ended: %v", err)
		default:
		}
		if time.Since(began) > within {
			has, err := follow.Applied(c.p.Context(), c.p.link.to, follow.ForwardStream)
			c.p.Fatalf("verified up to %s, and not %s, after %s; the follower is at %s, %v", at, want, within, has, err)
		}
	}
}

// names holds when err names rows, and these alone.
func (p *pair) names(err error, want ...string) {
	p.Helper()
	var d *dbcopy.DifferentError
	if !errors.As(err, &d) {
		p.Fatalf("nothing was found: %v", err)
	}
	var got []string
	for _, x := range d.Differences {
		got = append(got, x.String())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		p.Errorf("named are\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// equal compares tables without anything of what is tested.
func (p *pair) equal(tables ...string) (rows int) {
	p.Helper()
	maria, my := dbtest.Admin(p, servers.maria, schema), dbtest.Admin(p, servers.mysql, schema)
	for _, table := range tables {
		rows += dbtest.Equal(p, maria, my, table)
	}
	return rows
}
