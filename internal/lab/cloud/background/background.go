// Package background is the work that a stand-in goes on with after it has answered: its operations. It imports nothing of the project.
package background

import (
	"context"
	"sync"
)

// Work are the pieces of work under way. The zero value is ready.
type Work struct {
	group  sync.WaitGroup
	mu     sync.Mutex
	next   int
	ends   map[int]context.CancelFunc // of what is under way
	closed bool
}

// Go starts a piece of work, whose context ends with Close. After Close it has ended before it begins: the work is still called, so that
// it can say how it came out.
func (w *Work) Go(do func(context.Context)) {
	ctx, end := context.WithCancel(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		end()
	}
	if w.ends == nil {
		w.ends = make(map[int]context.CancelFunc)
	}
	id := w.next
	w.next++
	w.ends[id] = end
	w.group.Go(func() {
		defer func() {
			end()
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.ends, id)
		}()
		do(ctx)
	})
}

// Close ends what is under way and waits for it.
func (w *Work) Close() {
	w.mu.Lock()
	w.closed = true
	for _, end := range w.ends {
		end()
	}
	w.mu.Unlock()
	w.group.Wait()
}
