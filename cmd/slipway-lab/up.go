package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/control"
	"github.com/slipway-dev/slipway/internal/lab/daemon"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

func upCommand() *cobra.Command {
	var req verb.UpRequest
	c := &cobra.Command{
		Use:   "up",
		Short: "bring the lab up; what is missing is built, what a killed lab left is cleaned first",
		Long: `up brings the lab up and returns when the shop serves. The first time it builds root file systems from Debian packages, forms the
fleet and fills it, and keeps the result in the cache as a checkpoint; from then on the hosts start from that. On a lab that is up it starts what was killed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Rows < 0 || req.Files < 0 {
				return usageError{errors.New("--rows and --files must be above 0")}
			}
			p, err := here()
			if err != nil {
				return err
			}
			return bringUp(cmd.Context(), p, req)
		},
	}
	c.Flags().IntVar(&req.Rows, "rows", 0, "rows in the shop's tables, at least 5000 (default 200000)")
	c.Flags().IntVar(&req.Files, "files", 0, "files in the Gluster volume, at least 200 (default 20000)")
	c.Flags().BoolVar(&req.Fresh, "fresh", false, "form the fleet anew even if there is a checkpoint")
	c.Flags().BoolVar(&req.Checkpoint, "checkpoint", false, "start from what slipway-lab checkpoint kept")
	c.Flags().StringSliceVar(&req.Without, "without", nil, "leave out a part: clusters (saves the compile of Kubernetes), cloud, \"name servers\"")
	return c
}

// bringUp starts the lab's daemon, unless it answers, and lets it bring the lab up.
func bringUp(ctx context.Context, p place.Place, req verb.UpRequest) error {
	since := time.Now()
	if err := ensureDaemon(ctx, p); err != nil {
		return err
	}
	if _, err := ask(ctx, verb.Up, req); err != nil {
		return err
	}
	fmt.Printf("lab %s is up (%.1f s)\n", p.Name, time.Since(since).Seconds())
	return nil
}

// ensureDaemon starts the daemon in a session of its own, unless one answers.
func ensureDaemon(ctx context.Context, p place.Place) error {
	if answers(ctx, p) {
		return nil
	}
	if err := os.MkdirAll(p.State, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "serve")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = append(os.Environ(), p.Environ()...)
	cmd.SysProcAttr = ownSession()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	return progress.Wait(ctx, progress.Printer(os.Stderr, 3*time.Second), "the lab's daemon starts", 1, 20*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		select {
		case err := <-ended:
			return 0, "", fmt.Errorf("it ended (%w): %s", err, lastLine(p.Log()))
		default:
		}
		if answers(ctx, p) {
			return 1, "", nil
		}
		return 0, "cleaning what an earlier one left", nil
	})
}

func answers(ctx context.Context, p place.Place) bool {
	_, err := control.Call(ctx, p.Socket(), verb.Status, verb.Nothing{}, progress.Discard)
	return err == nil
}

func lastLine(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return lines[len(lines)-1]
}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "hold the lab; up starts it", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := here()
			if err != nil {
				return err
			}
			// The terminal's hang-up must not take the lab along.
			signal.Ignore(syscall.SIGHUP)
			return daemon.New(p, parts()...).Serve(cmd.Context())
		},
	}
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "take the lab down: no process, mount, namespace, cgroup or interface stays, nor what the hosts wrote",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := here()
			if err != nil {
				return err
			}
			return takeDown(cmd.Context(), p)
		},
	}
}

// takeDown ends the lab's daemon with all that it holds, and cleans what is left.
func takeDown(ctx context.Context, p place.Place) error {
	report := progress.Printer(os.Stderr, 3*time.Second)
	if _, err := control.Call(ctx, p.Socket(), verb.Down, verb.Nothing{}, report); err != nil && !errors.Is(err, control.ErrNoDaemon) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	// The daemon holds the lab until nothing of it is left; if it was killed, cleaning is left to this.
	err := progress.Wait(ctx, report, "the lab goes down", 1, 50*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		err := daemon.Clean(ctx, p)
		if errors.Is(err, daemon.ErrHeld) {
			return 0, "hosts end", nil
		}
		return 1, "", err
	})
	if err != nil {
		return err
	}
	fmt.Printf("lab %s is down\n", p.Name)
	return nil
}
