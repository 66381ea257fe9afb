package follow

import (
	"context"
	"errors"
	"sync"
	"time"
)

// order is whose turn it is to commit: batches commit in the source's order.
type order struct {
	mu         sync.Mutex
	committed  uint64
	committing bool // the next one has nothing left but its commit
	at         time.Time
	moved      chan struct{} // closed and made anew at each commit
}

func newOrder() *order { return &order{moved: make(chan struct{}), at: time.Now()} }

func (o *order) look() (committed uint64, committing bool, at time.Time, moved <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.committed, o.committing, o.at, o.moved
}

func (o *order) last() uint64 { n, _, _, _ := o.look(); return n }

// wait returns when batch no is in.
func (o *order) wait(ctx context.Context, no uint64) error {
	for {
		n, _, _, moved := o.look()
		if n >= no {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// errYield: the batch whose turn it is doesn't get on, and a later one may hold the locks that it waits for.
var errYield = errors.New("a later transaction made room for an earlier one")

// patience is how long a batch holds its locks while the one before it doesn't get on. A server knows nothing of who
// waits for whose turn, so it can't find this deadlock.
const patience = 250 * time.Millisecond

// turn returns when all before batch no are in, and errYield when they don't get on.
func (o *order) turn(ctx context.Context, no uint64) error {
	began := time.Now()
	for {
		n, committing, at, moved := o.look()
		if n+1 == no {
			o.mu.Lock()
			o.committing = true
			o.mu.Unlock()
			return ctx.Err()
		}
		if at.Before(began) {
			at = began
		}
		left := patience - time.Since(at)
		if left <= 0 {
			if !committing {
				return errYield
			}
			left = patience
		}
		t := time.NewTimer(left)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-moved:
		case <-t.C:
		}
		t.Stop()
	}
}

// done notes that batch no is in, and calls in while nobody else is told.
func (o *order) done(no uint64, in func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	in()
	o.committed, o.committing, o.at = no, false, time.Now()
	close(o.moved)
	o.moved = make(chan struct{})
}
