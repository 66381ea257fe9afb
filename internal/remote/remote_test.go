package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// fixture is servers, a key that they let in, and a configuration that knows both.
type fixture struct {
	servers []*sshtest.Server
	hosts   []remote.Host
	cfg     remote.Config
}

func setup(t *testing.T, opts ...sshtest.Options) *fixture {
	t.Helper()
	f := &fixture{}
	key, path := sshtest.NewKeyFile(t)
	for i, o := range opts {
		s := sshtest.Start(t, o)
		s.Authorize(key.PublicKey())
		f.servers = append(f.servers, s)
		f.hosts = append(f.hosts, remote.Host{Name: fmt.Sprintf("web%d", i+1), Address: "127.0.0.1", Port: s.Addr.Port})
	}
	f.cfg = remote.Config{User: sshtest.User, KnownHosts: sshtest.KnownHosts(t, f.servers...), Keys: []remote.Key{{Path: path}}, DialTimeout: 5 * time.Second}
	return f
}

func (f *fixture) open(t *testing.T) *remote.Pool {
	t.Helper()
	p, err := remote.Open(f.cfg, f.hosts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func run(ctx context.Context, p *remote.Pool, argv ...string) (string, error) {
	var out bytes.Buffer
	err := remote.NewActor(p).Run(ctx, "web1", remote.Cmd{Argv: argv, Stdout: &out})
	return out.String(), err
}

func TestRunWithARealShell(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	p := f.open(t)
	out, err := run(t.Context(), p, "printf", "%s-%s", "a b", "c'd\n$x")
	if err != nil || out != "a b-c'd\n$x" {
		t.Fatalf("%q, %v", out, err)
	}
	var buf bytes.Buffer
	if err := remote.NewActor(p).Run(t.Context(), "web1", remote.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader("through"), Stdout: &buf}); err != nil || buf.String() != "through" {
		t.Fatalf("%q, %v", buf.String(), err)
	}
	_, err = run(t.Context(), p, "sh", "-c", "echo one >&2; echo two: no such thing >&2; exit 7")
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Status != 7 || exit.Host != "web1" || string(exit.Stderr) != "one\ntwo: no such thing\n" {
		t.Fatalf("%#v", err)
	}
	if want := "web1: sh failed with status 7: two: no such thing"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	_, err = run(t.Context(), p, "sh", "-c", "kill -9 $PPID")
	if !errors.As(err, &exit) || exit.Signal != "KILL" {
		t.Errorf("%v", err)
	}
	if n := f.servers[0].Logins.Load(); n != 1 {
		t.Errorf("%d logins for four commands", n)
	}
}

func TestBigStreamsBothWays(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	p := f.open(t)
	in := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB, more than the channel's window
	var out bytes.Buffer
	if err := remote.NewActor(p).Run(t.Context(), "web1", remote.Cmd{Argv: []string{"cat"}, Stdin: bytes.NewReader(in), Stdout: &out}); err != nil || !bytes.Equal(out.Bytes(), in) {
		t.Fatalf("%d of %d bytes, %v", out.Len(), len(in), err)
	}
	// A command that doesn't read its input must not hang the caller.
	if err := remote.NewActor(p).Run(t.Context(), "web1", remote.Cmd{Argv: []string{"true"}, Stdin: bytes.NewReader(in)}); err != nil {
		t.Fatal(err)
	}
}

func TestHostKeys(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	s := f.servers[0]
	wrong, _ := sshtest.NewKey(t)
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shown := ssh.FingerprintSHA256(s.HostKey.PublicKey())
	other := strings.Replace(s.KnownHostsLine(), string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(s.HostKey.PublicKey()))), string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(wrong.PublicKey()))), 1)
	for _, c := range []struct {
		name, file string
		says       []string
	}{
		{"unknown", "# nothing\n", []string{"is not known", shown, "ssh-keyscan -t ed25519 -p", ">> ", "nothing was sent"}},
		{"changed", "# a comment\n\n" + other, []string{"has changed", shown, ssh.FingerprintSHA256(wrong.PublicKey()), "known_hosts:3", "ssh-keygen -f ", "-R '[127.0.0.1]:"}},
		{"revoked", "@revoked * " + strings.SplitN(s.KnownHostsLine(), " ", 2)[1] + s.KnownHostsLine(), []string{"revoked", shown, "known_hosts:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.cfg.KnownHosts = write(c.file)
			before := s.Logins.Load()
			_, err := run(t.Context(), f.open(t), "true")
			var hk *remote.HostKeyError
			if !errors.Is(err, remote.ErrHostKey) || !errors.As(err, &hk) || hk.Shown != shown {
				t.Fatalf("%v", err)
			}
			for _, say := range c.says {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("%q does not say %q", err, say)
				}
			}
			if s.Logins.Load() != before || len(s.Lines()) != 0 {
				t.Error("something was sent to the host")
			}
		})
	}
	for _, c := range []struct{ file, says string }{{"127.0.0.1 ssh-ed25519 AAAA\n", ":1:"}} {
		f.cfg.KnownHosts = write(c.file)
		if _, err := remote.Open(f.cfg, f.hosts); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v", err)
		}
	}
	f.cfg.KnownHosts = filepath.Join(t.TempDir(), "none")
	if _, err := remote.Open(f.cfg, f.hosts); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("%v", err)
	}
}

