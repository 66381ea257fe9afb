//go:build lab

package kube

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/slipway-dev/slipway/internal/stamp"
)

func TestLabPod(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ns, m := space(t)
	uid := func() string {
		t.Helper()
		p, there, err := lab.View().pod(ctx, ns, "p")
		if err != nil || !there {
			t.Fatalf("%v, %v", there, err)
		}
		return string(p.UID)
	}
	if err := m.ApplyPod(ctx, tools(ns, "p"), say(t)); err != nil {
		t.Fatal(err)
	}
	first := uid()
	if err := m.ApplyPod(ctx, tools(ns, "p"), say(t)); err != nil || uid() != first {
		t.Errorf("the same pod again is another: %v", err)
	}
	changed := tools(ns, "p")
	changed.Spec.Containers[0].Command = []string{"/bin/sleep", "99999"}
	if err := m.ApplyPod(ctx, changed, say(t)); err != nil || uid() == first {
		t.Errorf("another specification: %v", err)
	}
	ended := tools(ns, "p")
	ended.Spec.RestartPolicy = "Never"
	if err := lab.Exec(ctx, ExecRequest{Namespace: ns, Pod: "p", Command: []string{"/bin/true"}}); err != nil {
		t.Error(err)
	}
	other := lab.Make(stamp.Stamp{Run: "another"})
	if err := other.ApplyPod(ctx, tools(ns, "p"), say(t)); !errors.Is(err, ErrExists) {
		t.Errorf("another run's: %v", err)
	}
	if err := other.DeletePod(ctx, ns, "p", say(t)); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another run's: %v", err)
	}
	for range 2 {
		if err := m.DeletePod(ctx, ns, "p", say(t)); err != nil {
			t.Error(err)
		}
	}
}

// A pod that doesn't become ready is an error that names it and the cluster's reason.
func TestLabPodsThatDoNotStart(t *testing.T) {
	t.Parallel()
	ns, _ := space(t)
	impatient := *lab
	impatient.pace.patience = 8 * time.Second
	m := impatient.Make(mark("x"))
	for name, c := range map[string]struct {
		image   string
		command []string
		claim   string
		want    string
	}{
		"no-image": {"registry.lab/lab/nope:1", nil, "", "nope:1"},
		"crash":    {toolsImage, []string{"/bin/sh", "-c", "exit 3"}, "", "last with exit status 3"},
		"no-file":  {toolsImage, []string{"/bin/nope"}, "", "/bin/nope"},
		"no-claim": {toolsImage, []string{"/bin/sleep", "9"}, "nope", "nope"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			p := tools(ns, name)
			if c.claim != "" {
				p = tools(ns, name, c.claim)
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, 8*time.Second) // unschedulable isn't grave: it may pass
				defer stop()
			}
			p.Spec.Containers[0].Image, p.Spec.Containers[0].Command = c.image, c.command
			err := m.ApplyPod(ctx, p, say(t))
			if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "pod "+ns+"/"+name) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want ErrNotReady with %q", err, c.want)
			}
			t.Log(err)
		})
	}
}

func TestLabExec(t *testing.T) {
	t.Parallel()
	ns, m := space(t)
	if err := m.ApplyPod(t.Context(), tools(ns, "p"), say(t)); err != nil {
		t.Fatal(err)
	}
	t.Run("websocket", func(t *testing.T) { execs(t, lab, ns) })
	// The way through a proxy that knows no WebSocket: the upgrade is refused, and SPDY is taken.
	old := *lab
	old.config = rest.CopyConfig(lab.config)
	var refused atomic.Int32
	old.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/exec") {
				refused.Add(1)
				return nil, &httpstream.UpgradeFailureError{Cause: errors.New("a proxy on the way knows no websocket")}
			}
			return next.RoundTrip(r)
		})
	})
	t.Run("spdy", func(t *testing.T) { execs(t, &old, ns) })
	if refused.Load() == 0 {
		t.Error("no upgrade was refused: SPDY was not tried")
	}
}

func execs(t *testing.T, c *Cluster, ns string) {
	ctx := t.Context()
	run := func(stdin io.Reader, command ...string) (string, string, error) {
		var out, errs bytes.Buffer
		err := c.Exec(ctx, ExecRequest{Namespace: ns, Pod: "p", Container: "tools", Command: command, Stdin: stdin, Stdout: &out, Stderr: &errs})
		return out.String(), errs.String(), err
	}
	out, errs, err := run(nil, "/bin/sh", "-c", `printf '%s|' "$@"; echo err >&2`, "sh", "a b", `c"'$d`, "")
	if err != nil || out != `a b|c"'$d||` || errs != "err\n" {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	_, _, err = run(nil, "/bin/sh", "-c", "echo no space >&2; exit 7")
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 7 || !strings.Contains(err.Error(), "no space") {
		t.Errorf("%v", err)
	}
	if out, _, err := run(strings.NewReader(""), "/bin/cat"); err != nil || out != "" {
		t.Errorf("empty stdin: %q, %v", out, err)
	}
	// Much data in both directions, and the end of stdin reaches the command.
	data := make([]byte, 8<<20)
	src := rand.NewChaCha8([32]byte{1})
	if _, err := src.Read(data); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out, _, err = run(bytes.NewReader(data), "/bin/cat")
	if err != nil || out != string(data) {
		t.Errorf("8 MiB through cat: %d bytes back, %v", len(out), err)
	}
	t.Logf("8 MiB to and fro in %s", time.Since(began).Round(time.Millisecond))
	if out, _, err = run(bytes.NewReader(data), "/usr/bin/sha256sum"); err != nil || !strings.HasPrefix(out, fmt.Sprintf("%x", sha256.Sum256(data))) {
		t.Errorf("sha256sum: %q, %v", out, err)
	}
	stop, cancel := context.WithTimeoutCause(ctx, time.Second, errors.New("enough"))
	defer cancel()
	began = time.Now()
	err = c.Exec(stop, ExecRequest{Namespace: ns, Pod: "p", Command: []string{"/bin/sleep", "30"}})
	if err == nil || !strings.Contains(err.Error(), "enough") || time.Since(began) > 10*time.Second {
		t.Errorf("a command that is given up: %v after %s", err, time.Since(began))
	}
	err = c.Exec(ctx, ExecRequest{Namespace: ns, Pod: "nope", Command: []string{"/bin/true"}})
	if err == nil || errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "not found") {
		t.Errorf("no such pod: %v", err)
	}
	if _, _, err := run(nil, "/bin/nope"); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("no such program: %v", err)
	}
}

// A container that is killed under a command: how the command ended isn't known, or is told as a signal's status; never as success.
func TestLabExecIsCut(t *testing.T) {
	t.Parallel()
	ns, m := space(t)
	ctx := t.Context()
	if err := m.ApplyPod(ctx, tools(ns, "p"), say(t)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- lab.Exec(ctx, ExecRequest{Namespace: ns, Pod: "p", Command: []string{"/bin/sleep", "60"}})
	}()
	time.Sleep(2 * time.Second)
	if err := m.DeletePod(ctx, ns, "p", say(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("a command that was killed counts as done")
		}
		t.Log(err)
	case <-time.After(40 * time.Second):
		t.Error("still waiting for a command whose pod is gone")
	}
}
