package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/treecopy/pass"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
	"github.com/slipway-dev/slipway/internal/ui"
)

// filesCopyFlags are those of slipway files copy.
type filesCopyFlags struct {
	filesFlags
	verify, follow bool
	every          time.Duration
}

func newFilesCopy(p *program) *cobra.Command {
	var x filesCopyFlags
	cmd := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "copy a directory: everything at first, then what has changed",
		Long: "copy lists the source, sends what has changed since the last time, and takes away what is gone. A file appears at the target as a whole\n" +
			"or not at all. It may be killed at any time: typed again, it sends nothing again that it had recorded.\n\n" + placesHelp + "\n\n" +
			"The first time the target is listed too: files that it has already are compared and not sent, and entries that the source hasn't are\n" +
			"refused unless --delete takes them away.\n\n" +
			"It ends with 0 when the target has everything, with 1 when single files could not be copied (they are named) or it broke off, and\n" +
			"with 2 when it was refused and nothing was changed.\n\n" + exitCodes,
		Args: exactly("SRC", "DST"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.copyFiles(cmd, &x, args) },
	}
	x.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&x.verify, "verify", false, "have the target read back each file that it wrote, from its disk, and compare it")
	f.BoolVar(&x.follow, "follow", false, "go on with one pass after another until it is interrupted")
	f.DurationVar(&x.every, "every", 10*time.Second, "how long --follow waits from one pass to the next")
	return cmd
}

// errNotWhole: the pass came to its end, and single files aren't at the target.
var errNotWhole = errors.New("not every file could be copied")

func (p *program) copyFiles(cmd *cobra.Command, x *filesCopyFlags, args []string) (err error) {
	if err := x.read(cmd, args); err != nil {
		return err
	}
	if x.every < 0 {
		return &usageError{fmt.Errorf("--every %s: not below 0s", x.every), cmd.CommandPath()}
	}
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	d, err := p.openFiles(ctx, &x.filesFlags)
	if err != nil {
		return filesFailed(err, "copy")
	}
	defer func() {
		if bad := d.close(); err == nil {
			err = filesFailed(bad, "copy")
		}
	}()
	if x.follow {
		return p.followFiles(ctx, x, d)
	}
	r, err := p.onePass(ctx, x, d)
	if err == nil {
		err = p.print(r, func(w io.Writer) error { return writeFilesPass(w, r) })
	}
	if err == nil && !r.Whole() {
		return hint(errNotWhole, "see above why; then type slipway files copy again: it goes on")
	}
	return filesFailed(err, "copy")
}

func (p *program) onePass(ctx context.Context, x *filesCopyFlags, d *filesDesk) (*pass.Report, error) {
	t := p.filesTeller()
	defer t.stop()
	return pass.Run(ctx, d.source, d.target, d.state, x.options(x.verify, t))
}

// followFiles makes passes until it is interrupted, which is how it ends well.
func (p *program) followFiles(ctx context.Context, x *filesCopyFlags, d *filesDesk) error {
	for {
		r, err := p.onePass(ctx, x, d)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, tree.ErrLost): // it comes back, or a person ends it
			if p.output == text {
				fmt.Fprintf(p.err, "%v; the next pass tries again\n", err)
			}
		case err != nil:
			return filesFailed(err, "copy")
		}
		if err := p.print(r, func(w io.Writer) error { return writeFilesFollowed(w, r) }); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(x.every):
		}
	}
}

// writeFilesFollowed is one line for a pass, and what could not be copied.
func writeFilesFollowed(w io.Writer, r *pass.Report) error {
	var b strings.Builder
	f := r.Found
	fmt.Fprintf(&b, "%s: found %s of %s entries changed and %s gone, %s; took %s\n", r.Began.Local().Format(time.TimeOnly), ui.Count(f.Files+f.Dirs+f.Adopt), ui.Count(r.Listed), ui.Count(f.Removed), ui.Bytes(f.Bytes), ui.Took(r.Took.All))
	if !r.Whole() {
		writeProblems(&b, r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFilesPass(w io.Writer, r *pass.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s: %s entries\n", r.Source, r.Target, ui.Count(r.Listed))
	fmt.Fprintf(&b, "sent %s files and links, %s; %s directories; %s were there already", ui.Count(r.Sent), ui.Bytes(r.Bytes), ui.Count(r.Dirs), ui.Count(r.Kept+r.Adopted))
	for _, x := range []struct {
		n    int64
		what string
	}{{r.Adopted, "of them compared"}, {r.Removed, "taken away"}, {r.Checked, "read back and the same"}, {r.Retried, "done again"}} {
		if x.n > 0 {
			fmt.Fprintf(&b, ", %s %s", ui.Count(x.n), x.what)
		}
	}
	fmt.Fprintf(&b, "\ntook %s, of it %s to list and compare\n", ui.Took(r.Took.All), ui.Took(r.Took.List))
	if s := r.Slowest; s != nil && s.Took > time.Second {
		fmt.Fprintf(&b, "slowest directory: %s, %s files in %s\n", s.Dir, ui.Count(s.Files), ui.Took(s.Took))
	}
	writeProblems(&b, r)
	_, err := io.WriteString(w, b.String())
	return err
}

// problemsShown is how many problems of a pass people are shown; JSON has more.
const problemsShown = 50

func writeProblems(b *strings.Builder, r *pass.Report) {
	all := int64(0)
	for _, c := range r.Counts {
		all += c.Entries
	}
	for i, p := range r.Problems {
		if i == problemsShown {
			break
		}
		fmt.Fprintf(b, "  %s: %s: %s\n", p.Name, p.Trouble, p.Why)
	}
	if all > problemsShown {
		fmt.Fprintf(b, "  and %s more\n", ui.Count(all-problemsShown))
	}
}
