package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

func gather[T any](into *[]T) func(T) error {
	return func(v T) error {
		*into = append(*into, v)
		return nil
	}
}

// Each question arrives as it was asked, and each answer as it was given.
func TestEveryOperation(t *testing.T) {
	ctx := t.Context()
	var stats []tree.Stat
	for i := range 10_000 {
		stats = append(stats, tree.Stat{Path: tree.Path(fmt.Sprintf("%d\xff\n", i)), Kind: tree.File, Size: int64(i), MTime: tree.Time{Sec: -1, Nsec: 5}})
	}
	f := &fake{
		stats:   stats,
		sums:    []tree.Sum{{Member: tree.Member{Stat: tree.Stat{Path: "a"}}, End: tree.End{State: tree.Gone}}, {End: tree.End{State: tree.Stable, Sum: [32]byte{1, 31: 2}, Why: "w"}}},
		keeps:   tree.Keeps{Root: "r", Owners: true, ACLs: true, Grain: 1, Bytes: 1 << 60, Inodes: -1, UID: 1 << 31},
		written: []tree.Written{{Path: "a", State: tree.Failed, Why: "so"}},
		stream:  strings.Repeat("some of each file", 100_000),
	}
	m := &machine{f: f}
	tr := m.open(t, Options{Hello: Hello{Root: "/srv\xff", Gentle: true, Rate: 4000}})
	if tr.Name() != "ssh://files1/srv" {
		t.Error(tr.Name())
	}
	paths := []tree.Path{"a", "b/\n", "", tree.Path(strings.Repeat("long/", 200) + "x")}
	check := func(what string, err error, got, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %.300v\nwant %.300v", what, err, got, want)
		}
	}
	var gotStats []tree.Stat
	check("List", tr.List(ctx, gather(&gotStats)), gotStats, stats)
	var read bytes.Buffer
	err := tr.Read(ctx, paths, &read)
	check("Read", err, read.String(), f.stream)
	check("Read's paths", nil, f.paths, paths)
	f.paths = nil
	var sums []tree.Sum
	check("Hash", tr.Hash(ctx, paths, gather(&sums)), sums, f.sums)
	check("Hash's paths", nil, f.paths, paths)
	keeps, err := tr.Probe(ctx)
	check("Probe", err, keeps, f.keeps)
	text := strings.Repeat("a stream", 200_000)
	var written []tree.Written
	check("Write", tr.Write(ctx, strings.NewReader(text), gather(&written)), written, f.written)
	check("Write's input", nil, f.stream == text, true)
	check("Remove", tr.Remove(ctx, paths[:2]), f.paths, paths[:2])
	dirs := []tree.Member{{Stat: tree.Stat{Path: "d", Kind: tree.Directory, Mode: 0o2755}, Attrs: []tree.Attr{{Name: "user.a", Value: "\x00"}}}, {}}
	check("Finish", tr.Finish(ctx, dirs), f.dirs, dirs)
	check("Sweep", tr.Sweep(ctx), nil, nil)
	check("hello", nil, m.hellos, []Hello{{Root: "/srv\xff", Gentle: true, Rate: 1000}})
}

// An error keeps its kind and its text on the way, is named after its place, and the session goes on.
func TestErrorsKeepTheirKind(t *testing.T) {
	for _, kind := range append(slices.Clone(kinds), errors.New("of no kind")) {
		f := &fake{err: fmt.Errorf("file 7: %w", kind)}
		m := &machine{f: f}
		tr := m.open(t, Options{})
		for what, err := range map[string]error{"List": tr.List(t.Context(), gather(new([]tree.Stat))), "Remove": tr.Remove(t.Context(), nil)} {
			if err == nil || !strings.Contains(err.Error(), "ssh://files1/srv: file 7: "+kind.Error()) {
				t.Errorf("%s: %v: %v", what, kind, err)
			}
			for _, k := range kinds {
				if errors.Is(err, k) != (k == kind) {
					t.Errorf("%s: %v is %v: %v", what, err, k, k != kind)
				}
			}
		}
		if n := m.started.Load(); n != 1 {
			t.Errorf("%v: %d sessions for two calls", kind, n)
		}
	}
}

