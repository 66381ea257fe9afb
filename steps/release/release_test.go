package release_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/release"
)

// helm is the world: the revisions of one release, and whether its pods run.
type helm struct {
	p    *steptest.Process
	all  []kube.Revision
	on   string // digest of what runs
	down bool   // a pod crashes
	lb   string
}

func (h *helm) String() string {
	var all []string
	for _, r := range h.all {
		all = append(all, fmt.Sprintf("%d %s %.6s", r.Number, r.Status, r.Digest))
	}
	return strings.Join(all, ", ") + fmt.Sprintf("; runs %.6s at %s", h.on, h.lb)
}

func (h *helm) History(context.Context, string, string) ([]kube.Revision, error) {
	return append([]kube.Revision(nil), h.all...), h.p.Look()
}

func (h *helm) Ready(_ context.Context, _ string, all []kube.Workload) (string, error) {
	if h.down {
		return "web 1/2 (pod web-0: CrashLoopBackOff)", nil
	}
	return "", h.p.Look()
}

func (h *helm) Address(context.Context, string, string) (string, error) { return h.lb, h.p.Look() }

type hand struct {
	*helm
	mark stamp.Stamp
}

func (h hand) last() *kube.Revision {
	if len(h.all) == 0 {
		return nil
	}
	return &h.all[len(h.all)-1]
}

// repair marks what was left pending as failed, as a real client does.
func (h hand) repair() error {
	if l := h.last(); l != nil && l.Pending() {
		return h.p.Act(fmt.Sprintf("mark revision %d as failed", l.Number), nil, func() error { l.Status = "failed"; return nil })
	}
	return nil
}

func (h hand) revise(what, pending string, r kube.Revision) (kube.Revision, error) {
	begin := func(status string) {
		n := 1
		if l := h.last(); l != nil {
			n = l.Number + 1
			if status == "deployed" && l.Deployed() {
				l.Status = "superseded"
			}
		}
		r.Number, r.Status, r.Labels = n, status, h.mark.Labels()
		h.all = append(h.all, r)
	}
	err := h.p.Act(what, func() { begin(pending) }, func() error { begin("deployed"); h.on, h.lb = r.Digest, "10.77.3.1"; return nil })
	return r, err
}

func (h hand) PutRelease(_ context.Context, sp kube.ReleaseSpec, _ kube.Tell) (kube.Revision, error) {
	digest, err := sp.Digest()
	if err != nil {
		return kube.Revision{}, err
	}
	if l := h.last(); l != nil {
		if err := h.mark.Check(l.Labels); err != nil {
			return *l, kube.ErrExists
		}
	}
	if err := h.repair(); err != nil {
		return kube.Revision{}, err
	}
	what, pending := "install", "pending-install"
	if l := h.last(); l != nil {
		if l.Deployed() && l.Digest == digest {
			return *l, nil
		}
		what, pending = "upgrade", "pending-upgrade"
	}
	// An install whose client died is finished by an upgrade; either way the same release comes of it.
	return h.revise(strings.Replace(what, "upgrade", h.name(sp), 1), pending, kube.Revision{Digest: digest, Workloads: []kube.Workload{{Kind: "Deployment", Name: "web"}}})
}

// name tells an upgrade that finishes an installation from one that opens.
func (h hand) name(sp kube.ReleaseSpec) string {
	if w := sp.Values["writers"].(map[string]any); w["enabled"] == true {
		return "open"
	}
	return "install"
}

func (h hand) RollbackRelease(_ context.Context, _, _ string, to int, _ kube.Tell) (kube.Revision, error) {
	if err := h.repair(); err != nil {
		return kube.Revision{}, err
	}
	l := h.last()
	if l.Deployed() && (l.Number == to || l.Back == to) {
		return *l, nil
	}
	for _, r := range h.all {
		if r.Number == to {
			return h.revise("roll back", "pending-rollback", kube.Revision{Digest: r.Digest, Back: to, Workloads: r.Workloads})
		}
	}
	return kube.Revision{}, fmt.Errorf("no revision %d", to)
}

