package migrate_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// noSync is a run's directory on disk whose journal is not synced: what a run keeps in memory does not depend on that.
type noSync struct{ *journal.Dir }

type noSyncFile struct{ journal.File }

func (noSyncFile) Sync() error { return nil }

func (d noSync) OpenWrite() (journal.File, error) {
	f, err := d.Dir.OpenWrite()
	return noSyncFile{f}, err
}

// busy is a run that goes forward and back again for as long as it is told, in one process, with somebody listening.
type busy struct {
	r    *migrate.Run
	seen atomic.Uint64 // events that the listener had
}

func startBusy(tb testing.TB, steps int) *busy {
	tb.Helper()
	dir, err := journal.MakeDir(tb.TempDir(), runID)
	if err != nil {
		tb.Fatal(err)
	}
	b := &busy{}
	if b.r, err = migrate.Begin(noSync{dir}, runID, many(steps), migrate.Options{Ending: migrate.EndKept()}); err != nil {
		tb.Fatal(err)
	}
	b.r.Listen(func(migrate.Event) { b.seen.Add(1) })
	return b
}

// until goes on until the listener has had that many events, and gives the live heap then, in bytes.
func (b *busy) until(tb testing.TB, events uint64) uint64 {
	tb.Helper()
	for b.seen.Load() < events {
		if err := b.r.Resume(context.Background()); err != nil {
			tb.Fatal(err)
		}
		if err := b.r.Rollback(context.Background(), "step.number-0", "again"); err != nil {
			tb.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What a run keeps in memory grows with its runbook, and not with what happens.
func TestRecordsLeaveNothingInMemory(t *testing.T) {
	b := startBusy(t, 20)
	few := b.until(t, 2_000)
	many := b.until(t, 20_000)
	if err := b.r.Close(); err != nil {
		t.Fatal(err)
	}
	if many > few+18_000*8 { // eight bytes an event
		t.Errorf("%d bytes after 2,000 events, %d after 20,000", few, many)
	}
}

// BenchmarkMemory is the live heap of a run of 20 steps after 10,000 events and after 100,000.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		x := startBusy(b, 20)
		few := x.until(b, 10_000)
		many := x.until(b, 100_000)
		b.ReportMetric(float64(few)/1024, "KiB-after-10k-events")
		b.ReportMetric(float64(many)/1024, "KiB-after-100k-events")
		if err := x.r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
