package migrate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// many is a runbook of n steps in phases of a hundred.
func many(n int) *migrate.Runbook[migrate.Rehearsal] {
	var steps []any
	for i := range n {
		if i > 0 && i%100 == 0 {
			steps = append(steps, "|")
		}
		steps = append(steps, plain{spec: id(migrate.StepID(fmt.Sprintf("step.number-%d", i)))})
	}
	return book(steps...)
}

// BenchmarkStep is what the engine adds to a step that does nothing: plan, intent, outcome, verification, three records
// with fsync, one step at a time.
func BenchmarkStep(b *testing.B) {
	dir, err := journal.MakeDir(b.TempDir(), runID)
	if err != nil {
		b.Fatal(err)
	}
	r, err := migrate.Begin(dir, runID, many(b.N), migrate.Options{Parallel: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if err := resume(r); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/step")
}

// BenchmarkReplay opens the journal of a run of 10,000 steps, all done.
func BenchmarkReplay(b *testing.B) {
	const steps = 10_000
	d := &crashfs.Disk{}
	r, err := migrate.Begin(d.Process(crashfs.NewLife(0)), runID, many(steps), migrate.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := resume(r); err != nil {
		b.Fatal(err)
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(d.Bytes())))
	rb := many(steps)
	for b.Loop() {
		r, err := migrate.Open(d.Process(crashfs.NewLife(0)), rb, migrate.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHistory reads the same without a runbook: what status and runs do.
func BenchmarkHistory(b *testing.B) {
	d := &crashfs.Disk{}
	r, err := migrate.Begin(d.Process(crashfs.NewLife(0)), runID, many(1000), migrate.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := resume(r); err != nil {
		b.Fatal(err)
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := migrate.ReadHistory(d.Process(crashfs.NewLife(0))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProgress is what a call of Progress costs a step, with a listener.
func BenchmarkProgress(b *testing.B) {
	d := &crashfs.Disk{}
	r, err := migrate.Begin(d.Process(crashfs.NewLife(0)), runID, book(moving(b.N, 0)), migrate.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r.Listen(func(migrate.Event) { time.Sleep(time.Millisecond) })
	b.ResetTimer()
	if err := resume(r); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}
