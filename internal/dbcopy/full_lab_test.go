//go:build lab

package dbcopy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestTargetDiskFull fills the target's disk under a load, in both ways that MySQL meets it: it refuses a row, and it
// hangs because it can't write its binary log. Each ends in one clear error, nothing is lost, and after there is room a
// second attempt goes on.
func TestTargetDiskFull(t *testing.T) {
	maria, _ := schemas(t, "full")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x LONGBLOB)")
	for range 6 {
		exec(t, maria, "INSERT INTO a SELECT seq + (SELECT COUNT(*) FROM a AS b), CONCAT(RANDOM_BYTES(1024),RANDOM_BYTES(1024),RANDOM_BYTES(1024),RANDOM_BYTES(1024),RANDOM_BYTES(1024)) FROM seq_1_to_2000")
	}
	art := take(t, Options{Schemas: []string{"full"}, ChunkBytes: 1 << 20})
	for _, c := range []struct {
		name string
		opts dbpair.Options
		says string
	}{
		{"data", dbpair.Options{Disk: 190 << 20, Args: []string{"--innodb-redo-log-capacity=8388608", "--skip-log-bin"}}, "is full"},
		{"log", dbpair.Options{Disk: 30 << 20, LogDisk: true}, "MY-000035"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := deadline(t, 5*time.Minute)
			s := dbtest.Server(t, servers.lab.MySQL, "full-"+c.name, c.opts)
			exec(t, admin(t, s, ""), "CREATE DATABASE `full`")
			target := NewTarget(endpoint(s, dbpair.Loader))
			began := time.Now()
			_, err := target.Load(ctx, art, testOwner, LoadOptions{})
			var full *TargetFullError
			if !errors.As(err, &full) || !strings.Contains(err.Error(), "out of disk space") || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "slipway resume") {
				t.Fatalf("after %s: %v", time.Since(began), err)
			}
			t.Logf("after %s: %v", time.Since(began).Round(time.Second), err)
			if err := s.Resize(ctx, 1<<30); err != nil {
				t.Fatal(err)
			}
			state, err := target.Look(ctx, []string{"full"})
			if err != nil {
				t.Fatal(err)
			}
			began = time.Now()
			if _, err := target.Load(ctx, art, Owner{testOwner.Run, 2}, LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d chunks were in, and the rest in %s after there was room", state.Chunks, time.Since(began).Round(time.Second))
			moved(t, art, s, "full")
		})
	}
}
