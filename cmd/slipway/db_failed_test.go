package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/queries"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
)

// TestDBFailed: how a db verb ends, and what it says to type.
func TestDBFailed(t *testing.T) {
	past := &changes.StopError{GTID: "1-2-3"}
	past.End.File.Name = "bin.000007"
	for _, x := range []struct {
		is    error
		began bool
		code  int
		hint  string
	}{
		{dbcopy.ErrLogin, true, exitUsage, "correct user and password"},
		{dbcopy.ErrLost, false, exitUsage, "correct the address"},
		{dbcopy.ErrLost, true, exitFailed, "then type VERB again"},
		{dbcopy.ErrPrivileges, true, exitUsage, "type the GRANT statements above at that server"},
		{fmt.Errorf("%w: %w", dbcopy.ErrDenied, dbcopy.ErrNoScratch), false, exitUsage, "type the GRANT statements above at that server"},
		{dbcopy.ErrChecking, false, exitUsage, "wait until that one is over"},
		{queries.ErrNoSlowLog, false, exitUsage, "log_output=FILE"},
		{errors.Join(dbcopy.ErrLost, dbcopy.ErrLeft), true, exitFailed, ""},
		{errors.Join(context.Canceled, dbcopy.ErrLeft), true, exitFailed, ""},
		{&dbcopy.RefusedError{}, false, exitUsage, "then type VERB again"},
		{dbcopy.ErrFenced, true, exitLocked, "the other process goes on"},
		{dbcopy.ErrOtherRun, true, exitUsage, ""},
		{dbcopy.ErrOtherDefinitions, true, exitUsage, "DROP DATABASE `shop`; CREATE DATABASE `shop`; DROP DATABASE `_slipway`; then type slipway db copy"},
		{&dbcopy.TargetFullError{Target: "t", Again: "VERB"}, true, exitFailed, ""},
		{dbcopy.ErrOneServer, false, exitUsage, "correct --source or --target"},
		{dbcopy.ErrKinds, false, exitUsage, "correct --source or --target"},
		{dbcopy.ErrNoSchema, false, exitUsage, "correct --schema"},
		{dbcopy.ErrDefinitions, true, exitFailed, "then type VERB again"},
		{dbcopy.ErrFollowerStands, true, exitFailed, "While it runs, type VERB again"},
		{past, true, exitPerson, "type VERB again with --skip-ddl 1-2-3 added; or copy again: at the target type DROP DATABASE `shop`"},
		{&changes.StopError{Kind: changes.StopPurged}, true, exitPerson, "copy again: at the target type DROP DATABASE `shop`"},
		{&follow.RowError{Cause: follow.ErrGone}, true, exitPerson, "slipway db verify says which rows differ"},
		{&follow.RowError{Cause: dbcopy.ErrDenied}, true, exitUsage, "type the GRANT statements above"},
		{&follow.RowError{Cause: follow.ErrCascade}, true, exitPerson, "Do at the target by hand what the source's cascade did"},
		{follow.ErrCascade, false, exitUsage, "type the ALTER statements above at the source; then copy again: at the target type DROP DATABASE `shop`"},
		{switchover.ErrStandby, false, exitUsage, "correct --standby"},
		{freeze.ErrOneDomain, false, exitUsage, "then type VERB again"},
		{follow.ErrNoTable, false, exitUsage, "copy it first"},
		{follow.ErrNoTable, true, exitPerson, "slipway db verify"},
		{follow.ErrNoKey, false, exitUsage, "type the ALTER statements above at the source; then copy again: at the target type DROP DATABASE `shop`"},
		{context.Canceled, true, exitFailed, "type VERB again"},
		{errors.New("something else"), true, exitFailed, "when that is mended, type VERB again"},
	} {
		err := dbFailed(fmt.Errorf("target: %w", x.is), dbCall{again: "VERB again", schemas: []string{"shop"}, began: x.began, stopped: "target: it was interrupted"})
		var h *hinted
		says := ""
		if errors.As(err, &h) {
			says = h.hint
		}
		if got := code(err); got != x.code || !strings.Contains(says, x.hint) || x.hint == "" && says != "" || !strings.Contains(err.Error(), "target: ") {
			t.Errorf("%v: exit code %d, want %d; hint %q, want %q", err, got, x.code, says, x.hint)
		}
	}
	if err := dbFailed(nil, dbCall{}); err != nil {
		t.Error(err)
	}
	err := verifyFailed(fmt.Errorf("source: %w", dbcopy.ErrLost), &dbcopy.Comparison{Chunks: 5, Repaired: 3}, nil)
	if !strings.Contains(err.Error(), "3 rows of the target were repaired before that") || code(err) != exitFailed {
		t.Error(err)
	}
}
