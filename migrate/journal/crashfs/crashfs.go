// Package crashfs is a run's directory in memory that can be crashed: for tests of the journal, of the engine and of
// steps. A [Life] is one life of a process; it is killed at a chosen instant, and from then on whatever it tries is
// refused. A [Disk] outlives it and forgets, on [Disk.Crash], what was not synced.
//
// It imports migrate/journal and no other package of this module. Only tests and migrate/steptest import it.
package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"syscall"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// ErrKilled is what a killed process gets from everything that it still tries.
var ErrKilled = errors.New("killed")

// Life counts the instants at which a process can be killed and kills it at one of them.
type Life struct {
	mu   sync.Mutex
	n    int
	at   int
	dead bool
	what string
}

// NewLife is a process that is killed at the instant at, counted from 1; never for 0.
func NewLife(at int) *Life { return &Life{at: at} }

// Instant is one instant: nil means that the process lives on, ErrKilled that it was killed here or before.
func (l *Life) Instant(what string) error {
	_, err := l.instant(what)
	return err
}

// instant says whether it was here that the process was killed.
func (l *Life) instant(what string) (here bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false, ErrKilled
	}
	l.n++
	if l.n == l.at {
		l.dead, l.what = true, what
		return true, ErrKilled
	}
	return false, nil
}

// Act is one effect on the world with three instants: before anything, in the middle, and after all of it. half is what
// a kill in the middle leaves done; nil where the effect has no middle, because the other side does it whole or not
// at all. f does all of it. The error is f's own, or ErrKilled.
func (l *Life) Act(what string, half func(), f func() error) error {
	if err := l.Instant(what + ": before"); err != nil {
		return err
	}
	if half != nil {
		if here, err := l.instant(what + ": in the middle"); err != nil {
			if here {
				half()
			}
			return err
		}
	}
	if err := f(); err != nil {
		return err
	}
	return l.Instant(what + ": after")
}

// Kill kills the process now.
func (l *Life) Kill(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dead {
		l.dead, l.what = true, what
	}
}

// Killed says whether the process is dead, and where it died.
func (l *Life) Killed() (where string, dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.what, l.dead
}

// Instants is how many there have been.
func (l *Life) Instants() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// Keep says what of the bytes that were not synced a crash leaves.
type Keep int

const (
	KeepNone  Keep = iota // nothing
	KeepAll               // everything: the kernel had written it out by itself
	KeepHalf              // the first half of each write
	KeepHole              // the size, and the newline at the end, but zero bytes for the rest
	KeepCache             // the process died and the machine did not: all is readable, and still not durable
	Keeps                 // how many there are
)

func (k Keep) String() string {
	return [...]string{"none", "all", "half", "hole", "cache"}[k]
}

// Disk is one run's directory.
type Disk struct {
	mu     sync.Mutex
	cache  []byte // what a reader sees
	dirty  []bool // which bytes of it a sync still has to write; as long as cache
	disk   []byte // what is durable
	resize bool   // cache is shorter than disk, and that is not durable yet
	made   bool   // there is a file
	entry  bool   // its directory entry is durable
	holder *hold
	syncs  int
	eio    int // the sync that fails
	nospc  int // the write that fails
	writes int
}

type hold struct {
	life *Life
	who  journal.Holder
}

// FailSync makes the nth sync from now fail once. As on Linux the pages are marked clean all the same: a later sync
// says yes and writes nothing of them.
func (d *Disk) FailSync(n int) { d.mu.Lock(); defer d.mu.Unlock(); d.eio = d.syncs + n }

// FailWrite makes the nth write from now fail once, with half of it written: the disk is full.
func (d *Disk) FailWrite(n int) { d.mu.Lock(); defer d.mu.Unlock(); d.nospc = d.writes + n }

// Syncs is how many there have been, failed ones included.
func (d *Disk) Syncs() int { d.mu.Lock(); defer d.mu.Unlock(); return d.syncs }

// Bytes is the journal as a reader sees it now.
func (d *Disk) Bytes() []byte { d.mu.Lock(); defer d.mu.Unlock(); return slices.Clone(d.cache) }

// Durable is the journal as a crash that keeps nothing would leave it.
func (d *Disk) Durable() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.entry {
		return nil
	}
	return slices.Clone(d.disk)
}

// Write replaces the journal's bytes, durably: for tests that damage it.
func (d *Disk) Write(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cache, d.made, d.entry = slices.Clone(b), true, true
	d.settle()
}

// Crash is the end of every process on this disk, and with any keep but KeepCache the loss of the machine's power.
func (d *Disk) Crash(keep Keep) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holder != nil {
		d.holder.life.Kill("the machine crashed")
		d.holder = nil
	}
	if keep == KeepCache {
		return
	}
	if !d.entry && keep != KeepAll {
		d.cache, d.made = nil, false
		d.settle()
		return
	}
	after := slices.Clone(d.disk)
	if keep == KeepAll || (d.resize && keep != KeepNone) {
		after = after[:min(len(after), len(d.cache))]
	}
	after = keep.apply(after, d.cache, d.dirty)
	d.cache, d.entry = after, d.entry || keep == KeepAll
	d.settle()
}

