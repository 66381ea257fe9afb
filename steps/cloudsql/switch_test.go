package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// fakePair is a source and a target with a table each. Whatever is written at the target raises its position.
type fakePair struct {
	p        *steptest.Process
	open     []freeze.Account
	shut     []freeze.Account
	waiting  []freeze.Account // noted at the target
	sessions int
	written  uint64
	source   uint64 // counters
	target   uint64
	nested   [2]bool
	canaries []string // at the target
	lost     bool     // the way back carries nothing
	differs  []dbcopy.Difference
}

func newPair(p *steptest.Process) *fakePair {
	return &fakePair{p: p, open: []freeze.Account{{User: "shop", Host: "%"}, {User: "cron", Host: "%"}}, sessions: 3, written: 9, source: 40, target: 12}
}

func (f *fakePair) Name() string { return "instance shop-1" }

func (f *fakePair) gtids() binlog.MySQL {
	s, err := binlog.ParseMySQL(fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-%d", f.written))
	if err != nil {
		panic(err)
	}
	return s
}

func (f *fakePair) Look(context.Context) (freeze.TargetState, error) {
	return freeze.TargetState{Open: slices.Clone(f.open), Sessions: f.sessions, Logged: f.gtids()}, f.p.Look()
}

func (f *fakePair) Counters(context.Context) (switchover.Counters, error) {
	one := func(n uint64) []freeze.Counter {
		return []freeze.Counter{{Schema: "shop", Table: "orders", Next: n}}
	}
	return switchover.Counters{Source: one(f.source), Target: one(f.target)}, f.p.Look()
}

func (f *fakePair) Nested(context.Context) (bool, error) {
	return f.nested[0] && f.nested[1], f.p.Look()
}

func (f *fakePair) Arrived(_ context.Context, id string) (bool, error) {
	return !f.lost && slices.Contains(f.canaries, id), f.p.Look()
}

func (f *fakePair) Shut(_ context.Context, lock []freeze.Account, _ freeze.Options) (binlog.MySQL, error) {
	var left []freeze.Account
	for _, a := range f.open {
		if !slices.Contains(lock, a) {
			left = append(left, a)
		}
	}
	if len(left) < len(f.open) || f.sessions > 0 {
		half := func() {
			f.shut, f.open = append(f.shut, f.open[:min(1, len(f.open))]...), slices.Delete(f.open, 0, min(1, len(f.open)))
		}
		err := f.p.Act("shut the target", half, func() error {
			f.shut, f.open, f.sessions = append(f.shut, f.open...), left, 0
			return nil
		})
		if err != nil {
			return binlog.MySQL{}, err
		}
	}
	return f.gtids(), nil
}

func (f *fakePair) Waiting(context.Context) ([]freeze.Account, error) {
	return slices.Clone(f.waiting), f.p.Look()
}

func (f *fakePair) Note(_ context.Context, as []freeze.Account) error {
	if !slices.ContainsFunc(as, func(a freeze.Account) bool { return !slices.Contains(f.waiting, a) }) {
		return f.p.Look()
	}
	return f.p.Act("note who is locked", nil, func() error { f.waiting = append(f.waiting, as...); return nil })
}

func (f *fakePair) Open(_ context.Context, as []freeze.Account) error {
	if !slices.ContainsFunc(as, func(a freeze.Account) bool { return slices.Contains(f.shut, a) }) {
		return f.p.Look()
	}
	return f.p.Act("open the target", nil, func() error {
		for _, a := range as {
			if i := slices.Index(f.shut, a); i >= 0 {
				f.shut, f.open = slices.Delete(f.shut, i, i+1), append(f.open, a)
				f.waiting = slices.DeleteFunc(f.waiting, func(w freeze.Account) bool { return w == a })
			}
		}
		return nil
	})
}

func (f *fakePair) raise(what string, n *uint64, to []freeze.Counter) error {
	for _, c := range to {
		if *n < c.Next {
			return f.p.Act("raise "+what, nil, func() error { *n = c.Next; return nil })
		}
	}
	return f.p.Look()
}

func (f *fakePair) RaiseTarget(_ context.Context, to []freeze.Counter) error {
	return f.raise("the target's counter", &f.target, to)
}

func (f *fakePair) RaiseSource(_ context.Context, to []freeze.Counter) error {
	return f.raise("the source's counter", &f.source, to)
}

func (f *fakePair) Nest(context.Context) error {
	if f.nested[0] && f.nested[1] {
		return f.p.Look()
	}
	return f.p.Act("make the canary's table", func() { f.nested[0] = true }, func() error { f.nested, f.written = [2]bool{true, true}, f.written+1; return nil })
}

func (f *fakePair) Tip(context.Context) (changes.Position, error) {
	return changes.Position{MySQL: f.gtids()}, f.p.Look()
}

func (f *fakePair) Send(_ context.Context, id string) error {
	if slices.Contains(f.canaries, id) {
		return f.p.Look()
	}
	return f.p.Act("send canary", nil, func() error { f.canaries = append(f.canaries, id); return nil })
}

func (f *fakePair) Await(ctx context.Context, id string, _ func(time.Duration)) error {
	there, err := f.Arrived(ctx, id)
	if err == nil && !there {
		err = errors.New("canary has not come")
	}
	return err
}

func (f *fakePair) Compare(context.Context, func(dbcopy.CompareProgress)) (dbcopy.Comparison, error) {
	return dbcopy.Comparison{Tables: 1, Rows: 5, Position: "1-1-7", Began: time.Unix(1_700_000_000, 0).UTC(), Different: int64(len(f.differs)), Found: f.differs}, f.p.Look()
}

func (f *fakePair) state() string {
	names := func(as []freeze.Account) string {
		var out []string
		for _, a := range as {
			out = append(out, a.User)
		}
		slices.Sort(out)
		return strings.Join(out, ",")
	}
	return fmt.Sprintf("open %s, shut %s, counters %d", names(f.open), names(f.shut), f.target)
}

func (f *fakePair) bind() (migrate.Eye[PairLook], migrate.Hand[migrate.Rehearsal, PairAct]) {
	return migrate.Look("target", OnlyPair(f)), migrate.Maker[migrate.Rehearsal]("target", func(context.Context, migrate.Stamp) (PairAct, error) { return f, nil })
}

var shopOnly = ShutOut{Lock: []freeze.Account{{User: "shop", Host: "%"}}}

func TestShut(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newPair(p)
		return steptest.World{State: f.state,
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye, hand := f.bind()
				migrate.Add(rb, Shut{}, eye, hand)
			},
			Spoil: []steptest.Spoil{{Name: "somebody was let in", Do: func() { f.open = []freeze.Account{{User: "new", Host: "%"}} }},
				{Name: "a session is open", Do: func() { f.sessions = 1 }}}}
	}})
}

