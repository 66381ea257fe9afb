//go:build lab

package zone

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/secret"
)

func labZone(t *testing.T, keys, name string) *OVH {
	t.Helper()
	dir := labtest.Join(t).Config(t)
	read := func(what string) secret.String {
		t.Helper()
		ref, err := secret.ParseRef("file:" + filepath.Join(dir, "secrets", keys+what))
		if err != nil {
			t.Fatal(err)
		}
		s, err := ref.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	roots, err := google.Roots(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := NewOVH(OVHAccess{Endpoint: "https://api.ovh.lab/1.0", AppKey: read("application-key"), AppSecret: read("application-secret"), ConsumerKey: read("consumer-key"),
		Roots: roots, UserAgent: "slipway-test"}, name, Servers{})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// Real name servers: BIND, primary and secondary, behind OVH's API as the lab has it.
func TestLabThereAndBack(t *testing.T) {
	ctx := t.Context()
	z, prod := labZone(t, "ovh-", "rehearsal.example"), labZone(t, "ovh-viewer-", "shop.example")
	h := HandOnRehearsal(z, prod)
	was := all(t, z)
	tell := func(what string, _, _ int64) { t.Log(what) }
	sets, err := SeeRehearsal(z, prod, Servers{}).Sets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := Point(z, sets, []string{"www", "target-test"}, "10.77.3.250", 60)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Apply(context.WithoutCancel(ctx), cs.Reverse(), tell); err != nil {
			t.Error(err)
		}
		if got := all(t, z); got != was {
			t.Errorf("after the way back\n%s\nwant\n%s", got, was)
		}
	})
	if err := h.Apply(ctx, cs, tell); err != nil {
		t.Fatal(err)
	}
	v := See(z, Servers{})
	var want []Set
	for _, c := range cs {
		want = append(want, c.After)
	}
	if diffs, err := v.Differences(ctx, want); err != nil || len(diffs) > 0 {
		t.Errorf("%q, %v", diffs, err)
	}
	serials, err := v.Serials(ctx)
	if err != nil || len(serials) < 2 || serials[0].Number != serials[1].Number {
		t.Errorf("%v, %v", serials, err)
	}
}

func TestLabProductionIsRefused(t *testing.T) {
	ctx := t.Context()
	prod := labZone(t, "ovh-", "shop.example") // the rehearsal's key: it may read production's zone
	if _, err := SeeRehearsal(prod, prod, Servers{}).Sets(ctx); !errors.Is(err, ErrProduction) {
		t.Errorf("production's zone to rehearse on: %v", err)
	}
	sets, err := prod.Sets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	was := all(t, prod)
	cs, err := Point(prod, sets, []string{"www"}, "10.77.3.250", 60)
	if err != nil {
		t.Fatal(err)
	}
	if err := HandOnRehearsal(prod, prod).Apply(ctx, cs, quietly); !errors.Is(err, ErrProduction) {
		t.Errorf("a rehearsal's hand on production's zone: %v", err)
	}
	if err := prod.Apply(ctx, cs, quietly); err == nil {
		t.Error("the rehearsal's key changes production's zone")
	} else {
		t.Log(err)
	}
	if got := all(t, prod); got != was {
		t.Errorf("production's zone is\n%s\nand was\n%s", got, was)
	}
}