// apply lays the dirty bytes of cache over what was durable, as far as keep says.
func (k Keep) apply(durable, cache []byte, dirty []bool) []byte {
	for i := 0; i < len(cache); {
		if !dirty[i] {
			i++
			continue
		}
		from := i
		for i < len(cache) && dirty[i] {
			i++
		}
		var data []byte
		switch k {
		case KeepAll:
			data = cache[from:i]
		case KeepHalf:
			data = cache[from : from+(i-from)/2]
		case KeepHole:
			data = make([]byte, i-from)
			data[len(data)-1] = cache[i-1] // the newline survives: the hard case
			if from < len(durable) {
				data = nil // written in place over what was durable: old or new, no hole
			}
		}
		for len(durable) < from+len(data) {
			durable = append(durable, 0)
		}
		copy(durable[from:], data)
	}
	return durable
}

// settle: what is readable is durable.
func (d *Disk) settle() {
	d.disk, d.dirty, d.resize = slices.Clone(d.cache), make([]bool, len(d.cache)), false
}

// Process is the directory as the process l sees it.
func (d *Disk) Process(l *Life) journal.FS { return &process{d, l} }

type process struct {
	d *Disk
	l *Life
}

// twoInstants is an operation that is done whole or not at all.
func (p *process) twoInstants(what string, f func() error) error {
	return p.l.Act(what, nil, func() error {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		return f()
	})
}

func (p *process) Open() (io.ReadCloser, error) {
	if where, dead := p.l.Killed(); dead {
		return nil, fmt.Errorf("%w at %s", ErrKilled, where)
	}
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if !p.d.made {
		return nil, fs.ErrNotExist
	}
	return &reader{p: p}, nil
}

type reader struct {
	p  *process
	at int
}

func (r *reader) Read(b []byte) (int, error) {
	if _, dead := r.p.l.Killed(); dead {
		return 0, ErrKilled
	}
	r.p.d.mu.Lock()
	defer r.p.d.mu.Unlock()
	if r.at >= len(r.p.d.cache) {
		return 0, io.EOF
	}
	n := copy(b, r.p.d.cache[r.at:])
	r.at += n
	return n, nil
}

func (r *reader) Close() error { return nil }

func (p *process) OpenWrite() (journal.File, error) {
	err := p.twoInstants("create", func() error { p.d.made = true; return nil })
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) Close() error { return nil }

func (p *process) SyncDir() error {
	return p.twoInstants("sync directory", func() error { p.d.entry = p.d.made; return nil })
}

func (p *process) Truncate(size int64) error {
	return p.twoInstants("truncate", func() error {
		d := p.d
		d.cache, d.dirty, d.resize = d.cache[:size], d.dirty[:size], true
		return nil
	})
}

func (p *process) WriteAt(b []byte, off int64) (int, error) {
	put := func(b []byte) {
		d := p.d
		for int64(len(d.cache)) < off+int64(len(b)) {
			d.cache, d.dirty = append(d.cache, 0), append(d.dirty, false)
		}
		copy(d.cache[off:], b)
		for i := range b {
			d.dirty[off+int64(i)] = true
		}
	}
	err := p.l.Act("write", func() {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		put(b[:len(b)/2])
	}, func() error {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		if p.d.writes++; p.d.writes == p.d.nospc {
			put(b[:len(b)/2])
			return syscall.ENOSPC
		}
		put(b)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *process) Sync() error {
	return p.twoInstants("sync", func() error {
		d := p.d
		if d.syncs++; d.syncs == d.eio {
			clear(d.dirty)
			return syscall.EIO
		}
		if d.resize {
			d.disk, d.resize = d.disk[:min(len(d.disk), len(d.cache))], false
		}
		d.disk = KeepAll.apply(d.disk, d.cache, d.dirty)
		clear(d.dirty)
		return nil
	})
}

func (p *process) Lock(who journal.Holder) (journal.Lock, error) {
	err := p.twoInstants("lock", func() error {
		if h := p.d.holder; h != nil {
			if _, dead := h.life.Killed(); !dead {
				return &journal.LockedError{Holder: h.who}
			}
		}
		p.d.holder = &hold{p.l, who}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return lock{p}, nil
}

func (p *process) Holder() (journal.Holder, bool, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.d.holder == nil {
		return journal.Holder{}, false, nil
	}
	if _, dead := p.d.holder.life.Killed(); dead {
		return journal.Holder{}, false, nil
	}
	return p.d.holder.who, true, nil
}

// StealLock takes the lock from whoever has it, as a person does who deletes the lock file.
func (d *Disk) StealLock() { d.mu.Lock(); defer d.mu.Unlock(); d.holder = nil }

type lock struct{ p *process }

func (k lock) Held() error {
	k.p.d.mu.Lock()
	defer k.p.d.mu.Unlock()
	if h := k.p.d.holder; h == nil || h.life != k.p.l {
		return journal.ErrLockLost
	}
	return nil
}

func (k lock) Release() error {
	k.p.d.mu.Lock()
	defer k.p.d.mu.Unlock()
	if h := k.p.d.holder; h != nil && h.life == k.p.l {
		k.p.d.holder = nil
	}
	return nil
}
