package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
)

// bookMain is the whole program, with another runbook: steps on files of the working directory, so that a run of real
// processes, with real locks, signals and terminals, needs neither hosts nor a cloud.
func bookMain() {
	p := &program{streams: streams{os.Stdin, os.Stdout, os.Stderr}}
	p.open = func(_ context.Context, _ snapshot.ID, run string) (*prepared, error) {
		c, inv, err := p.load()
		if err != nil {
			return nil, err
		}
		return prepare(bookOfFiles(run), pinned(c, inv), func() error { return nil }), nil
	}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// bookOfFiles makes one file in each phase; between them it follows something that lags as the file lag says, and waits at
// the gate go for as long as the file within says, or for an hour.
func bookOfFiles(run string) *migrate.Runbook[migrate.Rehearsal] {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	eye := migrate.Look("working directory", files(dir{}))
	hand := migrate.Maker[migrate.Rehearsal]("working directory", func(context.Context, migrate.Stamp) (files, error) { return dir{}, nil })
	rb.Phase("stand up")
	migrate.Add(rb, fileStep{"standup.slow", "slow"}, eye, hand)
	rb.Phase("follow")
	rows := migrate.AddService(rb, lagging{}, eye, hand)
	rb.Phase("go")
	within := time.Hour
	if text, err := os.ReadFile("within"); err == nil {
		if within, err = time.ParseDuration(strings.TrimSpace(string(text))); err != nil {
			panic(err)
		}
	}
	migrate.AddGate(rb, migrate.Gate{ID: "go", Title: "make the last file", Healthy: []migrate.Dep{rows.Dep()}, MaxLag: time.Second,
		Within: within, Show: weigh(filepath.Dir(run))})
	rb.Phase("flip")
	migrate.Add(rb, fileStep{"flip.file", "flip"}, eye, hand)
	migrate.DrainToTip(rb, "flip.drain", rows)
	return rb
}

// files is what a step does to files.
type files interface {
	There(name string) bool
	Make(name string) error
	Remove(name string) error
}

type dir struct{}

func (dir) There(name string) bool { _, err := os.Stat(name); return err == nil }
func (dir) Make(name string) error { return os.WriteFile(name, nil, 0o600) }
func (dir) Remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// made is a file's name.
type made struct{ Name string }

// fileStep makes NAME.done. While there is a file NAME.wait it says NAME.began first and waits until that is gone; with a
// NAME.deaf too it does not listen to being told to stop.
type fileStep struct {
	id   migrate.StepID
	name string
}

func (s fileStep) Spec() migrate.Spec {
	return migrate.Spec{ID: s.id, Title: "make the file " + s.name}
}

func (s fileStep) Plan(_ context.Context, sc *migrate.Scope[files], rec migrate.Recorded[made]) (migrate.Plan[made], error) {
	want := made{s.name + ".done"}
	if rec.Attempts > 0 && sc.C.There(want.Name) {
		return migrate.Done(want), nil
	}
	return migrate.Plan[made]{Want: want, Effects: []migrate.Effect{{Verb: "create", Object: want.Name}}}, nil
}

func (s fileStep) Run(ctx context.Context, sc *migrate.Scope[files], want made) (made, error) {
	if sc.C.There(s.name + ".wait") {
		if err := sc.C.Make(s.name + ".began"); err != nil {
			return want, err
		}
	}
	for sc.C.There(s.name + ".wait") {
		if ctx.Err() != nil && !sc.C.There(s.name+".deaf") {
			return want, context.Cause(ctx)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return want, sc.C.Make(want.Name)
}

func (s fileStep) Verify(_ context.Context, sc *migrate.Scope[files], out made) error {
	if !sc.C.There(out.Name) {
		return errors.New(out.Name + " is not there")
	}
	return nil
}

func (s fileStep) Undo(_ context.Context, sc *migrate.Scope[files], rec migrate.Recorded[made]) error {
	return sc.C.Remove(rec.Want.Name)
}

// lagging follows nothing, and lags as the file lag says.
type lagging struct{}

func (lagging) Spec() migrate.Spec {
	return migrate.Spec{ID: "follow.rows", Title: "follow", OnRollback: migrate.Stop}
}

func (lagging) Plan(context.Context, *migrate.Scope[files], migrate.Recorded[made]) (migrate.Plan[made], error) {
	return migrate.Plan[made]{}, nil
}

func (lagging) Follow(ctx context.Context, _ *migrate.Scope[files], feed *migrate.Feed[made]) error {
	for {
		lag := time.Duration(0)
		text, err := os.ReadFile("lag")
		if err == nil {
			lag, err = time.ParseDuration(strings.TrimSpace(string(text)))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		feed.Applied(made{}, lag)
		select {
		case <-feed.Until():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (lagging) Tip(context.Context, *migrate.Scope[files]) (made, error)                  { return made{}, nil }
func (lagging) Verify(context.Context, *migrate.Scope[files], made) error                 { return nil }
func (lagging) Undo(context.Context, *migrate.Scope[files], migrate.Recorded[made]) error { return nil }
