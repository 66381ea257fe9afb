package remote_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/remote/sshtest"
)

func pemBytes(b *pem.Block) []byte { return pem.EncodeToMemory(b) }

func TestDroppedLinkInMidStream(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit {
		_, _ = s.Stdout.Write(bytes.Repeat([]byte("x"), 100_000))
		s.Server.Drop()
		return sshtest.Exit{}
	}})
	p := f.open(t)
	if _, err := run(t.Context(), p, "cat", "big"); !errors.Is(err, remote.ErrLost) || !strings.Contains(err.Error(), "unknown") {
		t.Fatalf("%v", err)
	}
	// The next command gets a new connection.
	if _, err := run(t.Context(), p, "cat", "big"); !errors.Is(err, remote.ErrLost) || f.servers[0].Logins.Load() != 2 {
		t.Fatalf("%v, %d logins", err, f.servers[0].Logins.Load())
	}
}

func TestNoExitStatusIsNoSuccess(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit {
		_, _ = io.WriteString(s.Stdout, "all done\n")
		return sshtest.Exit{None: true}
	}})
	if _, err := run(t.Context(), f.open(t), "true"); !errors.Is(err, remote.ErrLost) || !strings.Contains(err.Error(), "without an exit status") {
		t.Fatalf("%v", err)
	}
}

func TestFrozenHostIsNoticed(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit { s.Server.Freeze(); <-s.Gone; return sshtest.Exit{} }})
	f.cfg.KeepAlive = 50 * time.Millisecond
	start := time.Now()
	_, err := run(t.Context(), f.open(t), "sleep", "60")
	if !errors.Is(err, remote.ErrLost) || !strings.Contains(err.Error(), "no sign of life for 150ms") {
		t.Fatalf("%v", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %s", d)
	}
}

// A context that ends must end the process on the host, not only the wait for it.
func TestCancelEndsTheProcess(t *testing.T) {
	for _, c := range []struct {
		name, script, says string
	}{
		{"willing", `echo $$ > %; exec sleep 60`, "it was ended"},
		{"children", `echo $$ > %; sleep 60 | sleep 60`, "it was ended"},
		{"ignores SIGTERM", `trap "" TERM; echo $$ > %; while :; do sleep 1; done`, "it was ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
			p := f.open(t)
			pidFile := filepath.Join(t.TempDir(), "pid")
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := run(ctx, p, "sh", "-c", strings.ReplaceAll(c.script, "%", pidFile))
				ended <- err
			}()
			var pid string
			sshtest.Eventually(t, "the process runs", func() bool {
				b, err := os.ReadFile(pidFile)
				pid = strings.TrimSpace(string(b))
				return err == nil && pid != ""
			})
			why := errors.New("the operator said stop")
			cancel(why)
			err := <-ended
			if !errors.Is(err, why) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			sshtest.Eventually(t, "the process is gone", func() bool {
				b, err := os.ReadFile("/proc/" + pid + "/stat")
				return err != nil || strings.Contains(string(b), ") Z ")
			})
		})
	}
}

