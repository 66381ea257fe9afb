package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Cmd is a program to be run inside a machine, as root, from outside.
type Cmd struct {
	Argv   []string
	Env    []string // "NAME=value", beside PATH, HOME and LC_ALL
	Dir    string   // empty: /
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Files  []*os.File // descriptors 3 and up
	// Net puts the program into another network namespace than the machine's.
	Net *os.File
}

// ExitError is a program's failure inside a machine.
type ExitError struct {
	Machine string
	Argv    []string
	Code    int    // -1: killed
	Stderr  string // its end, where Run captured it
}

func (e *ExitError) Error() string {
	msg := fmt.Sprintf("%s: %s: exit status %d", e.Machine, strings.Join(e.Argv, " "), e.Code)
	if e.Stderr != "" {
		msg += ": " + e.Stderr
	}
	return msg
}

// Process is a program that was started in a machine. It ends with the machine at the latest.
type Process struct {
	m    *Machine
	cmd  *exec.Cmd
	argv []string
}

// Pid is the process's number as this computer counts.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait waits for the end. A status other than 0 is an *ExitError.
func (p *Process) Wait() error {
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{Machine: p.m.spec.Name, Argv: p.argv, Code: exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", p.m.spec.Name, strings.Join(p.argv, " "), err)
	}
	return nil
}

// Start starts a program in the machine. When ctx ends the program is killed. Wait must be called.
func (m *Machine) Start(ctx context.Context, c Cmd) (*Process, error) {
	if len(c.Argv) == 0 {
		return nil, fmt.Errorf("machine %s: no command", m.spec.Name)
	}
	type result struct {
		cmd *exec.Cmd
		err error
	}
	ch := make(chan result, 1)
	start := func() {
		cmd, err := m.startHere(ctx, c)
		ch <- result{cmd, err}
	}
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread is in the machine and ends with this goroutine
		if !onFirstThread() {
			start()
			return
		}
		// The process's first thread never ends: it would stay in the machine and keep its group busy. It is held here, so that the next
		// goroutine has another.
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			start()
		}()
		<-done
	}()
	r := <-ch
	if r.err != nil {
		return nil, fmt.Errorf("%s: start %s: %w", m.spec.Name, c.Argv[0], r.err)
	}
	return &Process{m: m, cmd: r.cmd, argv: c.Argv}, nil
}

// startHere moves the calling thread into the machine and forks there.
func (m *Machine) startHere(ctx context.Context, c Cmd) (*exec.Cmd, error) {
	leaf := filepath.Join(m.group, "exec")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return nil, err
	}
	group, err := os.Open(leaf)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	if err := joinV1(m.v1); err != nil {
		return nil, err
	}
	if err := enter(m.process.Pid, c.Net); err != nil {
		return nil, err
	}
	// From here on paths are the machine's.
	name, err := lookPath(c.Argv[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, c.Argv[1:]...)
	cmd.Args[0] = c.Argv[0]
	cmd.Env = append([]string{pathEnv, "HOME=/root", "LC_ALL=C.UTF-8"}, c.Env...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = c.Stdin, c.Stdout, c.Stderr, c.Files
	cmd.SysProcAttr = execAttr(group)
	cmd.WaitDelay = 5 * time.Second // a daemon that inherited the pipes must not hold Wait after a kill
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd, nil
}

// lookPath finds a program in the directories of the machine's PATH.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(strings.TrimPrefix(pathEnv, "PATH="), ":") {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("%s: %w in the machine", name, exec.ErrNotFound)
}

// Run runs a program to its end. If Stderr is nil, its last 2 kB are in the error.
func (m *Machine) Run(ctx context.Context, c Cmd) error {
	var tail *tailBuffer
	if c.Stderr == nil {
		tail = &tailBuffer{max: 2 << 10}
		c.Stderr = tail
	}
	p, err := m.Start(ctx, c)
	if err != nil {
		return err
	}
	err = p.Wait()
	var exit *ExitError
	if errors.As(err, &exit) && tail != nil {
		exit.Stderr = strings.TrimSpace(tail.String())
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", err, ctx.Err())
	}
	return err
}

// Output runs a program to its end and returns what it printed.
func (m *Machine) Output(ctx context.Context, argv ...string) ([]byte, error) {
	var out bytes.Buffer
	err := m.Run(ctx, Cmd{Argv: argv, Stdout: &out})
	return out.Bytes(), err
}

// tailBuffer keeps the last max bytes.
type tailBuffer struct {
	buf []byte
	max int
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string { return string(t.buf) }
