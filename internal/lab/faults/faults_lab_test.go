//go:build lab

package faults_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// TestKillKeepsTheDisk: a killed host comes up again with what it had written, and without what it had not.
func TestKillKeepsTheDisk(t *testing.T) {
	lab := labtest.Alone(t)
	lab.Root(t, "redis2", "sh", "-c", "echo kept > /root/kept; echo gone > /run/gone")
	lab.Kill(t, "redis2")
	if _, err := net.DialTimeout("tcp", "10.77.0.42:22", time.Second); err == nil {
		t.Fatal("a killed host answers")
	}
	lab.Start(t, "redis2")
	if got := lab.Root(t, "redis2", "cat", "/root/kept"); got != "kept\n" {
		t.Errorf("the disk has %q", got)
	}
	if _, err := lab.Exec(t, "redis2", nil, "cat", "/run/gone"); err == nil {
		t.Error("memory outlived the power failure")
	}
	lab.Root(t, "redis2", "rm", "/root/kept")
}

// TestFreeze: a frozen host holds a connection and says nothing on it, then goes on.
func TestFreeze(t *testing.T) {
	lab := labtest.Alone(t)
	conn, err := net.Dial("tcp", "10.77.0.42:22")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := make([]byte, 64)
	if _, err := conn.Read(hello); err != nil {
		t.Fatal(err)
	}
	lab.Freeze(t, "redis2")
	if _, err := fmt.Fprint(conn, "SSH-2.0-test\r\n"); err != nil {
		t.Errorf("the connection broke: %v", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(hello); err == nil {
		t.Errorf("a frozen host says %q", hello[:n])
	}
	if state := stateOf(t, lab, "redis2"); state != verb.Frozen {
		t.Errorf("status says %s", state)
	}
	lab.Thaw(t, "redis2")
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(hello); err != nil {
		t.Errorf("after the thaw: %v", err)
	}
}

// TestFreezeOfAReader: a process that waits for the answer of a file system that its own host serves can't be stopped by the kernel, and doesn't
// keep the host from being frozen.
func TestFreezeOfAReader(t *testing.T) {
	lab := labtest.Alone(t)
	t.Cleanup(func() {
		lab.Root(t, "web3", "sh", "-c", `kill -CONT $(pgrep -x glusterfs); while kill -0 $(cat /tmp/reader.pid) 2>/dev/null; do sleep 0.1; done; rm /tmp/reader /tmp/reader.pid`)
	})
	lab.Root(t, "web3", "sh", "-c", `kill -STOP $(pgrep -x glusterfs) && (ls -lR /srv/assets >/tmp/reader 2>&1 & echo $! >/tmp/reader.pid) </dev/null >/dev/null 2>&1`)
	labtest.Eventually(t, 10*time.Second, "a reader waits for the file system", func() error {
		if at := lab.Root(t, "web3", "sh", "-c", `cat /proc/$(cat /tmp/reader.pid)/wchan`); !strings.Contains(at, "request_wait_answer") {
			return fmt.Errorf("it is at %q", at)
		}
		return nil
	})
	lab.Freeze(t, "web3")
	if state := stateOf(t, lab, "web3"); state != verb.Frozen {
		t.Errorf("status says %s", state)
	}
	lab.Thaw(t, "web3")
}

func stateOf(t *testing.T, lab *labtest.Lab, name string) string {
	for _, h := range lab.Status(t).Hosts {
		if h.Name == name {
			return h.State
		}
	}
	return "not there"
}

const reach = "timeout 2 bash -c '</dev/tcp/%s/%d'"

// TestCut: a cut is between the two it names, both ways, and nobody else's.
func TestCut(t *testing.T) {
	lab := labtest.Alone(t)
	try := func(from, to string) error {
		_, err := lab.Exec(t, from, nil, "sh", "-c", fmt.Sprintf(reach, to, 22))
		return err
	}
	lab.Cut(t, "redis2", "web3")
	if try("web3", "10.77.0.42") == nil || try("redis2", "10.77.0.33") == nil {
		t.Error("the two that are cut reach each other")
	}
	if err := try("web2", "10.77.0.42"); err != nil {
		t.Errorf("another host is cut too: %v", err)
	}
	lab.Cut(t, verb.Outside, "redis2")
	if _, err := net.DialTimeout("tcp", "10.77.0.42:22", 2*time.Second); err == nil {
		t.Error("cut from outside, and reached from outside")
	}
	lab.Cut(t, "web4", "")
	if try("web3", "10.77.0.34") == nil {
		t.Error("a host that is cut from all is reached")
	}
	lab.Heal(t)
	for from, to := range map[string]string{"web3": "10.77.0.42", "redis2": "10.77.0.33", "web2": "10.77.0.34"} {
		if err := try(from, to); err != nil {
			t.Errorf("after heal: %v", err)
		}
	}
	if faults := lab.Status(t).Faults; len(faults) != 0 {
		t.Errorf("after heal there are %v", faults)
	}
}

// TestSlow: both directions are bounded.
func TestSlow(t *testing.T) {
	lab := labtest.Alone(t)
	lab.Slow(t, "redis2", "8mbit")
	const size = 2 << 20 // 2 s at 8 Mbit/s
	for _, c := range []struct {
		way  string
		move func() error
	}{
		{"to", func() error {
			_, err := lab.Exec(t, "redis2", strings.NewReader(strings.Repeat("x", size)), "sh", "-c", "cat > /dev/null")
			return err
		}},
		{"from", func() error {
			out, err := lab.Exec(t, "redis2", nil, "head", "-c", fmt.Sprint(size), "/dev/zero")
			if err == nil && len(out) != size {
				err = fmt.Errorf("%d bytes", len(out))
			}
			return err
		}},
	} {
		began := time.Now()
		if err := c.move(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 1500*time.Millisecond {
			t.Errorf("%d bytes %s a host at 8 Mbit/s took %v", size, c.way, took)
		}
	}
}
