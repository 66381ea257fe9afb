package runbooks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
	"github.com/slipway-dev/slipway/runbooks"
)

// inside is what a cluster holds. The runbook has one namespace, one release and one mover.
type inside struct {
	namespaces map[string]*namespaceState
	secrets    map[string]secretState
	claims     map[string]*claimState
	helm       helm
	mover      map[string]string // labels; nil: there is none
}

type namespaceState struct {
	labels map[string]string
	ends   time.Time // when all in it is gone; zero while it isn't being deleted
}

type secretState struct {
	labels map[string]string
	data   string
}

type claimState struct {
	kube.ClaimState
	bound time.Time
	tree  *treetest.Tree // its volume's
}

func newInside() inside {
	return inside{namespaces: map[string]*namespaceState{"default": {}}, secrets: map[string]secretState{}, claims: map[string]*claimState{}}
}

func (in *inside) String() string {
	var all []string
	for _, name := range sortedKeys(in.namespaces) {
		if n := in.namespaces[name]; n.labels != nil {
			all = append(all, fmt.Sprintf("namespace %s of %s", name, n.labels[stamp.RunLabel]))
		}
	}
	for _, name := range sortedKeys(in.secrets) {
		all = append(all, fmt.Sprintf("secret %s (%d bytes)", name, len(in.secrets[name].data)))
	}
	for _, name := range sortedKeys(in.claims) {
		c := in.claims[name]
		all = append(all, fmt.Sprintf("claim %s %s %s with %d files", name, c.Phase, c.Volume, len(c.tree.Nodes)-1))
	}
	if in.mover != nil {
		all = append(all, "a mover")
	}
	return strings.Join(append(all, in.helm.String()), ", ")
}

func (in *inside) settle(now time.Time) {
	for name, n := range in.namespaces {
		if !n.ends.IsZero() && !now.Before(n.ends) {
			delete(in.namespaces, name)
			in.secrets, in.claims, in.mover, in.helm = map[string]secretState{}, map[string]*claimState{}, nil, helm{}
		}
	}
	for name, c := range in.claims {
		if c.Phase == "Pending" && !now.Before(c.bound) {
			c.Phase, c.Volume = "Bound", "pvc-"+strings.ReplaceAll(name, "/", "-")
		}
	}
	in.helm.settle(now)
}

// outlives is what Google keeps, and bills, when a cluster is deleted with it in it.
func (in *inside) outlives() (left []string) {
	for _, name := range sortedKeys(in.claims) {
		left = append(left, "disk of claim "+name)
	}
	if in.helm.address != "" {
		left = append(left, "load balancer "+in.helm.address)
	}
	return left
}

// api is the API server of the cluster that a run has made.
type api struct {
	w    *world
	name string
}

func (w *world) openCluster(ctx context.Context, c google.Cluster) (runbooks.Kube, error) {
	if s, there, err := (seeClusters{w}).Cluster(ctx, c.Name); err != nil || !there || s.CA != c.CA {
		return nil, errors.Join(err, fmt.Errorf("cluster %s: %w", c.Name, google.ErrGone))
	}
	return api{w, c.Name}, nil
}

func (a api) View() runbooks.KubeView { return kubeView{a} }

func (a api) Make(m stamp.Stamp) runbooks.KubeMake { return kubeMake{kubeView{a}, m} }

// in looks at what is in the cluster, while there is one.
func in[T any](a api, f func(*inside) T) (T, error) {
	return ask(a.w, func() (t T, err error) {
		c := a.w.clusters[a.name]
		if c == nil || !c.Running() {
			return t, fmt.Errorf("cluster %s: connection refused", a.name)
		}
		return f(&c.inside), nil
	})
}

type kubeView struct{ api }

func (v kubeView) Namespace(_ context.Context, name string) (n kube.Namespace, there bool, err error) {
	n, err = in(v.api, func(in *inside) kube.Namespace {
		s := in.namespaces[name]
		if there = s != nil; !there {
			return kube.Namespace{}
		}
		out := kube.Namespace{Name: name, Labels: s.labels}
		if !s.ends.IsZero() {
			out.Ending = "its content is being deleted"
		}
		return out
	})
	return n, there, err
}

func content(s kube.Secret) string {
	var all []string
	for _, i := range s.Items {
		all = append(all, i.Key+"="+i.Value.Reveal())
	}
	return s.Type + strings.Join(all, ";")
}

