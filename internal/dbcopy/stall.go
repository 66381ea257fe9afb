package dbcopy

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// errBad makes database/sql throw a connection away.
var errBad = driver.ErrBadConn

// TargetFullError: the target's disk is full. What was loaded stays; give it room and resume the run.
type TargetFullError struct {
	Target string
	Cause  error  // what the server said; nil when it hung and its log told
	Again  string // what goes on, once there is room: the command to type; "": slipway resume
}

func (e *TargetFullError) Error() string {
	s := e.Target + " is out of disk space"
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	} else {
		s += " and waits for some (MY-000035 in its error log)"
	}
	if e.Again != "" {
		return s + "; the chunks that are loaded stay; enlarge its disk, then type " + e.Again
	}
	return s + "; the chunks that are loaded stay; enlarge its disk, then type slipway resume"
}

// Unwrap gives the server's error.
func (e *TargetFullError) Unwrap() error { return e.Cause }

// fullNumbers are the server's errors of a full disk: 1021 disk full, 1026 error writing file, 1114 table is full,
// 3675 no room for a tablespace, 1041 and 3 with errno 28.
var fullNumbers = []uint16{3, 1021, 1026, 1041, 1114, 1598, 3675}

// full gives a *TargetFullError when err is one of a full disk, and nil otherwise.
func (l *load) full(err error) error {
	n := ask.Number(err)
	for _, f := range fullNumbers {
		if n == f {
			return &TargetFullError{l.ep.Name, err, l.again}
		}
	}
	return nil
}

func lostNumber(n uint16) bool {
	switch n {
	case 1053, 1152, 1158, 1159, 1160, 1161, 1927, 3169, 4031: // see explain
		return true
	}
	return false
}

// A MySQL that can't write its binary log hangs and says so only in its error log: "Disk is full writing ... Waiting
// for someone to free space... Retry in 60 secs", again every ten minutes (seen with 9.7.4). So whoever waits for a
// statement for long looks there.
const (
	stallAfter = 20 * time.Second // a statement of a chunk takes less than one
	stallLook  = 10 * time.Second
)

// stallWatch notices statements that hang and ends the load when the reason is a full disk.
type stallWatch struct {
	mu     sync.Mutex
	since  map[int]time.Time // statements under way
	next   int
	found  error
	cancel context.CancelFunc
}

func (w *stallWatch) begin() (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since == nil {
		w.since = map[int]time.Time{}
	}
	id := w.next
	w.next++
	w.since[id] = time.Now()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.since, id)
	}
}

type execer interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
}

func (w *stallWatch) exec(ctx context.Context, q execer, stmt string) (sql.Result, error) {
	defer w.begin()()
	return q.ExecContext(ctx, stmt)
}

// longest is how long the oldest statement has been under way.
func (w *stallWatch) longest() (d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.since {
		d = max(d, time.Since(t))
	}
	return d
}

// start watches until stop is called. The context ends when the target's disk is found to be full.
func (w *stallWatch) start(ctx context.Context, l *load) (_ context.Context, stop func()) {
	ctx, w.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(stallLook)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if d := w.longest(); d >= stallAfter {
				w.look(ctx, l, d)
			}
		}
	}()
	return ctx, func() { w.cancel(); <-done }
}

// look asks the server's error log, over a connection of its own.
func (w *stallWatch) look(ctx context.Context, l *load, waited time.Duration) {
	waiting := fmt.Sprintf("the target has not answered a statement for %s", waited.Round(time.Second))
	ctx, cancel := context.WithTimeout(ctx, stallLook)
	defer cancel()
	full, err := l.ep.LogDiskFull(ctx)
	switch {
	case err != nil:
		l.meter.report(waiting + "; its error log can't be read, so look whether its disk is full")
	case !full:
		l.meter.report(waiting)
	default:
		w.mu.Lock()
		w.found = &TargetFullError{Target: l.ep.Name, Again: l.again}
		w.mu.Unlock()
		w.cancel()
	}
}

// reason is why the load ended: the full disk, if that was it, and err otherwise.
func (w *stallWatch) reason(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.found != nil && errors.Is(err, context.Canceled) {
		return w.found
	}
	return err
}

// LogDiskFull: a MySQL has said in its error log, within the last minutes, that it waits for room for its binary log.
func (e Endpoint) LogDiskFull(ctx context.Context) (bool, error) {
	var n int
	db, err := e.Open(TextSession(), 1)
	if err != nil {
		return false, err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.error_log WHERE ERROR_CODE = 'MY-000035' AND LOGGED > NOW(6) - INTERVAL 11 MINUTE").Scan(&n)
	return n > 0, err
}