func (h hand) UninstallRelease(context.Context, string, string, kube.Tell) error {
	l := h.last()
	if l == nil {
		if h.lb == "" {
			return h.p.Look()
		}
		return h.p.Act("uninstall", nil, func() error { h.on, h.lb = "", ""; return nil })
	}
	if err := h.mark.Check(l.Labels); err != nil {
		return err
	}
	// Killed in the middle, Helm has forgotten the release and its LoadBalancer is still there.
	return h.p.Act("uninstall", func() { h.all = nil }, func() error { h.all, h.on, h.lb = nil, "", ""; return nil })
}

func (h hand) WaitReady(ctx context.Context, ns string, all []kube.Workload, _ kube.Tell) error {
	if why, err := h.Ready(ctx, ns, all); err != nil || why != "" {
		return errors.Join(err, errors.New(why))
	}
	return nil
}

func (h hand) WaitAddress(ctx context.Context, ns, svc string, _ kube.Tell) (string, error) {
	return h.Address(ctx, ns, svc)
}

var theInstance = google.Instance{Name: "i", Private: "10.1.2.3", CA: "PEM"}

func shape(t *testing.T, inst migrate.Ref[google.Instance]) release.Shape {
	t.Helper()
	ch, err := kube.LoadChart(os.DirFS("testdata/chart"))
	if err != nil {
		t.Fatal(err)
	}
	return release.Shape{Namespace: "shop", Name: "shop", Chart: ch, Values: map[string]any{"database": map[string]any{"port": 3306}},
		Facts: []release.Setting{{Path: "database.host", Fact: google.Host}}, Writers: "writers.enabled", Service: "edge", Instance: inst}
}

func (h *helm) eye(cl migrate.Ref[google.Cluster]) migrate.Eye[release.Look] {
	return migrate.LookAt(cl, release.Look(release.NoRelease{}), func(context.Context, google.Cluster) (release.Look, error) { return release.OnlyLook(h), nil })
}

func (h *helm) hand(cl migrate.Ref[google.Cluster]) migrate.Hand[migrate.Rehearsal, release.Make] {
	return migrate.Created[migrate.Rehearsal](cl, func(_ context.Context, _ google.Cluster, s migrate.Stamp) (release.Make, error) {
		return hand{h, stamp.Stamp{Run: s.Run, Step: string(s.Step)}}, nil
	})
}

const once = "each run has a cluster of its own"

func TestInstall(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: once, New: func(t *testing.T, p *steptest.Process) steptest.World {
		h := &helm{p: p}
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				cl, inst := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"}), steptest.Given(rb, "standup.sql-instance", theInstance)
				migrate.Add(rb, release.Install{Shape: shape(t, inst)}, h.eye(cl), h.hand(cl))
			},
			// The number of revisions depends on how often a client died: what runs and its last status don't.
			State:      func() string { return state(h) },
			Repeatable: func(effect string) bool { return strings.HasPrefix(effect, "mark revision") },
			Spoil: []steptest.Spoil{
				{Name: "uninstalled", Do: func() { h.all = nil }},
				{Name: "crashing", Do: func() { h.down = true }},
				{Name: "other values", Do: func() { h.all[len(h.all)-1].Digest = "x" }},
				{Name: "no address", Do: func() { h.lb = "" }},
				{Name: "another address", Do: func() { h.lb = "192.0.2.9" }},
				{Name: "pending", Do: func() { h.all[len(h.all)-1].Status = "pending-upgrade" }},
			},
		}
	}})
}

func state(h *helm) string {
	if len(h.all) == 0 {
		return fmt.Sprintf("none; runs %q at %q", h.on, h.lb)
	}
	return fmt.Sprintf("%s; runs %s at %s", h.all[len(h.all)-1].Status, h.on, h.lb)
}

