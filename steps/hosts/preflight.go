// Package hosts holds the steps that look at the source's hosts before anything is done: are they reachable, alike and
// well, does MariaDB replicate, is the Gluster volume whole. They act on nothing, and are bound with migrate.NoHands.
//
// Like all steps it knows nothing of slipway.yaml, of other steps' packages and of how hosts are reached: its lookers are
// implemented by inventory/scan.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/inventory/scan"
	"github.com/slipway-dev/slipway/migrate"
)

// Keep puts all that a step read where people find it, beside the journal: in the journal itself is only what later steps
// need. name is "hosts", "mariadb" or "gluster"; facts become JSON. A step that is run again keeps again, over the old ones.
type Keep func(ctx context.Context, name string, facts any) error

func (k Keep) keep(ctx context.Context, name string, facts any) error {
	if k == nil {
		return nil
	}
	if err := k(ctx, name, facts); err != nil {
		return fmt.Errorf("keep the facts of %s: %w", name, err)
	}
	return nil
}

// all makes one error of what could not be read and of what is wrong with what could.
func all(unread error, problems []scan.Problem) error {
	errs := []error{unread}
	for _, p := range problems {
		errs = append(errs, p)
	}
	return scan.Join(errs...)
}

// again is the plan of a step that is on record as done, and is looked at once more: Done as long as what was looked at is
// the same; whether it is also well is only asked before it is used. What differs, or can't be reached now, is for the
// engine to show as drift: a person may accept that a host is down by now.
func again[Out comparable](rec, now Out, what string, unread error) migrate.Plan[Out] {
	if unread == nil && rec == now {
		return migrate.Done(rec)
	}
	why := "it is not what it was"
	if unread != nil {
		why = strings.ReplaceAll(unread.Error(), "\n", " ")
	}
	return migrate.Plan[Out]{Want: now, Effects: []migrate.Effect{{Verb: "look again at", Object: what, Detail: why}}}
}

// differs is Verify's error where a second look doesn't see what the first saw.
func differs(what string) error {
	return errors.New(what + ": a second look saw something else than the first; somebody is changing it; wait until they have finished, then: slipway resume")
}
