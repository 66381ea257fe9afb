package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/cluster"
)

type object struct {
	run  string
	data string // of a secret: its keys and values
}

// api is the world: a cluster's namespaces and Secrets.
type api struct {
	p          *steptest.Process
	namespaces map[string]object
	secrets    map[string]object
}

func newAPI(p *steptest.Process) *api {
	return &api{p: p, namespaces: map[string]object{"default": {}}, secrets: map[string]object{"default/token": {}}}
}

func (a *api) String() string {
	var all []string
	for _, m := range []map[string]object{a.namespaces, a.secrets} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			all = append(all, fmt.Sprintf("%s(%s,%d)", k, m[k].run, len(m[k].data)))
		}
	}
	return strings.Join(all, " ")
}

func (a *api) Namespace(_ context.Context, name string) (kube.Namespace, bool, error) {
	o, ok := a.namespaces[name]
	return kube.Namespace{Name: name, Labels: map[string]string{stamp.RunLabel: o.run}}, ok, a.p.Look()
}

func content(s kube.Secret) string {
	var all []string
	for _, i := range s.Items {
		all = append(all, i.Key+"="+i.Value.Reveal())
	}
	return s.Type + strings.Join(all, ";")
}

func (a *api) Secret(_ context.Context, want kube.Secret) (kube.SecretState, bool, error) {
	o, ok := a.secrets[want.Namespace+"/"+want.Name]
	return kube.SecretState{Labels: map[string]string{stamp.RunLabel: o.run}, Same: ok && o.data == content(want)}, ok, a.p.Look()
}

type maker struct {
	*api
	mark stamp.Stamp
}

func (m maker) put(kind string, into map[string]object, key string, data string) error {
	if o, ok := into[key]; ok {
		if o.run != m.mark.Run {
			return kube.ErrExists
		}
		if o.data == data {
			return nil
		}
	}
	return m.p.Act("apply "+kind+" "+key, nil, func() error { into[key] = object{m.mark.Run, data}; return nil })
}

func (m maker) drop(kind string, from map[string]object, key string) error {
	o, ok := from[key]
	if !ok {
		return m.p.Look()
	}
	if o.run != m.mark.Run {
		return stamp.ErrForeign
	}
	return m.p.Act("delete "+kind+" "+key, nil, func() error { delete(from, key); return nil })
}

func (m maker) ApplyNamespace(_ context.Context, name string) error {
	return m.put("namespace", m.namespaces, name, "")
}

func (m maker) DeleteNamespace(_ context.Context, name string, _ kube.Tell) error {
	return m.drop("namespace", m.namespaces, name)
}

func (m maker) ApplySecret(_ context.Context, s kube.Secret) error {
	return m.put("secret", m.secrets, s.Namespace+"/"+s.Name, content(s))
}

func (m maker) DeleteSecret(_ context.Context, namespace, name string) error {
	return m.drop("secret", m.secrets, namespace+"/"+name)
}

var theCluster = google.Cluster{Project: "p", Location: "l", Name: "c", Endpoint: "192.0.2.1", CA: "PEM"}

func eyes(a *api, cl migrate.Ref[google.Cluster]) migrate.Eye[cluster.ObjectLook] {
	return migrate.LookAt(cl, cluster.ObjectLook(cluster.NoObjects{}), func(context.Context, google.Cluster) (cluster.ObjectLook, error) { return cluster.OnlyObjects(a), nil })
}

func hands(a *api, cl migrate.Ref[google.Cluster]) migrate.Hand[migrate.Rehearsal, cluster.ObjectMake] {
	return migrate.Created[migrate.Rehearsal](cl, func(_ context.Context, _ google.Cluster, s migrate.Stamp) (cluster.ObjectMake, error) {
		return maker{a, markOf(s)}, nil
	})
}

func TestNamespace(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: "each run has a cluster of its own", New: func(t *testing.T, p *steptest.Process) steptest.World {
		a := newAPI(p)
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				cl := steptest.Given(rb, "standup.cluster", theCluster)
				migrate.Add(rb, cluster.Namespace{Name: "shop"}, eyes(a, cl), hands(a, cl))
			},
			State: a.String,
			Spoil: []steptest.Spoil{
				{Name: "deleted", Do: func() { delete(a.namespaces, "shop") }},
				{Name: "another's", Do: func() { a.namespaces["shop"] = object{run: "x"} }},
			},
		}
	}})
}

const password = "correct horse battery staple"