func (v kubeView) Secret(_ context.Context, want kube.Secret) (s kube.SecretState, there bool, err error) {
	s, err = in(v.api, func(in *inside) kube.SecretState {
		o, ok := in.secrets[want.Namespace+"/"+want.Name]
		there = ok
		return kube.SecretState{Labels: o.labels, Same: ok && o.data == content(want)}
	})
	return s, there, err
}

func (v kubeView) Claim(_ context.Context, namespace, name string) (c kube.ClaimState, there bool, err error) {
	c, err = in(v.api, func(in *inside) kube.ClaimState {
		o := in.claims[namespace+"/"+name]
		if there = o != nil; !there {
			return kube.ClaimState{}
		}
		return o.ClaimState
	})
	return c, there, err
}

type kubeMake struct {
	kubeView
	mark stamp.Stamp
}

// change is one change in the cluster.
func (m kubeMake) change(what string, half func(*inside), f func(*inside) error) error {
	of := func() *inside { return &m.w.clusters[m.name].inside }
	var torn func()
	if half != nil {
		torn = func() { half(of()) }
	}
	return m.w.act(onCluster, m.mark, what, torn, func() error {
		if m.w.clusters[m.name] == nil {
			return fmt.Errorf("cluster %s: connection refused", m.name)
		}
		return f(of())
	})
}

// hold is what the real maker's hold is: a namespace carries the highest fence of those who changed anything in it.
func (m kubeMake) hold(ctx context.Context, namespace string) error {
	n, there, err := m.Namespace(ctx, namespace)
	if err != nil || !there || m.mark.Check(n.Labels) != nil {
		return err
	}
	if err := m.mark.Admit(n.Labels); err != nil || !m.mark.Raises(n.Labels) || n.Ending != "" {
		return err
	}
	return m.change("repair: raise the fence of the namespace", nil, func(in *inside) error {
		if s := in.namespaces[namespace]; s != nil {
			s.labels = m.mark.Labels()
		}
		return nil
	})
}

func (m kubeMake) ApplyNamespace(ctx context.Context, name string) error {
	n, there, err := m.Namespace(ctx, name)
	if err != nil {
		return err
	}
	if there {
		if err := m.mark.Admit(n.Labels); err != nil || n.Ending != "" {
			return fmt.Errorf("make namespace %s: %w: %w (%s)", name, kube.ErrExists, err, n.Ending)
		}
		return nil
	}
	return m.change("make namespace "+name, nil, func(in *inside) error {
		in.namespaces[name] = &namespaceState{labels: m.mark.Labels()}
		return nil
	})
}

func (m kubeMake) DeleteNamespace(ctx context.Context, name string, _ kube.Tell) error {
	if err := m.hold(ctx, name); err != nil {
		return err
	}
	for {
		n, there, err := m.Namespace(ctx, name)
		if err != nil || !there {
			return err
		}
		if err := m.mark.Check(n.Labels); err != nil {
			return err
		}
		if n.Ending == "" {
			err = m.change("delete namespace "+name, nil, func(in *inside) error {
				in.namespaces[name].ends = m.w.in(10 * time.Second)
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := m.w.wait(ctx); err != nil {
			return err
		}
	}
}

func (m kubeMake) ApplySecret(ctx context.Context, s kube.Secret) error {
	if err := m.hold(ctx, s.Namespace); err != nil {
		return err
	}
	have, there, err := m.Secret(ctx, s)
	if err != nil || there && have.Same {
		return err
	}
	if there {
		if err := m.mark.Check(have.Labels); err != nil {
			return fmt.Errorf("%w: %w", kube.ErrExists, err)
		}
	}
	key := s.Namespace + "/" + s.Name
	return m.change("make secret "+key, nil, func(in *inside) error {
		if in.namespaces[s.Namespace] == nil {
			return fmt.Errorf("namespaces %q not found", s.Namespace)
		}
		in.secrets[key] = secretState{m.mark.Labels(), content(s)}
		return nil
	})
}

func (m kubeMake) DeleteSecret(ctx context.Context, namespace, name string) error {
	if err := m.hold(ctx, namespace); err != nil {
		return err
	}
	have, there, err := m.Secret(ctx, kube.Secret{Namespace: namespace, Name: name})
	if err != nil || !there {
		return err
	}
	if err := m.mark.Check(have.Labels); err != nil {
		return err
	}
	key := namespace + "/" + name
	return m.change("delete secret "+key, nil, func(in *inside) error { delete(in.secrets, key); return nil })
}
