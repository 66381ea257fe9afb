// Package release installs the Helm release and opens it. The chart is package steps/release/chart. It must not import another step
// package; Helm's and Kubernetes' API types stay in internal/kube.
package release

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
)

// Look looks at a release and at what runs of it.
type Look interface {
	// History is all revisions, the oldest first; none when there is no release.
	History(ctx context.Context, namespace, name string) ([]kube.Revision, error)
	// Ready says what isn't ready; "" when all is.
	Ready(ctx context.Context, namespace string, all []kube.Workload) (string, error)
	// Address is a LoadBalancer Service's address; "" while it has none.
	Address(ctx context.Context, namespace, service string) (string, error)
}

// Make installs, upgrades and uninstalls releases with this run's stamp, and touches no other's.
type Make interface {
	PutRelease(ctx context.Context, spec kube.ReleaseSpec, tell kube.Tell) (kube.Revision, error)
	RollbackRelease(ctx context.Context, namespace, name string, to int, tell kube.Tell) (kube.Revision, error)
	UninstallRelease(ctx context.Context, namespace, name string, tell kube.Tell) error
	WaitReady(ctx context.Context, namespace string, all []kube.Workload, tell kube.Tell) error
	WaitAddress(ctx context.Context, namespace, service string, tell kube.Tell) (string, error)
	History(ctx context.Context, namespace, name string) ([]kube.Revision, error)
}

type onlyLook struct{ Look }

// OnlyLook closes a looker that can do more.
func OnlyLook(l Look) Look { return onlyLook{l} }

// NoRelease is what a plan sees before there is a cluster: nothing.
type NoRelease struct{}

// History: none.
func (NoRelease) History(context.Context, string, string) ([]kube.Revision, error) { return nil, nil }

// Ready: nothing is waited for.
func (NoRelease) Ready(context.Context, string, []kube.Workload) (string, error) { return "", nil }

// Address: none.
func (NoRelease) Address(context.Context, string, string) (string, error) { return "", nil }

// Shape is the release as the configuration has it: the same for its installation and its opening, but for the writers.
type Shape struct {
	Namespace string
	Name      string
	Chart     kube.Chart
	Values    map[string]any
	Facts     []Setting // set over Values
	Writers   string    // path of the value that switches the writers: "writers.enabled"
	Service   string    // of type LoadBalancer, whose address the release is reached at
	Instance  migrate.Ref[google.Instance]
}

// Setting sets a value to a fact of the database instance.
type Setting struct {
	Path string // "database.host"
	Fact google.Fact
}

func (sh Shape) object() string { return "release " + sh.Namespace + "/" + sh.Name }

// spec is the release with its writers on or off. In a plan, before there is an instance, its facts are named instead of known; real is
// false then.
func spec[C any](s *migrate.Scope[C], sh Shape, writers bool) (sp kube.ReleaseSpec, real bool, err error) {
	sp = kube.ReleaseSpec{Namespace: sh.Namespace, Name: sh.Name, Chart: sh.Chart, Values: clone(sh.Values), Service: sh.Service}
	inst, err := migrate.Value(s, sh.Instance)
	real = err == nil
	if err != nil && !errors.Is(err, migrate.ErrNotRecorded) {
		return sp, false, err
	}
	for _, f := range sh.Facts {
		v := f.Fact.Placeholder()
		if real {
			if v, err = inst.Fact(f.Fact); err != nil {
				return sp, real, err
			}
		}
		if err := set(sp.Values, f.Path, v); err != nil {
			return sp, real, err
		}
	}
	return sp, real, set(sp.Values, sh.Writers, writers)
}

func clone(v map[string]any) map[string]any {
	out := make(map[string]any, len(v))
	for k, x := range v {
		if m, ok := x.(map[string]any); ok {
			x = clone(m)
		}
		out[k] = x
	}
	return out
}

// set puts a value at a path of keys with dots between them.
func set(values map[string]any, path string, v any) error {
	keys := strings.Split(path, ".")
	at := values
	for i, k := range keys[:len(keys)-1] {
		next, ok := at[k]
		if !ok {
			next = map[string]any{}
			at[k] = next
		}
		m, ok := next.(map[string]any)
		if !ok {
			return fmt.Errorf("release value %s: %s is not a map", path, strings.Join(keys[:i+1], "."))
		}
		at = m
	}
	if keys[len(keys)-1] == "" {
		return fmt.Errorf("release value %q: not a path", path)
	}
	at[keys[len(keys)-1]] = v
	return nil
}

// consists says in words what the release is made of; rendering it finds a chart and values that don't go together.
func consists(sp kube.ReleaseSpec) (string, error) {
	counts, err := sp.Render()
	if err != nil {
		return "", err
	}
	var parts []string
	for _, c := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", c.N, c.Kind))
	}
	return strings.Join(parts, ", "), nil
}

// foreign is nil for a release of this run.
func foreign(sh Shape, last kube.Revision, s migrate.Stamp) error {
	if err := (stamp.Stamp{Run: s.Run}).Check(last.Labels); err != nil {
		return fmt.Errorf("%s: %w: %w", sh.object(), kube.ErrExists, err)
	}
	return nil
}

// left says what an earlier attempt left half done, as an effect: it is repaired before anything else.
func left(sh Shape, last kube.Revision) (migrate.Effect, bool) {
	if !last.Pending() && !last.Uninstalling() {
		return migrate.Effect{}, false
	}
	return migrate.Effect{Verb: "repair", Object: sh.object(), Detail: fmt.Sprintf("revision %d was left %s by an attempt that died", last.Number, last.Status)}, true
}

// stands says whether what is wanted is deployed, ready and reachable, and at which address.
func stands(ctx context.Context, l Look, sp kube.ReleaseSpec, last kube.Revision) (address, why string, err error) {
	digest, err := sp.Digest()
	if err != nil {
		return "", "", err
	}
	if !last.Deployed() || last.Digest != digest {
		return "", fmt.Sprintf("revision %d is %s, with other values or another chart", last.Number, last.Status), nil
	}
	if why, err = l.Ready(ctx, sp.Namespace, last.Workloads); err != nil || why != "" {
		return "", why, err
	}
	if address, err = l.Address(ctx, sp.Namespace, sp.Service); err == nil && address == "" {
		why = "service " + sp.Service + " has no address"
	}
	return address, why, err
}
