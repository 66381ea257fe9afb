package pass

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// ErrOrder: a listing doesn't come in tree.Compare's order. What lists it is broken.
var ErrOrder = errors.New("the listing is out of order")

// listAhead is how many entries, in pieces of listPiece, a listing is ahead of whoever compares it.
const (
	listPiece = 256
	listAhead = 16
)

// list gives a tree's entries while it goes on being listed. An entry holds until the next.
func list(ctx context.Context, src tree.Source) iter.Seq2[*tree.Stat, error] {
	return func(yield func(*tree.Stat, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pieces := make(chan []tree.Stat, listAhead)
		var failed error
		done := make(chan struct{})
		defer func() { cancel(); <-done }()
		go func() {
			defer close(done)
			defer close(pieces)
			failed = listInto(ctx, src, pieces)
		}()
		for piece := range pieces {
			for i := range piece {
				if !yield(&piece[i], nil) {
					return
				}
			}
		}
		if failed != nil {
			yield(nil, fmt.Errorf("list %s: %w", src.Name(), failed))
		}
	}
}

func listInto(ctx context.Context, src tree.Source, pieces chan<- []tree.Stat) error {
	var piece []tree.Stat
	var last tree.Path
	begun := false
	hand := func() error {
		select {
		case pieces <- piece:
			piece = make([]tree.Stat, 0, listPiece)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := src.List(ctx, func(s tree.Stat) error {
		switch {
		case !begun && s.Path != "":
			return fmt.Errorf("%w: it begins with %s and not with the root", ErrOrder, s.Path)
		case begun && tree.Compare(last, s.Path) >= 0:
			return fmt.Errorf("%w: %s after %s", ErrOrder, s.Path, last)
		}
		if err := s.Path.Check(); err != nil {
			return err
		}
		begun, last = true, s.Path
		if piece = append(piece, s); len(piece) < listPiece {
			return nil
		}
		return hand()
	})
	if err == nil && !begun {
		err = tree.ErrNoTree
	}
	if err == nil && len(piece) > 0 {
		err = hand()
	}
	return err
}

// sight is one path: what each side has there, nil where it has nothing.
type sight struct {
	path   tree.Path
	source *tree.Stat
	known  *Entry
	target *tree.Stat
}

// sights goes through up to three sorted rows at once; nil is a row of nothing. What a sight points to holds until the next.
func sights(source iter.Seq2[*tree.Stat, error], known iter.Seq2[*Entry, error], target iter.Seq2[*tree.Stat, error]) iter.Seq2[sight, error] {
	return func(yield func(sight, error) bool) {
		a, stopA := head(source)
		defer stopA()
		b, stopB := head(known)
		defer stopB()
		c, stopC := head(target)
		defer stopC()
		for {
			if err := errors.Join(a.err, b.err, c.err); err != nil {
				yield(sight{}, err)
				return
			}
			var now sight
			first, any := tree.Path(""), false
			least := func(p tree.Path) {
				if !any || tree.Compare(p, first) < 0 {
					first, any = p, true
				}
			}
			if a.ok {
				least(a.at.Path)
			}
			if b.ok {
				least(b.at.Path)
			}
			if c.ok {
				least(c.at.Path)
			}
			if !any {
				return
			}
			now.path = first
			if a.ok && a.at.Path == first {
				now.source = a.at
			}
			if b.ok && b.at.Path == first {
				now.known = b.at
			}
			if c.ok && c.at.Path == first {
				now.target = c.at
			}
			if !yield(now, nil) {
				return
			}
			if now.source != nil {
				a.next()
			}
			if now.known != nil {
				b.next()
			}
			if now.target != nil {
				c.next()
			}
		}
	}
}

// row is the front of a sorted row.
type row[T any] struct {
	at   *T
	ok   bool
	err  error
	pull func() (*T, error, bool)
}

func (r *row[T]) next() {
	if r.at, r.err, r.ok = r.pull(); r.err != nil {
		r.ok = false
	}
}

func head[T any](seq iter.Seq2[*T, error]) (r *row[T], stop func()) {
	r = &row[T]{}
	if seq == nil {
		return r, func() {}
	}
	r.pull, stop = iter.Pull2(seq)
	r.next()
	return r, stop
}