func TestOpen(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: "the way back shuts whatever is open: two runs can't both have opened one target", New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newPair(p)
		f.open, f.shut, f.sessions = nil, []freeze.Account{{User: "shop", Host: "%"}, {User: "locked-before", Host: "%"}}, 0
		return steptest.World{State: f.state,
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye, hand := f.bind()
				migrate.Add(rb, Open{Shut: steptest.Given(rb, "follow.shut-target", shopOnly)}, eye, hand)
			},
			Spoil: []steptest.Spoil{{Name: "locked again", Do: func() { f.open, f.shut = nil, append(f.shut, f.open...) }}}}
	}})
}

// Who was made at the target after it was opened is kept off too when the switch is taken back: what he wrote after the drain would
// be lost.
func TestOpenUndoneShutsAll(t *testing.T) {
	f := newPair(&steptest.Process{})
	f.open = append(f.open, freeze.Account{User: "made-later", Host: "%"})
	seen := &seenPair{fakePair: f}
	rec := migrate.Recorded[Opened]{Want: Opened{Unlock: shopOnly.Lock}, Complete: true, Attempts: 1}
	if err := (Open{}).Undo(t.Context(), &migrate.Scope[PairAct]{C: seen}, rec); err != nil {
		t.Fatal(err)
	}
	if len(seen.lock) != 3 || !slices.Equal(seen.noted, seen.lock) {
		t.Errorf("locked %v, noted %v, want all three", seen.lock, seen.noted)
	}
}

