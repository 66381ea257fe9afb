package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// failing is a step that fails in a way that is worth another try, and notes when it was tried.
func failing(tries int, at *[]time.Time) plain {
	return plain{spec: migrate.Spec{ID: "busy", Tries: tries}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		*at = append(*at, time.Now())
		return o, migrate.Transient(errInjected)
	}}
}

// The pauses double up to a minute, give or take a half, and differ: many programs that were cut off at once don't come back
// at once. Each attempt has its intent and its failure on record.
func TestPausesBetweenTries(t *testing.T) {
	inLab(t, func(l *lab) {
		const tries = 40
		var at []time.Time
		l.must(l.run(book(failing(tries, &at)), migrate.Options{}, resume), errInjected)
		if len(at) != tries {
			t.Fatalf("%d tries", len(at))
		}
		nominal, odd, sum := time.Second, 0, time.Duration(0)
		for i := range at[1:] {
			gap := at[i+1].Sub(at[i])
			if gap < nominal/2 || gap >= nominal*3/2 {
				t.Errorf("pause %d is %s, not about %s", i+1, gap, nominal)
			}
			if gap != nominal {
				odd++
			}
			if nominal == time.Minute {
				sum += gap
			}
			nominal = min(2*nominal, time.Minute)
		}
		if mean := sum / (tries - 1 - 6); odd < tries/2 || mean < 45*time.Second || mean > 75*time.Second {
			t.Errorf("%d of the pauses have a jitter, the long ones are %s in the mean", odd, mean)
		}
		count := map[journal.Kind]int{}
		for _, k := range l.kinds("busy") {
			count[k]++
		}
		if count[journal.Intent] != tries || count[journal.Failed] != tries {
			t.Errorf("%v", count)
		}
	})
}

// Who pauses or ends a run that waits for another try doesn't wait for it.
func TestPauseBetweenTriesIsCutShort(t *testing.T) {
	for name, cut := range map[string]func(*migrate.Run) error{
		"paused": func(r *migrate.Run) error {
			time.AfterFunc(100*time.Millisecond, r.Pause)
			return r.Resume(context.Background())
		},
		"ended": func(r *migrate.Run) error {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			return r.Resume(ctx)
		},
		"aborted": func(r *migrate.Run) error {
			aborted := make(chan error, 1)
			time.AfterFunc(100*time.Millisecond, func() { aborted <- r.Abort(migrate.Answer{Who: "kim@desk", Why: "test"}) })
			if err := r.Resume(context.Background()); !errors.Is(err, migrate.ErrRolledBack) {
				return err
			}
			if err := <-aborted; err != nil {
				return err
			}
			return errInjected
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				var at []time.Time
				began := time.Now()
				l.must(l.run(book(failing(5, &at)), migrate.Options{}, cut), errInjected)
				if took := time.Since(began); len(at) != 1 || took > 200*time.Millisecond {
					t.Errorf("%d tries in %s", len(at), took)
				}
			})
		})
	}
}

// A new step that one of its phase which has run now needs can't be accepted, though no later phase has begun.
func TestNewNeedOfAStepThatRan(t *testing.T) {
	inLab(t, func(l *lab) {
		fails := plain{spec: id("c"), run: func(context.Context, *migrate.Scope[struct{}], plainOut) (plainOut, error) {
			return plainOut{}, errInjected
		}}
		l.must(l.run(book(plain{spec: id("b")}, fails), migrate.Options{}, resume), errInjected)
		needs := migrate.Spec{ID: "b", Needs: after("a")}
		err := l.run(book(plain{spec: id("a")}, plain{spec: needs}, fails), migrate.Options{Accept: "a fix"}, resume)
		l.must(err, migrate.ErrDigest)
		if !strings.Contains(err.Error(), "step a has not run, and what comes after it has") {
			t.Error(err)
		}
	})
}
