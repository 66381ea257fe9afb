//go:build lab

package kube

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
)

// A claim is filled through its mover, and compared; with a pod that is killed in between, a volume that is too small, and a run that isn't its owner.
func TestMoverForReal(t *testing.T) {
	ns, mk := space(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := mk.ApplyClaim(ctx, Claim{Namespace: ns, Name: "assets", Class: "standard-rwx", Mode: string(corev1.ReadWriteMany), Size: "16Mi"}, say(t)); err != nil {
		t.Fatal(err)
	}
	m := Mover{Namespace: ns, Claim: "assets", Image: "registry.lab/lab/tools:1"}
	hand := mk.Mover(m)
	if stands, err := hand.Stands(ctx, labRun); err != nil || stands {
		t.Fatalf("before it is made: %v, %v", stands, err)
	}
	if err := hand.Start(ctx, say(t)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := hand.Start(ctx, say(t)); err != nil {
		t.Fatal("again:", err)
	}
	t.Log("started again in", time.Since(began))
	if stands, err := hand.Stands(ctx, labRun); err != nil || !stands {
		t.Fatalf("when it is made: %v, %v", stands, err)
	}
	if stands, err := hand.Stands(ctx, "20261123-010203-ffff"); err != nil || stands {
		t.Fatalf("for another run: %v, %v", stands, err)
	}

	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shop := treetest.Shop()
	shop.Put("thumbs/set-id", treetest.Node{Kind: treecopy.File, Mode: 0o6755, UID: 1234, GID: 33, Content: []byte("x")})
	shop.Put("private", treetest.Node{Kind: treecopy.Directory, Mode: 0o700, UID: 1234, GID: 1234})
	shop.Put("private/f", treetest.Node{Kind: treecopy.File, Mode: 0o000, UID: 33, GID: 1234, Content: []byte("secret")})
	art, err := treecopy.Take(ctx, shop, store, "20261123-010203-0001", treecopy.Options{From: "test"})
	if err != nil {
		t.Fatal(err)
	}
	x, err := treecopy.Open(t.Context(), art)
	if err != nil {
		t.Fatal(err)
	}
	look := func() *treecopy.Compared {
		t.Helper()
		c, err := x.Compare(ctx, hand, treecopy.Contents, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := look()
	if len(c.Extra) != 0 || len(c.Missing) != len(x.Entries) {
		t.Errorf("a fresh volume: %v", c.Err())
	}
	if _, err := x.Send(ctx, hand, c.Missing, 2, nil); err != nil {
		t.Fatal(err)
	}
	if err := hand.Sync(ctx); err != nil {
		t.Error(err)
	}
	if err := look().Err(); err != nil {
		t.Error(err)
	}
	// Its root is read-only, and it can't do what it needn't.
	var out bytes.Buffer
	err = lab.Exec(ctx, ExecRequest{Namespace: ns, Pod: m.Name(), Command: []string{"sh", "-c", "touch /etc/x; mknod /volume/dev c 1 3; grep CapEff /proc/self/status"}, Stdout: &out})
	if err != nil || !strings.Contains(out.String(), "000000000000001b") { // CHOWN, DAC_OVERRIDE, FOWNER, FSETID: bits 0, 1, 3, 4 of linux/capability.h
		t.Errorf("%v, %q", err, out.String())
	}
	if err := look().Err(); err != nil {
		t.Errorf("after it tried to make a device: %v", err)
	}
	// A byte that is wrong is found through the pod, and sent again.
	spoil := []string{"sh", "-c", "cd /volume && touch -r thumbs/old/kept.png /dev/shm/t && printf Kept > thumbs/old/kept.png && touch -r /dev/shm/t thumbs/old/kept.png"}
	if err := lab.Exec(ctx, ExecRequest{Namespace: ns, Pod: m.Name(), Command: spoil}); err != nil {
		t.Fatal(err)
	}
	if c = look(); len(c.Missing) != 1 || !strings.Contains(c.Err().Error(), `"thumbs/old/kept.png": its contents differ`) {
		t.Errorf("a byte that is wrong: %v", c.Err())
	}
	if _, err := x.Send(ctx, hand, c.Missing, 2, nil); err != nil {
		t.Fatal(err)
	}
	// The volume outlives the pod.
	if err := hand.Stop(ctx, say(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Compare(ctx, hand, treecopy.Attributes, 1, nil); err == nil {
		t.Error("a comparison without a pod")
	}
	if err := hand.Stop(ctx, say(t)); err != nil {
		t.Error("again:", err)
	}
	if err := hand.Start(ctx, say(t)); err != nil {
		t.Fatal(err)
	}
	if err := look().Err(); err != nil {
		t.Errorf("through another pod: %v", err)
	}
	// 16 MiB have no room for 20.
	full := treetest.Shop()
	full.Put("big", treetest.Node{Kind: treecopy.File, Mode: 0o644, UID: 33, GID: 33, Content: bytes.Repeat([]byte{1, 2, 3, 4, 5}, 4<<20)})
	big, err := treecopy.Take(ctx, full, store, "20261123-010203-0002", treecopy.Options{From: "test"})
	if err != nil {
		t.Fatal(err)
	}
	y, err := treecopy.Open(t.Context(), big)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]int, len(y.Entries))
	for i := range all {
		all[i] = i
	}
	free, err := hand.Free(ctx)
	if err != nil || free.Bytes <= 0 || free.Bytes >= 16<<20 || free.Inodes <= 0 || y.Space(all).Bytes <= free.Bytes {
		t.Errorf("free: %+v, needed: %+v, %v", free, y.Space(all), err)
	}
	if _, err := y.Send(ctx, hand, all, 2, nil); !errors.Is(err, treecopy.ErrFull) {
		t.Errorf("a full volume: %v", err)
	}
}
