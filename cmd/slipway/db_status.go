package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/recheck"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

func newDBStatus(p *program) *cobra.Command {
	var x pair
	cmd := &cobra.Command{
		Use:   "status --source env:SRC --target env:DST --schema NAME",
		Short: "say how far a copy and what follows it are, by what stands in the target",
		Long: "status reads what the target knows: whose copy it holds, and each stream that follows with its position. It asks the source where its log\n" +
			"ends, and says how far the target is behind. It changes nothing anywhere. Whether a process follows just now is told by when it last wrote.\n\n" + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.statusDB(cmd, x) },
	}
	x.flags(cmd)
	return cmd
}

// dbStatus is what status prints.
type dbStatus struct {
	Target  string           `json:"target"`
	Copy    *copyStatus      `json:"copy,omitempty"`
	Streams []followedStatus `json:"streams"`
	// Verified is how far what was changed since a switch's comparison was compared again.
	Verified *verifiedStatus `json:"verified,omitempty"`
}

type verifiedStatus struct {
	Since    string        `json:"since"` // where the comparison began
	Position string        `json:"position"`
	Quiet    time.Duration `json:"quiet"` // since it was noted
}

type copyStatus struct {
	Run    string `json:"run"`
	Phase  string `json:"phase"`
	Chunks int64  `json:"chunks"`
}

type followedStatus struct {
	Stream       string        `json:"stream"`
	Runs         bool          `json:"runs"`
	Wrote        time.Time     `json:"wrote"`
	Position     string        `json:"position"`
	GTID         string        `json:"gtid,omitempty"`
	Committed    *time.Time    `json:"committed,omitempty"`
	Transactions uint64        `json:"transactions"`
	Rows         uint64        `json:"rows"`
	Stopped      string        `json:"stopped,omitempty"`
	Lag          *jsonLag      `json:"lag,omitempty"`
	LagError     string        `json:"lag_error,omitempty"`
	Skipped      []skippedJSON `json:"skipped,omitempty"`

	quiet time.Duration
	lag   *follow.Lag
}

type skippedJSON struct {
	GTID      string    `json:"gtid"`
	Statement string    `json:"statement"`
	Who       string    `json:"who"`
	At        time.Time `json:"at"`
}

func (p *program) statusDB(cmd *cobra.Command, x pair) error {
	source, target, err := x.endpoints(cmd)
	if err != nil {
		return err
	}
	tell, quiet := p.teller()
	defer quiet()
	tell("asking " + target.Name)
	s, err := lookStatus(cmd.Context(), source, target, x.schemas)
	quiet()
	if err != nil {
		return dbFailed(err, dbCall{again: "slipway db status", schemas: x.schemas, stopped: "the look was interrupted"})
	}
	return p.print(s, func(w io.Writer) error { return writeDBStatus(w, s) })
}

func lookStatus(ctx context.Context, source, target dbcopy.Endpoint, schemas []string) (dbStatus, error) {
	out := dbStatus{Target: target.Name, Streams: []followedStatus{}}
	held, err := dbcopy.NewTarget(target).Look(ctx, schemas)
	if err != nil {
		return out, err
	}
	if held.Run != "" {
		out.Copy = &copyStatus{held.Run, string(held.Phase), held.Chunks}
	}
	streams, err := follow.Streams(ctx, target)
	if err != nil {
		return out, err
	}
	for _, s := range streams {
		f := followedStatus{Stream: s.Stream, Runs: s.Runs(), Wrote: s.Applied, Position: follow.Print(s.Position), GTID: s.GTID, Transactions: s.Seq, Rows: s.Rows, Stopped: s.Stopped, quiet: s.Now.Sub(s.Applied)}
		if !s.Committed.IsZero() {
			f.Committed = &s.Committed
		}
		skips, err := follow.Skips(ctx, target, s.Stream)
		if err != nil {
			return out, err
		}
		for _, k := range skips {
			f.Skipped = append(f.Skipped, skippedJSON(k))
		}
		if s.Stream == follow.ForwardStream { // the other direction's source is this target
			lag, err := askLag(ctx, source, s)
			if err != nil {
				f.LagError = err.Error()
			} else {
				f.lag, f.Lag = &lag, lagJSON(lag)
			}
		}
		out.Streams = append(out.Streams, f)
	}
	mark, err := recheck.ReadMark(ctx, target)
	if mark != nil {
		out.Verified = &verifiedStatus{mark.Began, follow.Print(mark.Position), mark.Quiet}
	}
	return out, err
}

func askLag(ctx context.Context, source dbcopy.Endpoint, s follow.State) (follow.Lag, error) {
	m, err := follow.OpenMeter(changes.Source{Endpoint: source, Flavor: value.MariaDB})
	if err != nil {
		return follow.Lag{}, err
	}
	defer m.Close()
	return m.Lag(ctx, s.Position, s.Committed)
}

func writeDBStatus(w io.Writer, s dbStatus) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.Target)
	if s.Copy == nil {
		b.WriteString("copy: none of slipway's\n")
	} else {
		fmt.Fprintf(&b, "copy: of run %s, phase %s, %d chunks are in\n", s.Copy.Run, s.Copy.Phase, s.Copy.Chunks)
	}
	if len(s.Streams) == 0 {
		b.WriteString("follow: nothing was followed to this target; type: slipway db follow\n")
	}
	for _, f := range s.Streams {
		fmt.Fprintf(&b, "follow %s: ", f.Stream)
		switch {
		case f.Stopped != "":
			fmt.Fprintf(&b, "stopped: %s", f.Stopped)
		case f.Runs:
			fmt.Fprintf(&b, "runs; it wrote %s ago", f.quiet.Round(time.Second))
		default:
			fmt.Fprintf(&b, "doesn't run: nothing was written for %s; type: slipway db follow", f.quiet.Round(time.Second))
		}
		fmt.Fprintf(&b, "\n  at %s: %d transactions, %d row changes\n", f.Position, f.Transactions, f.Rows)
		switch {
		case f.LagError != "":
			fmt.Fprintf(&b, "  lag not known: %s\n", f.LagError)
		case f.lag != nil:
			fmt.Fprintf(&b, "  %s; the source's log ends at %s\n", lagText(f.lag), f.Lag.Tip)
			if f.Lag.Alarm != "" {
				fmt.Fprintf(&b, "  %s\n", f.Lag.Alarm)
			}
		}
		for _, k := range f.Skipped {
			fmt.Fprintf(&b, "  %s was passed by at %s by %s: %s\n", k.GTID, k.At.Format(time.RFC3339), k.Who, k.Statement)
		}
	}
	if v := s.Verified; v != nil {
		fmt.Fprintf(&b, "verified: what was changed since the comparison at %s, up to %s; noted %s ago\n", v.Since, v.Position, v.Quiet.Round(time.Second))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
