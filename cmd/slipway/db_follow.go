package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// followFlags are those of slipway db follow.
type followFlags struct {
	pair
	from, until, skip string
	untilTip, back    bool
	workers           int
}

func newDBFollow(p *program) *cobra.Command {
	var x followFlags
	cmd := &cobra.Command{
		Use:   "follow --source env:SRC --target env:DST --schema NAME",
		Short: "apply at a MySQL, for as long as it runs, what a MariaDB commits",
		Long: "follow reads the MariaDB's binary log from where the copy stands, and applies each transaction at the MySQL exactly once and in the\n" +
			"source's order. How far it is stands in the target, in _slipway.follow, so it may be killed and started again at any time.\n\n" +
			"It goes on until it is interrupted, until --until, or until something needs a person: a changed definition, a row that isn't as the log\n" +
			"says. Then all before that is applied, nothing after it, and the message says what can be done.\n\n" + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.followDB(cmd, &x) },
	}
	x.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&x.from, "from", "", "where in the source's log to begin, when no copy of slipway recorded it: GTIDs (0-1-42), or FILE:OFFSET")
	f.IntVar(&x.workers, "workers", 4, "transactions that are applied at once")
	f.StringVar(&x.until, "until", "", "stop when exactly all up to this position is applied")
	f.BoolVar(&x.untilTip, "until-tip", false, "stop when all is applied that the source has committed by now")
	f.StringVar(&x.skip, "skip-ddl", "", "the transaction that the follow stopped at: what it does was done at the target by hand")
	f.BoolVar(&x.back, "way-back", false, "with --skip-ddl: it is the way back of a switch that stopped there, and it was done at the source by hand. Nothing is followed: the process that carries the run goes on")
	return cmd
}

// followCall is what the flags say.
type followCall struct {
	source, target dbcopy.Endpoint
	from, until    *changes.Position
}

func (x *followFlags) call(cmd *cobra.Command) (c followCall, err error) {
	c.source, c.target, err = x.endpoints(cmd)
	var bad []error
	if err != nil {
		var u *usageError
		if !errors.As(err, &u) {
			return c, err
		}
		bad = append(bad, u.err)
	}
	at := func(flag, text string) *changes.Position {
		if text == "" {
			return nil
		}
		p, err := follow.ParsePosition(text)
		if err != nil {
			bad = append(bad, fmt.Errorf("--%s: %w", flag, err))
		}
		return &p
	}
	c.from, c.until = at("from", x.from), at("until", x.until)
	if x.until != "" && x.untilTip {
		bad = append(bad, errors.New("--until and --until-tip: one of them"))
	}
	if x.workers < 1 || x.workers > 64 {
		bad = append(bad, fmt.Errorf("--workers %d: from 1 to 64", x.workers))
	}
	if x.skip != "" {
		if _, err := binlog.ParseGTID(x.skip); err != nil {
			bad = append(bad, fmt.Errorf("--skip-ddl: %w", err))
		}
	}
	if bad != nil {
		return c, &usageError{errors.Join(bad...), cmd.CommandPath()}
	}
	return c, nil
}

func (p *program) followDB(cmd *cobra.Command, x *followFlags) error {
	if x.back {
		return p.skipBack(cmd, x)
	}
	c, err := x.call(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second Ctrl-C kills
	t := &followTeller{p: p}
	defer t.line("")
	call := dbCall{again: followAgain, schemas: x.schemas, stopped: "the follow was interrupted; what is applied stays"}
	log, err := follow.Forward(ctx, c.source, x.schemas, t.tell)
	if err != nil {
		return dbFailed(err, call)
	}
	f, err := follow.Open(ctx, c.target, follow.Options{Stream: follow.ForwardStream, Schemas: x.schemas, Workers: x.workers, From: c.from, Tables: log.Options.Tables, Skip: follow.CameBack, Tell: t.tell})
	if err != nil {
		return dbFailed(err, call)
	}
	defer f.Close()
	call.began = true
	now := log.Options.Tables
	if log.Options.Tables, err = f.Tables(ctx); err != nil {
		return dbFailed(err, call)
	}
	if x.skip != "" {
		done, err := f.SkipDDL(ctx, log, x.skip, whoami())
		if err != nil {
			return dbFailed(err, call)
		}
		t.tell(fmt.Sprintf("passed by %s, which was done by hand: %s", done.GTID, done.Statement))
	}
	if x.skip != "" {
		log.Options.Tables = now
	}
	src := changes.Source{Endpoint: c.source, Flavor: value.MariaDB}
	if x.untilTip {
		tip, err := changes.Tip(ctx, src)
		if err != nil {
			return dbFailed(err, call)
		}
		c.until = &tip
	}
	meter, err := follow.OpenMeter(src)
	if err != nil {
		return err
	}
	defer meter.Close()
	watch, quiet := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { t.watch(watch, f, meter) })
	var until chan changes.Position
	if c.until != nil {
		until = make(chan changes.Position, 1)
		until <- *c.until
	}
	err = f.Run(ctx, log, until)
	quiet()
	watching.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil
	}
	if err == nil {
		t.end(f.State())
	}
	return dbFailed(err, call)
}

// followAgain goes on with a follow.
const followAgain = "slipway db follow"

// whoami is who types, for the record.
func whoami() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if u, err := user.Current(); err == nil {
		return u.Username + "@" + host
	}
	return fmt.Sprintf("uid %d@%s", os.Getuid(), host)
}

