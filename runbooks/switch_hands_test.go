package runbooks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
	"github.com/slipway-dev/slipway/internal/dbhost"
)

// bothMasters does what freeze.Masters does, one statement after another.
type bothMasters struct{ w *switchWorld }

func (m bothMasters) Names() []string { return []string{"db1", "db2"} }

func (m bothMasters) Look(context.Context) ([]freeze.State, error) {
	return see(m.w, false, func() (out []freeze.State) {
		for _, d := range m.w.doors {
			s := freeze.State{Version: "10.11", ReadOnly: d.readOnly, Logged: position(m.w.source.log, len(m.w.source.log)).MariaDB}
			for _, a := range d.accounts {
				if a.above && !a.locked {
					s.Above = append(s.Above, a.Account)
				}
			}
			out = append(out, s)
		}
		return out
	})
}

func (m bothMasters) Lacks(context.Context) ([][]string, error) { return make([][]string, 2), nil }

func (m bothMasters) Standing(context.Context) ([]string, error) { return make([]string, 2), nil }

func (m bothMasters) Freeze(ctx context.Context, wants []freeze.Want, _ freeze.Options) (stopped []freeze.Stopped, at binlog.MariaDB, err error) {
	for i, d := range m.w.doors { // at all of them at once, so that what fails at one stops none of the others
		err = errors.Join(err, oneByOne(
			func() error {
				return m.w.act("lock accounts at "+m.Names()[i], nil, func() { d.lock(wants[i].Lock, true) })
			},
			func() error {
				return m.w.act("stop writes at "+m.Names()[i], func() { d.readOnly = true }, func() { d.readOnly = true; clear(d.sessions) })
			}))
	}
	if err != nil {
		return nil, at, errors.Join(err, m.Thaw(context.WithoutCancel(ctx), wants))
	}
	at, err = see(m.w, false, func() binlog.MariaDB {
		m.w.replicate()
		return position(m.w.source.log, len(m.w.source.log)).MariaDB
	})
	return []freeze.Stopped{{At: at, Ended: []freeze.Ended{}}, {At: at, Ended: []freeze.Ended{}}}, at, err
}

func (m bothMasters) Thaw(_ context.Context, wants []freeze.Want) (err error) {
	for i, d := range m.w.doors {
		err = errors.Join(err, oneByOne(
			func() error {
				return m.w.act("unlock accounts at "+m.Names()[i], nil, func() { d.lock(wants[i].Lock, false) })
			},
			func() error {
				if wants[i].WasReadOnly {
					return nil
				}
				return m.w.act("let write at "+m.Names()[i], nil, func() { d.readOnly = false })
			}))
	}
	return err
}

func (m bothMasters) Hosts() (out []string) {
	if m.w.restarts {
		out = m.Names()
	}
	return out
}

func (m bothMasters) Ready(_ context.Context, _ []string, run string) ([]dbhost.Options, error) {
	return []dbhost.Options{{Host: "db1", Dir: "/etc"}, {Host: "db2", Dir: "/etc"}}, nil
}

func (m bothMasters) Held(context.Context, string) ([]string, error) {
	return see(m.w, false, func() (open []string) {
		for i, name := range m.Hosts() {
			if !m.w.held[i] {
				open = append(open, name)
			}
		}
		return open
	})
}

func (m bothMasters) Hold(context.Context, string) error { return m.hold("write", true) }

func (m bothMasters) Release(context.Context, string) error { return m.hold("remove", false) }

func (m bothMasters) hold(verb string, held bool) error {
	for i, name := range m.Hosts() {
		if err := m.w.act(verb+" the file on "+name, nil, func() { m.w.held[i], m.w.quiet = held, !held }); err != nil {
			return err
		}
	}
	return nil
}

func (m bothMasters) Timers(context.Context) ([]freeze.TimerState, error) {
	return see(m.w, false, func() []freeze.TimerState {
		out := make([]freeze.TimerState, 2)
		for i, t := range m.w.timers {
			if t != nil {
				out[i] = freeze.TimerState{Run: t.Run, Waits: !t.fired}
			}
		}
		return out
	})
}

