package main

import (
	"context"
	"errors"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/dbcopy/queries"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
)

// dbCall is a db verb that failed, as far as what to type next goes by it.
type dbCall struct {
	again   string // what goes on, or is tried again: the command
	schemas []string
	began   bool   // something was done or looked at already: an error is no wrong call any more
	stopped string // what is said of one that was interrupted
}

// remedy is what to type after an error.
type remedy struct {
	of   func(error) bool
	mark func(error) error // gives it its exit code; nil: exitFailed
	hint string            // AGAIN stands for the command, ANEW for what begins the copy anew; "": the error says it
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[E error](err error) bool { return errors.As(err, new(E)) }

func wrongCall(err error) error { return &configError{err} }
func overtaken(err error) error { return &errOvertaken{err} }
func forPerson(err error) error { return &errPerson{err} }

// early are the remedies of a verb that has done nothing yet.
var early = []remedy{
	{is(dbcopy.ErrLost), wrongCall, "correct the address in what the reference leads to; or see that the server runs and can be reached from here"},
	{is(follow.ErrNoTable), wrongCall, "copy it first: slipway db copy"},
	{is(follow.ErrCascade), wrongCall, "type the ALTER statements above at the source; then ANEW"},
}

// remedies are those of all db verbs. The first that matches counts: what wraps another kind stands before it.
var remedies = []remedy{
	{is(dbcopy.ErrLeft), nil, ""},
	{as[*changes.StopError], forPerson, ""}, // afterStop
	{is(dbcopy.ErrPrivileges), wrongCall, grants},
	{is(dbcopy.ErrDenied), wrongCall, grants},
	{is(follow.ErrTooLarge), forPerson, "raise the limit at the target, then type AGAIN"},
	{is(follow.ErrCascade), forPerson, "all before that transaction is applied, and nothing of it; nothing is lost. Do at the target by hand what the source's cascade did: delete the rows below that one, the lowest first, or, where a key changes, change it in the rows below, with SET SESSION foreign_key_checks = 0; then type AGAIN"},
	{as[*follow.RowError], forPerson, differs},
	{is(follow.ErrNoTable), forPerson, differs},
	{is(follow.ErrGone), forPerson, differs},
	{as[*dbcopy.RefusedError], wrongCall, "deal with what is refused, then type AGAIN; slipway db check says more"},
	{as[*dbcopy.TargetFullError], nil, ""},
	{as[*dbcopy.TooLongError], nil, "raise the limit at the target, then type AGAIN"},
	{as[*dbcopy.DifferentError], nil, "find out who else writes to the target; what differs wasn't kept, or slipway db verify mends it"},
	{as[*objects.DifferentError], nil, kept},
	{as[*objects.NotMadeError], nil, kept},
	{is(dbcopy.ErrFenced), overtaken, "nothing: the other process goes on; slipway db status says how far it is"},
	{is(dbcopy.ErrOtherDefinitions), wrongCall, "ANEW"},
	{is(dbcopy.ErrOtherRun), wrongCall, ""},
	{is(dbcopy.ErrLogin), wrongCall, "correct user and password in what the reference leads to; or let the account sign in from this machine"},
	{is(dbcopy.ErrLost), nil, "see that the server runs and can be reached from here; then type AGAIN"},
	{is(dbcopy.ErrSchemaChanged), nil, "wait until nobody changes definitions at the source; then type AGAIN"},
	{is(dbcopy.ErrChecking), wrongCall, "wait until that one is over"},
	{is(queries.ErrNoSlowLog), wrongCall, "give a log that the server wrote with log_output=FILE"},
	{is(dbcopy.ErrOneServer), wrongCall, "correct --source or --target"},
	{is(switchover.ErrStandby), wrongCall, "correct --standby; or leave it out where there is no other master"},
	{is(freeze.ErrOneDomain), wrongCall, "type the statement above at that server; then type AGAIN"},
	{is(dbcopy.ErrKinds), wrongCall, "correct --source or --target"},
	{is(dbcopy.ErrNoSchema), wrongCall, "correct --schema; or copy it first"},
	{is(dbcopy.ErrDefinitions), nil, "make the same change at the other server, or wait until nobody changes any; then type AGAIN"},
	{is(dbcopy.ErrFollowerStands), nil, "see why it doesn't go on, or that one runs: slipway db follow; of a switch, slipway resume RUN. While it runs, type AGAIN"},
	{is(follow.ErrNoPosition), wrongCall, "copy first: slipway db copy; or say where in the source's log the target's rows are from: --from 0-1-42, or --from FILE:OFFSET"},
	{is(follow.ErrNotCopied), wrongCall, "finish the copy: slipway db copy"},
	{is(follow.ErrStands), wrongCall, "leave --from out"},
	{is(follow.ErrNoKey), wrongCall, "type the ALTER statements above at the source; then ANEW"},
	{is(follow.ErrTriggers), wrongCall, "type the DROP statements above at the target; the triggers are made at the switch"},
	{is(follow.ErrNotThere), wrongCall, "leave --skip-ddl out; when the follow stops, it names the transaction"},
	{is(follow.ErrNoWay), wrongCall, "ANEW"},
	{is(follow.ErrPast), wrongCall, "look where it stands: slipway db status"},
}

const (
	grants  = "type the GRANT statements above at that server, as an account that may; then type AGAIN"
	kept    = "the rows that are in stay; deal with it as it says, then type AGAIN"
	differs = "all before that transaction is applied. Somebody wrote to the target, or it isn't the copy that the position is of: slipway db verify says which rows differ; then type AGAIN"
)

// dbFailed gives the error of a db verb its exit code, and says what to type next.
func dbFailed(err error, c dbCall) error {
	if err == nil {
		return nil
	}
	all := remedies
	if !c.began {
		all = append(early[:len(early):len(early)], remedies...)
	}
	for _, r := range all {
		if !r.of(err) {
			continue
		}
		say := strings.NewReplacer("AGAIN", c.again, "ANEW", anew(c.schemas)).Replace(r.hint)
		if stop := (*changes.StopError)(nil); errors.As(err, &stop) {
			say = afterStop(stop, c)
		}
		if r.mark != nil {
			err = r.mark(err)
		}
		if say == "" {
			return err
		}
		return hint(err, "%s", say)
	}
	if errors.Is(err, context.Canceled) {
		return hint(errors.New(c.stopped), "type %s", c.again)
	}
	return hint(err, "when that is mended, type %s", c.again)
}

// anew is how a copy is begun anew. The target's schemas have nothing but what the copy made: it refuses others.
func anew(schemas []string) string {
	var b strings.Builder
	b.WriteString("copy again: at the target type ")
	for _, s := range schemas {
		b.WriteString("DROP DATABASE " + ddl.Quote(s) + "; CREATE DATABASE " + ddl.Quote(s) + "; ")
	}
	b.WriteString("DROP DATABASE `" + follow.OwnSchema + "`; then type slipway db copy. What the target has of these schemas goes with them")
	return b.String()
}

// afterStop are the choices after the log could not be read on. The program makes none of them.
func afterStop(e *changes.StopError, c dbCall) string {
	if e.GTID == "" || e.End.String() == "" {
		return "all before that place is applied; " + anew(c.schemas)
	}
	return "all before that transaction is applied, and nothing of it. Either do at the target by hand what it did, and type " + c.again + " with --skip-ddl " + e.GTID + " added; or " + anew(c.schemas)
}
