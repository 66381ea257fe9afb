package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/internal/treecopy/agent"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// KubeOptions are how a claim is reached.
type KubeOptions struct {
	Kubeconfig string    // file; "": $KUBECONFIG, or ~/.kube/config
	Context    string    // of that file; "": its current one
	Image      string    // of the mover, with sh and coreutils
	UserAgent  string    // for the API server's log
	Tell       kube.Tell // told what is waited for; may be nil
}

// mark is the stamp of a mover that no run has made. One that an earlier call left behind, because it was killed, is taken over.
var mark = stamp.Stamp{Run: "slipway-files", Step: "files.copy"}

func openClaim(ctx context.Context, p Place, o Options) (tree.Target, io.Closer, error) {
	if o.Image == "" {
		return nil, nil, fmt.Errorf("%s: no image is named for the pod that mounts the claim: it needs sh and coreutils", p)
	}
	cluster, err := kube.ConnectByFile(o.Kubeconfig, o.Context, o.UserAgent)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p, err)
	}
	tell := o.Tell
	if tell == nil {
		tell = func(string, int64, int64) {}
	}
	hand := cluster.Make(mark).Mover(kube.Mover{Namespace: p.Namespace, Claim: p.Name, Image: o.Image})
	if _, there, err := hand.Claim(ctx); err != nil || !there {
		if err == nil {
			err = tree.ErrNoTree
		}
		return nil, nil, fmt.Errorf("%s: %w", p, err)
	}
	if err := hand.Start(ctx, tell); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p, err)
	}
	m := mover{hand, tell}
	b, err := readBinary(ctx, o.AgentDir, hand.Exec)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", p, err), m.Close())
	}
	t, err := o.agent(ctx, p.String(), agent.Hello{Root: path.Join(kube.MoverRoot, p.Path)}, b.starter(hand.Exec, serve, podError))
	if err != nil {
		return nil, nil, errors.Join(err, m.Close())
	}
	return t, both{t, m}, nil
}

// mover is closed by taking the pod away, and with it whatever runs in it.
type mover struct {
	hand kube.MoverHand
	tell kube.Tell
}

func (m mover) Close() error { return m.hand.Stop(context.Background(), m.tell) }

// podError says of what ended an agent in a pod whether another try may help.
func podError(err error) error {
	var exit *kube.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return ended(exit.Code, err)
	case errors.Is(err, kube.ErrLost):
		return fmt.Errorf("%w: %w", tree.ErrLost, err)
	}
	return err
}