func (m bothMasters) Arm(_ context.Context, ts []freeze.Timer) error {
	return m.timed("arm", func(i int) error { m.w.timers[i] = &timer{Timer: ts[i], at: time.Now().Add(ts[i].After)}; return nil })
}

func (m bothMasters) Disarm(_ context.Context, _ []freeze.Timer) error {
	disarm := func(i int) error {
		if t := m.w.timers[i]; t != nil && t.fired || !m.w.doors[i].readOnly {
			return freeze.ErrFired
		}
		m.w.timers[i] = nil
		return nil
	}
	return oneByOne(func() error { return m.timer("disarm", db2, disarm) }, func() error { return m.timer("disarm", db1, disarm) })
}

func (m bothMasters) DropTimers(_ context.Context, _ []freeze.Timer) error {
	return m.timed("drop", func(i int) error { m.w.timers[i] = nil; return nil })
}

func (m bothMasters) timed(verb string, do func(i int) error) error {
	return errors.Join(m.timer(verb, db1, do), m.timer(verb, db2, do))
}

func (m bothMasters) timer(verb string, i int, do func(i int) error) error {
	var failed error
	err := m.w.act(verb+" the timer of "+m.Names()[i], nil, func() { failed = do(i) })
	return errors.Join(err, failed)
}

