package freeze

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/binlog"
)

// Masters are all servers that a source's writes can come in at: one, or two that replicate from each other. The first is the
// one that is followed.
type Masters struct{ all []*MariaDB }

// NewMasters dials nothing. first is the one that is followed; second may be nil.
func NewMasters(first, second *MariaDB) *Masters {
	if second == nil {
		return &Masters{[]*MariaDB{first}}
	}
	return &Masters{[]*MariaDB{first, second}}
}

// Names are what messages call them, the followed one's first.
func (m *Masters) Names() (out []string) {
	for _, x := range m.all {
		out = append(out, x.Name())
	}
	return out
}

// each does one thing at all of them at once; what went wrong at any is given together.
func (m *Masters) each(do func(int, *MariaDB) error) error {
	errs := make([]error, len(m.all))
	var g errgroup.Group
	for i, x := range m.all {
		g.Go(func() error { errs[i] = do(i, x); return nil })
	}
	_ = g.Wait() // what went wrong is in errs
	return errors.Join(errs...)
}

// Look reads the state of each. Two that write in one domain are ErrOneDomain.
func (m *Masters) Look(ctx context.Context) ([]State, error) {
	out := make([]State, len(m.all))
	err := m.each(func(i int, x *MariaDB) (err error) {
		out[i], err = x.Look(ctx)
		return err
	})
	if err == nil && len(out) == 2 {
		err = OneDomain(out[0], out[1], m.all[0].Name(), m.all[1].Name())
	}
	return out, err
}

// Freeze stops all writes at all of them, and waits until each has applied the other's. What it gives is the position at which
// they stand: who has that has everything. When it can't be done, within the limit or at all, all are thawed again.
func (m *Masters) Freeze(ctx context.Context, wants []Want, o Options) (stopped []Stopped, at binlog.MariaDB, err error) {
	if len(wants) != len(m.all) {
		return nil, at, fmt.Errorf("freeze: %d servers are known, and %d were looked at: the run was begun with others", len(m.all), len(wants))
	}
	bounded, cancel := context.WithTimeoutCause(ctx, o.limit(), ErrTooLong)
	defer cancel()
	stopped = make([]Stopped, len(m.all))
	err = m.each(func(i int, x *MariaDB) (err error) {
		stopped[i], err = x.Freeze(bounded, wants[i], o)
		return err
	})
	if err == nil && len(m.all) == 2 {
		at, err = Drained(bounded, m.all[0], m.all[1], stopped[0], stopped[1], o.Tell)
	} else if err == nil {
		at = stopped[0].At
	}
	if err == nil {
		return stopped, at, nil
	}
	if errors.Is(context.Cause(bounded), ErrTooLong) && !errors.Is(err, ErrTooLong) {
		err = fmt.Errorf("%w (%s): %w", ErrTooLong, o.limit(), err)
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.limit())
	defer cancel()
	return nil, binlog.MariaDB{}, errors.Join(err, m.Thaw(undo, wants))
}

// Thaw undoes a freeze of all; see MariaDB.Thaw.
func (m *Masters) Thaw(ctx context.Context, wants []Want) error {
	if len(wants) != len(m.all) {
		return fmt.Errorf("thaw: %d servers are known, and %d were frozen: give those that the run was begun with", len(m.all), len(wants))
	}
	return m.each(func(i int, x *MariaDB) error { return x.Thaw(ctx, wants[i]) })
}

// Triggers are those of the followed one: it is where the way back writes.
func (m *Masters) Triggers(ctx context.Context, schemas []string) ([]Trigger, error) {
	return m.all[0].Triggers(ctx, schemas)
}

// DropTriggers drops them at the followed one.
func (m *Masters) DropTriggers(ctx context.Context, ts []Trigger) error {
	return m.all[0].DropTriggers(ctx, ts)
}

// RestoreTriggers makes them again there.
func (m *Masters) RestoreTriggers(ctx context.Context, ts []Trigger) error {
	return m.all[0].RestoreTriggers(ctx, ts)
}

