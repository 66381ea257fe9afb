package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// rehearsal is one rehearsal of the product against the lab, with all that proves what it did to the source.
type rehearsal struct {
	place   place.Place
	dir     string   // slipway.yaml, the runs' journals and the snapshots
	args    []string // for slipway rehearse
	keepLab bool
	size    verb.UpRequest
}

func rehearseCommand() *cobra.Command {
	var r rehearsal
	c := &cobra.Command{
		Use:   "rehearse [-- ARG…]",
		Short: "bring the lab up, rehearse against it while its customers shop, and prove that nothing was lost or changed",
		Long: `rehearse brings the lab up, writes what a rehearsal needs into --dir, lets the lab's customers shop, and runs slipway rehearse --yes-to go (with the
arguments after --) in the lab's network. Then it holds the customers' ledger against the shop's database, proves that nothing on the source changed but what
its own daemons do, and takes the lab down, unless it was up before. A rehearsal that did not end well leaves the lab up: it can be resumed.

The exit code is that of slipway rehearse, or 1 if only the ledger or the proof is not sound.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			r.args = args
			if r.place, err = here(); err != nil {
				return err
			}
			if r.dir, err = filepath.Abs(r.dir); err != nil {
				return err
			}
			return r.run(cmd.Context())
		},
	}
	c.Flags().StringVar(&r.dir, "dir", "rehearsal", "where slipway.yaml is written, and the runs' journals and snapshots stay")
	c.Flags().BoolVar(&r.keepLab, "keep-lab", false, "leave the lab up")
	c.Flags().IntVar(&r.size.Rows, "rows", 0, "as in slipway-lab up")
	c.Flags().IntVar(&r.size.Files, "files", 0, "as in slipway-lab up")
	return c
}

func (r rehearsal) run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	wasUp := answers(ctx, r.place)
	if err := bringUp(ctx, r.place, r.size); err != nil {
		return err
	}
	if _, err := ask(ctx, verb.Config, verb.ConfigRequest{Dir: r.dir}); err != nil {
		return err
	}
	if _, err := ask(ctx, verb.ProofBegin, verb.Nothing{}); err != nil {
		return err
	}
	if _, err := ask(ctx, verb.Shopper, verb.ShopperRequest{Do: verb.StartShopping, Rate: 2, Browsers: 1}); err != nil {
		return err
	}
	fmt.Printf("customers shop; in %s: slipway rehearse --yes-to go\n\n", r.dir)

	// Ctrl-C reaches the program too, which stops at its next safe point. What comes after it is done in any case.
	ctx = context.WithoutCancel(ctx)
	ran := r.slipway(self)
	fmt.Println()
	sound := r.prove(ctx)
	if ran != nil {
		fmt.Printf("the lab is left up, so that the run can go on: cd %s && %s run -- %s status; to end it: %s down\n", r.dir, self, program(self), self)
		return errors.Join(ran, sound)
	}
	if wasUp || r.keepLab {
		return sound
	}
	return errors.Join(sound, takeDown(ctx, r.place))
}

// program is the product, beside this one.
func program(self string) string { return filepath.Join(filepath.Dir(self), "slipway") }

// slipway runs the rehearsal in the lab's network; its exit code is a statusError.
func (r rehearsal) slipway(self string) error {
	cmd := exec.Command(self, append([]string{"run", "--", program(self), "rehearse", "--yes-to", "go"}, r.args...)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.dir, os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), r.place.Environ()...)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return statusError(exit.ExitCode())
	}
	return err
}

// prove sends the customers home, and holds their ledger and the source's proof against what is there.
func (r rehearsal) prove(ctx context.Context) error {
	shopping, err := ask(ctx, verb.Shopper, verb.ShopperRequest{Do: verb.StopShopping})
	if err != nil {
		return err
	}
	if err := shopping.Stats.Print(os.Stdout); err != nil {
		return err
	}
	if shopping, err = ask(ctx, verb.Shopper, verb.ShopperRequest{Do: verb.ShowLedger}); err != nil {
		return err
	}
	if err := showLedger(shopping, "text"); err != nil {
		return err
	}
	p, err := ask(ctx, verb.ProofEnd, verb.Nothing{})
	if err != nil {
		return err
	}
	return showProof(p, "text")
}
