//go:build lab

package kube

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

// The tests of this file's package run against one cluster of the lab, which is made for them as the product makes one.
var (
	lab     *Cluster
	labRun  string
	tokens  *google.Client
	cluster google.Cluster
)

func TestMain(m *testing.M) {
	code, err := inLab(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func inLab(m *testing.M) (code int, err error) {
	dir := os.Getenv("SLIPWAY_LAB_CONFIG")
	if dir == "" {
		return 1, fmt.Errorf("SLIPWAY_LAB_CONFIG names no folder: slipway-lab config DIR writes one")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "secrets", "google.json"))
	if err != nil {
		return 1, err
	}
	at := func(api string) string { return "https://" + api + ".google.lab/" }
	tokens, err = google.New(google.Options{Key: secret.New(string(raw)), CAFile: filepath.Join(dir, "ca.pem"), UserAgent: "slipway-test",
		Endpoints: google.Endpoints{SQLAdmin: at("sqladmin"), Container: at("container"), DNS: at("dns"), ResourceManager: at("cloudresourcemanager")}})
	if err != nil {
		return 1, err
	}
	now := time.Now().UTC()
	labRun = fmt.Sprintf("%s-%04x", now.Format("20060102-150405"), now.Nanosecond()&0xffff)
	mk := tokens.MakeClusters("shop-lab", "europe-west1", mark("standup.cluster"))
	began, last := time.Now(), ""
	tell := func(what string, done, total int64) {
		if short, _, _ := strings.Cut(what, ":"); short != last {
			last = short
			fmt.Fprintf(os.Stderr, "%6.1f s %s %d/%d\n", time.Since(began).Seconds(), what, done, total)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	spec := google.ClusterSpec{Name: "slipway-" + labRun, Nodes: 2, Machine: "e2-standard-4"}
	defer func() {
		if e := mk.DeleteCluster(context.WithoutCancel(ctx), spec.Name, tell); e != nil {
			code, err = 1, e
		}
		fmt.Fprintf(os.Stderr, "%6.1f s cluster %s is gone\n", time.Since(began).Seconds(), spec.Name)
	}()
	if cluster, err = mk.CreateCluster(ctx, spec, tell); err != nil {
		return 1, err
	}
	fmt.Fprintf(os.Stderr, "%6.1f s cluster %s runs\n", time.Since(began).Seconds(), spec.Name)
	if lab, err = Connect(Access{Endpoint: cluster.Endpoint, CA: cluster.CA, Tokens: tokens.Tokens(), UserAgent: "slipway-test"}); err != nil {
		return 1, err
	}
	return m.Run(), nil
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