func secretsStep(t *testing.T, rb *migrate.Runbook[migrate.Rehearsal], dir string) cluster.Secrets {
	t.Helper()
	ref, err := secret.ParseRef("file:" + filepath.Join(dir, "pw"))
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Secrets{
		Namespace: steptest.Given(rb, "standup.namespace", cluster.NamespaceOut{Name: "shop"}),
		Instance:  steptest.Given(rb, "standup.sql-instance", google.Instance{Name: "i", Private: "10.1.2.3", CA: "PEM"}),
		Objects: []cluster.SecretObject{
			{Name: "shop-database", Items: []cluster.SecretItem{{Key: "username", Value: "shop"}, {Key: "password", From: ref}, {Key: "ca.pem", Fact: google.CA}}},
			{Name: "shop-redis", Items: []cluster.SecretItem{{Key: "password", From: ref}}},
		},
	}
}

func passwordFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSecrets(t *testing.T) {
	dir := passwordFile(t)
	steptest.Run(t, steptest.Case{NotTwice: "each run has a cluster of its own", New: func(t *testing.T, p *steptest.Process) steptest.World {
		a := newAPI(p)
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				cl := steptest.Given(rb, "standup.cluster", theCluster)
				migrate.Add(rb, secretsStep(t, rb, dir), eyes(a, cl), hands(a, cl))
			},
			State:   a.String,
			Secrets: []string{password},
			Spoil: []steptest.Spoil{
				{Name: "one deleted", Do: func() { delete(a.secrets, "shop/shop-redis") }},
				{Name: "one changed", Do: func() { a.secrets["shop/shop-database"] = object{"20261123-010203-0001", "password=other"} }},
			},
		}
	}})
}

// Before there is anything, the plan names the secrets, their keys and where their values come from.
func TestSecretsPlan(t *testing.T) {
	a := newAPI(&steptest.Process{})
	o, err := plan(t, func(rb *migrate.Runbook[migrate.Rehearsal]) {
		cl := migrate.Add(rb, step, migrate.Look("google", cluster.OnlyLook(&gke{p: &steptest.Process{}})),
			migrate.Maker[migrate.Rehearsal]("google", func(context.Context, migrate.Stamp) (cluster.Make, error) { return nil, errors.New("a plan acts") }))
		ns := migrate.Add(rb, cluster.Namespace{Name: "shop"}, eyes(a, cl), hands(a, cl))
		st := cluster.Secrets{Namespace: ns, Instance: migrate.Ref[google.Instance]{}, Objects: []cluster.SecretObject{{Name: "shop-database", Items: []cluster.SecretItem{{Key: "ca.pem", Fact: google.CA}, {Key: "username", Value: "shop"}}}}}
		st.Instance = steptest.Given(rb, "standup.sql-instance", google.Instance{Name: "i"})
		migrate.Add(rb, st, eyes(a, cl), hands(a, cl))
	})
	for _, want := range []string{"create", "cluster slipway-" + migrate.PlanID, "europe-west1-b, 2 nodes e2-standard-4", "namespace shop", "secret shop-database", "ca.pem from the instance's ca, username is shop"} {
		if err != nil || !strings.Contains(o, want) {
			t.Errorf("the plan lacks %q: %s %v", want, o, err)
		}
	}
}

// All values that can't be read are reported at once, and none of them is shown.
func TestSecretsMissing(t *testing.T) {
	dir := t.TempDir()
	a := newAPI(&steptest.Process{})
	o, err := plan(t, func(rb *migrate.Runbook[migrate.Rehearsal]) {
		cl := steptest.Given(rb, "standup.cluster", theCluster)
		migrate.Add(rb, secretsStep(t, rb, dir), eyes(a, cl), hands(a, cl))
	})
	text := o + fmt.Sprint(err)
	for _, want := range []string{"secret shop-database, key password", "secret shop-redis, key password"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
}

// A key has one source: none, or two, is an error that names it.
func TestSecretsOfTwoSources(t *testing.T) {
	a := newAPI(&steptest.Process{})
	o, err := plan(t, func(rb *migrate.Runbook[migrate.Rehearsal]) {
		cl := steptest.Given(rb, "standup.cluster", theCluster)
		st := cluster.Secrets{Namespace: steptest.Given(rb, "standup.namespace", cluster.NamespaceOut{Name: "shop"}), Instance: steptest.Given(rb, "standup.sql-instance", google.Instance{Name: "i", CA: "PEM"}),
			Objects: []cluster.SecretObject{{Name: "s", Items: []cluster.SecretItem{{Key: "none"}, {Key: "two", Fact: google.CA, Value: "x"}, {Key: "one", Value: "x"}}}}}
		migrate.Add(rb, st, eyes(a, cl), hands(a, cl))
	})
	text := o + fmt.Sprint(err)
	if !strings.Contains(text, "key none: it has 0 of") || !strings.Contains(text, "key two: it has 2 of") || strings.Contains(text, "key one") {
		t.Error(text)
	}
}
