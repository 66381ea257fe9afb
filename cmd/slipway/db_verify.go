package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/ui"
)

// compareFlags are what db verify takes beside the pair.
type compareFlags struct {
	pair
	workers, most int
	settle        time.Duration
	repair        bool
}

func newDBVerify(p *program) *cobra.Command {
	var x compareFlags
	cmd := &cobra.Command{
		Use:   "verify --source env:SRC --target env:DST --schema NAME",
		Short: "compare every row of a MariaDB's schemas with a MySQL's, while both are written to",
		Long: "verify compares definitions and every row of every table, by checksums that both servers compute at once. Rows that differ are looked\n" +
			"at again until they are equal, or have differed for --settle: a follower that is behind by less makes no difference. What differs is\n" +
			"named by its key and columns; no values are printed.\n\n" +
			"It writes nothing, and holds no lock and no view open. With --repair it writes rows of the target that differ anew from the\n" +
			"source's, and looks at them again.\n\n" +
			"It ends with 0 when the target has what the source has, also after repairs, with 1 when something differs and wasn't repaired, and\n" +
			"with 2 when it could not compare: a wrong call, a server that isn't reached, an account that may not see everything.\n\n" + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.verifyDB(cmd, x) },
	}
	x.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&x.workers, "workers", 4, "how many checksums each of the servers computes at once")
	f.IntVar(&x.most, "most", 50, "how many rows that differ are named; without --repair no more are looked for")
	f.DurationVar(&x.settle, "settle", 10*time.Second, "how long rows that differ are looked at again; longer than a follower is ever behind")
	f.BoolVar(&x.repair, "repair", false, "write rows of the target that differ anew from the source's")
	return cmd
}

var (
	// errDiffers: the target hasn't what the source has.
	errDiffers = errors.New("the target differs from the source")
	// errFlag is a flag's value that can't be meant.
	errFlag = errors.New("must be at least")
)

func (x *compareFlags) check(cmd *cobra.Command) error {
	var bad []error
	if x.workers < 1 {
		bad = append(bad, fmt.Errorf("--workers %d: %w 1", x.workers, errFlag))
	}
	if x.most < 1 {
		bad = append(bad, fmt.Errorf("--most %d: %w 1", x.most, errFlag))
	}
	if x.settle < time.Millisecond {
		bad = append(bad, fmt.Errorf("--settle %s: %w 1ms", x.settle, errFlag))
	}
	if bad != nil {
		return &usageError{errors.Join(bad...), cmd.CommandPath()}
	}
	return nil
}

