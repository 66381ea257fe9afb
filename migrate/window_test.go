package migrate_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// limit is that of the phase switch in these tests, where they say no other.
const limit = 30 * time.Second

// switching is a runbook whose phase switch has a limit and follows a gate.
func switching(d *diary, limit time.Duration, steps ...any) *migrate.Runbook[migrate.Rehearsal] {
	return book(slices.Concat([]any{d.noting("before"), migrate.Gate{ID: "go"}, limit}, steps, []any{"|", d.noting("after")})...)
}

// lasting notes its beginning and end, and takes its time for Run unless it is told to stop.
func (d *diary) lasting(name migrate.StepID, takes time.Duration) plain {
	p := d.noting(name)
	p.run = func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		d.note("%s+", name)
		select {
		case <-time.After(takes):
			d.note("%s-", name)
			return o, nil
		case <-ctx.Done():
			d.note("%s!", name)
			return o, ctx.Err()
		}
	}
	return p
}

// failing is a step whose Run fails while broken says so.
func (d *diary) failing(name migrate.StepID, broken *bool) plain {
	p := d.noting(name)
	run := p.run
	p.run = func(ctx context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		if *broken {
			d.note("%s fails", name)
			return o, errInjected
		}
		return run(ctx, s, o)
	}
	return p
}

// passes is a person who passes every gate, and counts.
func passes(asked *int) migrate.Options {
	return migrate.Options{Ask: func(context.Context, migrate.Question) (migrate.Answer, error) {
		*asked++
		return migrate.Answer{Word: migrate.Pass, Who: "lee@hall"}, nil
	}}
}

// takenBack fails unless the run went back to the end of keeps for that reason, and is open.
func (l *lab) takenBack(err error, keeps migrate.StepID, why string) {
	l.t.Helper()
	l.must(err, migrate.ErrRolledBack)
	if want := "rolled back, as far as the end of " + string(keeps) + ": " + why; err.Error() != want {
		l.t.Errorf("%q, not %q", err, want)
	}
	h := l.history()
	if h.State(false) != migrate.StateOpen || h.Direction != migrate.Forward {
		l.t.Errorf("state %q, direction %s", h.State(false), h.Direction)
	}
	var turns []string
	for _, r := range l.records() {
		if r.Kind == journal.Turned {
			turns = append(turns, string(r.Data))
		}
	}
	if len(turns) < 2 || !strings.Contains(turns[len(turns)-2], string(encoded(l.t, why))) {
		l.t.Errorf("%q is not in %q", why, turns)
	}
}

func encoded(t *testing.T, s string) []byte {
	t.Helper()
	b, err := migrate.EncodeOut(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// turned counts how often the run was turned back.
func (l *lab) turned() (n int) {
	for _, r := range l.records() {
		if r.Kind == journal.Turned && strings.Contains(string(r.Data), `"back"`) {
			n++
		}
	}
	return n
}

// A step of a phase with a limit that fails turns the run back, to before the gate right before the phase, and the gate is
// asked again.
func TestFailureTakesThePhaseBack(t *testing.T) {
	inLab(t, func(l *lab) {
		d, broken, asked := &diary{}, true, 0
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return switching(d, limit, d.noting("a"), d.failing("b", &broken), d.noting("c"))
		}
		l.takenBack(l.run(rb(), passes(&asked), resume), "before", "phase switch: step b: injected")
		want := []string{"before+", "before-", "a+", "a-", "b fails", "undo b+", "undo b-", "undo a+", "undo a-"}
		if !slices.Equal(d.lines, want) {
			t.Errorf("%q", d.lines)
		}
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		broken = false
		l.must(l.run(rb(), passes(&asked), resume), nil)
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
		d.before(t, "undo a-", "c+", "c-", "after+")
	})
}