// errPerson marks what a person must look at: it has an exit code of its own.
type errPerson struct{ error }

func (e *errPerson) Unwrap() error { return e.error }

// followTeller prints how far a follow is.
type followTeller struct {
	p  *program
	mu sync.Mutex
	on bool // a line stands on the terminal that the next one replaces
}

// followEvent is one line of --output json.
type followEvent struct {
	Event        string     `json:"event"`
	Time         time.Time  `json:"time"`
	What         string     `json:"what,omitempty"`
	Position     string     `json:"position,omitempty"`
	GTID         string     `json:"gtid,omitempty"`
	Committed    *time.Time `json:"committed,omitempty"`
	Transactions uint64     `json:"transactions"`
	Rows         uint64     `json:"rows"`
	RowsPerSec   float64    `json:"rows_per_second"`
	Lag          *jsonLag   `json:"lag,omitempty"`
}

type jsonLag struct {
	Time         *time.Duration `json:"time,omitempty"`
	Transactions *int64         `json:"transactions,omitempty"`
	Tip          string         `json:"tip,omitempty"`
	Alarm        string         `json:"alarm,omitempty"`
}

func lagJSON(l follow.Lag) *jsonLag {
	j := &jsonLag{Tip: follow.Print(l.Tip), Alarm: l.Alarm()}
	if l.Known {
		j.Time = &l.Time
	}
	if l.Transactions >= 0 {
		j.Transactions = &l.Transactions
	}
	return j
}

func (t *followTeller) print(e followEvent) {
	e.Time = time.Now().UTC()
	if b, err := json.Marshal(e); err == nil {
		fmt.Fprintf(t.p.out, "%s\n", b)
	}
}

// tell says one thing, above the line of progress.
func (t *followTeller) tell(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.p.output == asJSON {
		t.print(followEvent{Event: "told", What: what})
		return
	}
	t.clear()
	fmt.Fprintln(t.p.err, what)
}

func (t *followTeller) clear() {
	if t.on {
		fmt.Fprint(t.p.err, "\r\x1b[K")
		t.on = false
	}
}

// line shows the progress: in place of the last on a terminal, else below it.
func (t *followTeller) line(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	width := columns(t.p.err)
	switch {
	case text == "":
	case width == nil:
		fmt.Fprintln(t.p.err, text)
	default:
		if w := width() - 1; w > 0 && len(text) > w {
			text = text[:w]
		}
		fmt.Fprint(t.p.err, text)
		t.on = true
	}
}

// How often progress is printed: on a terminal, into a file, as JSON.
const (
	eachScreen = 250 * time.Millisecond
	eachFile   = 10 * time.Second
	eachJSON   = time.Second
	eachLag    = time.Second // the source is asked so often where its log ends
)

// watch prints progress until ctx ends.
func (t *followTeller) watch(ctx context.Context, f *follow.Follower, meter *follow.Meter) {
	each := eachJSON
	switch {
	case t.p.output == asJSON:
	case columns(t.p.err) == nil:
		each = eachFile
	default:
		each = eachScreen
	}
	tick := time.NewTicker(each)
	defer tick.Stop()
	var lag *follow.Lag
	var asked time.Time
	alarm := ""
	before, at := f.State(), time.Now()
	rate := 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := f.State()
		if time.Since(asked) >= eachLag {
			asked = time.Now()
			ask, cancel := context.WithTimeout(ctx, 5*eachLag)
			l, err := meter.Lag(ask, f.Passed(), s.Committed)
			cancel()
			if lag = &l; err != nil {
				lag = nil // the follow says by itself that the source is away
			}
			if since := time.Since(at).Seconds(); since > 0.5 {
				rate = float64(s.Rows-before.Rows) / since
				before, at = s, time.Now()
			}
			if lag != nil && lag.Alarm() != alarm {
				if a := lag.Alarm(); a != "" && alarm == "" {
					t.tell(a)
				}
				alarm = lag.Alarm()
			}
		}
		t.progress("progress", s, rate, lag)
	}
}

func (t *followTeller) progress(event string, s follow.State, rate float64, lag *follow.Lag) {
	if t.p.output == asJSON {
		e := followEvent{Event: event, Position: follow.Print(s.Position), GTID: s.GTID, Transactions: s.Seq, Rows: s.Rows, RowsPerSec: rate}
		if !s.Committed.IsZero() {
			e.Committed = &s.Committed
		}
		if lag != nil {
			e.Lag = lagJSON(*lag)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.print(e)
		return
	}
	t.line(fmt.Sprintf("%s: %d transactions, %d row changes (%.0f/s); %s", follow.Print(s.Position), s.Seq, s.Rows, rate, lagText(lag)))
}

// lagText is a lag for people.
func lagText(l *follow.Lag) string {
	if l == nil {
		return "the source doesn't answer, so the lag isn't known"
	}
	behind := "lag not known yet"
	if l.Known {
		behind = fmt.Sprintf("lag %.1f s", l.Time.Seconds())
	}
	if l.Transactions >= 0 {
		behind += fmt.Sprintf(", %d transactions", l.Transactions)
	}
	return behind
}

// end says where the follow ended in good order.
func (t *followTeller) end(s follow.State) {
	if t.p.output == asJSON {
		t.progress("ended", s, 0, nil)
		return
	}
	t.line("")
	fmt.Fprintf(t.p.out, "applied exactly up to %s: %d transactions, %d row changes since the stream began\n", follow.Print(s.Position), s.Seq, s.Rows)
}
