//go:build lab

package kube

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

// The lab tests of this package run against one cluster, which the first of them makes as the product makes one.
var (
	lab     *Cluster
	labRun  string
	clouds  google.ClusterMaker
	cluster google.Cluster
	first   sync.Once
	failed  error // why there is no cluster
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait, most of the time
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if clouds != (google.ClusterMaker{}) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := clouds.DeleteCluster(ctx, "slipway-"+labRun, func(string, int64, int64) {}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// standUp stands the cluster up.
func standUp(t *testing.T) error {
	dir := labtest.Join(t).Config(t)
	raw, err := os.ReadFile(filepath.Join(dir, "secrets", "google.json"))
	if err != nil {
		return err
	}
	at := func(api string) string { return "https://" + api + ".google.lab/" }
	c, err := google.New(google.Options{Key: secret.New(string(raw)), CAFile: filepath.Join(dir, "ca.pem"), UserAgent: "slipway-test",
		Endpoints: google.Endpoints{SQLAdmin: at("sqladmin"), Container: at("container"), DNS: at("dns"), ResourceManager: at("cloudresourcemanager")}})
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	labRun = fmt.Sprintf("%s-%04x", now.Format("20060102-150405"), now.Nanosecond()&0xffff)
	clouds = c.MakeClusters("shop-lab", "europe-west1", mark("standup.cluster"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if cluster, err = clouds.CreateCluster(ctx, google.ClusterSpec{Name: "slipway-" + labRun, Nodes: 2, Machine: "e2-standard-4"}, google.Tell(say(t))); err != nil {
		return err
	}
	lab, err = Connect(Access{Endpoint: cluster.Endpoint, CA: cluster.CA, Tokens: c.Tokens(), UserAgent: "slipway-test"})
	return err
}

func mark(step string) stamp.Stamp { return stamp.Stamp{Run: labRun, Step: step, Fence: 1} }

func say(t *testing.T) Tell {
	last := ""
	return func(what string, done, total int64) {
		short := strings.TrimRight(what, "0123456789 s")
		if short != last {
			last = short
			t.Logf("%s %d/%d", what, done, total)
		}
	}
}

// space makes a namespace for one test.
func space(t *testing.T) (string, Maker) {
	t.Helper()
	first.Do(func() { failed = standUp(t) })
	if failed != nil {
		t.Fatalf("no cluster to test with: %v", failed)
	}
	labtest.Join(t)
	name := "t-" + strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(t.Name(), "/", "-"), "_", "-"))
	m := lab.Make(mark("standup.namespace"))
	if err := m.ApplyNamespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := m.DeleteNamespace(ctx, name, say(t)); err != nil {
			t.Error(err)
		}
	})
	return name, m
}
