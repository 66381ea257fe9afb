// Command slipway-lab is the lab: a throwaway fleet of 17 hosts and a throwaway cloud on one machine, for rehearsing Slipway and for its tests.
// The product carries none of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/control"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// The exit codes, as in the help.
const (
	exitFailed = 1
	exitUsage  = 2
	exitNotUp  = 3
)

func main() {
	machine.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	root := command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var status statusError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status) // of a command that was run; it has said what it had to say
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "slipway-lab: interrupted")
		return exitFailed
	}
	fmt.Fprintln(os.Stderr, "slipway-lab:", err)
	switch {
	case errors.Is(err, control.ErrNoDaemon):
		return exitNotUp
	case errors.As(err, new(usageError)):
		return exitUsage
	}
	return exitFailed
}

// statusError is the exit status of a command run in the lab.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a command line that means nothing.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway-lab",
		Short: "a throwaway fleet of 17 hosts and a throwaway cloud on this machine",
		Long: `slipway-lab brings up the lab that Slipway is rehearsed and tested against: 17 hosts with real systemd, sshd,
HAProxy, Varnish, Apache, PHP, Redis, MariaDB and Gluster, name servers, and a cloud, all inside one network of
their own on this machine. It needs root on Debian 12, about 4 GB of memory and 10 GB of disk.

Environment:
  ` + place.NameVar + `        the lab's name (default lab); labs of different names can be up at once
  ` + place.StateVar + `  where the running lab keeps its state (default /var/lib/slipway-lab)
  ` + place.CacheVar + `  where what is built once is kept (default /var/cache/slipway-lab); may be deleted when no lab is up

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the lab is not up. run and ssh exit with the command's own.`,
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: noArgs,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(upCommand(), downCommand(), statusCommand(), sshCommand(), runCommand(), checkpointCommand(),
		machineCommand("kill HOST", "end a host as a power failure does", killVerb),
		machineCommand("start HOST", "start a killed host with the disk it had", startVerb),
		machineCommand("freeze HOST", "stop a machine where it stands: it holds its connections and answers nothing", freezeVerb),
		machineCommand("thaw HOST", "let a frozen machine go on", thawVerb),
		cutCommand(), slowCommand(), healCommand(), configCommand(), proofCommand(), shopperCommand(), rehearseCommand(), testCommand(), serveCommand())
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, got %q: see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())}
	}
	return nil
}

func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("want %s, got %d arguments: see %s --help", cmd.UseLine(), len(args), cmd.CommandPath())}
		}
		return nil
	}
}

// here is the place, with whatever keeps this computer or user from having a lab.
func here() (place.Place, error) {
	p, err := place.FromEnv()
	if err != nil {
		return p, usageError{err}
	}
	return p, p.Check()
}

// ask sends a request to the lab's daemon and shows its progress.
func ask[Req, Res any](ctx context.Context, verb control.Verb[Req, Res], req Req) (Res, error) {
	p, err := here()
	if err != nil {
		var none Res
		return none, err
	}
	res, err := control.Call(ctx, p.Socket(), verb, req, progress.Printer(os.Stderr, 3*time.Second))
	if errors.Is(err, control.ErrNoDaemon) {
		err = fmt.Errorf("lab %s: %w: slipway-lab up", p.Name, err)
	}
	return res, err
}
