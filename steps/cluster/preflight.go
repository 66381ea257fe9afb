package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
)

// ProjectLook answers what is asked of a Google project before anything is made in it. Each list also says that its API is enabled.
type ProjectLook interface {
	Account() string
	MissingPermissions(ctx context.Context, want []string) ([]string, error)
	ClusterNames(ctx context.Context) ([]string, error)
	KubernetesVersions(ctx context.Context) ([]string, error)
	InstanceNames(ctx context.Context) ([]string, error)
	Flags(ctx context.Context, version string) ([]string, error)
}

type onlyProject struct{ ProjectLook }

// OnlyProject closes a looker that can do more.
func OnlyProject(l ProjectLook) ProjectLook { return onlyProject{l} }

// Permissions are what the account needs on the project to make, use and delete what a rehearsal makes; docs/for-real.md has the roles that
// hold them.
func Permissions() []string {
	return []string{
		"cloudsql.databases.create", "cloudsql.databases.delete", "cloudsql.databases.list",
		"cloudsql.instances.create", "cloudsql.instances.delete", "cloudsql.instances.get", "cloudsql.instances.list", "cloudsql.instances.update",
		"cloudsql.users.create", "cloudsql.users.delete", "cloudsql.users.list", "cloudsql.users.update",
		"container.clusters.create", "container.clusters.delete", "container.clusters.get", "container.clusters.list",
		"container.operations.get", "container.operations.list",
		"container.namespaces.create", "container.namespaces.delete", "container.secrets.create", "container.secrets.delete",
		"container.persistentVolumeClaims.create", "container.persistentVolumeClaims.delete", "container.deployments.create",
		"container.statefulSets.create", "container.services.create", "container.configMaps.create", "container.pods.create", "container.pods.exec",
	}
}

// Preflight looks whether the project allows what this run will make in it.
type Preflight struct {
	Project  string
	Cluster  google.ClusterSpec
	Instance google.InstanceSpec
}

// PreflightOut is what was seen.
type PreflightOut struct {
	Account   string
	Clusters  int // that are there already
	Instances int
	Unchecked []string // what the APIs don't tell beforehand
}

// Spec: it changes nothing.
func (st Preflight) Spec() migrate.Spec {
	return migrate.Spec{ID: "preflight.google", Version: 1, Title: "look at the Google project", Timeout: 10 * time.Minute, OnUndoFailure: migrate.GoOn}
}

// Plan: there is nothing to do but look, which Run does. Names that are free before the run are taken in it: it isn't looked at again.
func (st Preflight) Plan(_ context.Context, _ *migrate.Scope[ProjectLook], rec migrate.Recorded[PreflightOut]) (migrate.Plan[PreflightOut], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[PreflightOut]{}, nil
}

// Run looks; all problems come at once.
func (st Preflight) Run(ctx context.Context, s *migrate.Scope[ProjectLook], _ PreflightOut) (PreflightOut, error) {
	out := PreflightOut{Account: s.C.Account(),
		Unchecked: []string{"quotas of CPUs, addresses and disks", "quota of Filestore", "the nodes' service account", "the peering of the private network"}}
	var all *multierror.Error
	fail := func(err error) {
		if err != nil {
			all = multierror.Append(all, err)
		}
	}
	name := Name(s.Run())

	s.Tell("permissions of "+out.Account+" on project "+st.Project, 0, 0)
	missing, err := s.C.MissingPermissions(ctx, Permissions())
	fail(err)
	if len(missing) > 0 {
		fail(fmt.Errorf("project %s: %s lacks %s; grant it the roles of docs/for-real.md", st.Project, out.Account, strings.Join(missing, ", ")))
	}
	s.Tell("clusters of project "+st.Project, 0, 0)
	clusters, err := s.C.ClusterNames(ctx)
	fail(err)
	out.Clusters = len(clusters)
	if slices.Contains(clusters, name) {
		fail(fmt.Errorf("project %s has a cluster %s already: %w", st.Project, name, google.ErrExists))
	}
	if err == nil && st.Cluster.Version != "" {
		fail(st.version(ctx, s.C))
	}
	s.Tell("instances of project "+st.Project, 0, 0)
	instances, err := s.C.InstanceNames(ctx)
	fail(err)
	out.Instances = len(instances)
	if slices.Contains(instances, name) {
		fail(fmt.Errorf("project %s has an instance %s already: %w", st.Project, name, google.ErrExists))
	}
	if err == nil {
		fail(st.flags(ctx, s.C))
	}
	return out, errlist.OrNil(all)
}

// version: GKE takes a whole version, or the beginning of one ("1.37") for the newest of those.
func (st Preflight) version(ctx context.Context, l ProjectLook) error {
	valid, err := l.KubernetesVersions(ctx)
	if err != nil {
		return err
	}
	want := st.Cluster.Version
	for _, v := range valid {
		if v == want || strings.HasPrefix(v, want+".") || strings.HasPrefix(v, want+"-") {
			return nil
		}
	}
	return fmt.Errorf("project %s: Kubernetes %s can't be had; there is %s", st.Project, want, strings.Join(valid, ", "))
}

func (st Preflight) flags(ctx context.Context, l ProjectLook) error {
	known, err := l.Flags(ctx, st.Instance.Version)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return fmt.Errorf("project %s: Cloud SQL knows no flags of %s; is that one of its versions", st.Project, st.Instance.Version)
	}
	var all *multierror.Error
	for _, f := range st.Instance.Flags {
		if !slices.Contains(known, f.Name) {
			all = multierror.Append(all, fmt.Errorf("project %s: Cloud SQL has no flag %s for %s", st.Project, f.Name, st.Instance.Version))
		}
	}
	return errlist.OrNil(all)
}

// Verify: what was seen is complete.
func (st Preflight) Verify(_ context.Context, _ *migrate.Scope[ProjectLook], out PreflightOut) error {
	if out.Account == "" {
		return fmt.Errorf("the project was not looked at")
	}
	return nil
}

// Undo: there is nothing to undo.
func (st Preflight) Undo(context.Context, *migrate.Scope[ProjectLook], migrate.Recorded[PreflightOut]) error {
	return nil
}
