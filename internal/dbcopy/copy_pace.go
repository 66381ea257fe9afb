package dbcopy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// paceEvery is how often the source is asked how it does.
const paceEvery = time.Second

// pace makes readers wait while the source has too much to do. It only looks: nothing at the source is locked or changed.
type pace struct {
	ep         Endpoint
	maxLag     time.Duration
	maxRunning int64
	tell       func(why string)

	mu   sync.Mutex
	open chan struct{} // closed while reading may go on
}

func newPace(ep Endpoint, o CopyOptions, tell func(string)) *pace {
	p := &pace{ep: ep, maxLag: o.MaxLag, maxRunning: o.MaxRunning, tell: tell, open: make(chan struct{})}
	close(p.open)
	return p
}

// watch asks until the context ends. A source that can't be asked isn't read on either: its readers will say why.
func (p *pace) watch(ctx context.Context) error {
	db, err := p.ep.Open(TextSession(), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for {
		why, err := p.look(ctx, db)
		switch {
		case ctx.Err() != nil:
			p.set("")
			return nil
		case err != nil:
			return fmt.Errorf("ask how the source does: %w", p.ep.Explain(err))
		}
		p.set(why)
		select {
		case <-ctx.Done():
			p.set("")
			return nil
		case <-tick.C:
		}
	}
}

func (p *pace) set(why string) {
	p.mu.Lock()
	closed := false
	select {
	case <-p.open:
		closed = true
	default:
	}
	if why == "" && !closed {
		close(p.open)
	}
	if why != "" && closed {
		p.open = make(chan struct{})
	}
	p.mu.Unlock()
	p.tell(why)
}

// wait returns when reading may go on.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look gives the reason to pause, or "".
func (p *pace) look(ctx context.Context, q ask.Queryer) (string, error) {
	if p.maxRunning > 0 {
		var name string
		var n int64
		if err := q.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_running'").Scan(&name, &n); err != nil {
			return "", err
		}
		if n > p.maxRunning {
			return fmt.Sprintf("%d threads run at the source, and --max-running is %d", n, p.maxRunning), nil
		}
	}
	masters, err := ask.Masters(ctx, q)
	if err != nil {
		return "", err
	}
	for _, m := range masters {
		switch {
		case !m.Known:
			return "the source can't say how far it is behind " + m.Host + ": its replication isn't running (START SLAVE there)", nil
		case m.Behind > p.maxLag:
			return fmt.Sprintf("the source is %.0f s behind %s, and --max-lag is %s", m.Behind.Seconds(), m.Host, p.maxLag), nil
		}
	}
	return "", nil
}
