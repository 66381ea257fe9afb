package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/treecopy/pass"
)

// TestFilesOverSSH: there and back over SSH, with an agent at the other end: everything comes, the next pass finds nothing, a flipped byte is found
// and repaired there.
func TestFilesOverSSH(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "../slipway-agent").CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, out)
	}
	server := sshtest.Start(t, sshtest.Options{Exec: shell})
	key, identity := sshtest.NewKeyFile(t)
	server.Authorize(key.PublicKey())
	src, dst, back := filepath.Join(dir, "src"), filepath.Join(dir, "dst"), filepath.Join(dir, "back")
	for _, d := range []string{filepath.Join(src, "a/b"), dst, back} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const files = 300
	for i := range files {
		if err := os.WriteFile(filepath.Join(src, "a", fmt.Sprint(i)), bytes.Repeat([]byte{byte(i)}, 10*i), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(src, "a/7"), filepath.Join(src, "a/b/seven")); err != nil {
		t.Fatal(err)
	}
	there := "ssh://" + sshtest.User + "@" + net.JoinHostPort(server.Addr.IP.String(), fmt.Sprint(server.Addr.Port)) + dst
	call := func(want int, verb string, args ...string) (string, string) {
		t.Helper()
		var out, complaints bytes.Buffer
		p := &program{streams: streams{strings.NewReader(""), &out, &complaints}, agentDir: dir}
		p.open = p.openRehearsal
		args = append([]string{"files", verb, "--state", filepath.Join(dir, "state"), "--identity", identity, "--known-hosts", sshtest.KnownHosts(t, server)}, args...)
		if got := p.run(t.Context(), args); got != want {
			t.Fatalf("%q: exit code %d\n%s%s", args, got, out.String(), complaints.String())
		}
		return out.String(), complaints.String()
	}
	pass1 := func(args ...string) (r pass.Report) {
		t.Helper()
		out, _ := call(exitDone, "copy", append(args, "-o", "json")...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := pass1("--verify", src, there); r.Sent != files+1 || r.Checked != files || r.Dirs != 3 {
		t.Errorf("%+v", r)
	}
	pass1(src, there) // of what had just been written before it was read
	if r := pass1(there, back); r.Sent != files+1 || r.Dirs != 3 {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile(filepath.Join(dst, "a/200"), bytes.Repeat([]byte{1}, 2000), 0o640); err != nil {
		t.Fatal(err)
	}
	if out, _ := call(exitFailed, "verify", src, there); !strings.Contains(out, `"a/200": its time is `) {
		t.Error(out)
	}
	if out, _ := call(exitDone, "verify", "--repair", src, there); !strings.Contains(out, "still different: 0") {
		t.Error(out)
	}
	call(exitDone, "verify", src, back)
	call(exitUsage, "copy", src, there+"/none")
}

// shell runs what is asked for here.
func shell(s *sshtest.Session) sshtest.Exit {
	cmd := exec.Command("sh", "-c", s.Line)
	cmd.Stdout, cmd.Stderr = s.Stdout, s.Stderr
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return sshtest.Exit{Status: 255}
	}
	go func() {
		_, _ = io.Copy(in, s.Stdin) // ends with the connection
		_ = in.Close()
	}()
	_ = cmd.Wait() // its status is the answer
	return sshtest.Exit{Status: max(cmd.ProcessState.ExitCode(), 0)}
}