// What the writers rightly change has ended with the opening: a resume doesn't call it drift.
func TestOpenEnds(t *testing.T) {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("copy")
	rel, rows := steptest.Given(rb, "standup.release", kube.Release{}), steptest.Given(rb, "copy.sql-verify", "same")
	var ends []migrate.StepID
	for _, d := range (release.Open{Installed: rel, Changes: []migrate.Dep{rows.Dep()}}).Spec().Ends {
		ends = append(ends, d.Step())
	}
	if want := []migrate.StepID{"standup.release", "copy.sql-verify"}; !slices.Equal(ends, want) {
		t.Errorf("it ends %v, want %v", ends, want)
	}
}

func TestOpen(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: once, New: func(t *testing.T, p *steptest.Process) steptest.World {
		h := &helm{p: p, lb: "10.77.3.1"}
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				cl, inst := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"}), steptest.Given(rb, "standup.sql-instance", theInstance)
				if len(h.all) == 0 {
					h.all = []kube.Revision{{Number: 1, Status: "deployed", Digest: "closed", Labels: map[string]string{stamp.RunLabel: "20261123-010203-0001"}}}
					h.on = "closed"
				}
				rel := steptest.Given(rb, "standup.release", kube.Release{Namespace: "shop", Name: "shop", Revision: 1, Service: "edge", Address: "10.77.3.1"})
				migrate.Add(rb, release.Open{Shape: shape(t, inst), Installed: rel}, h.eye(cl), h.hand(cl))
			},
			State: func() string {
				if len(h.all) == 0 {
					return "deployed; runs closed at 10.77.3.1" // before Add has put it there
				}
				return state(h)
			},
			Repeatable: func(effect string) bool { return strings.HasPrefix(effect, "mark revision") },
			Spoil: []steptest.Spoil{
				{Name: "closed again", Do: func() { h.all[len(h.all)-1].Digest = "closed" }},
				{Name: "crashing", Do: func() { h.down = true }},
				{Name: "another address", Do: func() { h.lb = "192.0.2.9" }},
			},
		}
	}})
}

// The plan, before there is anything, says what the release consists of; a chart that lacks a value is found in it.
func TestPlan(t *testing.T) {
	h := &helm{p: &steptest.Process{}}
	outline := func(change func(*release.Shape)) string {
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		rb.Phase("stand up")
		cl, inst := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"}), steptest.Given(rb, "standup.sql-instance", theInstance)
		sh := shape(t, inst)
		change(&sh)
		migrate.Add(rb, release.Install{Shape: sh}, h.eye(cl), h.hand(cl))
		o, err := rb.Plan(context.Background(), migrate.Options{})
		return fmt.Sprintf("%+v %v", o, err)
	}
	if got := outline(func(*release.Shape) {}); !strings.Contains(got, "install release shop/shop: 1 ConfigMap, 1 Deployment, 1 Service; writers.enabled=false") {
		t.Error(got)
	}
	if got := outline(func(sh *release.Shape) { sh.Facts = nil }); !strings.Contains(got, "database.host is missing") {
		t.Error(got)
	}
	if got := outline(func(sh *release.Shape) { sh.Facts[0].Path = "database.port.x" }); !strings.Contains(got, "database.port is not a map") {
		t.Error(got)
	}
	h.all = []kube.Revision{{Number: 1, Status: "pending-install", Labels: map[string]string{stamp.RunLabel: migrate.PlanID}}}
	if got := outline(func(*release.Shape) {}); !strings.Contains(got, "repair release shop/shop: revision 1 was left pending-install") {
		t.Error(got)
	}
	h.all[0].Labels = nil
	if got := outline(func(*release.Shape) {}); !strings.Contains(got, kube.ErrExists.Error()) {
		t.Error(got)
	}
}

// Values that the configuration gave are not changed by setting facts in them.
func TestValuesAreKept(t *testing.T) {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("stand up")
	cl, inst := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"}), steptest.Given(rb, "standup.sql-instance", theInstance)
	sh := shape(t, inst)
	h := &helm{p: &steptest.Process{}}
	migrate.Add(rb, release.Install{Shape: sh}, h.eye(cl), h.hand(cl))
	if _, err := rb.Plan(context.Background(), migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(sh.Values); got != "map[database:map[port:3306]]" {
		t.Error(got)
	}
}
