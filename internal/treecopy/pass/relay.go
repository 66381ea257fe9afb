package pass

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// outcome is how it went with one member.
type outcome struct {
	tree.Member // as the source has it
	tree.End    // as the source ended it
	tree.Written
}

// failure keeps the first error of several that work on one stream: the others' follow from it.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) set(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	return err
}

// relay sends items from the source to the target, and gives their outcomes, in their order. With an error, those that the target had told of.
func (r *runner) relay(ctx context.Context, items []item) ([]outcome, error) {
	var first failure
	var all sync.WaitGroup
	fromSource, toRelay := io.Pipe()
	fromRelay, toTarget := io.Pipe()
	var sent []outcome
	var told []tree.Written
	all.Go(func() {
		toRelay.CloseWithError(first.set(r.named("read", r.src.Name(), r.src.Read(ctx, paths(items), toRelay))))
	})
	all.Go(func() {
		err := r.dst.Write(ctx, fromRelay, func(w tree.Written) error { told = append(told, w); return nil })
		fromRelay.CloseWithError(orClosed(first.set(r.named("write", r.dst.Name(), err))))
	})
	out := tree.NewStreamWriter(toTarget)
	var err error
	sent, err = r.pump(fromSource, items, out)
	if err == nil {
		err = out.Close()
	}
	first.set(err)
	fromSource.CloseWithError(orClosed(err))
	toTarget.CloseWithError(err)
	all.Wait()
	if len(told) > len(sent) {
		first.set(fmt.Errorf("%s: %w: it told of %d files, and got %d", r.dst.Name(), tree.ErrStream, len(told), len(sent)))
		told = nil
	}
	for i, w := range told {
		if w.Path != sent[i].Member.Path {
			first.set(fmt.Errorf("%s: %w: it told of %s, and not of %s", r.dst.Name(), tree.ErrStream, w.Path, sent[i].Member.Path))
			return nil, first.err
		}
		sent[i].Written = w
	}
	if first.err == nil && len(told) < len(sent) {
		first.set(fmt.Errorf("%s: %w: it told of %d files, and got %d", r.dst.Name(), tree.ErrStream, len(told), len(sent)))
	}
	return sent[:len(told)], first.err
}

// orClosed keeps a writer from waiting for a reader that has ended well and will read no more.
func orClosed(err error) error {
	if err == nil {
		return io.ErrClosedPipe
	}
	return err
}

func (r *runner) named(what, where string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, where, err)
}

func paths(items []item) []tree.Path {
	out := make([]tree.Path, len(items))
	for i := range items {
		out[i] = items[i].Path
	}
	return out
}

// pump passes members on, and holds each against what was asked for. out may be nil: then they go nowhere.
func (r *runner) pump(from io.Reader, items []item, out *tree.StreamWriter) (sent []outcome, err error) {
	in := tree.NewStreamReader(from)
	watch := stopwatch{at: time.Now()}
	defer func() { r.report.slow(watch.now) }()
	for i := range items {
		m, err := in.Next()
		if errors.Is(err, io.EOF) {
			return sent, fmt.Errorf("%s: %w: it ended before %s", r.src.Name(), tree.ErrStream, items[i].Path)
		}
		if err != nil {
			return sent, fmt.Errorf("%s: %w", r.src.Name(), err)
		}
		if m.Path != items[i].Path {
			return sent, fmt.Errorf("%s: %w: it sent %s, and %s was asked for", r.src.Name(), tree.ErrStream, m.Path, items[i].Path)
		}
		o := outcome{Member: m}
		if o.End, err = r.pass(in, &m, items[i].Kind, out); err != nil {
			return sent, err
		}
		if watch.done(m.Path) {
			r.report.slow(watch.before)
		}
		sent = append(sent, o)
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return sent, fmt.Errorf("%s: %w: more was sent than was asked for", r.src.Name(), tree.ErrStream)
	}
	return sent, nil
}

// pass passes one member on. What has another kind than the listing said goes as changed: a directory may be in the way of others.
func (r *runner) pass(in *tree.StreamReader, m *tree.Member, kind tree.Kind, out *tree.StreamWriter) (end tree.End, err error) {
	other := m.Kind != kind
	if !other {
		if err := r.fits.strip(m, r.dst.Name()); err != nil {
			return end, err
		}
	}
	n := int64(0)
	defer func() { r.report.add(&r.report.Bytes, n) }()
	if out != nil {
		if err := out.Begin(m); err != nil {
			return end, err
		}
	}
	for {
		off, b, err := in.Data()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return end, fmt.Errorf("%s: %w", r.src.Name(), err)
		}
		n += int64(len(b))
		r.o.Meter.bytes(int64(len(b)))
		if out == nil || other {
			continue
		}
		if err := out.Data(off, b); err != nil {
			return end, err
		}
	}
	if end = in.End(); other && end.State == tree.Stable {
		end = tree.End{State: tree.Changed, Why: "it became a " + m.Kind.String()}
	}
	if out != nil {
		err = out.End(&end)
	}
	return end, err
}

// collect reads members without contents: directories.
func (r *runner) collect(ctx context.Context, items []item) ([]outcome, error) {
	in, w := io.Pipe()
	var first failure
	var all sync.WaitGroup
	all.Go(func() {
		w.CloseWithError(first.set(r.named("read", r.src.Name(), r.src.Read(ctx, paths(items), w))))
	})
	got, err := r.pump(in, items, nil)
	first.set(err)
	in.CloseWithError(orClosed(err))
	all.Wait()
	return got, first.err
}
