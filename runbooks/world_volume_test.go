package runbooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
	"github.com/slipway-dev/slipway/steps/volumes"
)

// ApplyClaim makes a claim, which is bound, and empty, a moment later, whoever waits for it.
func (m kubeMake) ApplyClaim(ctx context.Context, want kube.Claim, _ kube.Tell) (kube.ClaimState, error) {
	if err := m.hold(ctx, want.Namespace); err != nil {
		return kube.ClaimState{}, err
	}
	key := want.Namespace + "/" + want.Name
	for {
		have, there, err := m.Claim(ctx, want.Namespace, want.Name)
		if err != nil {
			return have, err
		}
		if !there {
			err := m.change("make claim "+key, nil, func(in *inside) error {
				in.claims[key] = &claimState{ClaimState: kube.ClaimState{Claim: want, Labels: m.mark.Labels(), Phase: "Pending"}, bound: m.w.in(8 * time.Second), tree: treetest.New()}
				return nil
			})
			if err != nil {
				return have, err
			}
			continue
		}
		if err := m.mark.Check(have.Labels); err != nil {
			return have, fmt.Errorf("%w: %w", kube.ErrExists, err)
		}
		if have.Ready() {
			return have, nil
		}
		if err := m.w.wait(ctx); err != nil {
			return have, err
		}
	}
}

func (m kubeMake) DeleteClaim(ctx context.Context, namespace, name string, _ kube.Tell) error {
	if err := m.hold(ctx, namespace); err != nil {
		return err
	}
	have, there, err := m.Claim(ctx, namespace, name)
	if err != nil || !there {
		return err
	}
	if err := m.mark.Check(have.Labels); err != nil {
		return err
	}
	key := namespace + "/" + name
	return m.change("delete claim "+key, nil, func(in *inside) error {
		if in.mover != nil {
			return errors.New("the mover uses it")
		}
		delete(in.claims, key)
		return nil
	})
}

// moverView looks into a claim's volume through the mover, while that stands.
type moverView struct {
	kubeView
	m kube.Mover
}

func (v kubeView) Mover(m kube.Mover) volumes.MoverLook { return moverView{v, m} }

func (v moverView) Claim(ctx context.Context) (kube.ClaimState, bool, error) {
	return v.kubeView.Claim(ctx, v.m.Namespace, v.m.Claim)
}

func (v moverView) Stands(_ context.Context, run string) (bool, error) {
	return in(v.api, func(in *inside) bool { return in.mover[stamp.RunLabel] == run })
}

// tree is the volume's, if a command can be run in the mover.
func (v moverView) tree() (*treetest.Tree, error) {
	var t *treetest.Tree
	_, err := in(v.api, func(in *inside) struct{} {
		if c := in.claims[v.m.Namespace+"/"+v.m.Claim]; c != nil && in.mover != nil && c.Phase == "Bound" {
			t = c.tree
		}
		return struct{}{}
	})
	if err == nil && t == nil {
		err = fmt.Errorf("pods %q not found", v.m.Name())
	}
	return t, err
}

func (v moverView) List(ctx context.Context, out io.Writer) error {
	t, err := v.tree()
	if err != nil {
		return err
	}
	return t.List(ctx, out)
}

func (v moverView) Hash(ctx context.Context, names io.Reader, out io.Writer) error {
	t, err := v.tree()
	if err != nil {
		return err
	}
	return t.Hash(ctx, names, out)
}

func (v moverView) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	t, err := v.tree()
	if err != nil {
		return err
	}
	return t.Tar(ctx, names, out)
}

func (v moverView) Free(ctx context.Context) (treecopy.Space, error) {
	t, err := v.tree()
	if err != nil {
		return treecopy.Space{}, err
	}
	return t.Free(ctx)
}

type moverHand struct {
	moverView
	make kubeMake
}

func (m kubeMake) Mover(mv kube.Mover) volumes.MoverHand {
	return moverHand{moverView{m.kubeView, mv}, m}
}

func (h moverHand) labels() (map[string]string, error) {
	return in(h.api, func(in *inside) map[string]string { return in.mover })
}

func (h moverHand) Start(ctx context.Context, _ kube.Tell) error {
	if err := h.make.hold(ctx, h.m.Namespace); err != nil {
		return err
	}
	l, err := h.labels()
	if err != nil {
		return err
	}
	if l != nil {
		return h.make.mark.Check(l)
	}
	return h.make.change("make the mover", nil, func(in *inside) error {
		if in.claims[h.m.Namespace+"/"+h.m.Claim] == nil {
			return volumes.ErrNoClaim
		}
		in.mover = h.make.mark.Labels()
		return nil
	})
}

func (h moverHand) Stop(ctx context.Context, _ kube.Tell) error {
	if err := h.make.hold(ctx, h.m.Namespace); err != nil {
		return err
	}
	l, err := h.labels()
	if err != nil || l == nil {
		return err
	}
	if err := h.make.mark.Check(l); err != nil {
		return err
	}
	return h.make.change("delete the mover", nil, func(in *inside) error { in.mover = nil; return nil })
}

// Extract unpacks a tar. One that is cut off in the middle has written what came before.
func (h moverHand) Extract(ctx context.Context, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := h.make.hold(ctx, h.m.Namespace); err != nil {
		return err
	}
	t, err := h.tree()
	if err != nil {
		return err
	}
	half := func(*inside) { _ = t.Extract(ctx, bytes.NewReader(b[:len(b)/2])) }
	return h.make.change("write files", half, func(*inside) error { return t.Extract(ctx, bytes.NewReader(b)) })
}

func (h moverHand) Sync(context.Context) error {
	_, err := h.tree()
	return err
}
