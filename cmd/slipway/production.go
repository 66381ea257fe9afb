package main

import (
	"context"
	"os"
	"slices"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/recheck"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
	"github.com/slipway-dev/slipway/internal/dbhost"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/treecopy/place"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/custom"
	"github.com/slipway-dev/slipway/steps/mariadb"
	"github.com/slipway-dev/slipway/steps/stream"
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

// wireSwitch binds a switch of production's database. It is the one thing in this program that may stop production's writes.
func wireSwitch(s servers, x switchCall) runbooks.DatabaseWiring[migrate.Cutover] {
	first, second := freeze.NewMariaDB(s.source), (*freeze.MariaDB)(nil)
	if s.standby != nil {
		second = freeze.NewMariaDB(*s.standby)
	}
	masters := freeze.NewMasters(first, second)
	pair := switchover.NewPair(masters, s.source, s.standby, s.target, x.schemas, x.keep)
	there := follow.NewForward(s.source, s.target, x.schemas, 0)
	back := follow.NewReverse(s.source, s.target, append(slices.Clone(x.schemas), switchover.CanarySchema), 0)
	check := recheck.NewLink(s.source, s.target, x.schemas)
	from := "source's MariaDB"
	hosts := dbhost.Act(dbhost.Look(nil, nil), nil)
	if s.hosts != nil {
		hosts = dbhost.Act(dbhost.Look(remote.NewLooker(s.hosts), s.hostNames), remote.NewActor(s.hosts))
	}
	frozen := struct {
		*freeze.Masters
		*dbhost.Actor
	}{masters, hosts}
	return runbooks.DatabaseWiring[migrate.Cutover]{
		Masters: migrate.Look(from, mariadb.OnlyMasters(frozen)),
		Ready:   migrate.Look(from, mariadb.OnlyReady(masters)),
		Freeze:  onProduction[mariadb.MastersAct](from, frozen),
		Disk:    migrate.Look("source's hosts", mariadb.OnlyDisk(frozen)),
		Timers:  migrate.Look(from, mariadb.OnlyTimers(masters)),
		Arm:     onProduction[mariadb.TimersAct](from, masters),
		Events:  migrate.Look(from, mariadb.OnlyEvents(masters)),
		Disable: onProduction[mariadb.EventsAct](from, masters),
		Objects: migrate.Look("target", cloudsql.OnlyObjects(pair)),
		Make:    onProduction[cloudsql.ObjectsAct]("target", pair),
		Pair:    migrate.Look("target", cloudsql.OnlyPair(pair)),
		Change:  onProduction[cloudsql.PairAct]("target", pair),
		Compare: migrate.Look("target", cloudsql.OnlyCompare(pair)),
		Check:   migrate.Look("target", cloudsql.OnlyRecheck(check)),
		Recheck: onProduction[cloudsql.RecheckAct]("target", check),
		There:   migrate.Look("target", stream.OnlyLook(there)),
		Follow:  onProduction[stream.Act]("target", there),
		Back:    migrate.Look(from, stream.OnlyLook(back)),
		Reverse: onProduction[stream.Act](from, back),
	}
}

func onProduction[A any](what string, a A) migrate.Hand[migrate.Cutover, A] {
	return migrate.Real(what, func(context.Context, migrate.Stamp) (A, error) { return a, nil })
}

// sshHands are how slipway files starts its agent on hosts that the call names: the target's agent writes there, the source's can't.
func sshHands(identity []string, knownHosts string) place.SSHOptions {
	return place.SSHOptions{Identity: identity, KnownHosts: knownHosts, AgentSocket: os.Getenv("SSH_AUTH_SOCK"), Act: remote.NewActor}
}
