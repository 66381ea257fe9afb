package kube

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

const fencedRun = "20261123-010203-7f3a"

// fenced is a cluster with a namespace that a process with fence 2 has made.
func fenced(t *testing.T) (*Cluster, *fake.Clientset) {
	t.Helper()
	api := fake.NewClientset()
	c := &Cluster{client: api, pace: pace{first: time.Millisecond, most: time.Millisecond, trouble: 50 * time.Millisecond}}
	if err := process(c, 2).ApplyNamespace(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	return c, api
}

func process(c *Cluster, fence uint64) Maker {
	return c.Make(stamp.Stamp{Run: fencedRun, Step: "standup.namespace", Fence: fence})
}

func writes(api *fake.Clientset) (n int) {
	for _, a := range api.Actions() {
		if v := a.GetVerb(); v != "get" && v != "list" && v != "watch" {
			n++
		}
	}
	return n
}

var aSecret = Secret{Namespace: "shop", Name: "shop-database", Items: []Item{{Key: "password", Value: secret.New("correct horse")}}}

// An old process's hand is opened, a newer one acts, and whatever the old one does next is refused before anything is sent.
func TestAnEarlierProcessIsRefused(t *testing.T) {
	tell := func(string, int64, int64) {}
	pod := Mover{Namespace: "shop", Claim: "assets", Image: "tools"}
	for name, do := range map[string]func(ctx context.Context, m Maker) error{
		"make namespace":   func(ctx context.Context, m Maker) error { return m.ApplyNamespace(ctx, "shop") },
		"delete namespace": func(ctx context.Context, m Maker) error { return m.DeleteNamespace(ctx, "shop", tell) },
		"make secret":      func(ctx context.Context, m Maker) error { return m.ApplySecret(ctx, aSecret) },
		"delete secret":    func(ctx context.Context, m Maker) error { return m.DeleteSecret(ctx, "shop", aSecret.Name) },
		"make claim":       func(ctx context.Context, m Maker) error { _, err := m.ApplyClaim(ctx, aClaim, tell); return err },
		"delete claim":     func(ctx context.Context, m Maker) error { return m.DeleteClaim(ctx, "shop", "assets", tell) },
		"make pod":         func(ctx context.Context, m Maker) error { return m.Mover(pod).Start(ctx, tell) },
		"delete pod":       func(ctx context.Context, m Maker) error { return m.Mover(pod).Stop(ctx, tell) },
		"write files":      func(ctx context.Context, m Maker) error { return m.Mover(pod).Extract(ctx, &bytes.Buffer{}) },
		"put release": func(ctx context.Context, m Maker) error {
			_, err := m.PutRelease(ctx, ReleaseSpec{Namespace: "shop", Name: "shop"}, tell)
			return err
		},
		"roll back release": func(ctx context.Context, m Maker) error {
			_, err := m.RollbackRelease(ctx, "shop", "shop", 1, tell)
			return err
		},
		"uninstall release": func(ctx context.Context, m Maker) error { return m.UninstallRelease(ctx, "shop", "shop", tell) },
	} {
		t.Run(name, func(t *testing.T) {
			c, api := fenced(t)
			old := process(c, 2)
			if err := process(c, 3).ApplySecret(t.Context(), Secret{Namespace: "shop", Name: "other"}); err != nil {
				t.Fatal(err)
			}
			before := writes(api)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // one that isn't refused waits for a cluster that isn't there
			defer cancel()
			if err := do(ctx, old); !errors.Is(err, stamp.ErrFenced) {
				t.Errorf("%v, want ErrFenced", err)
			}
			if n := writes(api) - before; n > 0 {
				t.Errorf("it sent %d writes: %v", n, api.Actions())
			}
		})
	}
}

var aClaim = Claim{Namespace: "shop", Name: "assets", Mode: string(corev1.ReadWriteMany), Size: "1Gi"}

// The first change of a process that has taken the run over raises the namespace's fence and nothing else of its labels; the next ones don't.
func TestTheFenceIsRaised(t *testing.T) {
	c, api := fenced(t)
	later := c.Make(stamp.Stamp{Run: fencedRun, Step: "standup.secrets", Fence: 3})
	for range 2 {
		if err := later.ApplySecret(t.Context(), aSecret); err != nil {
			t.Fatal(err)
		}
	}
	ns, err := api.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{stamp.RunLabel: fencedRun, stamp.StepLabel: "standup_namespace", stamp.FenceLabel: "3"} {
		if ns.Labels[k] != want {
			t.Errorf("label %s is %q, want %q", k, ns.Labels[k], want)
		}
	}
	if n := writes(api); n != 3 {
		t.Errorf("%d writes, want the namespace, its fence and the secret: %v", n, api.Actions())
	}
}

// Another's namespace, or none, is nothing to this: each object says for itself whose it is.
func TestAnothersNamespaceHasNoFence(t *testing.T) {
	api := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "theirs", Labels: map[string]string{stamp.RunLabel: "x", stamp.FenceLabel: "9"}}})
	m := process(&Cluster{client: api, pace: realPace}, 2)
	for _, ns := range []string{"theirs", "none"} {
		if err := m.hold(t.Context(), ns); err != nil {
			t.Error(err)
		}
	}
	if n := writes(api); n > 0 {
		t.Errorf("it wrote: %v", api.Actions())
	}
}
