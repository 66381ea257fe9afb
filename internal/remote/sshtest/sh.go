package sshtest

import (
	"errors"
	"io"
	"os/exec"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Sh runs a command with a real shell on this machine, in a process group of its own that gets the signals, as sshd does.
func Sh(shell string) func(*Session) Exit {
	return func(s *Session) Exit {
		cmd := exec.Command(shell, "-c", s.Line)
		cmd.Stdout, cmd.Stderr = s.Stdout, s.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		in, err := cmd.StdinPipe()
		if err != nil {
			return Exit{Status: 255}
		}
		if err := cmd.Start(); err != nil {
			return Exit{Status: 127}
		}
		go func() {
			_, _ = io.Copy(in, s.Stdin)
			_ = in.Close()
		}()
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			numbers := map[ssh.Signal]syscall.Signal{ssh.SIGTERM: syscall.SIGTERM, ssh.SIGKILL: syscall.SIGKILL}
			for {
				select {
				case sig := <-s.Signals:
					_ = syscall.Kill(-cmd.Process.Pid, numbers[sig])
				case <-s.Gone: // sshd leaves the process; a test must not
					_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
					return
				case <-ended:
					return
				}
			}
		}()
		err = cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				return Exit{Signal: map[syscall.Signal]ssh.Signal{syscall.SIGTERM: ssh.SIGTERM, syscall.SIGKILL: ssh.SIGKILL}[ws.Signal()]}
			}
			return Exit{Status: exit.ExitCode()}
		}
		return Exit{}
	}
}
