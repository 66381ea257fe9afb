package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// Journal is a run's journal, open for writing by this process. Its methods may be called from many goroutines.
type Journal struct {
	f    File
	lock Lock
	torn *Damage

	mu   sync.Mutex
	seq  uint64
	prev string
	off  int64
	dead error
}

// Open locks the run, replays its journal through each, cuts a torn tail and makes all that was replayed durable; only
// then may anything be built on it. It fails with a *LockedError when another process writes, with ErrCorrupt when
// there is damage, and with each's own error.
func Open(dir FS, who Holder, each func(Record) error) (*Journal, error) {
	lock, err := dir.Lock(who)
	if err != nil {
		return nil, err
	}
	j, err := open(dir, each)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	j.lock = lock
	return j, nil
}

func open(dir FS, each func(Record) error) (*Journal, error) {
	j := &Journal{}
	last, err := j.replay(dir, each)
	if err != nil {
		return nil, err
	}
	if j.f, err = dir.OpenWrite(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := j.settle(dir, last); err != nil {
		return nil, errors.Join(err, j.f.Close())
	}
	return j, nil
}

// replay reads what is there and returns the raw bytes of the last record.
func (j *Journal) replay(dir FS, each func(Record) error) ([]byte, error) {
	r, err := dir.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer r.Close()
	d := NewDecoder(r)
	for {
		rec, err := d.Next()
		switch {
		case err == nil:
			if err := each(rec); err != nil {
				return nil, fmt.Errorf("record %d: %w", rec.Seq, err)
			}
			continue
		case errors.Is(err, ErrTorn):
			errors.As(err, &j.torn)
		case !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("replay journal: %w", err)
		}
		j.seq, j.prev, j.off = d.seq, d.prev, d.off
		return d.raw, nil
	}
}

// settle makes what was replayed durable. The last record is written once more, in place: if its fsync failed in the
// process before, the kernel has marked its pages clean, and a sync alone would say yes and write nothing.
func (j *Journal) settle(dir FS, last []byte) error {
	if j.torn != nil {
		if err := j.f.Truncate(j.off); err != nil {
			return fmt.Errorf("cut torn tail: %w", err)
		}
	}
	if len(last) > 0 {
		if _, err := j.f.WriteAt(last, j.off-int64(len(last))); err != nil {
			return fmt.Errorf("write last record again: %w", err)
		}
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	// Also when the journal is old: the process that made it may have died before this.
	if err := dir.SyncDir(); err != nil {
		return fmt.Errorf("sync directory of journal: %w", err)
	}
	return nil
}

// Torn is the tail that Open cut; nil when there was none.
func (j *Journal) Torn() *Damage { return j.torn }

// Append writes r after the last record and returns it, with Seq and Prev filled in, after fsync. After an error that
// is ErrDead or ErrLockLost the journal writes no more; any other error wrote nothing.
func (j *Journal) Append(r Record) (Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead != nil {
		return r, j.dead
	}
	if err := j.lock.Held(); err != nil {
		j.dead = fmt.Errorf("%w: %w", ErrDead, err)
		return r, j.dead
	}
	r.Seq, r.Prev = j.seq+1, j.prev
	line, err := encode(r)
	if err != nil {
		return r, fmt.Errorf("encode record %d: %w", r.Seq, err)
	}
	if _, err = j.f.WriteAt(line, j.off); err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		j.dead = fmt.Errorf("%w: record %d: %w", ErrDead, r.Seq, err)
		return r, j.dead
	}
	j.seq, j.prev, j.off = r.Seq, hash(line[:len(line)-1]), j.off+int64(len(line))
	return r, nil
}

// Held is nil while this process is the one writer; see [Lock].
func (j *Journal) Held() error { return j.lock.Held() }

// Acked is how far the journal is durable: the number of its records and their length in bytes.
func (j *Journal) Acked() (records uint64, bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq, j.off
}

// Close gives the run up. It writes nothing.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead == nil {
		j.dead = fmt.Errorf("%w: it was closed", ErrDead)
	}
	return errors.Join(j.f.Close(), j.lock.Release())
}
