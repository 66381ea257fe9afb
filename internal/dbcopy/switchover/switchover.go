// Package switchover is what a switch from the MariaDB to the MySQL asks of the two and does to them, beside what packages follow
// and freeze do: who may sign in at the target, numbers that must not be given out twice, where the target's log stood before
// its first write, and a canary that makes the round trip. It decides nothing: steps do, and journal it.
package switchover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// CanarySchema is the schema of the canary's table, on both sides. It is followed on the way back as the shop's are; it isn't
// Slipway's own schema, whose changes are no one's to follow.
const CanarySchema = "_slipway_canary"

const canaryTable = "`" + CanarySchema + "`.`canary`"

// Pair is the two sides of a switch.
type Pair struct {
	masters *freeze.Masters
	source  dbcopy.Endpoint // the master that is followed, and that the way back writes to
	standby *dbcopy.Endpoint
	target  dbcopy.Endpoint
	my      *freeze.MySQL
	schemas []string
	keep    []string
}

// NewPair dials nothing. source is the master that is followed, standby the other one or nil; keep are users that go on signing in at the target while it is shut: Slipway's own.
func NewPair(masters *freeze.Masters, source dbcopy.Endpoint, standby *dbcopy.Endpoint, target dbcopy.Endpoint, schemas, keep []string) *Pair {
	return &Pair{masters, source, standby, target, freeze.NewMySQL(target), schemas, keep}
}

// Name is what messages call the target.
func (p *Pair) Name() string { return p.target.Name }

// Look says who may sign in at the target.
func (p *Pair) Look(ctx context.Context) (freeze.TargetState, error) { return p.my.Look(ctx, p.keep) }

// Shut locks the accounts at the target and ends all sessions; see freeze.MySQL.Freeze.
func (p *Pair) Shut(ctx context.Context, lock []freeze.Account, o freeze.Options) (binlog.MySQL, error) {
	at, _, err := p.my.Freeze(ctx, lock, p.keep, o)
	return at, err
}

// Counters are each side's next AUTO_INCREMENTs.
type Counters struct {
	Source []freeze.Counter `json:"source"`
	Target []freeze.Counter `json:"target"`
}

// Behind are those of one reading that are lower than the other's.
func Behind(now, least []freeze.Counter) (out []freeze.Counter) {
	for _, l := range least {
		for _, n := range now {
			if n.Schema == l.Schema && n.Table == l.Table && n.Next < l.Next {
				out = append(out, l)
			}
		}
	}
	return out
}

// Counters reads both sides'.
func (p *Pair) Counters(ctx context.Context) (c Counters, err error) {
	if c.Source, err = p.masters.Counters(ctx, p.schemas); err != nil {
		return c, err
	}
	c.Target, err = freeze.Counters(ctx, p.target, p.schemas)
	return c, err
}

// RaiseTarget raises the target's counters to at least these.
func (p *Pair) RaiseTarget(ctx context.Context, to []freeze.Counter) error {
	return freeze.Raise(ctx, p.target, to)
}

// RaiseSource raises all masters' counters to at least these.
func (p *Pair) RaiseSource(ctx context.Context, to []freeze.Counter) error {
	return p.masters.Raise(ctx, to)
}

// Tip is where the target's log ends now.
func (p *Pair) Tip(ctx context.Context) (changes.Position, error) {
	return changes.Tip(ctx, changes.Source{Endpoint: p.target, Flavor: value.MySQL})
}

const createCanary = "CREATE TABLE IF NOT EXISTS " + canaryTable + " (`id` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, `sent` DATETIME(6) NOT NULL) ENGINE=InnoDB COMMENT='canaries of slipway'"

// Nest makes the canary's table on both sides. At the source it is logged, so that those that replicate from it have it too.
func (p *Pair) Nest(ctx context.Context) error {
	for _, ep := range []dbcopy.Endpoint{p.source, p.target} {
		err := in(ctx, ep, func(db *sql.DB) error {
			if _, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS `"+CanarySchema+"`"); err != nil {
				return err
			}
			_, err := db.ExecContext(ctx, createCanary)
			return err
		})
		if err != nil {
			return fmt.Errorf("make %s: %w", canaryTable, err)
		}
	}
	return nil
}

// Nested says whether the canary's table is on both sides.
func (p *Pair) Nested(ctx context.Context) (bool, error) {
	for _, ep := range []dbcopy.Endpoint{p.source, p.target} {
		_, err := has(ctx, ep, "")
		switch {
		case missing(err):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}

// Send lets a canary go at the target. One that was let go before isn't again.
func (p *Pair) Send(ctx context.Context, id string) error {
	err := in(ctx, p.target, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "INSERT IGNORE INTO "+canaryTable+" VALUES (?, UTC_TIMESTAMP(6))", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("write canary %s: %w", id, err)
	}
	return nil
}

// Arrived says whether a canary has come through the way back to the source.
func (p *Pair) Arrived(ctx context.Context, id string) (bool, error) {
	there, err := has(ctx, p.source, id)
	if err != nil && !missing(err) {
		return false, fmt.Errorf("look for canary %s: %w", id, err)
	}
	return there, nil
}

// Await waits for it; told says for how long already, about once a second.
func (p *Pair) Await(ctx context.Context, id string, told func(time.Duration)) error {
	began, said := time.Now(), time.Now()
	for {
		there, err := p.Arrived(ctx, id)
		if there || err != nil {
			return err
		}
		if time.Since(said) > time.Second {
			said = time.Now()
			told(said.Sub(began))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("canary %s was written to %s and has not come to %s in %s: %w", id, p.target.Name, p.source.Name, time.Since(began).Round(time.Second), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func has(ctx context.Context, ep dbcopy.Endpoint, id string) (there bool, err error) {
	err = in(ctx, ep, func(db *sql.DB) error {
		var n int
		err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+canaryTable+" WHERE `id` = ?", id).Scan(&n)
		there = n > 0
		return err
	})
	return there, err
}

// missing: the schema or the table isn't there.
func missing(err error) bool {
	n := ask.Number(err)
	return n == 1049 || n == 1146
}

// in does something in one session of a server.
func in(ctx context.Context, ep dbcopy.Endpoint, do func(*sql.DB) error) error {
	db, err := ep.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return err
	}
	err = ep.Explain(do(db))
	return errors.Join(err, db.Close())
}

// Compare compares every row while the target follows: by how far it has, not by time.
func (p *Pair) Compare(ctx context.Context, tell func(dbcopy.CompareProgress)) (dbcopy.Comparison, error) {
	applied := func(ctx context.Context) (binlog.MariaDB, error) {
		at, err := follow.Applied(ctx, p.target, follow.ForwardStream)
		return at.MariaDB, err
	}
	return dbcopy.Compare(ctx, dbcopy.NewSource(p.source), dbcopy.NewTarget(p.target), dbcopy.CompareOptions{Schemas: p.schemas, Applied: applied, Tell: tell})
}
