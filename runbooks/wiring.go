package runbooks

import (
	"context"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/cluster"
	"github.com/slipway-dev/slipway/steps/dns"
	"github.com/slipway-dev/slipway/steps/gluster"
	"github.com/slipway-dev/slipway/steps/hosts"
	"github.com/slipway-dev/slipway/steps/mariadb"
	"github.com/slipway-dev/slipway/steps/release"
	"github.com/slipway-dev/slipway/steps/smoke"
	"github.com/slipway-dev/slipway/steps/volumes"
)

// Wiring is with what a runbook looks and acts, and all in which a rehearsal and a cut-over differ. Its hands are
// branded with the mode.
type Wiring[M migrate.Mode] struct {
	// The source: there is no hand on it in this runbook.
	Hosts     migrate.Eye[hosts.HostsLooker]
	Databases migrate.Eye[hosts.MariaDBLooker]
	Gluster   migrate.Eye[hosts.GlusterLooker]
	Rows      migrate.Eye[mariadb.Source]
	Files     migrate.Eye[gluster.Source]

	// The artifacts on this machine.
	Artifacts migrate.Eye[mariadb.StoreLook]
	Keep      migrate.Hand[M, mariadb.StoreHand]
	Load      migrate.Eye[cloudsql.Artifacts]

	FileArtifacts migrate.Eye[gluster.StoreLook]
	KeepFiles     migrate.Hand[M, gluster.StoreHand]
	Unpack        migrate.Eye[volumes.Artifacts]
	Digests       func(context.Context, snapshot.Files) (smoke.Assets, error)

	// The project: a hand that makes, and deletes what it made.
	Project      migrate.Eye[cluster.ProjectLook]
	Clusters     migrate.Eye[cluster.Look]
	MakeClusters migrate.Hand[M, cluster.Make]
	SQL          migrate.Eye[cloudsql.AdminLook]
	MakeSQL      migrate.Hand[M, cloudsql.AdminMake]

	// The zones: production's is looked at; which one is flipped is the mode's.
	Production migrate.Eye[dns.Look]
	Flipped    migrate.Eye[dns.Look]
	Flip       migrate.Hand[M, dns.Act]

	// What the run itself made, opened from its recorded result.
	Kube   func(context.Context, google.Cluster) (Kube, error)
	Target func(context.Context, google.Instance) (Target, error)
	Visit  smoke.Site // visits whatever address it is told, under the public name

	Own Own[M] // the user's own steps
}

// Kube is a cluster that the run made; see OnCluster.
type Kube interface {
	View() KubeView
	Make(stamp.Stamp) KubeMake
}

// KubeView looks at all that the steps make in a cluster.
type KubeView interface {
	cluster.ObjectLook
	volumes.ClaimLook
	release.Look
	Mover(kube.Mover) volumes.MoverLook
}

// KubeMake makes it, with the stamp that it was opened with, and deletes only what carries that.
type KubeMake interface {
	cluster.ObjectMake
	volumes.ClaimMake
	release.Make
	Mover(kube.Mover) volumes.MoverHand
}

// OnCluster is a cluster's API server as a Wiring takes it.
func OnCluster(c *kube.Cluster) Kube { return onCluster{c} }

type (
	onCluster struct{ c *kube.Cluster }
	kubeView  struct{ kube.Viewer }
	kubeMake  struct{ kube.Maker }
)

func (o onCluster) View() KubeView              { return kubeView{o.c.View()} }
func (o onCluster) Make(s stamp.Stamp) KubeMake { return kubeMake{o.c.Make(s)} }

func (v kubeView) Mover(m kube.Mover) volumes.MoverLook  { return v.Viewer.Mover(m) }
func (m kubeMake) Mover(mv kube.Mover) volumes.MoverHand { return m.Maker.Mover(mv) }

// Target is a database that the run made.
type Target interface {
	cloudsql.RowsLoad
	Row(ctx context.Context, schema, query string, args []string) ([]string, error)
}

// visited is an eye on the new side: its pages, and the rows in the schema of its database that a check's query means when
// it names none.
func visited[M migrate.Mode](w Wiring[M], inst migrate.Ref[google.Instance], schema string) migrate.Eye[smoke.Target] {
	return migrate.LookAt(inst, smoke.Target(smoke.NoTarget{}), func(ctx context.Context, i google.Instance) (smoke.Target, error) {
		t, err := w.Target(ctx, i)
		return smoke.OnlyTarget(w.Visit, rowsIn{t, schema}), err
	})
}

// digests is an eye on what the files in a snapshot are.
func digests[M migrate.Mode](w Wiring[M], files migrate.Ref[snapshot.Files]) migrate.Eye[smoke.Assets] {
	return migrate.LookAt(files, smoke.Assets(smoke.NoAssets{}), func(ctx context.Context, f snapshot.Files) (smoke.Assets, error) {
		a, err := w.Digests(ctx, f)
		return smoke.OnlyAssets(a), err
	})
}

type rowsIn struct {
	target Target
	schema string
}

func (r rowsIn) Row(ctx context.Context, query string, args []string) ([]string, error) {
	return r.target.Row(ctx, r.schema, query, args)
}

// seen is an eye on what is in the cluster that a step makes; absent is what a plan sees before.
func seen[M migrate.Mode, L any](w Wiring[M], cl migrate.Ref[google.Cluster], absent L, only func(KubeView) L) migrate.Eye[L] {
	return migrate.LookAt(cl, absent, func(ctx context.Context, c google.Cluster) (L, error) {
		k, err := w.Kube(ctx, c)
		if err != nil {
			return absent, err
		}
		return only(k.View()), nil
	})
}

// made is a hand on what this run makes in that cluster.
func made[M migrate.Mode, A any](w Wiring[M], cl migrate.Ref[google.Cluster], as func(KubeMake) A) migrate.Hand[M, A] {
	return migrate.Created[M](cl, func(ctx context.Context, c google.Cluster, s migrate.Stamp) (a A, err error) {
		k, err := w.Kube(ctx, c)
		if err != nil {
			return a, err
		}
		return as(k.Make(Mark(s))), nil
	})
}

// Mark is a step's stamp as the clients of what it makes take it.
func Mark(s migrate.Stamp) stamp.Stamp {
	return stamp.Stamp{Run: s.Run, Step: string(s.Step), Fence: s.Fence}
}
