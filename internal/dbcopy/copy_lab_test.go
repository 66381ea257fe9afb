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
)

// copierChild is a copier that can be killed.
const copierChild dbtest.Child[copierOrder] = "SLIPWAY_TEST_COPIER"

type copierOrder struct {
	From, To string
	Schema   string
	Verify   bool
}

func (o copierOrder) run() error {
	_, err := Copy(context.Background(), NewSource(Endpoint{Name: "maria", Addr: o.From, User: dbpair.Reader, Password: secret.New(dbpair.Password)}),
		NewTarget(Endpoint{Name: "mysql", Addr: o.To, User: dbpair.Loader, Password: secret.New(dbpair.Password)}), small(o.Schema, o.Verify))
	return err
}

// copierStatus is what a copier ends with.
func copierStatus(err error) int {
	if errors.Is(err, ErrLost) {
		return 3
	}
	return 1
}

// small makes many chunks of few rows, and keys after the rows.
func small(schema string, verify bool) CopyOptions {
	return CopyOptions{Schemas: []string{schema}, ChunkBytes: 20_000, DeferBytes: 1, Verify: verify, Again: "slipway db copy"}
}

func copyAll(t testing.TB, o CopyOptions) Copied {
	t.Helper()
	got, err := Copy(t.Context(), testSource(), testTarget(), o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// copied fails the test unless the target has what the source has, by the oracle.
func copied(t testing.TB, maria, my *dbpair.Server, schema string) (rows int) {
	t.Helper()
	a, b := admin(t, maria, schema), admin(t, my, schema)
	rows = dbtest.EqualTables(t, a, b)
	for _, s := range []string{"STATISTICS WHERE TABLE_SCHEMA = ?", "TABLE_CONSTRAINTS WHERE CONSTRAINT_TYPE = 'FOREIGN KEY' AND TABLE_SCHEMA = ?", "VIEWS WHERE TABLE_SCHEMA = ?", "ROUTINES WHERE ROUTINE_SCHEMA = ?"} {
		if x, y := dbtest.One(t, a, "SELECT COUNT(*) FROM information_schema."+s, schema), dbtest.One(t, b, "SELECT COUNT(*) FROM information_schema."+s, schema); x != y {
			t.Errorf("%s: %s at the source, %s at the target", s, x, y)
		}
	}
	return rows
}

// killTables has tables of many chunks, with a key of two columns of text and number, with unique keys besides, without a key, and
// with one that both servers order each in its way.
func killTables(t testing.TB, s *dbpair.Server) {
	t.Helper()
	exec(t, admin(t, s, "killed"),
		"CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(100), x INT, u INT UNIQUE, KEY x (x), UNIQUE KEY sx (s, x))",
		"CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, p INT NOT NULL, t TEXT, KEY p (p), CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id))",
		"CREATE TABLE two (a VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL, b INT NOT NULL, d DOUBLE, PRIMARY KEY (a, b))",
		"CREATE TABLE heap (x INT, s VARCHAR(100))",
		"CREATE TABLE own (id UUID PRIMARY KEY, x INT)",
		"CREATE VIEW v1 AS SELECT c.id, p.s FROM c JOIN p ON c.p = p.id",
		"CREATE PROCEDURE r1() SELECT COUNT(*) FROM p", "CREATE PROCEDURE r2(IN s VARCHAR(9)) BEGIN SELECT id FROM c WHERE t = s; END",
		"INSERT INTO p (s, x, u) SELECT CONCAT(REPEAT('x', seq % 90), seq), seq, seq FROM seq_1_to_6000",
		"INSERT INTO c (p, t) SELECT seq, CONCAT('word', seq, ' some text') FROM seq_1_to_6000",
		"INSERT INTO two SELECT CONCAT('k', seq % 50), seq, seq / 7 FROM seq_1_to_4000",
		"INSERT INTO heap SELECT seq % 100, REPEAT('y', 50) FROM seq_1_to_2000",
		"INSERT INTO own SELECT UUID(), seq FROM seq_1_to_500")
}

// TestCopy: all tables, their keys and views, several readers inside one table, and nothing to do the second time.
func TestCopy(t *testing.T) {
	schemas(t, "killed")
	killTables(t, servers.maria)
	got := copyAll(t, small("killed", true))
	if n := copied(t, servers.maria, servers.mysql, "killed"); int64(n) != got.Rows || !got.Verified || got.Already || got.Kept != 0 || got.Position.File.IsZero() || got.Connections != 4 {
		t.Errorf("%d rows; %+v", n, got)
	}
	if got.Chunks < 20 {
		t.Errorf("%d chunks", got.Chunks)
	}
	again := copyAll(t, small("killed", true))
	if !again.Already || again.Rows != got.Rows || again.Fence != 2 || again.Position.File != got.Position.File {
		t.Errorf("the second time: %+v", again)
	}
	exec(t, admin(t, servers.mysql, "killed"), "UPDATE two SET d = d + 1 WHERE b = 17")
	var differs *DifferentError
	if _, err := Copy(t.Context(), testSource(), testTarget(), small("killed", true)); !errors.As(err, &differs) || len(differs.Differences) != 1 || differs.Differences[0].Object != "table killed.two" {
		t.Errorf("a row was changed at the target: %v", err)
	}
}

// change changes rows everywhere: new ones, gone ones, others at either end and outside of all edges, and unique values that go from one
// row to another.
func change(t testing.TB, s *dbpair.Server, r *rand.Rand) {
	t.Helper()
	db := admin(t, s, "killed")
	n := r.IntN(5800) + 1
	exec(t, db,
		fmt.Sprintf("UPDATE p SET x = x + 1 WHERE id BETWEEN %d AND %d", n, n+3),
		fmt.Sprintf("DELETE FROM c WHERE id BETWEEN %d AND %d", n, n+20),
		fmt.Sprintf("INSERT INTO p (s, x) VALUES ('new', %d), ('newer', %d)", r.Int32(), r.Int32()),
		fmt.Sprintf("INSERT INTO p (id, s, x) SELECT -seq, CONCAT('below', seq), 1 FROM seq_%[1]d_to_%[1]d ON DUPLICATE KEY UPDATE x = x + 1", r.IntN(100000)+1),
		fmt.Sprintf("INSERT INTO two VALUES ('a', %d, 0.1), ('zz', %d, -0.0) ON DUPLICATE KEY UPDATE d = d + 1", r.Int32(), r.Int32()),
		fmt.Sprintf("UPDATE two SET b = b + 10000 WHERE b = %d", n%4000),
		fmt.Sprintf("UPDATE p SET u = -1 WHERE u = %d", n), fmt.Sprintf("UPDATE p SET u = %d WHERE u = %d", n, 5900+n%100), fmt.Sprintf("UPDATE p SET u = %d WHERE u = -1", 5900+n%100),
		"INSERT INTO heap VALUES (NULL, '')", "DELETE FROM heap WHERE x = 7 LIMIT 1", "INSERT INTO own VALUES (UUID(), 0)")
}

// TestKillCopier kills the copying program at random instants and changes rows before it goes on. At the end the target has the rows of
// the last view, each once.
func TestKillCopier(t *testing.T) {
	schemas(t, "killed")
	killTables(t, servers.maria)
	o := copierOrder{servers.maria.Addr, servers.mysql.Addr, "killed", true}
	began := time.Now()
	c, out := copierChild.Start(t, o)
	if err := c.Wait(); err != nil {
		t.Fatal(err, out)
	}
	whole := time.Since(began)
	r := rand.New(rand.NewPCG(11, 4))
	kills, copies := 0, 0
	phases := map[Phase]int{}
	wanted := []Phase{PhaseCompile, PhaseRows, PhaseKeys}
	missed := func(p Phase) bool { return phases[p] == 0 }
	for kills < 25 || slices.ContainsFunc(wanted, missed) && kills < 300 {
		exec(t, admin(t, servers.mysql, ""), "DROP DATABASE killed", "DROP DATABASE _slipway", "CREATE DATABASE killed")
		copies++
		for {
			c, out := copierChild.Start(t, o)
			timer := time.AfterFunc(time.Duration(r.Int64N(int64(whole))), func() { c.Process.Kill() })
			err := c.Wait()
			timer.Stop()
			if err == nil {
				break
			}
			if c.ProcessState.ExitCode() != -1 {
				t.Fatalf("it ended by itself: %v\n%s", err, out)
			}
			kills++
			s, err := testTarget().Look(t.Context(), []string{"killed"})
			if err != nil {
				t.Fatal(err)
			}
			phases[s.Phase]++
			if s.Phase == PhaseRows || s.Phase == PhaseCompile || s.Phase == "" {
				change(t, servers.maria, r) // afterwards no view is opened any more
			}
		}
		copied(t, servers.maria, servers.mysql, "killed")
	}
	t.Logf("killed %d times in %d copies, a whole one taking %s; phases after a kill: %v", kills, copies, whole.Round(time.Millisecond), phases)
	for _, p := range wanted {
		if missed(p) {
			t.Errorf("no kill hit phase %s", p)
		}
	}
}