// Who was made at the target while it was open is let in when the switch is tried again, and when it is given up as a whole.
func TestLateComerIsLetIn(t *testing.T) {
	later := freeze.Account{User: "made-later", Host: "%"}
	want := append(slices.Clone(shopOnly.Lock), later)
	seen := &seenPair{fakePair: newPair(&steptest.Process{})}
	seen.waiting = []freeze.Account{shopOnly.Lock[0], later}
	if err := (Shut{}).Undo(t.Context(), &migrate.Scope[PairAct]{C: seen}, migrate.Recorded[ShutOut]{Want: shopOnly}); err != nil || !slices.Equal(seen.let, want) {
		t.Errorf("taken back as a whole: lets in %v, %v; want %v", seen.let, err, want)
	}
	if let, err := withWaiting(t.Context(), seen, shopOnly.Lock); err != nil || !slices.Equal(let, want) {
		t.Errorf("opening lets in %v, %v; want %v", let, err, want)
	}
}

// seenPair notes who is noted, locked and let in.
type seenPair struct {
	*fakePair
	noted, lock, let []freeze.Account
}

func (s *seenPair) Note(_ context.Context, as []freeze.Account) error {
	s.noted = as
	return nil
}

func (s *seenPair) Open(_ context.Context, as []freeze.Account) error {
	s.let = as
	return nil
}

func (s *seenPair) Shut(_ context.Context, lock []freeze.Account, _ freeze.Options) (binlog.MySQL, error) {
	s.lock = lock
	return binlog.MySQL{}, nil
}

func TestCounters(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newPair(p)
		return steptest.World{State: func() string { return "nothing that is undone" }, Leaves: "counters that are raised: none is ever lowered",
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye, hand := f.bind()
				migrate.Add(rb, Counters{}, eye, hand)
			},
			Spoil: []steptest.Spoil{{Name: "a counter is behind", Do: func() { f.target = 3 }}}}
	}})
}

func TestBegin(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newPair(p)
		f.open, f.sessions = nil, 0
		return steptest.World{State: func() string { return "nothing that is undone" }, Leaves: "the canary's table",
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye, hand := f.bind()
				migrate.Add(rb, Begin{}, eye, hand)
			},
			Spoil: []steptest.Spoil{{Name: "somebody wrote", Do: func() { f.written++ }},
				{Name: "somebody can sign in", Do: func() { f.open = shopOnly.Lock }}}}
	}})
}

// The position is of before the first write: while anybody can sign in at the target, there is none.
func TestBeginBeforeTheFirstWrite(t *testing.T) {
	f := newPair(&steptest.Process{})
	f.nested = [2]bool{true, true}
	for _, c := range []struct {
		what string
		make func()
		want string
	}{{"an account is open", func() { f.sessions = 0 }, "these can sign in"}, {"a session is open", func() { f.open, f.sessions = nil, 1 }, "1 sessions are open"}} {
		c.make()
		if _, err := (Begin{}).Run(t.Context(), &migrate.Scope[PairAct]{C: f}, changes.Position{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

func TestCanary(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: "both would send the same canary: its name has the position, which only another switch moves", New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newPair(p)
		at := changes.Position{MySQL: f.gtids()}
		return steptest.World{State: func() string { return "nothing that is undone" }, Leaves: "the canary, a row on both sides",
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye, hand := f.bind()
				migrate.Add(rb, Canary{Begin: steptest.Given(rb, "switch.begin-back", at), Timeout: time.Minute}, eye, hand)
			},
			Spoil: []steptest.Spoil{{Name: "it isn't at the source", Do: func() { f.lost = true }}}}
	}})
}

func TestCompare(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newPair(p)
		return steptest.World{State: f.state, Found: true, NoSpoil: "rows are written all the time: it says what was the same when it looked",
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye := migrate.Look("target", OnlyCompare(f))
				given := steptest.Given(rb, "follow.rows", shopOnly)
				migrate.Add(rb, Compare{Follow: given.Dep()}, eye, migrate.NoHands[migrate.Rehearsal](eye))
			}}
	}})
}

func TestCompareDiffers(t *testing.T) {
	f := newPair(&steptest.Process{})
	f.differs = []dbcopy.Difference{{Object: "table shop.orders", What: "differs", Key: "id=7"}}
	_, err := (Compare{}).Run(t.Context(), &migrate.Scope[CompareLook]{C: f}, Compared{})
	if err == nil || !strings.Contains(err.Error(), "shop.orders") || !strings.Contains(err.Error(), "slipway db verify --repair") {
		t.Errorf("%v: want the row and the remedy", err)
	}
}
