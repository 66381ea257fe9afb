package main

import (
	"context"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/custom"
)

// This file is the one in which what can act on production is constructed; archtest sees to that.

// ownInRehearsal binds the user's own steps in a rehearsal. On the source's hosts and on this machine it is given only steps
// that the configuration says are read-only, which is the user's word: the hosts' account is what holds a wrong one. dir is
// the configuration's directory, in which commands of this machine run.
func ownInRehearsal(c *config.Config, src *source, tgt *target, dir string) runbooks.Own[migrate.Rehearsal] {
	reads := func(what string, p custom.Place) (migrate.Eye[custom.Place], migrate.Hand[migrate.Rehearsal, custom.Place]) {
		eye := migrate.Look(what, p)
		return eye, migrate.NoHands[migrate.Rehearsal](eye)
	}
	return runbooks.Own[migrate.Rehearsal]{
		LeftOut: runbooks.RehearsalLeavesOut,
		OnHost: func(o runbooks.OwnStep) (migrate.Eye[custom.Place], migrate.Hand[migrate.Rehearsal, custom.Place]) {
			return reads("host "+o.Host, custom.OnHost(remote.NewActor(src.pool), o.Host))
		},
		Local: func(runbooks.OwnStep) (migrate.Eye[custom.Place], migrate.Hand[migrate.Rehearsal, custom.Place]) {
			return reads("this machine", custom.Here(dir))
		},
		InPod: func(ctx context.Context, cl google.Cluster, p runbooks.PodName) (custom.Place, error) {
			k, err := tgt.cluster(ctx, cl)
			if err != nil {
				return nil, err
			}
			return custom.InPod(k, c.Release.Namespace, p.Label, p.Container), nil
		},
	}
}
