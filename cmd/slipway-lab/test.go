package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/lab/kubernetes"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// stopPatience is how long tests have to end when they are interrupted, before they are killed with all that they started.
const stopPatience = 20 * time.Second

// labTests are the tests that need a lab, run in one.
type labTests struct {
	place    place.Place
	root     string // of the repository
	packages []string
	run      string   // a regular expression; empty: all
	tags     []string // build tags beside lab
	args     []string // for the test programs
	limit    time.Duration
	keepLab  bool
	size     verb.UpRequest
}

func testCommand() *cobra.Command {
	var l labTests
	c := &cobra.Command{
		Use:   "test [PACKAGE…] [-- ARG…]",
		Short: "bring the lab up, run the tests that need it, and take it down",
		Long: `test brings the lab up and runs in it, one package after another, the tests that have the build tag lab: of the packages named
("./internal/kube"), or of all that have such tests. Then it takes the lab down, also when tests failed or it was interrupted, unless the lab was up
before. A skipped test fails. What follows -- goes to the test programs as it is.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if l.place, err = here(); err != nil {
				return err
			}
			if l.root, err = kubernetes.FindSource(); err != nil {
				return err
			}
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args, l.args = args[:n], args[n:]
			}
			if l.packages = args; len(args) == 0 {
				if l.packages, err = labPackages(l.root); err != nil {
					return err
				}
			}
			return l.all(cmd.Context())
		},
	}
	c.Flags().StringVar(&l.run, "run", "", "only the tests that match this regular expression, as in go test")
	c.Flags().StringSliceVar(&l.tags, "tags", nil, "build tags beside lab")
	c.Flags().DurationVar(&l.limit, "limit", 20*time.Minute, "the longest that one package's tests may take")
	c.Flags().BoolVar(&l.keepLab, "keep-lab", false, "leave the lab up")
	c.Flags().IntVar(&l.size.Rows, "rows", 20_000, "as in slipway-lab up; less than there, since tests of size make their own")
	c.Flags().IntVar(&l.size.Files, "files", 1_000, "as in slipway-lab up")
	return c
}

// labPackages are the packages of the repository with tests that need a lab, as "./path", in order.
func labPackages(root string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if !strings.HasSuffix(d.Name(), "_lab_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if pkg := "./" + filepath.ToSlash(rel); !slices.Contains(out, pkg) {
			out = append(out, pkg)
		}
		return err
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("there is no *_lab_test.go in %s", root)
	}
	return out, err
}

// all brings the lab up, tests, and takes the lab down whatever happened, unless it was up before.
func (l labTests) all(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if !answers(ctx, l.place) && !l.keepLab {
		defer func() { err = errors.Join(err, l.slipwayLab(context.WithoutCancel(ctx), self, "down")) }()
	}
	if err := l.slipwayLab(ctx, self, "up", "--rows", fmt.Sprint(l.size.Rows), "--files", fmt.Sprint(l.size.Files)); err != nil {
		return err
	}
	return l.test(ctx, self)
}

// slipwayLab runs a verb of this program. When ctx ends the verb is interrupted and has its time to end.
func (l labTests) slipwayLab(ctx context.Context, self string, args ...string) error {
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), l.place.Environ()...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopPatience
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("slipway-lab %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// test compiles the tests outside the lab, which has no Internet, all before the first one runs; and runs them inside.
func (l labTests) test(ctx context.Context, self string) (err error) {
	// What an interrupted test leaves in files goes with this directory.
	tmp, err := os.MkdirTemp("", "slipway-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	report := progress.Printer(os.Stderr, 10*time.Second)
	programs, err := l.compile(ctx, tmp, report)
	if err != nil {
		return err
	}
	fmt.Printf("%d packages are tested in lab %s, one after another\n", len(programs), l.place.Name)
	all := results{to: os.Stdout, report: report, total: len(programs)}
	for i, program := range programs {
		// The exit code says no more than the events: a package that doesn't end with "pass" has failed.
		read, err := l.runPackage(ctx, self, l.packages[i], program, tmp, all.begin(l.packages[i]))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		all.finish(errors.Join(read, err))
	}
	return all.end()
}

// compile makes a test program of each package.
func (l labTests) compile(ctx context.Context, tmp string, report progress.Func) ([]string, error) {
	task := progress.Begin(report, "compile the tests")
	programs := make([]string, len(l.packages))
	var compiled atomic.Int64
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // go uses all processors for each, but for linking
	for i, pkg := range l.packages {
		programs[i] = filepath.Join(tmp, fmt.Sprintf("%02d.test", i))
		group.Go(func() error {
			// Without symbols for debuggers: linked in half the time, and half the size.
			cmd := exec.CommandContext(gctx, "go", "test", "-c", "-vet=off", "-tags", strings.Join(append([]string{"lab"}, l.tags...), ","), "-ldflags", "-s -w", "-o", programs[i], pkg)
			cmd.Dir = l.root
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("compile the tests of %s: %w\n%s", pkg, err, out)
			}
			task.At(pkg, compiled.Add(1), int64(len(l.packages)))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	task.End()
	return programs, nil
}

// runPackage runs one test program in the lab, in its package's directory as go test does, and hands its events on.
func (l labTests) runPackage(ctx context.Context, self, pkg, program, tmp string, take func(event)) (read, err error) {
	args := []string{"tool", "test2json", "-t", "-p", pkg, self, "run", "--", program, "-test.v=test2json", "-test.timeout=" + l.limit.String(), "-test.paniconexit0"}
	if l.run != "" {
		args = append(args, "-test.run="+l.run)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, l.args...)...)
	cmd.Dir = filepath.Join(l.root, pkg)
	cmd.Env = append(append(os.Environ(), l.place.Environ()...), "TMPDIR="+tmp)
	cmd.SysProcAttr = ownSession()
	cmd.Cancel = func() error { return interruptGroup(cmd.Process.Pid) }
	cmd.WaitDelay = stopPatience
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, killGroup(cmd.Process.Pid)) }()
	read = readEvents(events, take)
	if err := cmd.Wait(); !errors.As(err, new(*exec.ExitError)) {
		return read, err
	}
	return read, nil
}
