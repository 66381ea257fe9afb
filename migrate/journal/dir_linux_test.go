package journal_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

func TestDirIsPrivate(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	dir, err := journal.MakeDir(root, "r1")
	if err != nil {
		t.Fatal(err)
	}
	j, _ := open(t, dir)
	if _, err := j.Append(record(0)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{root: 0o700, dir.Path(): 0o700,
		filepath.Join(dir.Path(), journal.Name): 0o600, filepath.Join(dir.Path(), journal.LockName): 0o600} {
		st, err := os.Stat(name)
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.MakeDir(root, "r1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if err := os.Chmod(dir.Path(), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.OpenDir(dir.Path()); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("opened a directory that others may look into: %v", err)
	}
	if _, err := journal.OpenDir(filepath.Join(root, "nope")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestDirReplays(t *testing.T) {
	dir, err := journal.MakeDir(t.TempDir(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	for life := range 3 {
		j, recs := open(t, dir)
		if len(recs) != 5*life {
			t.Fatalf("%d records", len(recs))
		}
		for i := range 5 {
			if _, err := j.Append(record(5*life + i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir.Path(), journal.Name)
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":16,"prev":"`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	j, recs := open(t, dir)
	if len(recs) != 15 || j.Torn() == nil {
		t.Fatalf("%d records, torn %v", len(recs), j.Torn())
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := count(b); n != 15 || err != nil {
		t.Errorf("after the cut: %d records, %v", n, err)
	}
}

const holdVariable = "JOURNAL_TEST_HOLD"

// TestHolder is the other process of TestLockBetweenProcesses: it holds a run until it is killed.
func TestHolder(t *testing.T) {
	path := os.Getenv(holdVariable)
	if path == "" {
		return
	}
	dir, err := journal.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	h := me
	h.PID = os.Getpid()
	j, err := journal.Open(dir, h, func(journal.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("held\n"); err != nil {
		t.Fatal(err)
	}
	for j.Held() == nil { // and so j is not garbage
		time.Sleep(time.Second)
	}
}

// The second process is told who holds the run; asking disturbs nobody; when the holder is killed, with no chance to do
// anything about it, the run is free.
func TestLockBetweenProcesses(t *testing.T) {
	dir, err := journal.MakeDir(t.TempDir(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if _, held, err := dir.Holder(); held || err != nil {
		t.Fatalf("held %v, %v", held, err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHolder$")
	cmd.Env = append(os.Environ(), holdVariable+"="+dir.Path())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatal(line, err)
	}
	want := me
	want.PID = cmd.Process.Pid
	for range 2 {
		if h, held, err := dir.Holder(); h != want || !held || err != nil {
			t.Errorf("%v %v %v", h, held, err)
		}
		var locked *journal.LockedError
		if _, err := journal.Open(dir, me, func(journal.Record) error { return nil }); !errors.As(err, &locked) || locked.Holder != want {
			t.Errorf("%v", err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if _, held, err := dir.Holder(); held || err != nil {
		t.Errorf("the lock outlived its process: %v", err)
	}
	j, _ := open(t, dir)
	if h, held, err := dir.Holder(); h != me || !held || err != nil {
		t.Errorf("%v %v %v", h, held, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Who deletes or replaces the lock file takes the lock away, and that is noticed.
func TestLockFileTakenAway(t *testing.T) {
	for _, replace := range []bool{false, true} {
		dir, err := journal.MakeDir(t.TempDir(), "r1")
		if err != nil {
			t.Fatal(err)
		}
		j, _ := open(t, dir)
		if err := j.Held(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir.Path(), journal.LockName)); err != nil {
			t.Fatal(err)
		}
		if replace {
			other, _ := open(t, dir)
			if _, err := other.Append(record(0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Held(); !errors.Is(err, journal.ErrLockLost) {
			t.Errorf("replaced %v: %v", replace, err)
		}
		if _, err := j.Append(record(1)); !errors.Is(err, journal.ErrLockLost) {
			t.Errorf("replaced %v: it wrote: %v", replace, err)
		}
	}
}
