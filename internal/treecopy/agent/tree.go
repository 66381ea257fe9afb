package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// ErrOtherRoot: a later session found another directory at the root than the first: the file system was unmounted, or the directory replaced.
// Nothing was done in that session. Look what is there, and begin anew.
var ErrOtherRoot = errors.New("there is another directory now than when this began: was something mounted or unmounted there?")

// Options are how a tree is spoken with.
type Options struct {
	Name     string // what messages call it
	Hello    Hello  // Rate is for all sessions together
	Sessions int    // operations that may go on at once; default 4
	patience time.Duration
}

const defaultSessions = 4

// Tree is a tree at an agent. Calls side by side get a session each, and wait when there are as many as may be. A session whose call was
// cancelled or that broke is thrown away; the next call opens another.
type Tree struct {
	o     Options
	start Start
	slots chan struct{}
	bye   sync.WaitGroup // sessions that are closing

	mu     sync.Mutex
	idle   []*session
	live   map[*session]bool
	first  *Identity
	closed bool
}

var _ tree.Target = (*Tree)(nil)

// Open opens a first session: what is wrong with the place shows here. Errors are those of tree.Source, and ErrVersion.
func Open(ctx context.Context, o Options, start Start) (*Tree, error) {
	if o.Sessions < 1 {
		o.Sessions = defaultSessions
	}
	if o.patience == 0 {
		o.patience = Patience
	}
	if o.Hello.Rate > 0 {
		o.Hello.Rate = max(1, o.Hello.Rate/int64(o.Sessions))
	}
	t := &Tree{o: o, start: start, slots: make(chan struct{}, o.Sessions), live: map[*session]bool{}}
	s, err := t.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, errors.Join(err, t.Close()))
	}
	t.idle = append(t.idle, s)
	return t, nil
}

// Name is what messages call it.
func (t *Tree) Name() string { return t.o.Name }

// Close ends all sessions and waits until their agents have ended. No call may go on.
func (t *Tree) Close() error {
	t.mu.Lock()
	t.closed = true
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	for _, s := range idle {
		t.drop(s)
	}
	t.bye.Wait()
	return nil
}

// drop closes a session beside.
func (t *Tree) drop(s *session) {
	t.mu.Lock()
	delete(t.live, s)
	t.mu.Unlock()
	t.bye.Go(func() { _ = s.close() }) // why it is closed was said where it was found out
}

// do does an operation in a session of its own.
func (t *Tree) do(ctx context.Context, k task) error {
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-t.slots }()
	s, err := t.take(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", t.o.Name, err)
	}
	whole, err := s.do(ctx, k)
	if whole {
		t.mu.Lock()
		t.idle = append(t.idle, s)
		t.mu.Unlock()
	} else {
		t.drop(s)
	}
	var theirs *remoteError
	if errors.Is(err, tree.ErrLost) {
		t.forget()
	}
	if errors.Is(err, tree.ErrLost) || errors.As(err, &theirs) || errors.Is(err, ErrProtocol) {
		return fmt.Errorf("%s: %w", t.o.Name, err)
	}
	return err
}

// forget drops the sessions that wait: where one was lost they are, too, and would cost whoever tries again a try each.
func (t *Tree) forget() {
	t.mu.Lock()
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	for _, s := range idle {
		t.drop(s)
	}
}

func (t *Tree) take(ctx context.Context) (*session, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, errClosed
	}
	if n := len(t.idle); n > 0 {
		s := t.idle[n-1]
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		return s, nil
	}
	t.mu.Unlock()
	return t.open(ctx)
}

// open opens a session, from an agent that runs there already where that works.
func (t *Tree) open(ctx context.Context) (*session, error) {
	live := 0
	t.mu.Lock()
	for s := range t.live {
		live = s.pid
	}
	t.mu.Unlock()
	s, err := open(ctx, t.start, live, t.o.Hello, t.o.patience)
	if err != nil && live != 0 && ctx.Err() == nil {
		s, err = open(ctx, t.start, 0, t.o.Hello, t.o.patience)
	}
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	if t.first == nil {
		t.first = &s.id
	}
	first := *t.first
	t.live[s] = true
	t.mu.Unlock()
	if s.id != first {
		t.drop(s)
		return nil, ErrOtherRoot
	}
	return s, nil
}

// List is tree.Source's.
func (t *Tree) List(ctx context.Context, each func(tree.Stat) error) error {
	return t.do(ctx, task{kind: opList, recv: func(r io.Reader) error { return eachRecord(r, tree.DecodeStat, each) }})
}

// Read is tree.Source's.
func (t *Tree) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	return t.do(ctx, task{kind: opRead, send: sending(paths, appendPath), recv: func(r io.Reader) error {
		_, err := io.Copy(out, r)
		return err
	}})
}

// Hash is tree.Source's.
func (t *Tree) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	return t.do(ctx, task{kind: opHash, send: sending(paths, appendPath), recv: func(r io.Reader) error { return eachRecord(r, tree.DecodeSum, each) }})
}

// Probe is tree.Target's.
func (t *Tree) Probe(ctx context.Context) (keeps tree.Keeps, err error) {
	err = t.do(ctx, task{kind: opProbe, recv: func(r io.Reader) error {
		all, err := allRecords(r, tree.DecodeKeeps)
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("%w: %d answers to one question", ErrProtocol, len(all))
		}
		if err == nil {
			keeps = all[0]
		}
		return err
	}})
	return keeps, err
}

// Write is tree.Target's. When it returns an error, in may be read from until its next Read returns; whoever feeds it closes it.
func (t *Tree) Write(ctx context.Context, in io.Reader, each func(tree.Written) error) error {
	return t.do(ctx, task{kind: opWrite, open: true,
		send: func(w io.Writer) error {
			_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, tree.MaxData))
			return err
		},
		recv: func(r io.Reader) error { return eachRecord(r, tree.DecodeWritten, each) },
	})
}

// Remove is tree.Target's.
func (t *Tree) Remove(ctx context.Context, paths []tree.Path) error {
	return t.do(ctx, task{kind: opRemove, send: sending(paths, appendPath), recv: nothing})
}

// Finish is tree.Target's.
func (t *Tree) Finish(ctx context.Context, dirs []tree.Member) error {
	return t.do(ctx, task{kind: opFinish, send: sending(dirs, tree.AppendMember), recv: nothing})
}

// Sweep is tree.Target's.
func (t *Tree) Sweep(ctx context.Context) error {
	return t.do(ctx, task{kind: opSweep, recv: nothing})
}

func sending[T any](vs []T, encode func([]byte, *T) []byte) func(io.Writer) error {
	return func(w io.Writer) error { return newRecords(w, encode).all(vs) }
}

func appendPath(b []byte, p *tree.Path) []byte { return tree.AppendPath(b, *p) }

// nothing is the output of what has none.
func nothing(r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: %d bytes that nobody asked for", ErrProtocol, n)
	}
	return err
}
