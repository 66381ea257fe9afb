// Package custom is the steps of the user's own: commands that slipway.yaml names, run on a host, on this machine or in a
// pod of what the run made. They keep the rules of all other steps, and go into the same journal.
//
// What they change, Slipway can't know: it sees it through the step's check alone, a command that must only look.
//
//   - exit status 0: it is done;
//   - exit status 1: it is to be done, or was undone;
//   - anything else (another status, a signal, a time limit, a lost connection): not known; nothing is run, and the step fails.
//
// A step that can be half done, when its run is killed, must not let its check say 1 then if run can't go on from there or
// undo has something to take away: neither is run on the wrong word.
//
// slipway plan runs none of the commands.
//
// The package must not import other steps or the configuration.
package custom

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/migrate"
)

// Prefix begins the ids of all steps of the user's own, and of no other.
const Prefix = "own."

// Step is one of the user's own. Its commands are argument vectors; no shell comes between.
type Step struct {
	ID    migrate.StepID // Prefix and the user's name for it
	Title string
	Where string // for people: "host web1"
	Argv  Argv
	Env   []Variable // that every one of the commands gets
	// Timeout bounds each call of Plan, Run, Verify and Undo, with all commands that it runs.
	Timeout time.Duration
	// ReadOnly: it changes nothing, which is the user's word. It has no check and nothing to undo.
	ReadOnly bool
	// Irreversible: it can't be undone. It needs a gate before it that is a point of no return.
	Irreversible bool
	// LeftOut is why this mode of run leaves it out; "" when it doesn't.
	LeftOut string
	// OnUndoFailure is what a failed undo does to what comes before the step.
	OnUndoFailure migrate.UndoPolicy
	After         []migrate.Dep
	Keep          Keep
}

// Argv are a step's commands. Check is nil for a step that is ReadOnly, Undo also for one that is Irreversible; Verify may be nil.
type Argv struct{ Check, Run, Verify, Undo []string }

// Variable is one of the commands' environment: a text, or a secret that is looked up when a command begins.
type Variable struct {
	Name  string
	Value string
	From  secret.Ref
}

// Keep keeps what a command printed, for people, and says where: a file of the run's directory.
type Keep func(step migrate.StepID, text []byte) (where string, err error)

// Out is the result of every such step.
type Out struct {
	Where   string
	LeftOut string // why it was left out; "" when it was not
}

// ErrCheck: a step's check neither said that it is done nor that it is to be done. Look at what it printed; then resume.
var ErrCheck = errors.New("its check says neither yes (0) nor no (1)")

// Spec of the step.
func (st Step) Spec() migrate.Spec {
	return migrate.Spec{ID: st.ID, Version: 1, Title: st.title(), Needs: st.After, Timeout: st.Timeout,
		OnUndoFailure: st.OnUndoFailure, PointOfNoReturn: st.Irreversible && st.LeftOut == ""}
}

func (st Step) title() string {
	if st.LeftOut != "" {
		return "left out: " + st.Title
	}
	return st.Title
}

// Plan asks the check, unless nothing runs: in a plan, and where the step is left out or only reads.
func (st Step) Plan(ctx context.Context, s *migrate.Scope[Place], rec migrate.Recorded[Out]) (migrate.Plan[Out], error) {
	p := migrate.Plan[Out]{Want: Out{st.Where, st.LeftOut}, Effects: []migrate.Effect{{Verb: "run", Object: line(st.Argv.Run), Detail: st.Where}}}
	switch {
	case st.LeftOut != "":
		p.Effects = []migrate.Effect{{Verb: "leave out", Object: line(st.Argv.Run), Detail: st.LeftOut}}
		fallthrough
	case st.ReadOnly: // it leaves nothing that could be looked at again
		if rec.Complete {
			return migrate.Done(rec.Out), nil
		}
		return p, nil
	case s.Run() == migrate.PlanID:
		p.Effects[0].Detail += ", unless its check says that it is done"
		return p, nil
	}
	done, err := st.check(ctx, s)
	switch {
	case err != nil || !done:
		return p, err
	case rec.Complete:
		return migrate.Done(rec.Out), nil
	case rec.Attempts > 0:
		return migrate.Done(rec.Want), nil // an attempt of this run did it, and was killed
	}
	return migrate.Done(p.Want), nil
}

// Run runs the command, of which Plan has just asked the check.
func (st Step) Run(ctx context.Context, s *migrate.Scope[Place], want Out) (Out, error) {
	if st.LeftOut != "" {
		return want, nil
	}
	return want, st.must(ctx, s, "run", st.Argv.Run)
}

