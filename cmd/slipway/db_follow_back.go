package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
)

// wayBack is what messages call --way-back's command.
const wayBack = "slipway db follow --way-back"

// skipBack passes by a statement at which the way back of a switch stands. It follows nothing: the process that carries the run does.
func (p *program) skipBack(cmd *cobra.Command, x *followFlags) error {
	source, target, err := x.endpoints(cmd)
	if err != nil {
		return err
	}
	var bad []error
	for _, flag := range []string{"from", "until", "until-tip", "workers"} {
		if cmd.Flags().Changed(flag) {
			bad = append(bad, fmt.Errorf("--way-back and --%s: the process that carries the run follows", flag))
		}
	}
	if x.skip == "" {
		bad = append(bad, errors.New("--way-back without --skip-ddl: the process that carries the run follows; give the transaction that it stands at"))
	} else if _, err := binlog.ParseMySQL(x.skip); err != nil {
		bad = append(bad, fmt.Errorf("--skip-ddl: %w", err))
	}
	if bad != nil {
		return &usageError{errors.Join(bad...), cmd.CommandPath()}
	}
	t := &followTeller{p: p}
	defer t.line("")
	done, err := follow.NewReverse(source, target, append(slices.Clone(x.schemas), switchover.CanarySchema), 1).SkipDDL(cmd.Context(), x.skip, whoami())
	if err != nil {
		return dbFailed(err, dbCall{again: wayBack, schemas: x.schemas, stopped: "it was interrupted; nothing was passed by"})
	}
	t.tell(fmt.Sprintf("passed by %s, which was done by hand: %s; the process that carries the run goes on within half a minute", done.GTID, done.Statement))
	return nil
}