// A host with keys of several types must be asked for the type that is pinned.
func TestHostKeyOfAnotherType(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	ecdsa := `[127.0.0.1]:%d ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=` + "\n"
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, fmt.Appendf(nil, ecdsa, f.servers[0].Addr.Port), 0o600); err != nil {
		t.Fatal(err)
	}
	f.cfg.KnownHosts = path
	_, err := run(t.Context(), f.open(t), "true")
	if !errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), "no host key of a type") {
		t.Errorf("%v", err)
	}
}

func TestRefusedLogin(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh"), MaxAuthTries: 2})
	good := f.cfg.Keys[0]
	f.cfg.Keys = nil
	for range 3 {
		_, path := sshtest.NewKeyFile(t)
		f.cfg.Keys = append(f.cfg.Keys, remote.Key{Path: path})
	}
	f.cfg.Keys = append(f.cfg.Keys, good)
	_, err := run(t.Context(), f.open(t), "true")
	if !errors.Is(err, remote.ErrAuth) || strings.Count(err.Error(), "SHA256:") != 4 || !strings.Contains(err.Error(), "authorized_keys") {
		t.Errorf("too many keys: %v", err)
	}
	f.cfg.Keys = f.cfg.Keys[:1]
	if _, err = run(t.Context(), f.open(t), "true"); !errors.Is(err, remote.ErrAuth) {
		t.Errorf("wrong key: %v", err)
	}
	f.cfg.Keys, f.cfg.User = []remote.Key{good}, "root"
	if _, err = run(t.Context(), f.open(t), "true"); !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), "user root") {
		t.Errorf("wrong user: %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	dir := t.TempDir()
	plainKey, err := os.ReadFile(f.cfg.Keys[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ssh.ParseRawPrivateKey(plainKey)
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(dir, "locked")
	block, err := ssh.MarshalPrivateKeyWithPassphrase(raw, "", []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, b []byte, mode os.FileMode) {
		if err := os.WriteFile(path, b, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(locked, pemBytes(block), 0o600)
	open := filepath.Join(dir, "open")
	write(open, plainKey, 0o644)
	junk := filepath.Join(dir, "junk")
	write(junk, []byte("not a key"), 0o600)
	t.Setenv("SLIPWAY_TEST_PASS", "open sesame")
	t.Setenv("SLIPWAY_TEST_BAD", "open barley")
	ref := func(s string) secret.Ref {
		r, err := secret.ParseRef(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	f.cfg.Keys = []remote.Key{{Path: locked, Passphrase: ref("env:SLIPWAY_TEST_PASS")}}
	if _, err := run(t.Context(), f.open(t), "true"); err != nil {
		t.Errorf("with its passphrase: %v", err)
	}

	// All that is wrong with the keys, at once.
	f.cfg.Keys = []remote.Key{{Path: locked, Passphrase: ref("env:SLIPWAY_TEST_BAD")}, {Path: locked, Passphrase: ref("env:SLIPWAY_TEST_UNSET")}, {Path: locked}, {Path: open}, {Path: junk}, {Path: filepath.Join(dir, "none")}}
	_, err = remote.Open(f.cfg, f.hosts)
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 6 {
		t.Fatalf("%v", err)
	}
	for i, say := range []string{"env:SLIPWAY_TEST_BAD does not open it", "SLIPWAY_TEST_UNSET is unset", "ssh-add " + locked, "chmod 600 " + open, "junk", "does not exist"} {
		if !strings.Contains(all.Errors[i].Error(), say) {
			t.Errorf("%q does not say %q", all.Errors[i], say)
		}
	}
	if strings.Contains(err.Error(), "barley") {
		t.Error("the passphrase is in the error")
	}

	// The agent opens what has no passphrase here, and is asked for nothing else.
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(dir, "agent")
	ln, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c); _ = c.Close() }()
		}
	}()
	f.cfg.AgentSocket = sock
	for _, keys := range [][]remote.Key{{{Path: locked}}, nil} {
		f.cfg.Keys = keys
		if _, err := run(t.Context(), f.open(t), "true"); err != nil {
			t.Errorf("agent, keys %v: %v", keys, err)
		}
	}
	if err := ring.RemoveAll(); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), f.open(t), "true"); !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), "ssh-add") {
		t.Errorf("an empty agent: %v", err)
	}
	f.cfg.AgentSocket = ""
	if _, err := remote.Open(f.cfg, f.hosts); err == nil || !strings.Contains(err.Error(), "no way to log in") {
		t.Errorf("neither keys nor agent: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  sshtest.Options
		says string
	}{
		{"slow banner", sshtest.Options{Silent: true}, "sent no SSH banner within 300ms"},
		{"hangs up", sshtest.Options{HangUp: true}, "before its SSH banner"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t, c.opt)
			f.cfg.DialTimeout = 300 * time.Millisecond
			_, err := run(t.Context(), f.open(t), "true")
			if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		f := setup(t, sshtest.Options{})
		f.servers[0].Stop()
		_, err := run(t.Context(), f.open(t), "true")
		if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "refuses the connection") {
			t.Errorf("%v", err)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		f := setup(t, sshtest.Options{})
		f.cfg.DialTimeout = 100 * time.Millisecond
		f.cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		_, err := run(t.Context(), f.open(t), "true")
		if !errors.Is(err, remote.ErrUnreachable) || !errors.Is(err, remote.ErrTimeout) || !strings.Contains(err.Error(), "does not answer (waited 100ms)") {
			t.Errorf("%v", err)
		}
	})
	t.Run("no answer, noticed by the dialer first", func(t *testing.T) {
		f := setup(t, sshtest.Options{})
		f.cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
		}
		_, err := run(t.Context(), f.open(t), "true")
		if !errors.Is(err, remote.ErrUnreachable) || !errors.Is(err, remote.ErrTimeout) || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%v", err)
		}
	})
	t.Run("unknown name", func(t *testing.T) {
		f := setup(t, sshtest.Options{})
		if _, err := remote.NewLooker(f.open(t)).Look(t.Context(), "web9", remote.HostFacts()); !errors.Is(err, remote.ErrUnknownHost) {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses commands", func(t *testing.T) {
		f := setup(t, sshtest.Options{})
		if _, err := run(t.Context(), f.open(t), "true"); err == nil || !strings.Contains(err.Error(), "refuses to run commands") {
			t.Errorf("%v", err)
		}
	})
}

