package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cloudsql"
)

// switchCall is what a switch is made of, and what a resume must know.
type switchCall struct {
	pair
	standby string // reference to the other master's data source name; "": there is none
	keep    []string
	noTimer bool
	hosts   mastersHosts

	patience, freeze, limit, lag, goWithin time.Duration
}

func newDBSwitch(p *program) *cobra.Command {
	var x switchCall
	var yes []string
	cmd := &cobra.Command{
		Use:   "switch --source env:SRC [--standby env:SRC2] --target env:DST --schema NAME",
		Short: "switch a shop's writes from a MariaDB that was copied to its MySQL, and carry them back from then on",
		Long: "switch begins a run: it follows the MariaDB to where db copy left the MySQL, compares every row, and waits at the gate go. When that is\n" +
			"passed it stops all writes at both masters, drains them to the last transaction, records where the MySQL's log stands, starts to carry back\n" +
			"what is written there, proves that with a canary, and opens the MySQL. What goes wrong on the way, or takes longer than --limit, is taken\n" +
			"back by itself: the MariaDB is writable again, and the run waits at the gate.\n\n" +
			"From then on every write at the MySQL goes back to the MariaDB, which stays read-only for everybody else, until the gate finalize is passed.\n" +
			"slipway rollback RUN takes the switch back: the MySQL is shut, drained, and the MariaDB is opened with all that was written. Then\n" +
			"slipway resume RUN asks at the gate go again.\n\n" +
			"It is journaled as any run is. To carry it for days without a terminal: slipway run-service RUN.\n" + gatesHelp + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.switchDB(cmd, x, yes) },
	}
	x.flags(cmd)
	addYes(cmd, &yes)
	f := cmd.Flags()
	f.StringVar(&x.standby, "standby", "", "where the other master's data source name is, where two replicate from each other")
	f.StringArrayVar(&x.keep, "keep", nil, "a user that goes on signing in at the target while it is shut, beside the one of --target; repeat it for more")
	f.BoolVar(&x.noTimer, argNoTimer, false, "arm no timer at the masters, which would thaw them after twice the --limit should nobody come back")
	x.hosts.flags(f)
	f.DurationVar(&x.patience, "patience", time.Second, "how long statements that run at the freeze are waited for before they are ended")
	f.DurationVar(&x.freeze, "freeze-limit", 10*time.Second, "within which all writes must have stopped; else the source is writable again")
	f.DurationVar(&x.limit, "limit", 30*time.Second, "within which the target must be open; else everything is taken back")
	f.DurationVar(&x.lag, "max-lag", 5*time.Second, "how far behind the target may be when a gate is passed")
	f.DurationVar(&x.goWithin, "go-within", 0, "how long the gate go waits for a word before the run goes back; 0: for as long as it takes")
	return cmd
}

// times are the call's, by flag.
func (x *switchCall) times() []struct {
	flag string
	to   *time.Duration
} {
	return []struct {
		flag string
		to   *time.Duration
	}{{"patience", &x.patience}, {"freeze-limit", &x.freeze}, {"limit", &x.limit}, {"max-lag", &x.lag}, {"go-within", &x.goWithin}}
}

func (x *switchCall) check(command string) error {
	var bad []error
	for _, t := range x.times() {
		if least := time.Millisecond; *t.to < least && (t.flag != "go-within" || *t.to < 0) {
			bad = append(bad, fmt.Errorf("--%s %s: %w %s", t.flag, *t.to, errFlag, least))
		}
	}
	if x.freeze >= x.limit {
		bad = append(bad, fmt.Errorf("--freeze-limit %s: must be less than --limit %s", x.freeze, x.limit))
	}
	if bad != nil {
		return &usageError{errors.Join(bad...), command}
	}
	return nil
}

// The arguments of a switch's run, as its journal has them.
const (
	argSource  = "source"
	argStandby = "standby"
	argTarget  = "target"
	argSchema  = "schema"
	argKeep    = "keep"
	argNoTimer = "no-timer"

	argSourceHost  = "source-host"
	argStandbyHost = "standby-host"
	argIdentity    = "identity"
	argKnownHosts  = "known-hosts"
)

func (x *switchCall) arguments() []migrate.Argument {
	out := []migrate.Argument{{Name: argSource, Value: x.source}, {Name: argTarget, Value: x.target}}
	if x.standby != "" {
		out = append(out, migrate.Argument{Name: argStandby, Value: x.standby})
	}
	if x.noTimer {
		out = append(out, migrate.Argument{Name: argNoTimer, Value: "true"})
	}
	for _, h := range x.hosts.arguments() {
		if *h.to != "" {
			out = append(out, migrate.Argument{Name: h.flag, Value: *h.to})
		}
	}
	for _, s := range x.schemas {
		out = append(out, migrate.Argument{Name: argSchema, Value: s})
	}
	for _, k := range x.keep {
		out = append(out, migrate.Argument{Name: argKeep, Value: k})
	}
	for _, t := range x.times() {
		out = append(out, migrate.Argument{Name: t.flag, Value: t.to.String()})
	}
	return out
}

