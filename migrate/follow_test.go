package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// followed follows a run from outside, until it is closed, and gives what it was told of records and of holders.
func (l *lab) followed(t *testing.T) func() (events, holders []string) {
	var events, holders []string
	done := make(chan error, 1)
	go func() {
		done <- migrate.Follow(context.Background(), l.d.Process(crashfs.NewLife(0)), func(e migrate.Event) error {
			if h, ok := e.(migrate.RunHeld); ok {
				holders = append(holders, fmt.Sprintf("%v %d", h.Held, h.PID))
			} else {
				events = append(events, brief(e))
			}
			return nil
		})
	}()
	return func() ([]string, []string) {
		if err := <-done; err != nil {
			t.Error(err)
		}
		return events, holders
	}
}

// Who follows a run sees each event once, in order, over the processes that work on it, and who holds it; and no more when
// it is closed. A tail that a crash tore, and that the next process cut, is no event and no damage.
func TestFollow(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return book(d.noting("a"), "|", migrate.Gate{ID: "gate"}, d.noting("b"))
		}
		wait := l.followed(t)
		time.Sleep(time.Second)
		l.must(l.run(rb(), migrate.Options{PID: 1}, resume), migrate.ErrWaiting)
		time.Sleep(time.Second)
		l.d.Write([]byte(`{"seq":9999,"prev":"` + strings.Repeat("x", 300))) // a torn tail
		time.Sleep(time.Second)
		l.must(l.run(rb(), migrate.Options{PID: 2, Ask: answers(migrate.Pass)}, resume), nil)
		events, holders := wait()

		var all []string
		if err := migrate.ReadEvents(l.d.Process(crashfs.NewLife(0)), func(e migrate.Event) error {
			all = append(all, brief(e))
			return nil
		}); err != nil || !slices.Equal(events, all) {
			t.Errorf("%v\n%s\nnot\n%s", err, strings.Join(events, "\n"), strings.Join(all, "\n"))
		}
		if want := []string{"false 0", "true 1", "false 0", "true 2"}; !slices.Equal(holders, want) {
			t.Errorf("held %q, want %q", holders, want)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	inLab(t, func(l *lab) {
		rb := book(plain{spec: id("a")}, migrate.Gate{ID: "gate"})
		l.must(l.run(rb, migrate.Options{}, resume), migrate.ErrWaiting)
		follow := func(ctx context.Context, f func(migrate.Event) error) error {
			return migrate.Follow(ctx, l.d.Process(crashfs.NewLife(0)), f)
		}
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errInjected)
		defer cancel()
		l.must(follow(ctx, func(migrate.Event) error { return nil }), errInjected)
		enough := errors.New("enough")
		l.must(follow(context.Background(), func(migrate.Event) error { return enough }), enough)

		damaged := &crashfs.Disk{}
		damaged.Write(bytes.Replace(l.d.Bytes(), []byte(`"kind":"verified"`), []byte(`"kind":"undone"`), 1))
		err := migrate.Follow(context.Background(), damaged.Process(crashfs.NewLife(0)), func(migrate.Event) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "checksum does not match") {
			t.Errorf("damage: %v", err)
		}
	})
}

// A step that is looked at again, and still holds, is told to have been looked at: no record says so.
func TestLookedAgain(t *testing.T) {
	inLab(t, func(l *lab) {
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return book(plain{spec: id("a")}, migrate.Gate{ID: "gate"})
		}
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		var told []string
		l.must(l.run(rb(), migrate.Options{}, func(r *migrate.Run) error {
			r.Listen(func(e migrate.Event) {
				switch e := e.(type) {
				case migrate.StepLooking:
					told = append(told, fmt.Sprintf("looking %s %v", e.Step, e.Again))
				case migrate.StepLooked:
					told = append(told, fmt.Sprintf("looked %s", e.Step))
				}
			})
			return resume(r)
		}), migrate.ErrWaiting)
		if want := []string{"looking a true", "looked a"}; !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
	})
}

// A listener that was slow is told of what passed meanwhile in the order in which it passed last.
func TestPassingOrder(t *testing.T) {
	inLab(t, func(l *lab) {
		looks, slow := 0, make(chan struct{})
		p := plain{spec: migrate.Spec{ID: "a", Tries: 3}, plan: func(ctx context.Context, _ *migrate.Scope[struct{}], _ migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			if looks++; looks == 3 {
				close(slow)
				time.Sleep(time.Minute)
			}
			return migrate.Plan[plainOut]{}, migrate.Transient(errInjected)
		}}
		var told []string
		l.must(l.run(book(p), migrate.Options{}, func(r *migrate.Run) error {
			r.Listen(func(e migrate.Event) {
				if len(told) == 0 {
					<-slow
				}
				told = append(told, e.Name())
			})
			return resume(r)
		}), errInjected)
		i := slices.Index(told, "step-retrying")
		if i < 0 || i+1 >= len(told) || told[i+1] != "step-looking" {
			t.Errorf("told %q", told)
		}
	})
}