// oneByOne stops at what fails.
func oneByOne(all ...func() error) error {
	for _, do := range all {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func (m bothMasters) Triggers(context.Context, []string) ([]freeze.Trigger, error) {
	return see(m.w, false, func() []freeze.Trigger { return slices.Clone(m.w.triggers) })
}

func (m bothMasters) DropTriggers(_ context.Context, ts []freeze.Trigger) error {
	for _, t := range ts {
		err := m.w.act("drop trigger "+t.Name, nil, func() {
			m.w.triggers = slices.DeleteFunc(m.w.triggers, func(x freeze.Trigger) bool { return x == t })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m bothMasters) RestoreTriggers(_ context.Context, ts []freeze.Trigger) error {
	for _, t := range ts { // one that is made fires after those that are there
		err := m.w.act("make trigger "+t.Name, nil, func() {
			if !slices.Contains(m.w.triggers, t) {
				m.w.triggers = append(m.w.triggers, t)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bothSides does what switchover.Pair does.
type bothSides struct{ w *switchWorld }

func (p bothSides) Name() string { return "the target" }

func (p bothSides) Look(context.Context) (freeze.TargetState, error) {
	return see(p.w, false, p.state)
}

func (p bothSides) state() freeze.TargetState {
	return freeze.TargetState{Open: p.w.entry.open(), Sessions: len(p.w.entry.sessions), Logged: position(p.w.target.log, len(p.w.target.log)).MySQL}
}

func (p bothSides) Shut(ctx context.Context, lock []freeze.Account, _ freeze.Options) (at binlog.MySQL, err error) {
	err = p.w.act("lock accounts at the target", func() { p.w.entry.lock(lock[:len(lock)/2], true) }, func() { p.w.entry.lock(lock, true) })
	if err == nil {
		err = p.w.act("end sessions at the target", nil, func() { clear(p.w.entry.sessions) })
	}
	var s freeze.TargetState
	if err == nil {
		s, err = see(p.w, false, p.state)
	}
	if err == nil && len(s.Open)+s.Sessions > 0 {
		err = fmt.Errorf("these can still sign in: %v, and there are %d sessions", s.Open, s.Sessions)
	}
	if err != nil {
		return at, errors.Join(err, p.Open(context.WithoutCancel(ctx), lock))
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.followed = true
	return s.Logged, nil
}

func (p bothSides) Open(_ context.Context, as []freeze.Account) error {
	err := p.w.act("unlock accounts at the target", func() { p.w.entry.lock(as[:len(as)/2], false) }, func() { p.w.entry.lock(as, false) })
	if err != nil || !slices.ContainsFunc(as, func(a freeze.Account) bool { return slices.Contains(p.w.waiting, a) }) {
		return err
	}
	return p.w.act("note who was let in", nil, func() {
		p.w.waiting = slices.DeleteFunc(p.w.waiting, func(a freeze.Account) bool { return slices.Contains(as, a) })
		p.w.target.commit(logged{mark: true})
	})
}

func (p bothSides) Waiting(context.Context) ([]freeze.Account, error) {
	return see(p.w, false, func() []freeze.Account { return slices.Clone(p.w.waiting) })
}

func (p bothSides) Note(_ context.Context, as []freeze.Account) error {
	return p.w.act("note who is locked", nil, func() {
		p.w.waiting = append(p.w.waiting, as...)
		p.w.target.commit(logged{mark: true})
	})
}

func (p bothSides) Counters(context.Context) (switchover.Counters, error) {
	one := func(b *dbSide) []freeze.Counter {
		return []freeze.Counter{{Schema: "shop", Table: "orders", Next: b.next}}
	}
	return see(p.w, false, func() switchover.Counters {
		return switchover.Counters{Source: one(p.w.source), Target: one(p.w.target)}
	})
}

func (p bothSides) raise(b *dbSide, of string, to []freeze.Counter) error {
	for _, c := range to {
		if err := p.w.act("raise the counter of the "+of, nil, func() { b.next = max(b.next, c.Next) }); err != nil {
			return err
		}
	}
	return nil
}

func (p bothSides) RaiseTarget(_ context.Context, to []freeze.Counter) error {
	return p.raise(p.w.target, "target", to)
}

func (p bothSides) RaiseSource(_ context.Context, to []freeze.Counter) error {
	return p.raise(p.w.source, "source", to)
}

func (p bothSides) Nest(context.Context) error {
	nest := func(b *dbSide, domain uint32) func() {
		return func() {
			if !b.nested {
				b.nested = true
				b.commit(logged{domain: domain})
			}
		}
	}
	return oneByOne(
		func() error { return p.w.act("make the canary's table at the source", nil, nest(p.w.source, 1)) },
		func() error { return p.w.act("make the canary's table at the target", nil, nest(p.w.target, 0)) })
}

func (p bothSides) Nested(context.Context) (bool, error) {
	return see(p.w, false, func() bool { return p.w.source.nested && p.w.target.nested })
}

func (p bothSides) Tip(context.Context) (changes.Position, error) {
	return see(p.w, false, func() changes.Position { return position(p.w.target.log, len(p.w.target.log)) })
}

func canary(id string) string { return "canary-" + id }

func (p bothSides) Send(_ context.Context, id string) error {
	return p.w.act("send a canary", nil, func() {
		if p.w.target.rows[canary(id)] == 0 {
			p.w.target.commit(logged{key: canary(id)})
		}
	})
}

func (p bothSides) Arrived(_ context.Context, id string) (bool, error) {
	return see(p.w, true, func() bool { return p.w.source.rows[canary(id)] > 0 })
}

func (p bothSides) Await(ctx context.Context, id string, _ func(time.Duration)) error {
	for {
		there, err := p.Arrived(ctx, id)
		if err != nil {
			return err
		}
		if there && (p.w.hang == nil || !p.w.hang()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Compare finds what the copy and the way there have lost, doubled or made up.
func (p bothSides) Compare(context.Context, func(dbcopy.CompareProgress)) (dbcopy.Comparison, error) {
	return see(p.w, false, func() dbcopy.Comparison {
		c := dbcopy.Comparison{Began: time.Now(), Tables: 1, Position: "1-1-1"}
		for _, l := range p.w.source.log[:p.w.target.streams[forwardStream].at] {
			if n := p.w.target.rows[l.key]; l.key != "" && n != 1 {
				c.Different++
				c.Found = append(c.Found, dbcopy.Difference{Object: "table shop.orders", What: fmt.Sprintf("%s is there %d times", l.key, n)})
			}
		}
		return c
	})
}
