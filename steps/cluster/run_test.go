package cluster_test

import (
	"context"
	"testing"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// runOnce runs a runbook of one step, with the journal in a folder of the test.
func runOnce(t *testing.T, add func(*migrate.Runbook[migrate.Rehearsal])) error {
	t.Helper()
	const id = "20261123-010203-0001"
	dir, err := journal.MakeDir(t.TempDir(), id)
	if err != nil {
		t.Fatal(err)
	}
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("test")
	add(rb)
	r, err := migrate.Begin(dir, id, rb, migrate.Options{Tool: "test", Who: "test", Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	return r.Resume(context.Background())
}
