//go:build lab

package google

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

const (
	labProject = "shop-lab"
	labRegion  = "europe-west1"
)

func labClient(t *testing.T, key string) *Client {
	t.Helper()
	dir := labtest.Join(t).Config(t)
	raw, err := os.ReadFile(filepath.Join(dir, "secrets", key))
	if err != nil {
		t.Fatal(err)
	}
	at := func(api string) string { return "https://" + api + ".google.lab/" }
	c, err := New(Options{Key: secret.New(string(raw)), CAFile: filepath.Join(dir, "ca.pem"), UserAgent: "slipway-test",
		Endpoints: Endpoints{at("sqladmin"), at("container"), at("dns"), at("cloudresourcemanager"), at("storage")}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func labMark(step string) stamp.Stamp {
	now := time.Now().UTC()
	return stamp.Stamp{Run: fmt.Sprintf("%s-%04x", now.Format("20060102-150405"), now.Nanosecond()&0xffff), Step: step, Fence: 1}
}

func saying(t *testing.T) Tell {
	last := ""
	return func(what string, done, total int64) {
		if line := fmt.Sprintf("%s %d/%d", what, done, total); strings.TrimRight(line, "0123456789 s/") != last {
			last = strings.TrimRight(line, "0123456789 s/")
			t.Log(line)
		}
	}
}

func TestLabInstance(t *testing.T) {
	ctx := t.Context()
	c, m := labClient(t, "google.json"), labMark("standup.sql-instance")
	mk, look, tell := c.MakeSQL(labProject, m), c.LookAtSQL(labProject), saying(t)
	spec := InstanceSpec{Name: "slipway-" + m.Run, Version: "MYSQL_9_7", Region: labRegion, Tier: "db-custom-2-7680", Edition: "ENTERPRISE", DiskGB: 10,
		PrivateNetwork: "projects/shop-lab/global/networks/default", ServerCAMode: "GOOGLE_MANAGED_CAS_CA", Flags: []Flag{{"log_bin_trust_function_creators", "on"}}}

	// An attempt that dies while the instance is created leaves it to the next.
	dying, kill := context.WithCancel(ctx)
	_, err := mk.CreateInstance(dying, spec, func(what string, _, _ int64) {
		if strings.Contains(what, "waiting for operation") {
			kill()
		}
	})
	kill()
	if err == nil {
		t.Fatal("an attempt that died succeeded")
	}
	t.Cleanup(func() {
		if err := mk.DeleteInstance(context.WithoutCancel(ctx), spec.Name, tell); err != nil {
			t.Error(err)
		}
	})
	inst, err := mk.CreateInstance(ctx, spec, tell)
	if err != nil {
		t.Fatal(err)
	}
	again, err := mk.CreateInstance(ctx, spec, tell)
	if err != nil || again != inst {
		t.Errorf("a third time: %+v, %v", again, err)
	}
	if inst.Private == "" || inst.DNSName == "" || !strings.Contains(inst.CA, "BEGIN CERTIFICATE") {
		t.Errorf("instance %+v", inst)
	}

	db := Database{"shop", "utf8mb4", "utf8mb4_0900_ai_ci"}
	for range 2 {
		if err := mk.CreateDatabase(ctx, inst.Name, db, tell); err != nil {
			t.Fatal(err)
		}
	}
	user, one, two := User{"shop", "%"}, secret.New("one-Password-1"), secret.New("two-Password-2")
	for _, pw := range []secret.String{two, one} {
		if err := mk.PutUser(ctx, inst.Name, user, pw, tell); err != nil {
			t.Fatal(err)
		}
	}
	if err := look.Login(ctx, inst, "shop", one); err != nil {
		t.Error(err)
	}
	if err := look.Login(ctx, inst, "shop", two); !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), two.Reveal()) {
		t.Errorf("the old password: %v, want ErrLogin", err)
	}
	// The same server under another instance's name isn't believed, in either way of naming.
	other := inst
	other.DNSName = "another.europe-west1.sql.goog"
	if err := look.Login(ctx, other, "shop", one); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another name: %v", err)
	}

	if err := c.MakeSQL(labProject, labMark("x")).DeleteInstance(ctx, inst.Name, tell); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another run deletes it: %v", err)
	}
	for range 2 {
		if err := mk.DeleteUser(ctx, inst.Name, user, tell); err != nil {
			t.Error(err)
		}
		if err := mk.DeleteDatabase(ctx, inst.Name, "shop", tell); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := mk.DeleteInstance(ctx, inst.Name, tell); err != nil {
			t.Error(err)
		}
	}
	if _, there, err := look.Instance(ctx, inst.Name); there || err != nil {
		t.Errorf("deleted, and there: %v, %v", there, err)
	}
	if _, err := mk.CreateInstance(ctx, spec, tell); err == nil || !strings.Contains(err.Error(), "for a week") {
		t.Errorf("the name of a deleted instance: %v", err)
	}
}

