package dbcopy

import (
	"sync"
	"time"
)

// CopyPhase is what a copy does just now.
type CopyPhase string

// The phases that progress tells apart. They are written into JSON.
const (
	CopyPrepares CopyPhase = "prepare" // looks, compiles, compares what earlier attempts left
	CopyRows     CopyPhase = "rows"
	CopyKeys     CopyPhase = "keys"   // keys, foreign keys, views
	CopyVerifies CopyPhase = "verify" // what no attempt verified when it copied it
)

// CopyProgress is how far a copy has come. Totals are what the source's server estimates, for what the planner hasn't cut yet.
type CopyProgress struct {
	Phase             CopyPhase
	Doing             string // what was last begun
	Paused            string // why reading pauses; "" when it doesn't
	Rows, TotalRows   int64
	Bytes, TotalBytes int64
	Rate              float64       // bytes of values a second, the latest weighing most; 0: not known yet
	Left              time.Duration // until all is done, keys included; 0: not known yet
}

// copyClock puts together what the workers do and tells of it once a second.
type copyClock struct {
	mu      sync.Mutex
	tell    func(CopyProgress)
	p       CopyProgress
	speed   speed
	began   time.Time
	keys    keyWork
	entered time.Time
	spent   Took
	paused  time.Time
	quit    chan struct{}
	done    chan struct{}
	now     func() time.Time
	ask     func() (rows, bytes, keys int64)
}

// keyWork is what keys there are to add after the rows.
type keyWork struct {
	total, done int64 // bytes of the tables' values, once for each key
}

func newCopyClock(tell func(CopyProgress)) *copyClock {
	c := &copyClock{tell: tell, quit: make(chan struct{}), done: make(chan struct{}), now: time.Now}
	c.p.Phase, c.began = CopyPrepares, time.Now()
	go func() {
		defer close(c.done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-c.quit:
				return
			case <-tick.C:
				c.report()
			}
		}
	}()
	return c
}

func (c *copyClock) stop() { close(c.quit); <-c.done }

func (c *copyClock) report() {
	c.mu.Lock()
	p := c.look()
	c.mu.Unlock()
	c.tell(p)
}

// look computes what is told; the lock is held.
func (c *copyClock) look() CopyProgress {
	now := c.now()
	if c.p.Phase == CopyRows && c.p.Paused == "" {
		c.speed.look(now, c.p.Bytes)
	}
	p := c.p
	if c.ask != nil {
		p.TotalRows, p.TotalBytes, c.keys.total = c.ask()
	}
	p.TotalRows, p.TotalBytes = max(p.TotalRows, p.Rows), max(p.TotalBytes, p.Bytes)
	if p.Phase == CopyRows {
		p.Rate, p.Left = c.speed.rate(), c.speed.left(p.TotalBytes-p.Bytes, c.keys.total)
	}
	if p.Phase == CopyKeys {
		p.Left = c.keysLeft(now.Sub(c.entered))
	}
	return p
}

func (c *copyClock) doing(what string) {
	c.mu.Lock()
	c.p.Doing = what
	c.mu.Unlock()
}

func (c *copyClock) add(rows, bytes int64) {
	c.mu.Lock()
	c.p.Rows, c.p.Bytes = c.p.Rows+rows, c.p.Bytes+bytes
	c.mu.Unlock()
}

// totals says how to ask how much there is in all.
func (c *copyClock) totals(ask func() (rows, bytes, keys int64)) {
	c.mu.Lock()
	c.ask = ask
	c.mu.Unlock()
}

// enter begins a phase.
func (c *copyClock) enter(p CopyPhase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	switch took := now.Sub(c.entered); c.p.Phase {
	case CopyRows:
		c.spent.Rows += took
	case CopyKeys:
		c.spent.Keys += took
	}
	c.p.Phase, c.entered = p, now
}

// pause says why nothing is read; "" ends it. The time in which nothing moves isn't part of the rate.
func (c *copyClock) pause(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.p.Paused == "" && why != "" {
		c.paused = now
	}
	if c.p.Paused != "" && why == "" {
		gone := now.Sub(c.paused)
		c.spent.Paused += gone
		c.speed.skip(gone)
	}
	c.p.Paused = why
}

func (c *copyClock) took() Took {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spent
}

// keysLeft goes by the keys that were added, and before the first by the rows.
func (c *copyClock) keysLeft(spent time.Duration) time.Duration {
	if c.keys.done > 0 {
		return time.Duration(float64(spent) / float64(c.keys.done) * float64(max(0, c.keys.total-c.keys.done)))
	}
	return max(0, c.speed.left(0, c.keys.total)-spent)
}

// added counts keys of a table of so many bytes.
func (c *copyClock) added(bytes int64) {
	c.mu.Lock()
	c.keys.done += bytes
	c.mu.Unlock()
}
