package pass

import (
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Stage is what a pass is at.
type Stage string

// The stages.
const (
	Listing  Stage = "listing"
	Copying  Stage = "copying"
	Removing Stage = "removing"
	Ending   Stage = "ending" // directories get their attributes
	Hashing  Stage = "hashing"
)

// Progress is how far a pass is.
type Progress struct {
	Stage   Stage
	Since   time.Time // when the stage began
	Seen    int64     // entries that are listed
	Todo    Totals
	Files   int64 // that are done, of Todo's Files and Adopt
	Bytes   int64 // of contents that went through, or were compared
	Retried int64
	Again   string // what was done again last, and why
}

// Meter shows how far a pass is to whoever asks. The zero value is ready; nil measures nothing.
type Meter struct {
	mu sync.Mutex
	p  Progress
}

// Now is how far it is.
func (m *Meter) Now() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.p
}

func (m *Meter) do(f func(*Progress)) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.p)
}

func (m *Meter) stage(s Stage) {
	m.do(func(p *Progress) { p.Stage, p.Since = s, time.Now() })
}

func (m *Meter) bytes(n int64) { m.do(func(p *Progress) { p.Bytes += n }) }

// stopwatch finds the directory whose files take longest, among files that come directory by directory.
type stopwatch struct {
	at          time.Time
	now, before Slow
}

// done says that a file is through, and whether another directory has begun with it.
func (w *stopwatch) done(p tree.Path) (other bool) {
	dir, _ := p.Parent()
	if name := dir.String(); name != w.now.Dir {
		other, w.before, w.now = w.now.Files > 0, w.now, Slow{Dir: name}
	}
	w.now.Files++
	w.now.Took += time.Since(w.at)
	w.at = time.Now()
	return other
}