// Without DNS names in the certificate the chain and the common name are checked.
func TestLabInstanceWithItsOwnAuthority(t *testing.T) {
	ctx := t.Context()
	c, m := labClient(t, "google.json"), labMark("standup.sql-instance")
	mk, tell := c.MakeSQL(labProject, m), saying(t)
	inst, err := mk.CreateInstance(ctx, InstanceSpec{Name: "slipway-" + m.Run, Version: "MYSQL_9_7", Region: labRegion, Tier: "db-custom-2-7680", Edition: "ENTERPRISE", DiskGB: 10,
		PrivateNetwork: "projects/shop-lab/global/networks/default"}, tell)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := mk.DeleteInstance(context.WithoutCancel(ctx), inst.Name, tell); err != nil {
			t.Error(err)
		}
	}()
	pw := secret.New("one-Password-1")
	if err := mk.PutUser(ctx, inst.Name, User{"shop", "%"}, pw, tell); err != nil {
		t.Fatal(err)
	}
	if err := c.LookAtSQL(labProject).Login(ctx, inst, "shop", pw); err != nil {
		t.Error(err)
	}
	inst.Project = "another"
	if err := c.LookAtSQL(labProject).Login(ctx, inst, "shop", pw); err == nil || !strings.Contains(err.Error(), `not "another:`) {
		t.Errorf("another common name: %v", err)
	}
}

func TestLabProject(t *testing.T) {
	ctx := t.Context()
	want := []string{"cloudsql.instances.create", "container.clusters.create", "cloudsql.instances.list"}
	for key, lacks := range map[string][]string{"google.json": nil, "google-viewer.json": want[:2]} {
		l := labClient(t, key).LookAtProject(labProject, labRegion)
		missing, err := l.MissingPermissions(ctx, want)
		if err != nil || !slices.Equal(missing, lacks) {
			t.Errorf("%s lacks %q (%v), want %q", key, missing, err, lacks)
		}
		if _, err := l.ClusterNames(ctx); err != nil {
			t.Error(err)
		}
		if _, err := l.InstanceNames(ctx); err != nil {
			t.Error(err)
		}
		if v, err := l.KubernetesVersions(ctx); err != nil || len(v) == 0 {
			t.Errorf("%q, %v", v, err)
		}
		if f, err := l.Flags(ctx, "MYSQL_9_7"); err != nil || !slices.Contains(f, "log_bin_trust_function_creators") {
			t.Errorf("%q, %v", f, err)
		}
	}
	m := labMark("x")
	_, err := labClient(t, "google-viewer.json").MakeClusters(labProject, labRegion, m).CreateCluster(ctx, ClusterSpec{Name: "slipway-" + m.Run, Nodes: 2}, saying(t))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "roles/container.admin") {
		t.Errorf("a viewer creates a cluster: %v", err)
	}
}