// Those who wait for one connection share it, and its failure.
func TestOneDialForAll(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	p := f.open(t)
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range 20 {
		wg.Go(func() {
			if _, err := run(t.Context(), p, "true"); err != nil {
				failed.Add(1)
				t.Log(err)
			}
		})
	}
	wg.Wait()
	if failed.Load() != 0 || f.servers[0].Logins.Load() != 1 {
		t.Errorf("%d failed, %d logins", failed.Load(), f.servers[0].Logins.Load())
	}
}

// One who gives up waiting does not take the connection from the others.
func TestImpatientWaiter(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	hold := make(chan struct{})
	f.cfg.Dial = func(ctx context.Context, n, a string) (net.Conn, error) {
		<-hold
		return (&net.Dialer{}).DialContext(ctx, n, a)
	}
	p := f.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := run(ctx, p, "true"); first <- err }()
	time.Sleep(20 * time.Millisecond)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	second := make(chan error, 1)
	go func() { _, err := run(t.Context(), p, "true"); second <- err }()
	close(hold)
	if err := <-second; err != nil || f.servers[0].Attempts.Load() != 1 {
		t.Errorf("%v, %d connections", err, f.servers[0].Attempts.Load())
	}
}

func TestMaxSessions(t *testing.T) {
	for _, max := range []int{1, 3} {
		f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh"), MaxSessions: max})
		p := f.open(t)
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if out, err := run(t.Context(), p, "sh", "-c", "sleep 0.02; echo x"); err != nil || out != "x\n" {
					t.Errorf("MaxSessions %d: %q, %v", max, out, err)
				}
			})
		}
		wg.Wait()
		if n := len(f.servers[0].Lines()); n != 12 {
			t.Errorf("MaxSessions %d: %d commands", max, n)
		}
	}
}

func TestEach(t *testing.T) {
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")}, sshtest.Options{HangUp: true}, sshtest.Options{Exec: sshtest.Sh("/bin/sh")}, sshtest.Options{Exec: func(*sshtest.Session) sshtest.Exit { return sshtest.Exit{Status: 3} }})
	p := f.open(t)
	var most, now atomic.Int64
	got, err := remote.Each(t.Context(), []string{"web4", "web3", "web2", "web1"}, 2, func(ctx context.Context, host string) (string, error) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		var out bytes.Buffer
		err := remote.NewActor(p).Run(ctx, host, remote.Cmd{Argv: []string{"echo", host}, Stdout: &out})
		return out.String(), err
	})
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 2 || !strings.HasPrefix(all.Errors[0].Error(), "web4: ") || !strings.HasPrefix(all.Errors[1].Error(), "web2: ") {
		t.Errorf("%v", err)
	}
	if fmt.Sprint(got) != "[ web3\n  web1\n]" || most.Load() > 2 {
		t.Errorf("%q, %d at once", got, most.Load())
	}
	if none, err := remote.Each(t.Context(), nil, 2, func(context.Context, string) (int, error) { return 0, io.EOF }); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	f := setup(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	p := f.open(t)
	ended := make(chan error, 1)
	go func() { _, err := run(t.Context(), p, "sleep", "60"); ended <- err }()
	sshtest.Eventually(t, "the command runs", func() bool { return len(f.servers[0].Lines()) == 1 })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, remote.ErrLost) || !errors.Is(err, remote.ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := run(t.Context(), p, "true"); !errors.Is(err, remote.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	f.servers[0].Stop()
	sshtest.Eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}