func TestReadOnlyRefuses(t *testing.T) {
	f := &fake{stats: []tree.Stat{{Path: "a"}}}
	tr := (&machine{f: f}).open(t, Options{Hello: Hello{ReadOnly: true}})
	_, probe := tr.Probe(t.Context())
	for what, err := range map[string]error{
		"Probe": probe, "Write": tr.Write(t.Context(), strings.NewReader("x"), nil), "Remove": tr.Remove(t.Context(), []tree.Path{"a"}),
		"Finish": tr.Finish(t.Context(), []tree.Member{{}}), "Sweep": tr.Sweep(t.Context()),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if f.paths != nil || f.dirs != nil || f.stream != "" {
		t.Errorf("it was asked: %q %v %q", f.paths, f.dirs, f.stream)
	}
	if err := tr.List(t.Context(), gather(new([]tree.Stat))); err != nil {
		t.Error(err)
	}
}

// What would lead out of the tree is refused by the agent before its tree is asked.
func TestUnsafePathsAreRefused(t *testing.T) {
	f := &fake{}
	tr := (&machine{f: f}).open(t, Options{})
	bad := []tree.Path{"a/../../b"}
	for what, err := range map[string]error{
		"Read": tr.Read(t.Context(), bad, io.Discard), "Hash": tr.Hash(t.Context(), bad, nil), "Remove": tr.Remove(t.Context(), bad),
		"Finish": tr.Finish(t.Context(), []tree.Member{{Stat: tree.Stat{Path: bad[0]}}}),
	} {
		if !errors.Is(err, ErrProtocol) && !errors.Is(err, tree.ErrUnsafe) || !strings.Contains(err.Error(), "lead out") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if f.paths != nil || f.dirs != nil {
		t.Errorf("it was asked: %q %v", f.paths, f.dirs)
	}
}

// Calls side by side have a session each, to the number that may be, and the sessions that they leave are used again.
func TestCallsSideBySide(t *testing.T) {
	f := &fake{hang: make(chan struct{})}
	m := &machine{f: f}
	tr := m.open(t, Options{Sessions: 3})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := tr.Remove(t.Context(), []tree.Path{"a"}); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "three go on", func() bool { return f.running.Load() == 3 })
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	if err := tr.Sweep(ctx); !errors.Is(err, errEnough) {
		t.Errorf("a call that waits and is cancelled: %v", err)
	}
	close(f.hang)
	wg.Wait()
	if f.most.Load() != 3 || m.started.Load() != 3 {
		t.Errorf("%d at once, %d sessions", f.most.Load(), m.started.Load())
	}
	if live := m.lives; live[0] != 0 || live[1] == 0 || live[2] == 0 {
		t.Errorf("started from %d", live)
	}
}

var errEnough = errors.New("enough")

// A call that is cancelled returns at once, its agent ends, and the next call has another.
func TestCancel(t *testing.T) {
	f := &fake{hang: make(chan struct{})}
	m := &machine{f: f}
	tr := m.open(t, Options{Sessions: 1})
	for what, call := range map[string]func(context.Context) error{
		"Remove": func(ctx context.Context) error { return tr.Remove(ctx, []tree.Path{"a"}) },
		"Write": func(ctx context.Context) error {
			r, _ := io.Pipe() // that nobody feeds
			return tr.Write(ctx, r, nil)
		},
	} {
		before := m.started.Load()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(errEnough) })
		began := time.Now()
		if err := call(ctx); !errors.Is(err, errEnough) || time.Since(began) > 2*time.Second {
			t.Errorf("%s: %v after %s", what, err, time.Since(began))
		}
		eventually(t, what+": its agent ends", func() bool { return m.running.Load() == 0 })
		if what == "Remove" && f.asked() == nil {
			t.Error("the tree wasn't told to stop")
		}
		if m.started.Load() > before+1 {
			t.Errorf("%s: %d agents for one call", what, m.started.Load()-before)
		}
	}
	close(f.hang)
	if err := tr.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
}

// An error of who is told ends a call, and is returned as it is.
func TestWhoIsToldHasEnough(t *testing.T) {
	m := &machine{f: &fake{stats: make([]tree.Stat, 100_000), sums: make([]tree.Sum, 1), written: make([]tree.Written, 1), stream: "x"}}
	for i := range m.f.stats {
		m.f.stats[i].Path = "a"
	}
	m.f.sums[0].State, m.f.written[0].State = tree.Gone, tree.Gone
	tr := m.open(t, Options{})
	r, w := io.Pipe()
	defer w.Close()
	for what, err := range map[string]error{
		"List":  tr.List(t.Context(), func(tree.Stat) error { return errEnough }),
		"Hash":  tr.Hash(t.Context(), []tree.Path{"a"}, func(tree.Sum) error { return errEnough }),
		"Read":  tr.Read(t.Context(), []tree.Path{"a"}, full{}),
		"Write": writeTold(t, tr, r),
	} {
		if err != errEnough { //nolint:errorlint // as it is
			t.Errorf("%s: %v", what, err)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errEnough }

func writeTold(t *testing.T, tr *Tree, in *io.PipeReader) error {
	defer in.Close()
	time.AfterFunc(50*time.Millisecond, func() { _ = in.Close() })
	return tr.Write(t.Context(), io.MultiReader(in, strings.NewReader("x")), func(tree.Written) error { return errEnough })
}

// What is to be written breaks off: the tree doesn't take what came for the whole, the call gives the reader's own error, and the session goes on.
func TestInputBreaksOff(t *testing.T) {
	f := &fake{stream: "before"}
	m := &machine{f: f}
	tr := m.open(t, Options{})
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "some of it")
		w.CloseWithError(errEnough)
	}()
	if err := tr.Write(t.Context(), r, nil); err != errEnough { //nolint:errorlint // as it is
		t.Errorf("%v", err)
	}
	if f.stream != "before" {
		t.Errorf("it took %q", f.stream)
	}
	f.early = true // a tree that has all that it wants doesn't hear of it
	r, w = io.Pipe()
	w.CloseWithError(errEnough)
	if err := tr.Write(t.Context(), r, nil); err != errEnough { //nolint:errorlint // as it is
		t.Errorf("%v", err)
	}
	if err := tr.Sweep(t.Context()); err != nil || m.started.Load() != 1 {
		t.Errorf("%d sessions, %v", m.started.Load(), err)
	}
}

