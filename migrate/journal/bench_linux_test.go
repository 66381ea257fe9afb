package journal_test

import (
	"testing"

	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// BenchmarkAppend is one record with its fsync, on the disk of the temporary directory.
func BenchmarkAppend(b *testing.B) {
	dir, err := journal.MakeDir(b.TempDir(), "r1")
	if err != nil {
		b.Fatal(err)
	}
	j, err := journal.Open(dir, me, func(journal.Record) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	r := record(7)
	for b.Loop() {
		if _, err := j.Append(r); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkDecode(b *testing.B) {
	d := &crashfs.Disk{}
	j, err := journal.Open(d.Process(crashfs.NewLife(0)), me, func(journal.Record) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		if _, err := j.Append(record(i % 10)); err != nil {
			b.Fatal(err)
		}
	}
	text := d.Bytes()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if n, err := count(text); n != 1000 || err != nil {
			b.Fatal(n, err)
		}
	}
}
