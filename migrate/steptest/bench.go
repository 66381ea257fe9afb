package steptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

const (
	firstRun  = "20261123-010203-0001"
	secondRun = "20261124-010203-0002"
	// gate is where a run waits when the step has finished, so that it can be resumed and rolled back.
	gate migrate.StepID = "steptest.gate"
	// maxLives bounds how often a run is resumed.
	maxLives = 10
)

func newDisk() *crashfs.Disk { return &crashfs.Disk{} }

// bench is one world, and one run in it.
type bench struct {
	World
	p       *Process
	disk    *crashfs.Disk
	id      string
	initial string // the world's state before the run
}

// Given adds a step whose result is out: for what the step under test needs.
func Given[Out any](rb *migrate.Runbook[migrate.Rehearsal], id migrate.StepID, out Out) migrate.Ref[Out] {
	nothing := migrate.Look("nothing", struct{}{})
	return migrate.Add(rb, given[Out]{id, out}, nothing, migrate.NoHands[migrate.Rehearsal](nothing))
}

type given[Out any] struct {
	id  migrate.StepID
	out Out
}

func (g given[Out]) Spec() migrate.Spec { return migrate.Spec{ID: g.id} }

func (g given[Out]) Plan(context.Context, *migrate.Scope[struct{}], migrate.Recorded[Out]) (migrate.Plan[Out], error) {
	return migrate.Done(g.out), nil
}

func (g given[Out]) Run(context.Context, *migrate.Scope[struct{}], Out) (Out, error) {
	return g.out, errors.New("steptest: a given step does not run")
}

func (g given[Out]) Verify(context.Context, *migrate.Scope[struct{}], Out) error { return nil }

func (g given[Out]) Undo(context.Context, *migrate.Scope[struct{}], migrate.Recorded[Out]) error {
	return errors.New("steptest: a given step is not undone")
}

func (b *bench) runbook() *migrate.Runbook[migrate.Rehearsal] {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("steptest")
	b.Add(rb)
	migrate.AddGate(rb, migrate.Gate{ID: gate})
	return rb
}

// step is the step under test.
func (b *bench) step() migrate.StepID {
	steps := b.runbook().Steps()
	if len(steps) < 2 {
		return ""
	}
	return steps[len(steps)-2].ID
}

// lastRecord is the last durable record's kind and step.
func (b *bench) lastRecord() (kind journal.Kind, step migrate.StepID) {
	d := journal.NewDecoder(bytes.NewReader(b.disk.Durable()))
	for {
		rec, err := d.Next()
		if err != nil {
			return kind, step
		}
		kind, step = rec.Kind, migrate.StepID(rec.Step)
	}
}

// way is what one life is for.
type way int

const (
	onward way = iota
	backward
)

// life is one process: it opens the run and goes on with it, until it ends, waits at the gate, fails, or is killed at the
// instant at (0: never). The effect fail fails.
func (b *bench) life(w way, at, fail int, lost bool) (*crashfs.Life, error) {
	l := crashfs.NewLife(at)
	b.p.begin(l, fail, lost)
	return l, b.use(w, l)
}

func (b *bench) use(w way, l *crashfs.Life) (err error) {
	dir := b.disk.Process(l)
	o := migrate.Options{Tool: "steptest", Who: "steptest", Parallel: 1}
	r, err := migrate.Open(dir, b.runbook(), o)
	if errors.Is(err, migrate.ErrNoRun) {
		r, err = migrate.Begin(dir, b.id, b.runbook(), o)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if w == backward {
		return r.Rollback(context.Background(), "", "steptest")
	}
	return r.Resume(context.Background())
}

// want is the error with which a way that succeeds ends.
func (w way) want() error {
	if w == backward {
		return migrate.ErrRolledBack
	}
	return migrate.ErrWaiting
}

// toEnd lets processes go on with the run until it has gone all the way, nobody killing them.
func (b *bench) toEnd(w way) error {
	_, err := b.life(w, 0, 0, false)
	if !errors.Is(err, w.want()) {
		return fmt.Errorf("does not come to its end: %w", err)
	}
	return nil
}

// check says what is wrong with the world and with the effects so far. state is what the world must be in.
func (b *bench) check(state string) (bad []string) {
	if is := b.State(); is != state {
		bad = append(bad, "the world is "+is+"\nand must be  "+state)
	}
	bad = append(bad, b.p.allFouls()...)
	did, _ := b.p.effects()
	seen := map[string]int{}
	for _, what := range did {
		if seen[what]++; seen[what] == 2 && (b.Repeatable == nil || !b.Repeatable(what)) {
			bad = append(bad, "done twice: "+what)
		}
	}
	if rep, err := journal.Verify(bytes.NewReader(b.disk.Bytes())); err != nil {
		bad = append(bad, fmt.Sprintf("journal after record %d: %v", rep.Records, err))
	}
	return bad
}

func (b *bench) outline() (string, error) {
	o, err := b.runbook().Plan(context.Background(), migrate.Options{})
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(o, "", " ")
	return string(text), err
}

func (b *bench) leaks(where, text string) (bad []string) {
	for _, s := range b.Secrets {
		if s != "" && strings.Contains(text, s) {
			bad = append(bad, fmt.Sprintf("a secret is in the %s", where))
		}
	}
	return slices.Compact(bad)
}