// switchOf reads them; false when the run is none of a switch.
func switchOf(m *migrate.Manifest) (x switchCall, ok bool) {
	for _, a := range m.Arguments {
		switch a.Name {
		case argSource:
			x.source, ok = a.Value, true
		case argStandby:
			x.standby = a.Value
		case argTarget:
			x.target = a.Value
		case argSchema:
			x.schemas = append(x.schemas, a.Value)
		case argKeep:
			x.keep = append(x.keep, a.Value)
		case argNoTimer:
			x.noTimer = true
		}
		for _, h := range x.hosts.arguments() {
			if h.flag == a.Name {
				*h.to = a.Value
			}
		}
		for _, t := range x.times() {
			if t.flag == a.Name {
				*t.to, _ = time.ParseDuration(a.Value) // this program wrote it, and check refuses a zero
			}
		}
	}
	return x, ok
}

// servers are what a switch reaches.
type servers struct {
	source, target dbcopy.Endpoint
	standby        *dbcopy.Endpoint
	hosts          *remote.Pool // of the masters; nil: none was given
	hostNames      []string     // in it
}

func (s servers) close() error {
	if s.hosts == nil {
		return nil
	}
	return s.hosts.Close()
}

// switchCommand is what messages of a wrong call name.
const switchCommand = "slipway db switch"

func (x *switchCall) servers() (s servers, err error) {
	if err := x.check(switchCommand); err != nil {
		return s, err
	}
	var bad []error
	s.source, s.target = endpoint(&bad, "source", x.source), endpoint(&bad, "target", x.target)
	if x.standby != "" {
		ep := endpoint(&bad, "standby", x.standby)
		s.standby = &ep
	}
	bad = append(bad, x.schemasWrong()...)
	if err := x.hosts.open(&s, x.standby != ""); err != nil {
		bad = append(bad, err)
	}
	if bad != nil {
		return s, &usageError{errors.Join(errors.Join(bad...), s.close()), switchCommand}
	}
	return s, nil
}

// openSwitch wires a switch. Nothing is dialed.
func (p *program) openSwitch(x switchCall) (*prepared, error) {
	s, err := x.servers()
	if err != nil {
		return nil, err
	}
	return x.wired(s), nil
}

func (x *switchCall) wired(s servers) *prepared {
	db := runbooks.Database{Schemas: x.schemas, Patience: x.patience, Freeze: x.freeze, Switch: x.limit, MaxLag: x.lag, Timer: !x.noTimer, OnDisk: s.hosts != nil,
		Go: runbooks.Go{Within: x.goWithin, Show: x.shown}, Finalize: x.shown}
	return prepare(runbooks.Switch(wireSwitch(s, *x), db), s.pinned(), s.close)
}

// pinned says which servers they are, without passwords: another one under the same reference is a difference.
func (s servers) pinned() []migrate.Setting {
	digest := func(ep dbcopy.Endpoint) string {
		sum := sha256.Sum256([]byte(ep.User + "@" + ep.Addr))
		return hex.EncodeToString(sum[:])
	}
	out := []migrate.Setting{{Name: argSource, Digest: digest(s.source)}, {Name: argTarget, Digest: digest(s.target)}}
	if s.standby != nil {
		out = append(out, migrate.Setting{Name: argStandby, Digest: digest(*s.standby)})
	}
	return out
}

// shown is what a gate shows.
func (x *switchCall) shown(ctx context.Context, h *migrate.History) ([]string, error) {
	lines, err := compared(ctx, h)
	if x.hosts.source == "" {
		lines = append(lines, "a master that is restarted while the target is written to comes up writable: no --source-host was given")
	}
	if x.noTimer {
		lines = append(lines, "a process that dies in the middle of the switch leaves the source frozen until one is started again: --no-timer")
	}
	return lines, err
}

// compared says what was compared, and when.
func compared(_ context.Context, h *migrate.History) ([]string, error) {
	for _, s := range h.Steps() {
		if s.ID != cloudsql.CompareID || s.Out == nil {
			continue
		}
		var c cloudsql.Compared
		if err := json.Unmarshal(s.Out, &c); err != nil {
			return nil, fmt.Errorf("read what was compared: %w", err)
		}
		return []string{fmt.Sprintf("every row was compared: %d rows of %d tables, until %s, %s ago", c.Rows, c.Tables, c.Ended.Format(time.RFC3339), time.Since(c.Ended).Round(time.Second))}, nil
	}
	return []string{"no row was compared yet"}, nil
}

func (p *program) switchDB(cmd *cobra.Command, x switchCall, yes []string) (err error) {
	root, err := p.runsDir()
	if err == nil {
		err = x.hosts.absolute()
	}
	if err != nil {
		return err
	}
	s, err := x.servers()
	if err != nil {
		return err
	}
	r := x.wired(s)
	defer func() { err = errors.Join(err, r.close()) }()
	if _, err := gatesOf(r.steps, yes, cmd.CommandPath()); err != nil {
		return err
	}
	tell, quiet := p.teller()
	tell("looking whether the servers are what they were named as, and the target was copied")
	err = switchover.Fit(cmd.Context(), s.source, s.standby, s.target, x.schemas)
	quiet()
	if err != nil {
		return dbFailed(err, dbCall{again: switchCommand + " again", schemas: x.schemas, stopped: "the switch was interrupted before it began"})
	}
	id, err := migrate.NewID(time.Now())
	if err != nil {
		return err
	}
	return p.beginRun(cmd, r, root, id, beginning{what: "a switch of " + strings.Join(x.schemas, ", "), ending: runbooks.SwitchEnding(), arguments: x.arguments(), yes: yes})
}