func (p *program) verifyDB(cmd *cobra.Command, x compareFlags) error {
	if err := x.check(cmd); err != nil {
		return err
	}
	source, target, err := x.endpoints(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second Ctrl-C kills
	tell := &compareTeller{to: p.err, quiet: p.output != text, began: time.Now()}
	applied, err := appliedBy(ctx, target)
	if err != nil {
		return verifyFailed(err, &dbcopy.Comparison{}, x.schemas)
	}
	c, err := dbcopy.Compare(ctx, dbcopy.NewSource(source), dbcopy.NewTarget(target),
		dbcopy.CompareOptions{Schemas: x.schemas, Workers: x.workers, Most: x.most, Settle: x.settle, Repair: x.repair, Applied: applied, Tell: tell.tell})
	if err != nil {
		return verifyFailed(err, &c, x.schemas)
	}
	if err := p.print(c, func(w io.Writer) error { return writeComparison(w, &c) }); err != nil {
		return err
	}
	if !c.Same() {
		if x.repair {
			return hint(errDiffers, "see above why a row wasn't repaired; then type slipway db verify --repair again")
		}
		return hint(errDiffers, "find out who wrote to the target; slipway db verify --repair writes the rows anew")
	}
	return nil
}

// appliedBy is the position of the follower to this target; nil when nothing has ever followed there, and time has to decide.
func appliedBy(ctx context.Context, target dbcopy.Endpoint) (func(context.Context) (binlog.MariaDB, error), error) {
	applied := func(ctx context.Context) (binlog.MariaDB, error) {
		at, err := follow.Applied(ctx, target, follow.ForwardStream)
		return at.MariaDB, err
	}
	switch at, err := applied(ctx); {
	case errors.Is(err, follow.ErrNoStream) || err == nil && at.IsZero():
		return nil, nil
	case err != nil:
		return nil, err
	}
	return applied, nil
}

// verifyFailed says what was repaired before it.
func verifyFailed(err error, c *dbcopy.Comparison, schemas []string) error {
	if c.Repaired > 0 {
		err = fmt.Errorf("%w; %d rows of the target were repaired before that", err, c.Repaired)
	}
	return dbFailed(err, dbCall{again: "slipway db verify again", schemas: schemas, began: c.Chunks > 0, stopped: "the comparison was interrupted: " + err.Error()})
}

// compareTeller says to people how far a comparison is, every few seconds, and at once what they should know.
type compareTeller struct {
	to    io.Writer
	quiet bool
	began time.Time
	told  time.Time
	said  string
}

// tellEvery is the time between two lines.
const tellEvery = 3 * time.Second

// tell isn't called twice at once.
func (t *compareTeller) tell(c dbcopy.CompareProgress) {
	switch now := time.Now(); {
	case t.quiet:
	case c.Say != "" && c.Say != t.said && now.Sub(t.began) > tellAfter:
		t.said = c.Say
		fmt.Fprintln(t.to, c.Say)
	case c.Say == "" && now.Sub(t.began) > tellAfter && now.Sub(t.told) >= tellEvery && (c.Chunks > 0 || c.Again > 0):
		t.told = now
		fmt.Fprintln(t.to, compareLine(c, now.Sub(t.began)))
	}
}

func compareLine(c dbcopy.CompareProgress, since time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of about %s compared, %s rows in %s ranges", ui.Bytes(c.Bytes), ui.Bytes(c.TotalBytes), ui.Count(c.Rows), ui.Count(c.Chunks))
	if rate := float64(c.Bytes) / since.Seconds(); rate > 0 {
		fmt.Fprintf(&b, ", %s/s", ui.Bytes(int64(rate)))
		if left := c.TotalBytes - c.Bytes; left > 0 {
			fmt.Fprintf(&b, ", about %s left", ui.Took(time.Duration(float64(left)/rate*float64(time.Second))))
		}
	}
	if c.Again > 0 {
		fmt.Fprintf(&b, "; %s rows of %s ranges are looked at again, for %s: %s", ui.Count(int64(c.Again)), ui.Count(int64(c.Ranges)), ui.Took(c.Longest), c.Why)
	}
	if c.Different > 0 {
		fmt.Fprintf(&b, "; %s differ, %s of them repaired", ui.Count(c.Different), ui.Count(c.Repaired))
	}
	return b.String()
}

func writeComparison(w io.Writer, c *dbcopy.Comparison) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n%s, %s\n", c.Source.Name, c.Source.Version, c.Target.Name, c.Target.Version)
	fmt.Fprintf(&b, "schemas %s: %d tables, %d views; %s rows in %s ranges, about %s, in %s\n", strings.Join(c.Schemas, ", "), c.Tables, c.Views, ui.Count(c.Rows), ui.Count(c.Chunks), ui.Bytes(c.Bytes), ui.Took(c.Took))
	if a := c.Again; a.Ranges > 0 {
		fmt.Fprintf(&b, "%s ranges differed at first: %s rows of them were looked at again", ui.Count(a.Ranges), ui.Count(a.Rows))
		if a.Longest > 0 {
			fmt.Fprintf(&b, ", and the last that became equal was so after %s", ui.Took(a.Longest))
		}
		b.WriteString("\n")
	}
	if c.Different == 0 {
		fmt.Fprintf(&b, "the target has every row that the source has, as it has it, and no other\n")
	} else {
		more := ""
		switch {
		case c.More && c.Repaired == 0:
			more = " or more, of which no more were looked for"
		case c.More:
			more = fmt.Sprintf(", of which %d are named", len(c.Found))
		}
		fmt.Fprintf(&b, "\ndiffering: %s%s; repaired: %s\n", ui.Count(c.Different), more, ui.Count(c.Repaired))
		for _, d := range c.Found {
			fmt.Fprintf(&b, "  %s\n", d)
		}
		if c.Decided == "time" {
			b.WriteString("how far a follower is isn't known here: what had differed until --settle was over counts as differing\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
