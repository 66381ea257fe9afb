//go:build lab

package kubernetes

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// holdsCluster tells the test's program that it is the one that is going to be killed.
const holdsCluster = "SLIPWAY_TEST_HOLDS_CLUSTER"

// TestHolder is not a test of its own: TestKilled runs it in a process that it kills.
func TestHolder(t *testing.T) {
	if os.Getenv(holdsCluster) == "" {
		return
	}
	b := newBench(t)
	ep, err := b.clusters.Start(within(t, 3*time.Minute), Spec{Name: "held", Nodes: 2, Webhook: b.webhook}, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	client, config := b.connect(t, ep, goodToken)
	u := user{t: t, bench: b, client: client, config: config}
	u.claim("disk", "standard-rwo", "64Mi", corev1.ReadWriteOnce)
	u.claim("share", "standard-rwx", "64Mi", corev1.ReadWriteMany)
	u.pod("left", "k1-node1", withClaim("disk", "/disk"), withClaim("share", "/share"))
	u.pod("right", "k1-node2", withClaim("share", "/share"))
	u.ready("left", "right")
	fmt.Println("holding")
	select {}
}

// TestKilled kills a process with -9 that holds a cluster whose pods have volumes mounted, and looks at what is left.
func TestKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	holder := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestHolder$", "-test.v")
	holder.Env = append(os.Environ(), holdsCluster+"=1")
	holder.Stderr = os.Stderr
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	holding := false
	for scan := bufio.NewScanner(out); !holding && scan.Scan(); {
		holding = strings.Contains(scan.Text(), "holding")
		if !holding {
			t.Log(scan.Text())
		}
	}
	running := leftovers(t)
	for _, kind := range []string{"process ", "loop ", "cgroup "} {
		if !strings.Contains(running, kind) {
			t.Errorf("while the cluster runs no %sis found: this test can't see what it is to look for", kind)
		}
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // it was killed
	if !holding {
		t.Fatal("the cluster was not there")
	}
	eventually(t, 20*time.Second, "all but directories gone by itself", func(context.Context) (bool, string) {
		left := leftovers(t)
		for line := range strings.Lines(left) {
			if !strings.HasPrefix(line, "cgroup ") {
				return false, left
			}
		}
		return true, ""
	})
	// The next lab of the name takes the directories away.
	dir := filepath.Join(os.TempDir(), "slipway-kubetest")
	launcher, err := machine.NewLauncher("kubetest", filepath.Join(dir, "machines"))
	if err != nil {
		t.Fatal(err)
	}
	if err := launcher.Clean(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
