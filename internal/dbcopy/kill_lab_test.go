//go:build lab

package dbcopy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// loader is one that can be killed.
const loader dbtest.Child[loaderOrder] = "SLIPWAY_TEST_LOADER"

type loaderOrder struct {
	Addr, Store string
	Fence       uint64
	Defer       int64
	Drop        bool
}

func (o loaderOrder) run() error {
	store, err := snapshot.At(o.Store)
	if err != nil {
		return err
	}
	art, err := store.Open(context.Background(), testRun, snapshot.MariaDB)
	if err != nil {
		return err
	}
	target := NewTarget(Endpoint{Name: "mysql", Addr: o.Addr, User: dbpair.Loader, Password: secret.New(dbpair.Password)})
	own := Owner{string(testRun), o.Fence}
	if o.Drop {
		return target.Drop(context.Background(), own)
	}
	_, err = target.Load(context.Background(), art, own, LoadOptions{DeferBytes: o.Defer})
	return err
}

// killSchema has tables of several chunks, one without a key, foreign keys and views, so that every phase takes a while.
func killSchema(t testing.TB) (*snapshot.Artifact, string) {
	t.Helper()
	maria, _ := schemas(t, "kill")
	exec(t, maria,
		"CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(100), x INT, KEY x (x), KEY s (s), UNIQUE KEY sx (s, x))",
		"CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, p INT NOT NULL, t TEXT, FULLTEXT KEY ft (t), KEY p (p), CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id))",
		"CREATE TABLE heap (x INT, s VARCHAR(100))",
		"CREATE VIEW v1 AS SELECT c.id, p.s FROM c JOIN p ON c.p = p.id", "CREATE VIEW v0 AS SELECT * FROM v1",
		"INSERT INTO p (s, x) SELECT CONCAT(REPEAT('x', seq % 90), seq), seq FROM seq_1_to_8000",
		"INSERT INTO c (p, t) SELECT seq, CONCAT('word', seq, ' some text') FROM seq_1_to_8000",
		"INSERT INTO heap SELECT seq % 100, REPEAT('y', 50) FROM seq_1_to_4000")
	for i := range 40 { // views alone take a while too
		exec(t, maria, fmt.Sprintf("CREATE VIEW w%d AS SELECT * FROM v1", i))
	}
	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testSource().Take(t.Context(), store, testRun, Options{Schemas: []string{"kill"}, ChunkBytes: 20_000}); err != nil {
		t.Fatal(err)
	}
	art, err := store.Open(t.Context(), testRun, snapshot.MariaDB)
	if err != nil {
		t.Fatal(err)
	}
	return art, store.Where()
}

// moved fails the test unless every row is at the target once, by Verify and by the oracle.
func moved(t testing.TB, art *snapshot.Artifact, target *dbpair.Server, schema string) {
	t.Helper()
	if _, err := NewTarget(endpoint(target, dbpair.Loader)).Verify(t.Context(), art, VerifyOptions{}); err != nil {
		t.Error(err)
	}
	copied(t, servers.maria, target, schema)
}

// TestKillLoader kills the loading program with SIGKILL at random instants and starts it again, until it gets through.
// At the end each row is there exactly once, and so are keys, foreign keys and views.
func TestKillLoader(t *testing.T) {
	art, dir := killSchema(t)
	began := time.Now()
	c, out := loader.Start(t, loaderOrder{servers.mysql.Addr, dir, 1, 1, false})
	if err := c.Wait(); err != nil {
		t.Fatal(err, out)
	}
	whole := time.Since(began)
	moved(t, art, servers.mysql, "kill")
	if err := testTarget().Drop(t.Context(), testOwner); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 7))
	kills, loads, fence := 0, 0, uint64(1)
	phases := map[Phase]int{}
	wanted := []Phase{PhaseCompile, PhaseRows, PhaseKeys, PhaseViews}
	missed := func(p Phase) bool { return phases[p] == 0 }
	for kills < 30 || slices.ContainsFunc(wanted, missed) && kills < 200 {
		loads++
		for attempt := 1; ; attempt++ {
			fence++
			c, out := loader.Start(t, loaderOrder{servers.mysql.Addr, dir, fence, 1, false})
			// Each attempt goes on from where the last was, so later instants are as likely to be hit as early ones.
			timer := time.AfterFunc(time.Duration(r.Int64N(int64(whole*2/3))), func() { c.Process.Kill() })
			err := c.Wait()
			timer.Stop()
			if err == nil {
				break
			}
			if c.ProcessState.ExitCode() != -1 {
				t.Fatalf("attempt %d ended by itself: %v\n%s", attempt, err, out)
			}
			kills++
			s, err := testTarget().Look(t.Context(), []string{"kill"})
			if err != nil {
				t.Fatal(err)
			}
			phases[s.Phase]++
		}
		moved(t, art, servers.mysql, "kill")
		// The drop is killed too.
		for {
			fence++
			c, out := loader.Start(t, loaderOrder{servers.mysql.Addr, dir, fence, 1, true})
			timer := time.AfterFunc(time.Duration(r.Int64N(int64(whole/4))), func() { c.Process.Kill() })
			err := c.Wait()
			timer.Stop()
			if err == nil {
				break
			}
			if c.ProcessState.ExitCode() != -1 {
				t.Fatalf("the drop ended by itself: %v\n%s", err, out)
			}
			kills++
		}
		if l := left(t, "kill"); len(l) > 0 {
			t.Fatalf("left after the drop: %q", l)
		}
	}
	t.Logf("killed %d times in %d loads, a whole one taking %s; phases after a kill: %v", kills, loads, whole.Round(time.Millisecond), phases)
	for _, p := range wanted {
		if missed(p) {
			t.Errorf("no kill hit phase %s", p)
		}
	}
}

// TestKillServer kills the target's server at random instants under a load.
func TestKillServer(t *testing.T) {
	art, _ := killSchema(t)
	ctx := deadline(t, 8*time.Minute)
	victim := dbtest.Server(t, servers.lab.MySQL, "victim", dbpair.Options{})
	exec(t, admin(t, victim, ""), "CREATE DATABASE `kill`")
	target := NewTarget(endpoint(victim, dbpair.Loader))
	r := rand.New(rand.NewPCG(9, 9))
	kills, resumes := 0, 0
	for fence := uint64(1); ; fence++ {
		done := make(chan error, 1)
		go func() {
			_, err := target.Load(ctx, art, Owner{string(testRun), fence}, LoadOptions{DeferBytes: 1})
			done <- err
		}()
		if kills < 6 {
			time.Sleep(time.Duration(r.IntN(2500)) * time.Millisecond)
			if err := victim.Kill(); err != nil {
				t.Fatal(err)
			}
			kills++
			if err := victim.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		err := <-done
		if err == nil && kills >= 6 {
			break
		}
		if err == nil { // it got through: begin anew
			if err := target.Drop(ctx, Owner{string(testRun), fence}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, ErrLost) {
			t.Fatalf("not called a lost connection: %v", err)
		}
		resumes++
	}
	t.Logf("server killed %d times, resumed %d times", kills, resumes)
	moved(t, art, victim, "kill")
}
