package custom_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/custom"
)

// host is a real SSH server whose commands a real shell runs.
func host(t *testing.T) (custom.Host, *sshtest.Server) {
	t.Helper()
	key, path := sshtest.NewKeyFile(t)
	s := sshtest.Start(t, sshtest.Options{Exec: sshtest.Sh("/bin/sh")})
	s.Authorize(key.PublicKey())
	pool, err := remote.Open(remote.Config{User: sshtest.User, KnownHosts: sshtest.KnownHosts(t, s), Keys: []remote.Key{{Path: path}}},
		[]remote.Host{{Name: "web1", Address: "127.0.0.1", Port: s.Addr.Port}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return custom.OnHost(remote.NewActor(pool), "web1"), s
}

// places are the real ones that a test can have.
func places(t *testing.T) map[string]custom.Place {
	h, _ := host(t)
	return map[string]custom.Place{"host": h, "local": custom.Here(t.TempDir())}
}

func do(ctx context.Context, p custom.Place, env []custom.Value, argv ...string) (int, string, error) {
	var out bytes.Buffer
	exit, err := p.Do(ctx, custom.Command{Argv: argv, Env: env, Out: &out})
	return exit, out.String(), err
}

func TestPlaces(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			for _, want := range []int{0, 1, 2, 7, 255} {
				if exit, _, err := do(t.Context(), p, nil, "sh", "-c", fmt.Sprintf("exit %d", want)); exit != want || err != nil {
					t.Errorf("exit %d: %d, %v", want, exit, err)
				}
			}
			// Words arrive as they are: nothing is a shell's.
			exit, out, err := do(t.Context(), p, nil, "printf", "%s|", "a b", "$HOME", "'", "*", "; id", "")
			if exit != 0 || out != "a b|$HOME|'|*|; id||" || err != nil {
				t.Errorf("%d %q %v", exit, out, err)
			}
			if _, out, err = do(t.Context(), p, nil, "sh", "-c", "echo one; echo two >&2"); out != "one\ntwo\n" && out != "two\none\n" || err != nil {
				t.Errorf("%q %v", out, err)
			}
			// A signal is no exit status, or a shell's for it: never yes or no.
			if exit, _, err = do(t.Context(), p, nil, "sh", "-c", "kill -9 $$"); err == nil && exit <= 128 {
				t.Errorf("killed: exit %d without an error", exit)
			}
			if exit, _, err = do(t.Context(), p, nil, "/nowhere/at/all"); err == nil && exit < 126 {
				t.Errorf("a command that isn't there: %d %v", exit, err)
			}
		})
	}
}

// An environment reaches the command whole, and is in no word of it: others on the host can read those.
func TestEnvironment(t *testing.T) {
	t.Setenv("OWN_TEST_OF_SLIPWAY", "hunter3")
	env := []custom.Value{{Name: "TOKEN", Value: secret.New(`hun'ter 2\n"$x"`)}, {Name: "EMPTY"}}
	for name, p := range places(t) {
		exit, out, err := do(t.Context(), p, env, "sh", "-c", `printf '%s|%s|%s|' "$TOKEN" "${EMPTY-unset}" "$OWN_TEST_OF_SLIPWAY"; read x; echo "$?"; tr '\0' ' ' </proc/$$/cmdline`)
		slipways := map[string]string{"host": "hunter3", "local": ""}[name] // the test's server passes its own on; Local doesn't
		if want := `hun'ter 2\n"$x"||` + slipways + "|1\n"; exit != 0 || !strings.HasPrefix(out, want) || err != nil {
			t.Errorf("%s: %d %q %v", name, exit, out, err)
		}
		if strings.Count(out, "hun'ter") != 1 {
			t.Errorf("%s: it is among the words: %q", name, out)
		}
	}
	h, s := host(t)
	if _, _, err := do(t.Context(), h, env, "true"); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Join(s.Lines(), "\n"); strings.Contains(lines, "hun") || !strings.Contains(lines, "'true'") {
		t.Errorf("the host was told %q", lines)
	}
	_, _, err := do(t.Context(), h, []custom.Value{{Name: "KEY", Value: secret.New("line one\nline two")}}, "true")
	if err == nil || strings.Contains(err.Error(), "line one") || len(s.Lines()) != 1 {
		t.Errorf("several lines: %v", err)
	}
}

