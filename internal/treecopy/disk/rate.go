package disk

import (
	"context"
	"sync"
	"time"
)

// rate holds readers to so many bytes a second, together.
type rate struct {
	bytes int64
	mu    sync.Mutex
	free  time.Time // when what was allowed so far will have been used up
}

func newRate(bytes int64) *rate { return &rate{bytes: bytes} }

// wait waits until n bytes more may have been read.
func (r *rate) wait(ctx context.Context, n int) error {
	if r.bytes <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(r.reserve(time.Now(), n))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reserve gives how long whoever takes n bytes now must wait first.
func (r *rate) reserve(now time.Time, n int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free.Before(now) {
		r.free = now
	}
	wait := r.free.Sub(now)
	r.free = r.free.Add(time.Duration(float64(n) / float64(r.bytes) * float64(time.Second)))
	return wait
}