// Verify: the check says that it is done, and the user's own verification ends with 0. Of a step that only reads, the end
// of its command said all that there is to say.
func (st Step) Verify(ctx context.Context, s *migrate.Scope[Place], out Out) error {
	if st.LeftOut != "" {
		return nil
	}
	if st.Argv.Check != nil {
		switch done, err := st.check(ctx, s); {
		case err != nil:
			return err
		case !done:
			return errors.New("its check says that it is still to be done")
		}
	}
	if st.Argv.Verify == nil {
		return nil
	}
	return st.must(ctx, s, "verify", st.Argv.Verify)
}

// Undo runs the undo, unless the check says that there is nothing to undo; afterwards the check must say so.
func (st Step) Undo(ctx context.Context, s *migrate.Scope[Place], _ migrate.Recorded[Out]) error {
	switch {
	case st.LeftOut != "" || st.ReadOnly:
		return nil
	case st.Irreversible:
		return fmt.Errorf("%s: %w", line(st.Argv.Run), migrate.ErrIrreversible)
	}
	done, err := st.check(ctx, s)
	if err != nil || !done {
		return err
	}
	if err := st.must(ctx, s, "undo", st.Argv.Undo); err != nil {
		return err
	}
	if done, err = st.check(ctx, s); err == nil && done {
		err = errors.New("its undo has ended, and its check says that it is still done")
	}
	return err
}

// check says whether it is done.
func (st Step) check(ctx context.Context, s *migrate.Scope[Place]) (done bool, err error) {
	r, err := st.do(ctx, s, "check", st.Argv.Check)
	switch {
	case err != nil:
		return false, err
	case r.exit > 1:
		return false, fmt.Errorf("%w: %w", ErrCheck, r.failed())
	}
	return r.exit == 0, nil
}

// must runs a command that has to end with 0.
func (st Step) must(ctx context.Context, s *migrate.Scope[Place], what string, argv []string) error {
	r, err := st.do(ctx, s, what, argv)
	if err == nil && r.exit != 0 {
		err = r.failed()
	}
	return err
}

// result is how a command ended.
type result struct {
	name string // "check" and the command
	exit int
	last string // line that it printed
	kept string // where all of it is
}

func (r result) failed() error {
	text := fmt.Sprintf("%s: exit status %d", r.name, r.exit)
	if r.last != "" {
		text += ": " + r.last
	}
	if r.kept != "" {
		text += "; what it printed is in " + r.kept
	}
	return errors.New(text)
}

// do runs one command to its end, and keeps what it printed, whatever came of it.
func (st Step) do(ctx context.Context, s *migrate.Scope[Place], what string, argv []string) (result, error) {
	r := result{name: what + " " + line(argv)}
	env, secrets, err := st.environment()
	if err != nil {
		return r, err
	}
	s.Progress(migrate.Progress{What: what + ": " + line(argv) + " on " + st.Where})
	began := time.Now().UTC()
	out := &output{}
	r.exit, err = s.C.Do(ctx, Command{Argv: argv, Env: env, Out: out})
	printed := redacted(out.String(), secrets)
	r.last = lastLine(printed)
	how := fmt.Sprintf("exit status %d", r.exit)
	if err != nil {
		err = fmt.Errorf("%s: %w", r.name, secret.Redact(err, secrets...))
		how = err.Error()
	}
	var kept error
	if st.Keep != nil {
		r.kept, kept = st.Keep(st.ID, fmt.Appendf(nil, "== %s %s on %s\n%s== %s\n", began.Format(time.RFC3339), r.name, st.Where, printed, how))
	}
	return r, errors.Join(err, kept)
}

// environment looks the variables up.
func (st Step) environment() (env []Value, secrets []secret.String, err error) {
	for _, v := range st.Env {
		value := secret.New(v.Value)
		if !v.From.IsZero() {
			if value, err = v.From.Resolve(); err != nil {
				return nil, nil, fmt.Errorf("environment variable %s: %w", v.Name, err)
			}
			secrets = append(secrets, value)
		}
		env = append(env, Value{v.Name, value})
	}
	return env, secrets, nil
}

func redacted(text string, secrets []secret.String) string {
	return secret.Redact(errors.New(text), secrets...).Error()
}

// line is a command for people: words that need it are quoted.
func line(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		if words[i] = a; a == "" || strings.ContainsFunc(a, odd) {
			words[i] = fmt.Sprintf("%q", a)
		}
	}
	return strings.Join(words, " ")
}

func odd(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"'\\`$&|;<>()*?[]{}#!", r)
}
