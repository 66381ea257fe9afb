package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/treecopy/pass"
	"github.com/slipway-dev/slipway/internal/ui"
)

func newFilesVerify(p *program) *cobra.Command {
	var x filesFlags
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify SRC DST",
		Short: "compare every byte of every file of a directory with its copy's",
		Long: "verify has both ends read all files from their disks, and compares: contents, kinds, modes, owners, times, links, attributes, ACLs, and what\n" +
			"one of them has too much. It changes nothing. With --repair what differs is sent anew and read back; with --delete too, what only the\n" +
			"target has is taken away.\n\n" + placesHelp + "\n\n" +
			"It ends with 0 when the target has what the source has, also after repairs, with 1 when something differs, and with 2 when it could\n" +
			"not begin.\n\n" + exitCodes,
		Args: exactly("SRC", "DST"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.verifyFiles(cmd, &x, repair, args) },
	}
	x.flags(cmd)
	cmd.Flags().BoolVar(&repair, "repair", false, "send anew what differs")
	return cmd
}

func (p *program) verifyFiles(cmd *cobra.Command, x *filesFlags, repair bool, args []string) (err error) {
	if err := x.read(cmd, args); err != nil {
		return err
	}
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	d, err := p.openFiles(ctx, x)
	if err != nil {
		return filesFailed(err, "verify")
	}
	defer func() {
		if bad := d.close(); err == nil {
			err = filesFailed(bad, "verify")
		}
	}()
	t := p.filesTeller()
	c, err := pass.Verify(ctx, d.source, d.target, d.state, x.options(true, t), repair)
	t.stop()
	if err != nil {
		return filesFailed(err, "verify")
	}
	if err := p.print(c, func(w io.Writer) error { return writeFilesCompared(w, c) }); err != nil {
		return err
	}
	switch {
	case c.Same():
		return nil
	case repair:
		return hint(errDiffers, "see above why; what only the target has is taken away with --delete. Then type slipway files verify again")
	}
	return hint(errDiffers, "slipway files copy brings what has changed since the last pass; slipway files verify --repair sends the rest anew")
}

func writeFilesCompared(w io.Writer, c *pass.Comparison) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s and %s: %s entries, of %s files every byte (%s), in %s\n", c.Source, c.Target, ui.Count(c.Entries), ui.Count(c.Files), ui.Bytes(c.Bytes), ui.Took(c.Took))
	if c.LeftOut > 0 {
		fmt.Fprintf(&b, "left out: %s devices, sockets and FIFOs\n", ui.Count(c.LeftOut))
	}
	if c.Different == 0 {
		b.WriteString("the target has what the source has\n")
	} else {
		fmt.Fprintf(&b, "%s differ:\n", ui.Count(c.Different))
	}
	for i, d := range c.Differences {
		if i == problemsShown {
			fmt.Fprintf(&b, "  and %s more\n", ui.Count(c.Different-problemsShown))
			break
		}
		since := ""
		if d.Since {
			since = " (no pass has copied it as it is now)"
		}
		fmt.Fprintf(&b, "  %s: %s%s\n", d.Name, d.What, since)
	}
	if r := c.Repair; r != nil {
		fmt.Fprintf(&b, "sent anew: %s files and links, %s directories, %s taken away; still different: %s\n", ui.Count(r.Sent), ui.Count(r.Dirs), ui.Count(r.Removed), ui.Count(c.Unrepaired))
		writeProblems(&b, r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
