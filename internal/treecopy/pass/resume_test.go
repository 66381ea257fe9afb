package pass

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

var errKilled = errors.New("killed")

// TestKilledAnywhere: a pass that ends at any operation of either end is taken up by the next, which sends nothing that was recorded, also with what
// changed at the source in between; and both together leave what one alone does.
func TestKilledAnywhere(t *testing.T) {
	for _, first := range []bool{true, false} {
		kills, kept := 0, 0
		for n := 1; ; n += 1 + n/16 {
			src, dst := shop(), newMemory("target")
			dir := t.TempDir()
			o := small
			o.Verify = n%2 == 0
			st, err := OpenState(dir, "source", "target")
			if err != nil {
				t.Fatal(err)
			}
			if !first {
				mustRun(t, src, dst, st, o)
				src.later()
				src.remove("img/b.jpg", "img/big/\xff\n'\"", "img/big")
				src.write("img/big", "now a file")
				src.edit("img/hard", func(f *file) { f.content = []byte("new") })
				src.edit("acl", func(f *file) { f.Mode = 0o600 })
				src.dir("more")
				src.write("more/x", "x")
				src.later()
			}
			total := 0
			kill := func(string, int) error {
				src.mu.Lock()
				defer src.mu.Unlock()
				if total++; total >= n {
					return errKilled
				}
				return nil
			}
			src.fault, dst.fault = kill, kill
			_, err = Run(t.Context(), src, dst, st, o)
			src.fault, dst.fault = nil, nil
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				same(t, src, dst)
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("first %t, operation %d: %v", first, n, err)
			}
			kills++
			st = state(t, dir)
			recorded := map[tree.Path]bool{}
			for e, err := range st.known() {
				if err != nil {
					t.Fatal(err)
				}
				if src.files[e.Path] != nil {
					now := src.stat(e.Path)
					recorded[e.Path] = e.Kind == tree.File && e.unchanged(&now)
				}
			}
			clear(src.read)
			mustRun(t, src, dst, st, o)
			if d := different(src, dst); d != "" {
				t.Fatalf("first %t, operation %d: %s", first, n, d)
			}
			for p := range src.read {
				if recorded[p] {
					t.Errorf("first %t, operation %d: %s was recorded, and sent again", first, n, p)
				}
			}
			for _, yes := range recorded {
				if yes {
					kept++
				}
			}
			if r := mustRun(t, src, dst, st, o); r.Found != (Totals{}) || r.Dirs != 0 {
				t.Errorf("first %t, operation %d: a third pass found %+v", first, n, r)
			}
		}
		if kills < 25 || kept == 0 {
			t.Errorf("first %t: killed %d times, %d recorded", first, kills, kept)
		}
	}
}

// TestLost: a connection that breaks is waited for; what was told of isn't sent again; one that stays broken ends the pass, and the next goes on.
func TestLost(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	left := 3
	lose := func(op string, n int) error {
		if (op == "write" || op == "hash" || op == "finish") && n%3 == 0 && left > 0 {
			left--
			return fmt.Errorf("%s: %w", op, tree.ErrLost)
		}
		return nil
	}
	var waits []time.Duration
	var told []string
	o := small
	o.Parallel, o.Verify = 1, true
	o.Pause = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	o.Tell = func(s string) { told = append(told, s) }
	dst.fault = lose
	r := mustRun(t, src, dst, st, o)
	same(t, src, dst)
	if left != 0 || r.Retried < 3 || len(told) != 3 || waits[0] != reconnect || !strings.Contains(told[0], "the connection was lost; trying again in 1s (1 of 5)") {
		t.Errorf("%d, %+v, %q, %v", left, r, told, waits)
	}
	src.write("new", "new")
	left, waits = 1000, nil
	dst.fault = func(op string, _ int) error {
		if op == "write" {
			return tree.ErrLost
		}
		return nil
	}
	if _, err := Run(t.Context(), src, dst, st, o); !errors.Is(err, tree.ErrLost) || len(waits) != reconnects || waits[4] != 16*time.Second {
		t.Errorf("%v, %v", err, waits)
	}
	dst.fault = nil
	mustRun(t, src, dst, st, o)
	same(t, src, dst)
}

// TestFull: a target that fills up keeps what is recorded; with room the next pass goes on.
func TestFull(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	o := small
	o.Parallel = 1
	dst.room = 3000
	r, err := Run(t.Context(), src, dst, st, o)
	if !errors.Is(err, tree.ErrFull) || r.Sent == 0 || r.Error == "" {
		t.Errorf("%v, %+v", err, r)
	}
	kept := r.Sent
	clear(src.read)
	dst.room = 0
	r = mustRun(t, src, dst, st, o)
	if r.Sent+kept != 10 || r.Kept != kept {
		t.Errorf("%d were kept of %d; %+v", r.Kept, kept, r)
	}
	same(t, src, dst)
}

