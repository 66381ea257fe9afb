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
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/kubernetes"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// stopPatience is how long go test has to end when it is interrupted, before it is killed with all that it started.
const stopPatience = 20 * time.Second

// labTests are the tests that need a lab, run in one.
type labTests struct {
	place    place.Place
	root     string // of the repository
	packages []string
	run      string // a regular expression; empty: all
	limit    time.Duration
	keepLab  bool
	size     verb.UpRequest
}

func testCommand() *cobra.Command {
	var l labTests
	c := &cobra.Command{
		Use:   "test [PACKAGE…]",
		Short: "bring the lab up, run the tests that need it, and take it down",
		Long: `test brings the lab up and runs in it, one package after another, the tests that have the build tag lab: of the packages named
("./internal/kube"), or of all that have such tests. Then it takes the lab down, also when tests failed or it was interrupted, unless the lab was up
before. A skipped test fails.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if l.place, err = here(); err != nil {
				return err
			}
			if l.root, err = kubernetes.FindSource(); err != nil {
				return err
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

// test runs go test. The tests are compiled outside the lab, which has no Internet, and run inside.
func (l labTests) test(ctx context.Context, self string) (err error) {
	// What an interrupted test leaves in files goes with this directory.
	tmp, err := os.MkdirTemp("", "slipway-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	args := []string{"test", "-json", "-tags", "lab", "-p", "1", "-count", "1", "-timeout", l.limit.String(), "-exec", self + " run --"}
	if l.run != "" {
		args = append(args, "-run", l.run)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, l.packages...)...)
	cmd.Dir = l.root
	cmd.Env = append(append(os.Environ(), l.place.Environ()...), "TMPDIR="+tmp)
	cmd.SysProcAttr = ownSession()
	cmd.Cancel = func() error { return interruptGroup(cmd.Process.Pid) }
	cmd.WaitDelay = stopPatience
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, killGroup(cmd.Process.Pid)) }()
	fmt.Printf("testing %d packages in lab %s, one after another\n", len(l.packages), l.place.Name)
	results := newResults(os.Stdout, progress.Printer(os.Stderr, 5*time.Second))
	read := results.read(events)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(results.end(l.packages), read, err)
}