// A command is ended with all that it has started when its time is over, and that is an error.
func TestTimeLimit(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			late := errors.New("too late")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, late)
			defer cancel()
			began := time.Now()
			exit, _, err := do(ctx, p, nil, "sh", "-c", `sleep 60 & echo $! > "$1"; wait`, "sh", file)
			if !errors.Is(err, late) || time.Since(began) > 20*time.Second {
				t.Errorf("%d %v after %s", exit, err, time.Since(began))
			}
			gone(t, file)
		})
	}
}

// One that does not listen to SIGTERM is killed.
func TestDeafCommand(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	file := filepath.Join(t.TempDir(), "pid")
	if _, _, err := do(ctx, custom.Here(""), nil, "sh", "-c", `trap '' TERM; sleep 60 & echo $! > "$1"; while :; do wait; done`, "sh", file); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	gone(t, file)
}

// gone waits until the process is that a file names.
func gone(t *testing.T, file string) {
	t.Helper()
	sshtest.Eventually(t, "the end of what it started", func() bool {
		text, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return false
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z ")) || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	})
}

// What floods is bounded: the beginning and the end are kept, and the command is not stopped for it.
func TestFlood(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			st := filling()
			st.Argv.Run = []string{"sh", "-c", "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last; exit 3"}
			st.Argv.Check = []string{"false"}
			var kept []byte
			st.Keep = func(_ migrate.StepID, text []byte) (string, error) { kept = append(kept, text...); return "x.log", nil }
			err := resumed(t, t.TempDir(), "20261123-010203-0001", st, p)
			if err == nil || !strings.HasSuffix(err.Error(), "exit status 3: last; what it printed is in x.log") {
				t.Errorf("%.300v", err)
			}
			text := string(kept)
			if len(kept) > 330<<10 || !strings.Contains(text, "\nfirst\n") || !strings.Contains(text, "\nlast\n== exit status 3\n") || !strings.Contains(text, "bytes were left out here") {
				t.Errorf("%d bytes were kept: %.100s ... %s", len(kept), text, text[max(0, len(text)-100):])
			}
		})
	}
}

// What commands are run with can't be taken out of a place: the engine takes each as a looker.
func TestPlacesAreClosed(t *testing.T) {
	all := places(t)
	all["pod"] = custom.InPod(&pods{}, "shop", "app=web", "")
	all["nowhere"] = custom.Nowhere{}
	for name, p := range all {
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		rb.Phase("one")
		add(rb, filling(), p)
		if err := rb.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pods is a cluster with one pod.
type pods struct {
	asked []kube.ExecRequest
	in    string
	exit  error
	none  error
}

func (c *pods) ReadyPod(context.Context, string, string) (string, error) { return "web-1", c.none }

func (c *pods) Exec(_ context.Context, r kube.ExecRequest) error {
	c.asked = append(c.asked, r)
	if r.Stdin != nil {
		var b bytes.Buffer
		if _, err := b.ReadFrom(r.Stdin); err != nil {
			return err
		}
		c.in = b.String()
	}
	fmt.Fprintln(r.Stdout, "done")
	return c.exit
}

func TestPod(t *testing.T) {
	c := &pods{}
	p := custom.InPod(c, "shop", "app=web", "php")
	exit, out, err := do(t.Context(), p, nil, "php", "-v")
	if exit != 0 || out != "[in pod shop/web-1]\ndone\n" || err != nil || c.asked[0].Container != "php" || strings.Join(c.asked[0].Command, " ") != "php -v" || c.asked[0].Stdin != nil {
		t.Errorf("%d %q %v %+v", exit, out, err, c.asked)
	}
	if _, _, err := do(t.Context(), p, []custom.Value{{Name: "TOKEN", Value: secret.New("hunter2")}}, "php"); err != nil || c.in != "TOKEN=hunter2\n" || strings.Contains(fmt.Sprint(c.asked[1].Command), "hunter2") {
		t.Errorf("%v %q %q", err, c.in, c.asked[1].Command)
	}
	c.exit = &kube.ExitError{Pod: "shop/web-1", Command: "php", Code: 9}
	if exit, _, err := do(t.Context(), p, nil, "php"); exit != 9 || err != nil {
		t.Errorf("%d %v", exit, err)
	}
	c.exit = kube.ErrLost
	if _, _, err := do(t.Context(), p, nil, "php"); !errors.Is(err, kube.ErrLost) {
		t.Error(err)
	}
	c.none = kube.ErrNotReady
	if _, _, err := do(t.Context(), p, nil, "php"); !errors.Is(err, kube.ErrNotReady) || len(c.asked) != 4 {
		t.Error(err)
	}
	if _, _, err := do(t.Context(), custom.Nowhere{}, nil, "php"); err == nil {
		t.Error("it ran nowhere")
	}
}
