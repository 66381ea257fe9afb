package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
)

func newDBCheck(p *program) *cobra.Command {
	var x pair
	var slowLog string
	cmd := &cobra.Command{
		Use:   "check --source env:SRC --target env:DST --schema NAME",
		Short: "say what of a MariaDB's schemas doesn't go over to a MySQL as it is, and how to mend it",
		Long: "check looks at the schemas of a MariaDB and whether a MySQL takes them: definitions, values, accounts, settings, and the\n" +
			"queries that the source has seen. It writes nothing at the source. At the target it compiles everything in schemas of its own,\n" +
			"_slipway_check_N, and drops them; what a killed check left, the next one drops.\n\n" +
			"It ends with 0 when nothing is refused, with 1 when something is, and with 2 when it could not look: a wrong call, a server that\n" +
			"isn't reached, an account that may not see everything.\n\n" + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.checkDB(cmd, x, slowLog) },
	}
	x.flags(cmd)
	cmd.Flags().StringVar(&slowLog, "slow-log", "", "a slow query log of the source, whose queries are tried in place of performance_schema's")
	return cmd
}

// errRefused: something in the report is refused.
var errRefused = errors.New("the source can't go over as it is")

func (p *program) checkDB(cmd *cobra.Command, x pair, slowLog string) error {
	source, target, err := x.endpoints(cmd)
	if err != nil {
		return err
	}
	tell, quiet := p.teller()
	defer quiet()
	o := dbcopy.CheckOptions{Schemas: x.schemas, Tell: tell}
	if slowLog != "" {
		f, err := os.Open(slowLog)
		if err != nil {
			return &usageError{fmt.Errorf("--slow-log: %w", err), cmd.CommandPath()}
		}
		defer f.Close()
		o.SlowLog = f
	}
	// A check that is interrupted drops its schemas before it ends.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second Ctrl-C kills
	r, err := dbcopy.Check(ctx, dbcopy.NewSource(source), dbcopy.NewTarget(target), o)
	quiet()
	if err != nil {
		return dbFailed(err, dbCall{again: "slipway db check again", schemas: x.schemas, stopped: "the check was interrupted; nothing is left of it"})
	}
	if err := p.print(r, func(w io.Writer) error { return writeCheck(w, &r) }); err != nil {
		return err
	}
	if r.Refused() {
		return hint(errRefused, "deal with what is refused at the source, then type slipway db check again")
	}
	return nil
}

// tellAfter is how long one thing must take for it to be said.
const tellAfter = time.Second

// teller says what is being done, to people, when it takes over a second. stop ends it.
func (p *program) teller() (tell func(string), stop func()) {
	if p.output != text {
		return func(string) {}, func() {}
	}
	var mu sync.Mutex
	doing := ""
	timer := time.AfterFunc(tellAfter, func() {
		mu.Lock()
		defer mu.Unlock()
		if doing != "" {
			fmt.Fprintf(p.err, "%s\n", doing)
		}
	})
	set := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		doing = what
	}
	return func(what string) { set(what); timer.Reset(tellAfter) }, func() { set(""); timer.Stop() }
}

// headings are the severities in the order in which they are printed.
var headings = []struct {
	severity compat.Severity
	title    string
}{
	{compat.Refuse, "refused"},
	{compat.Rewrite, "rewritten on the way"},
	{compat.Leave, "left out"},
	{compat.Warn, "to know of"},
}

func writeCheck(w io.Writer, r *dbcopy.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n%s, %s\n", r.Source.Name, r.Source.Version, r.Target.Name, r.Target.Version)
	fmt.Fprintf(&b, "schemas %s: %d tables (about %d rows), %d views, %d routines, triggers and events; the target compiled %d of them\n",
		strings.Join(r.Schemas, ", "), r.Objects.Tables, r.Objects.Rows, r.Objects.Views, r.Objects.Stored, r.Objects.Compiled)
	if q := r.Queries; q.From != "" {
		fmt.Fprintf(&b, "queries of the %s: %d tried, %d fail, %d lose their key (of %d that both servers explained), %d could not be judged\n", q.From, q.Tried, q.Failed, q.LostIndex, q.Explained, q.NotJudged)
	}
	for _, s := range r.Swept {
		fmt.Fprintf(&b, "dropped %s at the target, which a killed check had left\n", s)
	}
	refused := 0
	for _, h := range headings {
		n := 0
		for _, f := range r.Findings {
			if f.Severity == h.severity {
				n++
			}
		}
		if n == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s: %d\n", h.title, n)
		for _, f := range r.Findings {
			if f.Severity == h.severity {
				writeFinding(&b, f)
			}
		}
		if h.severity == compat.Refuse {
			refused = n
		}
	}
	if refused == 0 {
		b.WriteString("\nnothing is refused: the schemas can be copied, and what is listed above happens on the way; a rehearsal does that: slipway plan\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFinding(b *strings.Builder, f compat.Finding) {
	fmt.Fprintf(b, "  %s", f.Object)
	if f.Severity == compat.Refuse {
		fmt.Fprintf(b, " (stops the %s)", f.Stops)
	}
	fmt.Fprintf(b, "\n      %s\n", strings.ReplaceAll(f.What, "\n", "\n      "))
	if f.Will != "" {
		fmt.Fprintf(b, "      will be: %s\n", f.Will)
	}
	if f.Fix != "" {
		fmt.Fprintf(b, "      fix: %s\n", f.Fix)
	}
}
