package follow

import (
	"context"
	"fmt"
	"time"
)

// A MySQL that can't write its binary log answers nothing and says so only in its error log (see dbcopy's load). So
// whoever waits for long looks there.
const (
	stallAfter = 15 * time.Second
	stallLook  = 5 * time.Second
)

// watch says so when the target doesn't get on with what it was given, and why where that can be known. It goes on by
// itself when the target does.
func (r *round) watch(ctx context.Context) {
	tick := time.NewTicker(stallLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, busy, at, _ := r.order.look()
		if waited := time.Since(at); waited >= stallAfter && (busy || r.given.Load() > r.order.last()) {
			r.f.o.Tell(r.f.stalled(ctx, waited))
		}
	}
}

// stalled asks the server's error log, over a connection of its own.
func (f *Follower) stalled(ctx context.Context, waited time.Duration) string {
	waiting := fmt.Sprintf("%s has not committed anything for %s", f.ep.Name, waited.Round(time.Second))
	ctx, cancel := context.WithTimeout(ctx, stallLook)
	defer cancel()
	full, err := f.ep.LogDiskFull(ctx)
	switch {
	case err != nil:
		return waiting + "; its error log can't be read, so look whether its disk is full"
	case !full:
		return waiting
	}
	return waiting + ": it is out of disk space for its binary log and waits (MY-000035 in its error log); nothing is lost, and it goes on when there is room"
}
