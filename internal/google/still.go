package google

import (
	"context"
	"errors"
	"fmt"
)

// ErrGone: what a run made isn't there any more, or another thing has its name. Nothing of it can be undone or looked at. A person says what
// became of it, by waiving the steps that made things in it.
var ErrGone = errors.New("deleted, and not by this run's undo")

// Still is nil when a cluster that a run made is still the one at Google. Asking takes one request, where a control plane that is gone
// answers nobody for minutes.
func (l ClusterLooker) Still(ctx context.Context, cl Cluster) error {
	now, there, err := l.Cluster(ctx, cl.Name)
	if err != nil {
		return err
	}
	if !there || now.Endpoint != cl.Endpoint || now.CA != cl.CA {
		return fmt.Errorf("cluster %s (%s): %w; Google keeps the disks, Filestore instances and load balancers that its volumes and services had: look for them", cl.Name, l.where(), ErrGone)
	}
	return nil
}

// Still is nil when an instance that a run made is still the one at Google.
func (l SQLLooker) Still(ctx context.Context, inst Instance) error {
	now, there, err := l.Instance(ctx, inst.Name)
	if err != nil {
		return err
	}
	if !there || now.CA != inst.CA {
		return fmt.Errorf("instance %s (%s): %w; its data went with it", inst.Name, l.where(), ErrGone)
	}
	return nil
}
