// Command slipway moves a company's web stack off bare-metal hosts into managed Kubernetes: rehearsed as often as it
// takes, executed once, rolled back from its journal. This package is the command line: arguments, signals, exit codes,
// and the wiring of configuration to runbooks. It has one file per subcommand.
package main

import (
	"context"
	"io"
	"os"
)

// version is set by the linker in a build from the Makefile.
var version = "0.1.0-dev"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are what the program reads from and writes to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run is the whole program; it gives the exit code.
func run(ctx context.Context, args []string, s streams) int {
	p := &program{streams: s}
	p.open = p.openRehearsal
	return p.run(ctx, args)
}

func (p *program) run(ctx context.Context, args []string) int {
	root := newRoot(p)
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	return p.fail(root.ExecuteContext(ctx))
}
