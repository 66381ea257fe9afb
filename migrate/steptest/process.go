package steptest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// ErrInjected is how an effect fails that the suite makes fail. A step must not swallow it.
var ErrInjected = errors.New("injected failure")

// Process stands for the process that works in a fake world. All of the fakes' changes and questions go through it. It
// may be used from many goroutines.
type Process struct {
	bench *bench

	mu    sync.Mutex
	life  *crashfs.Life
	tried int  // effects tried in this life
	fail  int  // the one that fails in this life, from 1; 0 for none
	lost  bool // it is done all the same, and only its answer is lost
	did   []string
	fouls []string
}

// Act does one change to the world: f does it whole and returns what the real thing would answer. half is what is left
// when the process is killed in the middle of it, or nil when the other side does it whole or not at all (a transaction,
// one API call). Acts must not nest. An error of Act's own means that the process was killed or that the answer is an
// injected one: the fake returns it as it is.
func (p *Process) Act(what string, half func(), f func() error) error {
	p.mu.Lock()
	life := p.life
	p.tried++
	failing := p.tried == p.fail
	lost := p.lost
	p.mu.Unlock()
	if life == nil {
		return fmt.Errorf("steptest: %s: changes before the run has begun", what)
	}
	if kind, _ := p.bench.lastRecord(); kind != journal.Intent && kind != journal.UndoIntent {
		p.foul("%s: done while the last record is %q: only Run and Undo may change the world", what, kind)
	}
	if failing && !lost {
		return fmt.Errorf("%s: %w", what, ErrInjected)
	}
	err := life.Act(what, half, func() error {
		if err := f(); err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.did = append(p.did, what)
		return nil
	})
	if err == nil && failing {
		return fmt.Errorf("%s: done, but the answer is lost: %w", what, ErrInjected)
	}
	return err
}

// Look is called before a fake answers a question; its error is the answer then.
func (p *Process) Look() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == nil {
		return nil // a plan without a run
	}
	if _, dead := p.life.Killed(); dead {
		return crashfs.ErrKilled
	}
	return nil
}

func (p *Process) foul(format string, a ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fouls = append(p.fouls, fmt.Sprintf(format, a...))
}

// begin begins a life.
func (p *Process) begin(l *crashfs.Life, fail int, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life, p.tried, p.fail, p.lost = l, 0, fail, lost
}

func (p *Process) effects() (did []string, tried int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.did), p.tried
}

func (p *Process) allFouls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.fouls)
}
