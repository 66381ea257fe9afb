package agent

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// fake is a tree that answers with what it was given, and notes what it was asked.
type fake struct {
	stats   []tree.Stat
	sums    []tree.Sum
	keeps   tree.Keeps
	written []tree.Written
	err     error // what each method ends with, behind what it has told
	// hang, where it isn't nil, lets each method wait until it is closed or the context ends
	hang chan struct{}
	// early makes Write end before it has read anything
	early bool

	running, most atomic.Int32

	mu     sync.Mutex
	paths  []tree.Path
	dirs   []tree.Member
	stream string
	cause  error // what a method's context ended with
}

func (f *fake) Name() string { return "fake" }

func (f *fake) ask(ctx context.Context, note func()) error {
	n := f.running.Add(1)
	defer f.running.Add(-1)
	for m := f.most.Load(); n > m && !f.most.CompareAndSwap(m, n); m = f.most.Load() {
	}
	f.mu.Lock()
	note()
	f.mu.Unlock()
	if f.hang == nil {
		return f.err
	}
	select {
	case <-f.hang:
		return f.err
	case <-ctx.Done():
		f.mu.Lock()
		f.cause = context.Cause(ctx)
		f.mu.Unlock()
		return context.Cause(ctx)
	}
}

func (f *fake) asked() (cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

func tell[T any](vs []T, each func(T) error) error {
	for _, v := range vs {
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) List(ctx context.Context, each func(tree.Stat) error) error {
	if err := tell(f.stats, each); err != nil {
		return err
	}
	return f.ask(ctx, func() {})
}

func (f *fake) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	if _, err := io.WriteString(out, f.stream); err != nil {
		return err
	}
	return f.ask(ctx, func() { f.paths = paths })
}

func (f *fake) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	if err := tell(f.sums, each); err != nil {
		return err
	}
	return f.ask(ctx, func() { f.paths = paths })
}

func (f *fake) Probe(ctx context.Context) (tree.Keeps, error) {
	return f.keeps, f.ask(ctx, func() {})
}

func (f *fake) Write(ctx context.Context, in io.Reader, each func(tree.Written) error) error {
	if err := tell(f.written, each); err != nil {
		return err
	}
	if f.early {
		return f.ask(ctx, func() {})
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return f.ask(ctx, func() { f.stream = string(b) })
}

func (f *fake) Remove(ctx context.Context, paths []tree.Path) error {
	return f.ask(ctx, func() { f.paths = paths })
}

func (f *fake) Finish(ctx context.Context, dirs []tree.Member) error {
	return f.ask(ctx, func() { f.dirs = dirs })
}

func (f *fake) Sweep(ctx context.Context) error { return f.ask(ctx, func() {}) }

// machine is where agents run: in this process.
type machine struct {
	f        *fake
	patience time.Duration
	rootOf   func(session int) Identity // nil: always the same
	noise    string                     // before the greeting
	started  atomic.Int32
	running  atomic.Int32
	mu       sync.Mutex
	hellos   []Hello
	lives    []int
	ends     []error
}

func (m *machine) start(ctx context.Context, live int, in io.Reader, out io.Writer) error {
	n := int(m.started.Add(1))
	m.running.Add(1)
	defer m.running.Add(-1)
	m.mu.Lock()
	m.lives = append(m.lives, live)
	m.mu.Unlock()
	if _, err := io.WriteString(out, m.noise); err != nil {
		return err
	}
	patience := m.patience
	if patience == 0 {
		patience = Patience
	}
	err := Server{Build: "v1 of a test", Patience: patience, Open: func(h Hello) (tree.Target, Identity, error) {
		m.mu.Lock()
		m.hellos = append(m.hellos, h)
		m.mu.Unlock()
		if h.Root == "/nowhere" {
			return nil, Identity{}, errors.Join(errors.New("/nowhere"), tree.ErrNoTree)
		}
		id := Identity{1, 2}
		if m.rootOf != nil {
			id = m.rootOf(n)
		}
		return m.f, id, nil
	}}.Serve(ctx, in, out)
	m.mu.Lock()
	m.ends = append(m.ends, err)
	m.mu.Unlock()
	return err
}

func (m *machine) open(t *testing.T, o Options) *Tree {
	t.Helper()
	o.Name = "ssh://files1/srv"
	tr, err := Open(t.Context(), o, m.start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if n := m.running.Load(); n != 0 {
			t.Errorf("%d agents still run when the tree is closed", n)
		}
	})
	return tr
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}
