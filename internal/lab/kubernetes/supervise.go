package kubernetes

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// supervisor keeps one program of a machine running, as an init system would.
type supervisor struct {
	machine *machine.Machine
	task    task
	output  string // the file that gets what the program prints
	log     *log.Logger
}

// restartDelay is between a program's end and its next start.
const restartDelay = 500 * time.Millisecond

// run starts the program again whenever it ends, until the machine or ctx does.
func (s supervisor) run(ctx context.Context) {
	for {
		err := s.once(ctx)
		if ctx.Err() != nil || !s.machine.Running() {
			return
		}
		s.log.Printf("%s: %s ended (%v): starting it again", s.machine.Name(), s.task.name, err)
		select {
		case <-ctx.Done():
			return
		case <-s.machine.Done():
			return
		case <-time.After(restartDelay):
		}
	}
}

func (s supervisor) once(ctx context.Context) error {
	out, err := os.OpenFile(s.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	p, err := s.machine.Start(ctx, machine.Cmd{Argv: s.task.argv, Stdout: out, Stderr: out})
	if err != nil {
		return err
	}
	return p.Wait()
}
