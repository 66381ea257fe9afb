//go:build lab

package changes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// heapPeak measures the most heap that is in use while do runs, in bytes.
func heapPeak(do func()) uint64 {
	var peak atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	<-done
	return peak.Load()
}

// TestMillion: a transaction of a million rows is read within a bounded heap, with nothing in its directory, compressed or not.
func TestMillion(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			// MySQL takes minutes to write a million on a small machine; what is measured here is this side.
			n := map[string]int{"maria": 1_000_000, "mysql": 100_000}[s.Name]
			db := schema(t, s, "ch")
			execute(t, db, "CREATE TABLE d (i int PRIMARY KEY)", "INSERT INTO d VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
				"CREATE TABLE t (id int PRIMARY KEY, v varchar(40) NOT NULL, d decimal(10,2), w datetime)")
			dir := t.TempDir()
			st := open(t, s, Options{SpillDir: dir, SpillBytes: 4 << 20}, describe(t, db, "ch", "t"))
			execute(t, db, "INSERT INTO t SELECT a.i+10*b.i+100*c.i+1000*d.i+10000*e.i+100000*f.i, 'some text of a row, some text', a.i/3, '2020-01-02 03:04:05' FROM d a, d b, d c, d d, d e, d f WHERE f.i < "+fmt.Sprint(n/100_000))
			runtime.GC()
			var tx *Transaction
			began := time.Now()
			var read time.Duration
			peak := heapPeak(func() {
				tx = next(t, st)
				read = time.Since(began)
				sum, rows := 0, 0
				for c, err := range tx.Changes {
					if err != nil {
						t.Fatal(err)
					}
					var id int
					for _, b := range c.After[0] {
						id = id*10 + int(b-'0')
					}
					sum, rows = sum+id, rows+1
				}
				if rows != n || sum != n*(n-1)/2 {
					t.Errorf("%d rows with the sum %d", rows, sum)
				}
			})
			t.Logf("%d rows, %d MiB, read in %s, given in %s; the heap's most was %d MiB", tx.Rows, tx.Bytes>>20, read.Round(time.Millisecond), (time.Since(began) - read).Round(time.Millisecond), peak>>20)
			if peak > 64<<20 {
				t.Errorf("%d MiB of heap", peak>>20)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("in the directory: %v, %v", left, err)
			}
			if err := tx.Close(); err != nil {
				t.Error(err)
			}
			for _, err := range tx.Changes {
				if err == nil {
					t.Error("a closed transaction gives changes")
				}
				break
			}
		})
	}
}

// TestSpillFull: a full disk is one clear error, nothing of the transaction is given, and reading goes on when there is room.
func TestSpillFull(t *testing.T) {
	s := maria()
	db := schema(t, s, "ch")
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY, v longblob)")
	dir := t.TempDir()
	mount(t, dir, 1<<20)
	// What a killed program left goes.
	left := filepath.Join(dir, "slipway-changes-1.spill")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	st := open(t, s, Options{SpillDir: dir, SpillBytes: 1000}, describe(t, db, "ch", "t"))
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left is still there: %v", err)
	}
	execute(t, db, "INSERT INTO t VALUES (1,'small')", "INSERT INTO t VALUES (2, REPEAT('x',3000000))")
	if tx := next(t, st); tx.Rows != 1 {
		t.Errorf("%d rows", tx.Rows)
	}
	for range 2 {
		_, err := try(t, st)
		if !errors.Is(err, ErrSpill) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("a full disk: %v", err)
		}
		t.Log(err)
	}
	mount(t, dir, 16<<20)
	tx := next(t, st)
	for c, err := range tx.Changes {
		if err != nil || len(c.After[1]) != 3000000 {
			t.Errorf("%d bytes, %v", len(c.After[1]), err)
		}
	}
	if err := tx.Close(); err != nil {
		t.Error(err)
	}
}

// mount puts a file system of so many bytes over a directory, in the test's own mount namespace.
func mount(t *testing.T, dir string, size int) {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}
