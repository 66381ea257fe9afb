package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/migrate"
)

// ObjectLook looks at namespaces and Secrets of the cluster.
type ObjectLook interface {
	Namespace(ctx context.Context, name string) (kube.Namespace, bool, error)
	// Secret compares what is there with what is wanted; the values stay behind the interface.
	Secret(ctx context.Context, want kube.Secret) (kube.SecretState, bool, error)
}

// ObjectMake makes them with this run's stamp, and deletes only what carries it.
type ObjectMake interface {
	ApplyNamespace(ctx context.Context, name string) error
	DeleteNamespace(ctx context.Context, name string, tell kube.Tell) error
	ApplySecret(ctx context.Context, s kube.Secret) error
	DeleteSecret(ctx context.Context, namespace, name string) error
}

type onlyObjects struct{ ObjectLook }

// OnlyObjects closes a looker that can do more.
func OnlyObjects(l ObjectLook) ObjectLook { return onlyObjects{l} }

// NoObjects is what a plan sees before there is a cluster: nothing.
type NoObjects struct{}

// Namespace: none.
func (NoObjects) Namespace(context.Context, string) (kube.Namespace, bool, error) {
	return kube.Namespace{}, false, nil
}

// Secret: none.
func (NoObjects) Secret(context.Context, kube.Secret) (kube.SecretState, bool, error) {
	return kube.SecretState{}, false, nil
}

// Namespace makes the namespace that all else goes into.
type Namespace struct{ Name string }

// NamespaceOut is the namespace that was made.
type NamespaceOut struct{ Name string }

// Spec: a namespace that can't be deleted holds the cluster: what sticks in it (a volume, a LoadBalancer) would outlive the cluster.
func (st Namespace) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.namespace", Version: 1, Title: "make the namespace", Timeout: 10 * time.Minute}
}

// Plan looks for the namespace.
func (st Namespace) Plan(ctx context.Context, s *migrate.Scope[ObjectLook], rec migrate.Recorded[NamespaceOut]) (migrate.Plan[NamespaceOut], error) {
	want := NamespaceOut(st)
	p := migrate.Plan[NamespaceOut]{Want: want}
	n, there, err := s.C.Namespace(ctx, st.Name)
	if err != nil {
		return p, err
	}
	if there {
		if err := ofAnother(n.Labels, s.Stamp()); err != nil {
			return p, fmt.Errorf("namespace %s: %w: %w", st.Name, kube.ErrExists, err)
		}
		if n.Ending == "" && rec.Attempts > 0 {
			return migrate.Done(want), nil
		}
	}
	p.Effects = []migrate.Effect{{Verb: "create", Object: "namespace " + st.Name}}
	return p, nil
}

// Run makes it; a server-side apply.
func (st Namespace) Run(ctx context.Context, s *migrate.Scope[ObjectMake], want NamespaceOut) (NamespaceOut, error) {
	return want, s.C.ApplyNamespace(ctx, want.Name)
}

// Verify: it is there and isn't being deleted.
func (st Namespace) Verify(ctx context.Context, s *migrate.Scope[ObjectLook], out NamespaceOut) error {
	n, there, err := s.C.Namespace(ctx, out.Name)
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("namespace %s isn't there", out.Name)
	case n.Ending != "":
		return fmt.Errorf("namespace %s is being deleted: %s", out.Name, n.Ending)
	}
	return ofAnother(n.Labels, s.Stamp())
}

// Undo deletes it and waits until all in it is gone.
func (st Namespace) Undo(ctx context.Context, s *migrate.Scope[ObjectMake], rec migrate.Recorded[NamespaceOut]) error {
	return s.C.DeleteNamespace(ctx, rec.Want.Name, s.Tell)
}
