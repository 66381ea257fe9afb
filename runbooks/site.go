package runbooks

import (
	"context"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/cluster"
	"github.com/slipway-dev/slipway/steps/hosts"
	"github.com/slipway-dev/slipway/steps/release"
	"github.com/slipway-dev/slipway/steps/smoke"
)

// Go is the gate before the names are flipped: how long it waits for a person's word, and what it shows that person.
type Go struct {
	Within time.Duration
	Show   func(context.Context, *migrate.History) ([]string, error)
}

// Site is what is moved and what becomes of it: plain data, the same for a rehearsal and a cut-over.
type Site struct {
	Name string // public host name: "www.shop.example"
	Tool string // this program and its version, for the snapshots' manifests

	Inventory    *inventory.Inventory
	Clocks       time.Duration // how far apart the clocks of two hosts may be
	SnapshotFrom string        // host with the standby that the rows are read from
	Schemas      []string
	Volume       string // of Gluster
	Reuse        snapshot.ID
	Keep         hosts.Keep // where the facts of preflight are kept whole

	Project  string
	Location string // of the cluster: a zone or a region
	Cluster  google.ClusterSpec
	Instance google.InstanceSpec
	Charset  string
	Collate  string
	Accounts []cloudsql.Account

	Namespace string
	Secrets   []cluster.SecretObject
	Claims    []kube.Claim
	Assets    string // the claim that the files go to
	Mover     string // image of the pod that writes them
	Release   release.Shape

	Checks   []smoke.Check
	Patience time.Duration // how long a check waits for a site that is only just coming up

	Names  []string // that are flipped, relative to the zone
	Go     Go       // the gate before the flip
	TTL    int      // of the flipped names, s
	MaxTTL int      // that production's may have on the night, s

	Own []OwnStep // the user's own steps, in their order
}