// Counters are the highest of any of them, by table.
func (m *Masters) Counters(ctx context.Context, schemas []string) ([]Counter, error) {
	each := make([][]Counter, len(m.all))
	err := m.each(func(i int, x *MariaDB) (err error) {
		each[i], err = Counters(ctx, x.ep, schemas)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := each[0]
	for _, more := range each[1:] {
		out = highest(out, more)
	}
	return out, nil
}

// highest joins two readings of the same tables.
func highest(a, b []Counter) []Counter {
	for _, n := range b {
		found := false
		for i := range a {
			if a[i].Schema == n.Schema && a[i].Table == n.Table {
				a[i].Next, found = max(a[i].Next, n.Next), true
			}
		}
		if !found {
			a = append(a, n)
		}
	}
	return a
}

// Raise raises the counters of all of them; see Raise.
func (m *Masters) Raise(ctx context.Context, from []Counter) error {
	return m.each(func(_ int, x *MariaDB) error { return Raise(ctx, x.ep, from) })
}

// Lacks names, by master, the privileges that the account that asks lacks for a switch.
func (m *Masters) Lacks(ctx context.Context) ([][]string, error) {
	out := make([][]string, len(m.all))
	err := m.each(func(i int, x *MariaDB) (err error) {
		out[i], err = x.Lacks(ctx)
		return err
	})
	return out, err
}

// Standing says, by master, why it doesn't apply what the other one logs; "" where it does. One that has no other needs none.
func (m *Masters) Standing(ctx context.Context) ([]string, error) {
	out := make([]string, len(m.all))
	if len(m.all) == 1 {
		return out, nil
	}
	err := m.each(func(i int, x *MariaDB) error {
		c, done, err := signIn(ctx, x.ep)
		if err != nil {
			return err
		}
		defer done()
		out[i], err = standing(ctx, c)
		return x.ep.Explain(err)
	})
	return out, err
}

// Events are those that are enabled, by master; see MariaDB.Events.
func (m *Masters) Events(ctx context.Context) ([][]Event, error) {
	out := make([][]Event, len(m.all))
	err := m.each(func(i int, x *MariaDB) (err error) {
		out[i], err = x.Events(ctx)
		return err
	})
	return out, err
}

// DisableEvents disables them, each on its master alone.
func (m *Masters) DisableEvents(ctx context.Context, es [][]Event) error {
	return m.each(func(i int, x *MariaDB) error {
		if i >= len(es) {
			return nil
		}
		return x.DisableEvents(ctx, es[i])
	})
}

// RestoreEvents enables them again, as they were.
func (m *Masters) RestoreEvents(ctx context.Context, es [][]Event) error {
	return m.each(func(i int, x *MariaDB) error {
		if i >= len(es) {
			return nil
		}
		return x.RestoreEvents(ctx, es[i])
	})
}

// Timers are how each stands with timers.
func (m *Masters) Timers(ctx context.Context) ([]TimerState, error) {
	out := make([]TimerState, len(m.all))
	err := m.each(func(i int, x *MariaDB) (err error) {
		out[i], err = x.Timer(ctx)
		return err
	})
	return out, err
}

// Arm arms a timer on each.
func (m *Masters) Arm(ctx context.Context, ts []Timer) error {
	return m.timed(ts, func(x *MariaDB, t Timer) error { return x.Arm(ctx, t) })
}

// Disarm takes all of them away, and is sure that none has fired or will; ErrFired when one has. The first one's is the last: if this is
// killed half way, the one that fires is that of the server whose triggers were taken away, and brings them back.
func (m *Masters) Disarm(ctx context.Context, ts []Timer) error {
	if err := m.match(ts); err != nil {
		return err
	}
	for i := len(ts) - 1; i >= 0; i-- {
		if err := m.all[i].Disarm(ctx, ts[i]); err != nil {
			return err
		}
	}
	return nil
}

// DropTimers takes them away, whether they have fired or not.
func (m *Masters) DropTimers(ctx context.Context, ts []Timer) error {
	return m.timed(ts, func(x *MariaDB, t Timer) error { return x.DropTimer(ctx, t) })
}

func (m *Masters) timed(ts []Timer, do func(*MariaDB, Timer) error) error {
	if err := m.match(ts); err != nil {
		return err
	}
	return m.each(func(i int, x *MariaDB) error { return do(x, ts[i]) })
}

func (m *Masters) match(ts []Timer) error {
	if len(ts) != len(m.all) {
		return fmt.Errorf("timers: %d servers are known, and there are %d timers: give those that the run was begun with", len(m.all), len(ts))
	}
	return nil
}