func entry(p tree.Path, size int64) Entry {
	return Entry{Stat: tree.Stat{Path: p, Kind: tree.File, Size: size, Link: "x", CTime: tree.Time{Sec: -7, Nsec: 5}}, Sum: [32]byte{1, 31: byte(size)}, At: tree.Time{Sec: 9, Nsec: 8}}
}

func known(t *testing.T, s *State) (out []Entry) {
	t.Helper()
	for e, err := range s.known() {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, *e)
	}
	return out
}

func wantKnown(t *testing.T, s *State, want ...Entry) {
	t.Helper()
	if got := known(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("known are %v\nnot %v", got, want)
	}
}

// TestState: later runs count before earlier ones and before the manifest, before and after the state is opened again.
func TestState(t *testing.T) {
	dir := t.TempDir()
	open := func() *State {
		s, err := OpenState(dir, "source", "target")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if _, err := s.bind("r"); err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(s.record([]Entry{entry("b", 1), entry("a-", 1), entry("a", 1), entry("a/x", 1)}))
	do(s.record([]Entry{entry("b", 2)}))
	for range 2 {
		wantKnown(t, s, entry("a", 1), entry("a/x", 1), entry("a-", 1), entry("b", 2))
		do(s.fold())
		wantKnown(t, s, entry("a", 1), entry("a/x", 1), entry("a-", 1), entry("b", 2))
		do(s.Close())
		s = open()
	}
	do(s.record([]Entry{{Stat: tree.Stat{Path: "a/x"}, Gone: true}, entry("c", 3)}))
	do(s.record([]Entry{entry("b", 4)}))
	wantKnown(t, s, entry("a", 1), entry("a-", 1), entry("b", 4), entry("c", 3))
	do(s.fold())
	do(s.Close())
	s = open()
	wantKnown(t, s, entry("a", 1), entry("a-", 1), entry("b", 4), entry("c", 3))
	if s.of.root != "r" {
		t.Errorf("root %q", s.of.root)
	}
	var locked *LockedError
	if _, err := OpenState(dir, "source", "target"); !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d holds ", os.Getpid())) {
		t.Error(err)
	}
	do(s.Close())
	if _, err := OpenState(dir, "source", "other"); !errors.Is(err, ErrOther) {
		t.Error(err)
	}
}

// TestTornLog: a log that is cut off anywhere loses its last run alone; one that is altered before its end is refused; so is a manifest that is
// altered or cut off anywhere.
func TestTornLog(t *testing.T) {
	dir := t.TempDir()
	s := state(t, dir)
	for i, p := range []tree.Path{"a", "b", "c"} {
		if err := s.record([]Entry{entry(p, int64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	two := s.runs[2].off - frameHead
	try := func(name string, b []byte) (*State, error) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenState(dir, "source", "target")
		if err == nil {
			t.Cleanup(func() { s.Close() })
		}
		return s, err
	}
	for n := two; n < int64(len(log)); n++ {
		for _, tail := range []string{"", strings.Repeat("\x00", int(int64(len(log))-n)), strings.Repeat("?", int(int64(len(log))-n))} {
			s, err := try(logName, append(log[:n:n], tail...))
			if err != nil {
				t.Fatalf("cut at %d of %d: %v", n, len(log), err)
			}
			if string(log[n:]) == tail { // the last bytes are zeros anyway
				continue
			}
			wantKnown(t, s, entry("a", 0), entry("b", 1))
			if err := s.record([]Entry{entry("d", 1)}); err != nil {
				t.Fatal(err)
			}
			wantKnown(t, s, entry("a", 0), entry("b", 1), entry("d", 1))
		}
	}
	refused := 0
	for n := range two {
		bad := append([]byte(nil), log...)
		bad[n] ^= 0x40
		if s, err := try(logName, bad); err == nil {
			// The length of a frame can be so wrong that all behind it looks cut off: then what is before it holds.
			if got := known(t, s); len(got) > 1 {
				t.Errorf("byte %d is another, and nobody saw it: %v", n, got)
			}
		} else if refused++; !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", n, err)
		}
	}
	if refused < int(two)*3/4 {
		t.Errorf("%d of %d were refused", refused, two)
	}
	if err := s.fold(); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	for n := range manifest {
		bad := append([]byte(nil), manifest...)
		bad[n] ^= 0x40
		for _, b := range [][]byte{bad, manifest[:n]} {
			s, err := try(manifestName, b)
			if err == nil {
				for _, err = range s.known() {
				}
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d of %d: %v", n, len(manifest), err)
			}
		}
	}
}