// A context may end at any instant: whatever was started by then must not go on.
func TestCancelAtAnyInstant(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	p := f.open(t)
	if _, err := run(t.Context(), p, "true"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*250*time.Microsecond)
		_, err := run(ctx, p, "sh", "-c", "echo $$ > "+filepath.Join(dir, strconv.Itoa(i))+"; exec sleep 60")
		cancel()
		if !errors.Is(err, remote.ErrTimeout) {
			t.Errorf("%v", err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		pid := strings.TrimSpace(string(b))
		if pid == "" {
			continue // it was ended before it had written
		}
		sshtest.Eventually(t, "the process of "+file.Name()+" is gone", func() bool {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	}
	t.Logf("%d of 40 had been started", len(files))
}

func TestCancelThatCannotBeConfirmed(t *testing.T) {
	f := setup(t, sshtest.Options{NoSignals: true, Exec: func(s *sshtest.Session) sshtest.Exit { <-s.Gone; return sshtest.Exit{} }})
	p := f.open(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := run(ctx, p, "sleep", "60"); ended <- err }()
	sshtest.Eventually(t, "the command runs", func() bool { return len(f.servers[0].Lines()) == 1 })
	time.Sleep(50 * time.Millisecond) // the answer that it runs is on its way
	cancel(context.DeadlineExceeded)
	err := <-ended
	if !errors.Is(err, remote.ErrTimeout) || !strings.Contains(err.Error(), "may still run there") {
		t.Fatalf("%v", err)
	}
}

func TestTimeoutIsAnError(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	err := remote.NewActor(f.open(t)).Run(t.Context(), "web1", remote.Cmd{Argv: []string{"sleep", "60"}, Timeout: time.Second})
	if !errors.Is(err, remote.ErrTimeout) || !strings.Contains(err.Error(), "web1: sleep: did not end within 1s") {
		t.Fatalf("%v", err)
	}
}

type badWriter struct{ after int }

func (w *badWriter) Write(b []byte) (int, error) {
	if w.after--; w.after < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

type badReader struct{ r io.Reader }

func (r *badReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if err == io.EOF {
		err = errors.New("input/output error")
	}
	return n, err
}

// What can't be taken or read here must end the command, and never look like success.
func TestLocalFaults(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	a := remote.NewActor(f.open(t))
	err := a.Run(t.Context(), "web1", remote.Cmd{Argv: []string{"cat", "/dev/zero"}, Stdout: &badWriter{3}})
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("%v", err)
	}
	err = a.Run(t.Context(), "web1", remote.Cmd{Argv: []string{"cat"}, Stdin: &badReader{strings.NewReader("half")}})
	if err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("%v", err)
	}
	// The command must not have seen an end of input: it would have taken the half for the whole.
	file := filepath.Join(t.TempDir(), "whole")
	err = a.Run(t.Context(), "web1", remote.Cmd{Argv: []string{"sh", "-c", "cat >/dev/null && touch " + file}, Stdin: &badReader{strings.NewReader("half")}})
	if _, stat := os.Stat(file); err == nil || !errors.Is(stat, os.ErrNotExist) {
		t.Errorf("%v, %v", err, stat)
	}
}

func TestLookerIsBounded(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit {
		_, _ = io.Copy(io.Discard, s.Stdin)
		for range 200 {
			if _, err := s.Stdout.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		return sshtest.Exit{}
	}})
	if _, err := remote.NewLooker(f.open(t)).Look(t.Context(), "web1", remote.HostFacts()); !errors.Is(err, remote.ErrTooMuch) {
		t.Fatalf("%v", err)
	}
}

// A looker's dynamic type has no method beyond the interface: nothing can be asserted out of it.
func TestLookerCannotAct(t *testing.T) {
	f := setup(t, sshtest.Options{})
	l := remote.NewLooker(f.open(t))
	if _, ok := l.(remote.Actor); ok {
		t.Error("a looker is an actor")
	}
	want := reflect.TypeFor[remote.Looker]()
	for m := range reflect.TypeOf(l).Methods() {
		if _, ok := want.MethodByName(m.Name); !ok {
			t.Errorf("a looker also has %s", m.Name)
		}
	}
	q := reflect.TypeFor[remote.Query]()
	for i := range q.NumField() {
		if q.Field(i).IsExported() {
			t.Errorf("Query.%s can be set from outside", q.Field(i).Name)
		}
	}
	if err := l.Stream(t.Context(), "web1", remote.Query{}, nil, nil); err == nil {
		t.Error("an empty query ran")
	}
}

func TestForward(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	f := setup(t, sshtest.Options{Forward: func(a string) (net.Conn, error) { return net.Dial("tcp", a) }}, sshtest.Options{})
	p := f.open(t)
	c, err := remote.Dialer(p, "web1")(t.Context(), "tcp", echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	// A deadline that is moved counts from where it was moved to; one that passes is an error, and says so.
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_ = c.SetReadDeadline(time.Now().Add(time.Hour))
	time.Sleep(40 * time.Millisecond)
	if _, err := io.WriteString(c, "again"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "again" {
		t.Fatalf("%q, %v", b, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	// A lost link is no end of file.
	if c, err = remote.Dialer(p, "web1")(t.Context(), "tcp", echo.Addr().String()); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, f.servers[0].Drop)
	if _, err := c.Read(b); !errors.Is(err, remote.ErrLost) {
		t.Errorf("lost link: %v", err)
	}
	if _, err := remote.Dialer(p, "web1")(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, remote.ErrForward) || !strings.Contains(err.Error(), "ss -ltn") {
		t.Errorf("nothing listens: %v", err)
	}
	if _, err := remote.Dialer(p, "web2")(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, remote.ErrForward) || !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("prohibited: %v", err)
	}
}

func TestJumpHosts(t *testing.T) {
	dial := func(a string) (net.Conn, error) { return net.Dial("tcp", a) }
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")}, sshtest.Options{Forward: dial}, sshtest.Options{Forward: dial})
	// web2 and web3 are the way to web1.
	f.cfg.Jump = []remote.Host{f.hosts[1], f.hosts[2]}
	p := f.open(t)
	if out, err := run(t.Context(), p, "echo", "there"); err != nil || out != "there\n" {
		t.Fatalf("%q, %v", out, err)
	}
	if f.servers[1].Forwards.Load() != 1 || f.servers[2].Forwards.Load() != 1 {
		t.Errorf("forwards %d, %d", f.servers[1].Forwards.Load(), f.servers[2].Forwards.Load())
	}
	// The jump host falls over under a command.
	go func() {
		sshtest.Eventually(t, "the command runs", func() bool { return len(f.servers[0].Lines()) == 2 })
		f.servers[1].Drop()
	}()
	if _, err := run(t.Context(), p, "sleep", "60"); !errors.Is(err, remote.ErrLost) {
		t.Errorf("%v", err)
	}
	f.servers[1].Stop()
	if _, err := run(t.Context(), p, "true"); !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "web1: through web3: through web2: ") {
		t.Errorf("%v", err)
	}
}

// A slow login through a jump host must end too: its connection knows no deadlines.
func TestSilentHostBehindAJumpHost(t *testing.T) {
	f := setup(t, sshtest.Options{Silent: true}, sshtest.Options{Forward: func(a string) (net.Conn, error) { return net.Dial("tcp", a) }})
	f.cfg.Jump = f.hosts[1:]
	f.cfg.DialTimeout = 2 * time.Second
	if _, err := run(t.Context(), f.open(t), "true"); !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "banner") {
		t.Errorf("%v", err)
	}
}

func TestClock(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	var out bytes.Buffer
	if err := remote.NewLooker(f.open(t)).Stream(t.Context(), "web1", remote.Clock(), strings.NewReader("\n\n\n"), &out); err != nil || strings.Count(out.String(), "\n") != 3 {
		t.Fatalf("%q, %v", out.String(), err)
	}
}

func TestVolumeName(t *testing.T) {
	for name, ok := range map[string]bool{"assets": true, "a-b_c9": true, "": false, "-x": false, "a b": false, "a;b": false, "$(id)": false, "a\n": false} {
		if _, err := remote.GlusterState(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
