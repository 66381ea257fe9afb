package migrate

import (
	"errors"
	"fmt"
	"io"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// ReadEvents calls f with each event of a run's journal, from the first record to the last whole one.
func ReadEvents(dir journal.FS, f func(Event) error) error {
	file, err := dir.Open()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer file.Close()
	h := &History{}
	d := journal.NewDecoder(file)
	for {
		rec, err := d.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, journal.ErrTorn) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		events, err := h.Apply(rec)
		if err != nil {
			return fmt.Errorf("record %d: %w", rec.Seq, err)
		}
		for _, e := range events {
			if err := f(e); err != nil {
				return err
			}
		}
	}
}

// tail reads a run's journal as it grows, never beyond what is durable.
type tail struct {
	run  *Run
	file io.ReadCloser
	at   int64
	d    *journal.Decoder
	h    History
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close() // it was only read
	}
}

// Read is what the decoder reads from: the durable part of the file.
func (t *tail) Read(b []byte) (int, error) {
	_, durable := t.run.j.Acked()
	if int64(len(b)) > durable-t.at {
		b = b[:durable-t.at]
	}
	if len(b) == 0 {
		return 0, io.EOF
	}
	n, err := t.file.Read(b)
	t.at += int64(n)
	return n, err
}

// read passes on the events of the records that are new.
func (t *tail) read(f func(Event)) error {
	if t.file == nil {
		if records, _ := t.run.j.Acked(); records == 0 {
			return nil
		}
		file, err := t.run.dir.Open()
		if err != nil {
			return err
		}
		t.file, t.d = file, journal.NewDecoder(t)
	}
	for {
		rec, err := t.d.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		events, err := t.h.Apply(rec)
		if err != nil {
			return err
		}
		if rec.Seq <= t.run.replayed {
			continue // of a process before
		}
		for _, e := range events {
			f(e)
		}
	}
}

// stale: the step has got on since.
func (t *tail) stale(p passing) bool {
	s := t.h.steps[p.step]
	_, health := p.event.(ServiceHealth)
	return s != nil && !health && s.seq > p.after
}
