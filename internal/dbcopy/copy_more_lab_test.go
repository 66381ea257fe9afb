//go:build lab

package dbcopy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// own starts a server of a test's own.
func own(t testing.TB, start func(context.Context, string, dbpair.Options) (*dbpair.Server, error), name string, o dbpair.Options) *dbpair.Server {
	t.Helper()
	s := dbtest.Server(t, start, name, o)
	exec(t, admin(t, s, ""), "CREATE DATABASE killed CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	return s
}

// TestKillServers kills the source's and the target's server at random instants under a copy, and changes rows in between.
func TestKillServers(t *testing.T) {
	maria, my := own(t, servers.lab.MariaDB, "victim-a", dbpair.Options{}), own(t, servers.lab.MySQL, "victim-b", dbpair.Options{})
	killTables(t, maria)
	r := rand.New(rand.NewPCG(3, 8))
	o := small("killed", true)
	src, dst := NewSource(endpoint(maria, dbpair.Reader)), NewTarget(endpoint(my, dbpair.Loader))
	kills, ends := map[string]int{}, 0
	for i := 0; ; i++ {
		done := make(chan error, 1)
		go func() { _, err := Copy(t.Context(), src, dst, o); done <- err }()
		if i < 4 {
			time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
			victim := []*dbpair.Server{maria, my}[i%2]
			if err := victim.Kill(); err != nil {
				t.Fatal(err)
			}
			kills[victim.Name]++
			if err := victim.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		err := <-done
		if err != nil && (!errors.Is(err, ErrLost) || i >= 4) {
			t.Fatalf("after %v: %v", kills, err)
		}
		if err != nil {
			ends++
		}
		s, lerr := dst.Look(t.Context(), []string{"killed"})
		if lerr != nil {
			t.Fatal(lerr)
		}
		if err == nil && i < 4 { // it got through: begin anew
			exec(t, admin(t, my, ""), "DROP DATABASE killed", "DROP DATABASE _slipway", "CREATE DATABASE killed")
		}
		if err == nil && i >= 4 {
			break
		}
		if s.Phase == PhaseRows {
			change(t, maria, r)
		}
	}
	if ends == 0 {
		t.Error("each copy was quicker than the kill: nothing is proven")
	}
	t.Logf("killed %v; %d copies broke off", kills, ends)
	copied(t, maria, my, "killed")
}

// TestTwoCopies: of two copies at once the later goes on, and the earlier one stops.
func TestTwoCopies(t *testing.T) {
	schemas(t, "killed")
	killTables(t, servers.maria)
	o := small("killed", false)
	o.ChunkBytes = 4000
	first := make(chan error, 1)
	go func() { _, err := Copy(t.Context(), testSource(), testTarget(), o); first <- err }()
	for {
		s, err := testTarget().Look(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Chunks > 3 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	got, err := Copy(t.Context(), testSource(), testTarget(), o)
	if err != nil || got.Fence != 2 {
		t.Errorf("the later one: %+v, %v", got, err)
	}
	if err := <-first; !errors.Is(err, ErrFenced) {
		t.Errorf("the earlier one: %v", err)
	}
	copied(t, servers.maria, servers.mysql, "killed")
}

// TestCopyPauses: while more threads run at the source than are allowed, nothing is read, and it is said why.
func TestCopyPauses(t *testing.T) {
	schemas(t, "killed")
	killTables(t, servers.maria)
	busy, ended := context.WithCancel(t.Context())
	defer ended()
	for range 8 {
		go func() { _, _ = admin(t, servers.maria, "").ExecContext(busy, "SELECT SLEEP(60)") }()
	}
	var mu sync.Mutex
	var paused []CopyProgress
	o := small("killed", false)
	o.MaxRunning = 7
	o.Progress = func(p CopyProgress) {
		mu.Lock()
		defer mu.Unlock()
		if p.Paused != "" {
			if paused = append(paused, p); len(paused) == 3 {
				ended()
			}
		}
	}
	got := copyAll(t, o)
	mu.Lock()
	defer mu.Unlock()
	if len(paused) < 3 || !strings.Contains(paused[0].Paused, "threads run at the source, and --max-running is 7") || got.Took.Paused < time.Second {
		t.Fatalf("%d times: %+v; %+v", len(paused), paused, got.Took)
	}
	if moved := paused[2].Rows - paused[1].Rows; moved > 0 {
		t.Errorf("%d rows were read while it was paused", moved)
	}
	copied(t, servers.maria, servers.mysql, "killed")
}

// TestSourceLag: a replica that is behind isn't read.
func TestSourceLag(t *testing.T) {
	replica := own(t, servers.lab.MariaDB, "replica", dbpair.Options{Args: []string{"--server-id=77"}})
	db := admin(t, replica, "")
	host, port, _ := strings.Cut(servers.maria.Addr, ":")
	exec(t, db, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%s, MASTER_USER='root', MASTER_PASSWORD='%s', MASTER_LOG_FILE='none.000001'", host, port, dbpair.Password))
	p := newPace(endpoint(replica, dbpair.Reader), CopyOptions{MaxLag: time.Second}, func(string) {})
	if why, err := p.look(t.Context(), db); err != nil || !strings.Contains(why, "its replication isn't running") {
		t.Errorf("it doesn't replicate: %q, %v", why, err)
	}
	exec(t, db, "RESET SLAVE ALL", fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%s, MASTER_USER='root', MASTER_PASSWORD='%s', MASTER_USE_GTID=no, MASTER_DELAY=100", host, port, dbpair.Password), "START SLAVE")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		why, err := p.look(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(why, " s behind "+host+", and --max-lag is 1s") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it lags by 100 s, and: %q", why)
		}
	}
}

// TestCopyRefused: what is wrong is said before anything is made, with the statement that mends it.
func TestCopyRefused(t *testing.T) {
	maria, my := schemas(t, "killed")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, b LONGBLOB)", "INSERT INTO a VALUES (1, REPEAT('x', 3000000))")
	refuse := func(src *Source, dst *Target, want string) {
		t.Helper()
		before := left(t, "killed")
		_, err := Copy(t.Context(), src, dst, small("killed", false))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		if after := left(t, "killed"); !slices.Equal(before, after) {
			t.Errorf("it had %q and has %q", before, after)
		}
	}
	exec(t, my, "CREATE TABLE theirs (id INT)")
	refuse(testSource(), testTarget(), "killed.theirs: the target isn't empty")
	exec(t, my, "DROP DATABASE killed")
	refuse(testSource(), testTarget(), "fix: CREATE DATABASE `killed`")
	exec(t, my, "CREATE DATABASE killed")
	exec(t, my, "CREATE USER poor@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'", "GRANT SELECT ON *.* TO poor@'127.0.0.1'")
	defer exec(t, my, "DROP USER poor@'127.0.0.1'")
	refuse(testSource(), NewTarget(endpoint(servers.mysql, "poor")), "GRANT ALL ON `killed`.* TO 'poor'@'127.0.0.1'; GRANT ALL ON `\\_slipway`.* TO 'poor'@'127.0.0.1'")
	exec(t, maria, "CREATE USER poor@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
	defer exec(t, maria, "DROP USER poor@'127.0.0.1'")
	refuse(NewSource(endpoint(servers.maria, "poor")), testTarget(), "fix: GRANT SELECT ON `killed`.* TO 'poor'@'127.0.0.1'")
	silent := own(t, servers.lab.MariaDB, "silent", dbpair.Options{Args: []string{"--skip-log-bin"}})
	refuse(NewSource(endpoint(silent, dbpair.Reader)), testTarget(), "the binary log is off: a snapshot would have no position")
	// A row that is too long is found when it comes.
	exec(t, my, "SET GLOBAL max_allowed_packet = 1048576")
	_, err := Copy(t.Context(), testSource(), testTarget(), small("killed", false))
	exec(t, my, "SET GLOBAL max_allowed_packet = DEFAULT")
	var long *TooLongError
	if !errors.As(err, &long) || !strings.Contains(err.Error(), "SET GLOBAL max_allowed_packet = ") {
		t.Errorf("a row of 3 MB where 1 MiB is taken: %v", err)
	}
	exec(t, maria, "ALTER TABLE a ADD c INT")
	if _, err := Copy(t.Context(), testSource(), testTarget(), small("killed", false)); !errors.Is(err, ErrOtherDefinitions) {
		t.Errorf("a column came in between: %v", err)
	}
	exec(t, maria, "ALTER TABLE a DROP c")
	copyAll(t, small("killed", true))
	copied(t, servers.maria, servers.mysql, "killed")
}