// A tree that refuses before it has read what is to be written is heard, though more could still come.
func TestRefusedWhileInputWaits(t *testing.T) {
	m := &machine{f: &fake{early: true, err: tree.ErrFull}}
	tr := m.open(t, Options{})
	r, w := io.Pipe()
	defer w.Close()
	if err := tr.Write(t.Context(), r, nil); !errors.Is(err, tree.ErrFull) {
		t.Errorf("%v", err)
	}
	// One that would be fed for ever is heard, too.
	if err := tr.Write(t.Context(), endless{}, nil); !errors.Is(err, tree.ErrFull) {
		t.Errorf("%v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// When an agent ends in the middle, that is ErrLost, with why it ended; the next call has another.
func TestLost(t *testing.T) {
	f := &fake{hang: make(chan struct{})}
	m := &machine{f: f}
	var kill context.CancelCauseFunc
	start := func(ctx context.Context, live int, in io.Reader, out io.Writer) error {
		ctx, kill = context.WithCancelCause(ctx)
		err := m.start(ctx, live, in, out)
		return fmt.Errorf("%w: %w", tree.ErrLost, err)
	}
	tr, err := Open(t.Context(), Options{Name: "x"}, start)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	time.AfterFunc(20*time.Millisecond, func() { kill(errors.New("the machine burns")) })
	err = tr.Remove(t.Context(), []tree.Path{"a"})
	if !errors.Is(err, tree.ErrLost) || !strings.Contains(err.Error(), "the machine burns") {
		t.Errorf("%v", err)
	}
	close(f.hang)
	if err := tr.Remove(t.Context(), []tree.Path{"b"}); err != nil || m.started.Load() != 2 {
		t.Errorf("%d sessions, %v", m.started.Load(), err)
	}
}

// A later session at another directory is refused: what was mounted there isn't any more.
func TestOtherRoot(t *testing.T) {
	f := &fake{hang: make(chan struct{})}
	m := &machine{f: f, rootOf: func(n int) Identity { return Identity{1, uint64(min(n, 2))} }}
	tr := m.open(t, Options{})
	done := make(chan error)
	go func() { done <- tr.Sweep(t.Context()) }()
	eventually(t, "the first session is busy", func() bool { return f.running.Load() == 1 })
	if err := tr.Remove(t.Context(), []tree.Path{"a"}); !errors.Is(err, ErrOtherRoot) || f.paths != nil {
		t.Errorf("%v; asked for %q", err, f.paths)
	}
	close(f.hang)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A machine that goes down takes all sessions with it: one call finds out, and the next has a new one.
func TestMachineGoesDown(t *testing.T) {
	f := &fake{hang: make(chan struct{})}
	m := &machine{f: f}
	up, down := context.WithCancel(t.Context())
	start := func(ctx context.Context, live int, in io.Reader, out io.Writer) error {
		ctx, end := context.WithCancel(ctx)
		defer end()
		defer context.AfterFunc(up, end)()
		return fmt.Errorf("%w: %w", tree.ErrLost, m.start(ctx, live, in, out))
	}
	tr, err := Open(t.Context(), Options{Name: "x"}, start)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := tr.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "three go on", func() bool { return f.running.Load() == 3 })
	close(f.hang)
	wg.Wait()
	down()
	eventually(t, "all are down", func() bool { return m.running.Load() == 0 })
	up = t.Context()
	if err := tr.Sweep(t.Context()); !errors.Is(err, tree.ErrLost) {
		t.Errorf("%v", err)
	}
	if err := tr.Sweep(t.Context()); err != nil {
		t.Errorf("%v", err)
	}
}

// An agent that doesn't end with its input is ended.
func TestCloseEndsWhatDoesNotEnd(t *testing.T) {
	ended := false
	tr, err := Open(t.Context(), Options{}, func(ctx context.Context, _ int, in io.Reader, out io.Writer) error {
		_, _ = io.WriteString(out, greet(1, "b")+"k\x02\x01\x01")
		_, _ = io.Copy(io.Discard, in)
		<-ctx.Done()
		ended = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := tr.Close(); err != nil || !ended || time.Since(began) > 2*endGrace {
		t.Errorf("%v; ended: %v, after %s", err, ended, time.Since(began))
	}
}
