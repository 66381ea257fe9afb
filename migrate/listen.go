package migrate

import (
	"slices"
	"sync"
	"time"
)

const (
	// showEvery is how often a listener is told of progress at most.
	showEvery = 250 * time.Millisecond
	// partingTime is how long Close waits for listeners that are behind.
	partingTime = 2 * time.Second
)

// Listen calls f with each event of the run from this process's first record on, one at a time, in a goroutine of its
// own, until stop is called or the run is closed. f may take its time: the run doesn't wait for it, and what f hasn't
// seen yet is read from the journal when f is ready, so nothing of it is lost and nothing is kept in memory. Of passing
// events f sees the latest, a few times a second.
func (r *Run) Listen(f func(Event)) (stop func()) {
	l := &listener{f: f, run: r, wakeup: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{})}
	if !r.listeners.add(l) {
		l.finish() // the run is closed: what there is, and no more
	}
	go l.loop()
	return func() {
		r.listeners.remove(l)
		l.finish()
	}
}

// listeners are all that listen to a run.
type listeners struct {
	run   *Run
	mu    sync.Mutex
	all   []*listener
	ended bool
}

func (ls *listeners) add(l *listener) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.ended {
		return false
	}
	ls.all = append(ls.all, l)
	return true
}

func (ls *listeners) remove(l *listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all = slices.DeleteFunc(ls.all, func(x *listener) bool { return x == l })
}

func (ls *listeners) list() []*listener {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Clone(ls.all)
}

// wake says that there is a new record. It never blocks.
func (ls *listeners) wake() {
	for _, l := range ls.list() {
		l.wake()
	}
}

// pass gives all listeners a passing event about a step. It never blocks.
func (ls *listeners) pass(step StepID, e Event) {
	all := ls.list()
	if len(all) == 0 {
		return
	}
	after, _ := ls.run.j.Acked()
	for _, l := range all {
		l.put(passing{step, e, after})
	}
}

func (ls *listeners) progressOf(n *node) func(Progress) {
	return func(p Progress) { ls.pass(n.spec.ID, StepProgress{now(), n.spec.ID, p}) }
}

func (ls *listeners) healthOf(n *node) func(Health) {
	return func(h Health) {
		h.Service = n.spec.ID
		ls.pass(n.spec.ID, ServiceHealth{now(), h})
	}
}

// finish lets all listeners catch up, for a while, and ends them.
func (ls *listeners) finish() {
	ls.mu.Lock()
	all := ls.all
	ls.all, ls.ended = nil, true
	ls.mu.Unlock()
	for _, l := range all {
		l.finish()
	}
	late := time.NewTimer(partingTime)
	defer late.Stop()
	for _, l := range all {
		select {
		case <-l.done:
		case <-late.C:
			return
		}
	}
}

// passing is an event that only the latest of its sort and step matters of.
type passing struct {
	step  StepID
	event Event
	after uint64 // the last record when it passed
}

type listener struct {
	f       func(Event)
	run     *Run
	wakeup  chan struct{}
	closing chan struct{}
	done    chan struct{}
	end     sync.Once

	mu    sync.Mutex
	queue []passing // at most one of each sort and step: bounded by the runbook
}

func (l *listener) wake() {
	select {
	case l.wakeup <- struct{}{}:
	default:
	}
}

func (l *listener) finish() { l.end.Do(func() { close(l.closing) }) }

func (l *listener) put(p passing) {
	l.mu.Lock()
	i := slices.IndexFunc(l.queue, func(q passing) bool { return q.step == p.step && q.event.Name() == p.event.Name() })
	if i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1) // the newer one comes after what has passed since
	}
	l.queue = append(l.queue, p)
	l.mu.Unlock()
	l.wake()
}

func (l *listener) take() []passing {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue
	l.queue = nil
	return q
}

func (l *listener) pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0
}

func (l *listener) loop() {
	defer close(l.done)
	t := &tail{run: l.run}
	defer t.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next time.Time // when the listener may be told of passing events again
	for last := false; ; {
		if err := t.read(l.f); err != nil {
			l.f(StreamBroken{now(), err.Error()})
			return
		}
		if wait := time.Until(next); last || wait <= 0 {
			for _, p := range l.take() {
				if !t.stale(p) {
					l.f(p.event)
					next = time.Now().Add(showEvery)
				}
			}
		} else if l.pending() {
			timer.Reset(wait)
		}
		if last {
			return
		}
		select {
		case <-l.wakeup:
		case <-timer.C:
		case <-l.closing:
			last = true
		}
	}
}
