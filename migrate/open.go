package migrate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// Begin begins a run in an empty directory: it takes the lock and pins what the run is opened with. It fails with
// ErrExists when the directory has a journal with records; a journal without any is what a process left that was killed
// right at its beginning, and is used.
func Begin[M Mode](dir journal.FS, id string, rb *Runbook[M], o Options) (*Run, error) {
	if !ValidID(id) {
		return nil, fmt.Errorf("begin run %q: an id looks like 20261123-010203-7f3a", id)
	}
	r, err := open(dir, &rb.book, o)
	if err != nil {
		return nil, err
	}
	if r.h.Records > 0 {
		return nil, errors.Join(fmt.Errorf("begin run %s: %w", id, ErrExists), r.Close())
	}
	r.h.Run = id
	if err := o.Ending.check(r.book); err != nil {
		return nil, errors.Join(fmt.Errorf("begin run %s: %w", id, err), r.Close())
	}
	if err := r.enter(r.book.manifest(o)); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Open takes a run up again: it takes the lock, replays the journal and compares what the run was opened with. It writes
// nothing unless Accept gives a reason for a difference; nothing happens before Resume or Rollback.
func Open[M Mode](dir journal.FS, rb *Runbook[M], o Options) (*Run, error) {
	r, err := open(dir, &rb.book, o)
	if err != nil {
		return nil, err
	}
	if r.h.Records == 0 {
		return nil, errors.Join(fmt.Errorf("open run: %w", ErrNoRun), r.Close())
	}
	if err := r.match(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func open(dir journal.FS, b *book, o Options) (*Run, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	r := &Run{book: b, dir: dir, o: o, paused: make(chan struct{}), aborts: make(chan Answer, 1)}
	j, err := journal.Open(dir, journal.Holder{Who: o.Who, Host: o.Host, PID: o.PID, Since: time.Now().UTC()}, func(rec journal.Record) error {
		_, err := r.h.Apply(rec)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r.j, r.replayed = j, r.h.Records
	r.listeners.run = r
	return r, nil
}

// match compares the manifest that the journal pins with this program's.
func (r *Run) match() error {
	now := r.book.manifest(r.o)
	now.Ending = r.h.Manifest.Ending
	differs := r.h.Manifest.differs(now)
	if len(differs) == 0 {
		return nil
	}
	if r.o.Accept == "" {
		return fmt.Errorf("open run %s: %w:\n  %s", r.h.Run, ErrDigest, strings.Join(differs, "\n  "))
	}
	if bad := r.misfits(now); len(bad) > 0 {
		return fmt.Errorf("open run %s: %w, and that can't be accepted:\n  %s", r.h.Run, ErrDigest, strings.Join(bad, "\n  "))
	}
	if err := r.enter(nil); err != nil {
		return err
	}
	return r.append(journal.Operator, nil, operatorData{Decision: AcceptManifest, Why: r.o.Accept, Differs: differs, Manifest: now})
}

// misfits are the differences that a person may not accept away, because the journal doesn't fit this program.
func (r *Run) misfits(now *Manifest) (bad []string) {
	if now.Mode != r.h.Manifest.Mode {
		bad = append(bad, fmt.Sprintf("the run is a %s, and this is a %s", r.h.Manifest.Mode, now.Mode))
	}
	ran := func(id StepID) bool { s := r.h.steps[id]; return s != nil && s.trace() }
	for _, s := range r.h.order {
		n := r.book.byID[s.ID]
		switch {
		case n == nil && s.trace():
			bad = append(bad, fmt.Sprintf("step %s has run, and this program can't undo it", s.ID))
		case n != nil && s.trace() && n.shape != s.Shape:
			bad = append(bad, fmt.Sprintf("step %s has recorded %s, and this program reads %s", s.ID, s.Shape, n.shape))
		}
	}
	highest := -1 // the stretch in which something has run
	for _, n := range r.book.nodes {
		if ran(n.spec.ID) {
			highest = max(highest, n.stretch)
		}
	}
	for _, n := range r.book.nodes {
		if ran(n.spec.ID) {
			continue
		}
		late := n.stretch < highest
		for _, d := range n.frees {
			late = late || ran(d.spec.ID)
		}
		if late {
			bad = append(bad, fmt.Sprintf("step %s has not run, and what comes after it has", n.spec.ID))
		}
	}
	return bad
}
