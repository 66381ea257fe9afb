package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

func whoAmI() (who, host string, err error) {
	u, err := user.Current()
	if err != nil {
		return "", "", fmt.Errorf("find out who runs this: %w", err)
	}
	if host, err = os.Hostname(); err != nil {
		return "", "", fmt.Errorf("find out on which host this runs: %w", err)
	}
	return u.Username, host, nil
}

// drive shows a run while work moves it, closes it, and prints what it took, where its journal is, and what to type next.
func (p *program) drive(ctx context.Context, run *migrate.Run, dir *journal.Dir, around *attendant, work func(context.Context) error) error {
	log, err := openLog(filepath.Join(dir.Path(), "log.jsonl"))
	if err != nil {
		return hint(errors.Join(err, run.Close()), "to go on when that is mended: slipway resume %s", run.ID())
	}
	run.Listen(log.event)
	services := &serviceWatch{dir: dir.Path()}
	run.Listen(services.event)
	screen := p.show(run)
	if t := run.Torn(); t != nil {
		screen.say("warning: %v; it was cut, and nothing that was promised is lost", t)
	}
	restore := p.onSignal(run, screen)
	if err = around.begin(run, screen); err == nil {
		err = errors.Join(work(ctx), around.end())
	}
	restore()
	return p.report(dir, errors.Join(err, run.Close(), screen.close(), log.close(), services.failed()))
}

// onSignal lets the first Ctrl-C ask the run to stop at the next safe point, and the second end the process at once, which
// is a crash that resume handles.
func (p *program) onSignal(run *migrate.Run, screen screen) (restore func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case s := <-signals:
				if n > 0 {
					fmt.Fprintf(p.err, "\n%s again: stopped at once; to go on: slipway resume %s\n", s, run.ID())
					os.Exit(exitFailed)
				}
				screen.say("%s: stops at the next safe point, when what runs has finished; again to stop at once", s)
				run.Pause()
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// screen is where a run is shown.
type screen struct {
	say   func(format string, a ...any)
	close func() error
	// terminal is where a person reads what is shown; nil where that is not known to be one.
	terminal *ui.Terminal
}

// show renders the run's events until it is closed.
func (p *program) show(run *migrate.Run) screen {
	if p.output == text {
		width := columns(p.out)
		t := ui.NewTerminal(p.out, width)
		run.Listen(t.Show)
		s := screen{say: t.Say, close: t.Close}
		if width != nil {
			s.terminal = t
		}
		return s
	}
	var failed error
	run.Listen(func(e migrate.Event) {
		failed = errors.Join(failed, p.eventLine(e))
	})
	return screen{
		say:   func(format string, a ...any) { fmt.Fprintf(p.err, format+"\n", a...) },
		close: func() error { return failed },
	}
}

// eventLine prints an event as one JSON object on one line.
func (p *program) eventLine(e migrate.Event) error {
	b, err := migrate.EventJSON(e)
	if err == nil {
		_, err = fmt.Fprintf(p.out, "%s\n", b)
	}
	return err
}

// columns gives the width of a screen, or nil where out is none.
func columns(out io.Writer) func() int {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func() int {
		w, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 80
		}
		return w
	}
}

// report prints what a run took, where its journal is, and what to type next. With JSON it is the last line, under
// "event": "report".
func (p *program) report(dir *journal.Dir, err error) error {
	r, readErr := openRecord(dir.Path())
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	s := r.report()
	last := struct {
		Event string `json:"event"`
		statusReport
	}{"report", s}
	err = errors.Join(err, p.print(last, func(w io.Writer) error {
		fmt.Fprintln(w)
		return writeStatus(w, r, s)
	}))
	if errors.Is(err, migrate.ErrDrift) {
		s.Next = "look at what differs; then, for each step: slipway resume " + s.ID + " --on-drift STEP=redo --why TEXT (do it again) or --on-drift STEP=accept --why TEXT (leave it as it is)"
	}
	return hint(short(err, s), "%s", s.Next)
}

// short leaves an error whose steps have said above what went wrong no more to say than which steps those were.
func short(err error, s statusReport) error {
	var failed []string
	for _, st := range s.Steps {
		if st.Error != "" {
			failed = append(failed, string(st.ID))
		}
	}
	if err == nil || len(failed) == 0 || code(err) == exitLocked {
		return err
	}
	state := "is " + string(s.State)
	if s.State == migrate.StateNeedsPerson {
		state = string(s.State)
	}
	return &told{err, fmt.Sprintf("run %s %s; see above what failed: %s", s.ID, state, strings.Join(failed, ", "))}
}

// fileLog writes a run's events as JSON into a file of the run's directory. It is for people; nothing is read back from it.
type fileLog struct {
	zap  *zap.Logger
	file *os.File
}

func openLog(path string) (*fileLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return &fileLog{zap.New(zapcore.NewCore(enc, zapcore.AddSync(f), zap.DebugLevel)), f}, nil
}

func (l *fileLog) event(e migrate.Event) { l.zap.Info(e.Name(), zap.Any("event", e)) }

func (l *fileLog) close() error { return errors.Join(l.zap.Sync(), l.file.Close()) }
