//go:build lab

package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/remote"
)

// labPool reaches two hosts of the running lab: web1 with OpenSSH 9.2, web5 with 8.4.
func labPool(t testing.TB) *remote.Pool {
	t.Helper()
	state, lab := os.Getenv("SLIPWAY_LAB_STATE"), os.Getenv("SLIPWAY_LAB")
	if state == "" {
		state = "/var/lib/slipway-lab"
	}
	if lab == "" {
		lab = "lab"
	}
	access := filepath.Join(state, lab, "access")
	p, err := remote.Open(remote.Config{User: "slipway", KnownHosts: filepath.Join(access, "known_hosts"), Keys: []remote.Key{{Path: filepath.Join(access, "slipway_ed25519")}}, KeepAlive: time.Second},
		[]remote.Host{{Name: "web1", Address: "10.77.0.31"}, {Name: "web5", Address: "10.77.0.35"}, {Name: "db1", Address: "10.77.0.51"}})
	if err != nil {
		t.Fatalf("%v; is the lab up? type: bin/slipway-lab up", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func slipwayLab(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("../../bin/slipway-lab", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("slipway-lab %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// running counts processes with a word in their arguments, as the host sees it.
func running(t testing.TB, host, word string) string {
	return strings.TrimSpace(slipwayLab(t, "ssh", host, "ps -e -o args= | grep -c '^sleep "+word+"$' || true"))
}

// A context that ends takes the process on the host with it, with the real sshd of both releases.
func TestCancelOnRealHosts(t *testing.T) {
	p := labPool(t)
	for i, host := range []string{"web1", "web5"} { // OpenSSH 9.2 and 8.4
		word := fmt.Sprintf("9%d.%d", i, os.Getpid()) // of this test alone
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- remote.NewActor(p).Run(ctx, host, remote.Cmd{Argv: []string{"sh", "-c", "sleep " + word + " | sleep " + word}})
		}()
		for end := time.Now().Add(20 * time.Second); running(t, host, word) != "2"; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: the command does not run", host)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "it was ended") {
			t.Errorf("%s: %v", host, err)
		}
		if n := running(t, host, word); n != "0" {
			t.Errorf("%s: %s processes go on", host, n)
		}
	}
}

// More commands at once than sshd's MaxSessions, over one connection.
func TestManyCommandsOnARealHost(t *testing.T) {
	p := labPool(t)
	hosts := make([]string, 30)
	for i := range hosts {
		hosts[i] = "web1"
	}
	_, err := remote.Each(t.Context(), hosts, 0, func(ctx context.Context, host string) (string, error) {
		var out bytes.Buffer
		err := remote.NewActor(p).Run(ctx, host, remote.Cmd{Argv: []string{"sh", "-c", "sleep 0.1; echo x"}, Stdout: &out})
		if err == nil && out.String() != "x\n" {
			err = errors.New("output " + out.String())
		}
		return out.String(), err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestForwardOnARealHost(t *testing.T) {
	c, err := remote.Dialer(labPool(t), "db1")(t.Context(), "tcp", "127.0.0.1:3306")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 128)
	if n, err := c.Read(b); err != nil || !strings.Contains(string(b[:n]), "MariaDB") {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// The cable is pulled under a command: it is noticed, and is no success.
func TestPulledCable(t *testing.T) {
	p := labPool(t)
	ended := make(chan error, 1)
	go func() {
		ended <- remote.NewActor(p).Run(t.Context(), "web5", remote.Cmd{Argv: []string{"sh", "-c", "while :; do echo tick; sleep 0.2; done"}, Timeout: time.Minute})
	}()
	time.Sleep(2 * time.Second)
	slipwayLab(t, "cut", "web5", "outside")
	t.Cleanup(func() { slipwayLab(t, "heal") })
	start := time.Now()
	if err := <-ended; !errors.Is(err, remote.ErrLost) || !strings.Contains(err.Error(), "no sign of life for 3s") {
		t.Errorf("%v", err)
	}
	if d := time.Since(start); d > 15*time.Second {
		t.Errorf("it took %s", d)
	}
}
