package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// followEvery is how often a journal that another process writes is looked at, and its lock.
const followEvery = 200 * time.Millisecond

// Follow calls f with each event of a run's journal that is born of a record, from the first record on, and goes on as the
// journal grows, whichever process writes it: one that holds the run now, or one that takes it up later. Whenever another
// process holds the run than before, or none does any more, f gets RunHeld; the first time when all that there is has been
// passed on. Follow returns when the run is closed, when ctx ends (with its cause), and with f's error.
//
// It takes no lock and writes nothing. What it reads may be a moment older than what the writer knows to be durable.
func Follow(ctx context.Context, dir journal.FS, f func(Event) error) error {
	fo := &following{dir: dir, f: f}
	defer fo.close()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for told, was := false, (journal.Holder{}); ; {
		holder, held, err := dir.Holder()
		if err != nil {
			return fmt.Errorf("look who holds the run: %w", err)
		}
		if err := fo.read(); err != nil {
			return err
		}
		if fo.h.closed != "" && !held { // after the lock was looked at: nobody was there to write more
			return nil
		}
		if !told || holder != was {
			if err := f(RunHeld{now(), held, holder.Who, holder.Host, holder.PID, holder.Since}); err != nil {
				return err
			}
			told, was = true, holder
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// following reads a journal that somebody else writes.
type following struct {
	dir  journal.FS
	f    func(Event) error
	file io.ReadCloser
	d    *journal.Decoder
	h    History
}

func (fo *following) close() {
	if fo.file != nil {
		_ = fo.file.Close() // it was only read
		fo.file = nil
	}
}

// read passes on what is new. A record that is being written is waited for. Where a process cut another one's torn tail,
// what was read of that tail is no longer there: the journal is then read once more from its beginning.
func (fo *following) read() error {
	fresh := fo.file == nil
	for {
		if fo.file == nil {
			file, err := fo.dir.Open()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // the run is being opened
			}
			if err != nil {
				return fmt.Errorf("read journal: %w", err)
			}
			fo.file, fo.d = file, journal.NewDecoder(file)
		}
		rec, err := fo.d.Next()
		switch {
		case err == nil:
			if rec.Seq > fo.h.Records {
				if err := fo.apply(rec); err != nil {
					return err
				}
			}
		case errors.Is(err, io.EOF), errors.Is(err, journal.ErrTorn):
			return nil
		case fresh:
			return fmt.Errorf("read journal: %w", err)
		default:
			fo.close()
			fresh = true
		}
	}
}

func (fo *following) apply(rec journal.Record) error {
	events, err := fo.h.Apply(rec)
	if err != nil {
		return fmt.Errorf("record %d: %w", rec.Seq, err)
	}
	for _, e := range events {
		if err := fo.f(e); err != nil {
			return err
		}
	}
	return nil
}
