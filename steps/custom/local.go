package custom

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// termGrace is what a command of this machine gets to end by itself after SIGTERM.
const termGrace = 2 * time.Second

// Local runs commands on this machine, in one directory.
type Local struct{ dir string }

// Here is this machine, in that directory.
func Here(dir string) Local { return Local{dir} }

// passedOn are the variables that a command gets from Slipway's own environment. The others stay out: they may be secrets.
var passedOn = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"}

// Do runs a command in a process group of its own. When ctx ends the group gets SIGTERM, and two seconds later SIGKILL. On
// Linux the command, though not what it has started, is killed when this process dies.
func (l Local) Do(ctx context.Context, c Command) (int, error) {
	// The kernel takes the end of the thread that started a process for the end of its parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Env = l.dir, []string{}
	for _, name := range passedOn {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	for _, v := range c.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value.Reveal())
	}
	cmd.Stdout, cmd.Stderr = c.Out, c.Out
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = termGrace
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
		return 0, fmt.Errorf("%w; it was ended", context.Cause(ctx))
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	case errors.Is(err, exec.ErrWaitDelay): // it ended with 0; what it left running in the background keeps its output open
		return 0, nil
	}
	return 0, err
}
