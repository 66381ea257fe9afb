package runbooks

import (
	"context"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/mariadb"
	"github.com/slipway-dev/slipway/steps/stream"
)

// The phase that a rollback of a switch leaves as it is: the target goes on following.
const following = "follow"

// Database is what is switched from one server to the other: plain data, the same for a rehearsal and a cut-over.
type Database struct {
	Schemas  []string
	Patience time.Duration // how long statements that run at the freeze are waited for before they are ended
	Freeze   time.Duration // within which writes must have stopped
	Switch   time.Duration // within which the target must be open; else all is taken back
	MaxLag   time.Duration // that a follower may have when a gate is passed
	Timer    bool          // a frozen master thaws itself when nobody comes back; false: a person said that it needn't
	OnDisk   bool          // the masters' hosts can be reached: what is frozen is frozen in their option files too
	Go       Go
	Finalize func(context.Context, *migrate.History) ([]string, error) // what the last gate shows
}

// DatabaseWiring is with what a switch looks and acts.
type DatabaseWiring[M migrate.Mode] struct {
	Masters migrate.Eye[mariadb.MastersLook]
	Ready   migrate.Eye[mariadb.ReadyLook]
	Freeze  migrate.Hand[M, mariadb.MastersAct]
	Disk    migrate.Eye[mariadb.DiskLook] // with Database.OnDisk alone
	Timers  migrate.Eye[mariadb.TimersLook]
	Arm     migrate.Hand[M, mariadb.TimersAct]
	Events  migrate.Eye[mariadb.EventsLook]
	Disable migrate.Hand[M, mariadb.EventsAct]
	Objects migrate.Eye[cloudsql.ObjectsLook]
	Make    migrate.Hand[M, cloudsql.ObjectsAct]
	Pair    migrate.Eye[cloudsql.PairLook]
	Change  migrate.Hand[M, cloudsql.PairAct]
	Compare migrate.Eye[cloudsql.CompareLook]
	Check   migrate.Eye[cloudsql.RecheckLook]
	Recheck migrate.Hand[M, cloudsql.RecheckAct]
	There   migrate.Eye[stream.Look]
	Follow  migrate.Hand[M, stream.Act]
	Back    migrate.Eye[stream.Look]
	Reverse migrate.Hand[M, stream.Act]
}

// Switch is the runbook of a database that was copied: it is followed, compared, verified from then on and, when a person says so, switched; from then
// on every write at the target goes back to the source, until a person finalizes.
func Switch[M migrate.Mode](w DatabaseWiring[M], db Database) *migrate.Runbook[M] {
	rb := migrate.NewRunbook[M]()

	rb.Phase(following)
	migrate.Add(rb, mariadb.Ready{Timer: db.Timer}, w.Ready, migrate.NoHands[M](w.Ready))
	migrate.Add(rb, cloudsql.CheckObjects{}, w.Objects, migrate.NoHands[M](w.Objects))
	if db.OnDisk {
		migrate.Add(rb, mariadb.Hosts{}, w.Disk, migrate.NoHands[M](w.Disk))
	}
	shut := migrate.Add(rb, cloudsql.Shut{}, w.Pair, w.Change)
	there := migrate.AddService(rb, stream.Follow{ID: "follow.rows", Title: "follow what the source commits", Back: migrate.Stop}, w.There, w.Follow, shut.Dep())
	compared := migrate.Add(rb, cloudsql.Compare{Follow: there.Dep()}, w.Compare, migrate.NoHands[M](w.Compare))
	checked := migrate.AddService(rb, cloudsql.Recheck{Compared: compared}, w.Check, w.Recheck, there.Dep())

	rb.Phase("go")
	migrate.AddGate(rb, migrate.Gate{ID: "go", Title: "switch the shop's writes to the target", Healthy: []migrate.Dep{there.Dep(), checked.Dep()}, MaxLag: db.MaxLag, Within: db.Go.Within, Show: db.Go.Show})

	rb.PhaseWithin("switch", db.Switch)
	read := migrate.Add(rb, cloudsql.ReadObjects{}, w.Objects, migrate.NoHands[M](w.Objects))
	disabled := migrate.Add(rb, mariadb.Events{}, w.Events, w.Disable)
	var armed migrate.Ref[mariadb.Armed]
	if db.Timer {
		armed = migrate.Add(rb, mariadb.Arm{Schemas: db.Schemas, After: 2 * db.Switch, Events: disabled}, w.Timers, w.Arm)
	}
	frozen := migrate.Add(rb, mariadb.Freeze{Patience: db.Patience, Limit: db.Freeze}, w.Masters, w.Freeze)
	end := func(f mariadb.Frozen) changes.Position { return changes.Position{MariaDB: f.At} }
	migrate.DrainTo(rb, "switch.drain", there, frozen, end)
	migrate.DrainTo(rb, "switch.recheck", checked, frozen, end)
	migrate.Add(rb, mariadb.Triggers{Schemas: db.Schemas}, w.Masters, w.Freeze)
	migrate.Add(rb, cloudsql.MakeObjects{Read: read}, w.Objects, w.Make)
	migrate.Add(rb, cloudsql.Counters{}, w.Pair, w.Change)
	began := migrate.Add(rb, cloudsql.Begin{}, w.Pair, w.Change)
	back := migrate.AddService(rb, stream.Follow{ID: "switch.reverse", Title: "carry what the target commits back to the source", Begin: &began, Back: migrate.Drain}, w.Back, w.Reverse)
	carried := []migrate.Dep{back.Dep()}
	migrate.Add(rb, cloudsql.Canary{Begin: began, After: carried, Timeout: db.Switch}, w.Pair, w.Change)
	// From here on nothing thaws the source but a person's word: what comes next is written to.
	if db.Timer {
		migrate.Add(rb, mariadb.Disarm{Armed: armed}, w.Timers, w.Arm)
	}
	migrate.Add(rb, cloudsql.WakeEvents{Read: read, Back: carried}, w.Objects, w.Make)
	migrate.Add(rb, cloudsql.Open{Shut: shut, Back: carried}, w.Pair, w.Change)

	rb.Phase("watch")
	migrate.AddGate(rb, migrate.Gate{ID: "finalize", Title: "end the way back: from here on the source gets no more writes", PointOfNoReturn: true, Healthy: []migrate.Dep{back.Dep()}, MaxLag: db.MaxLag, Show: db.Finalize})

	rb.Phase("finish")
	migrate.DrainToTip(rb, "finish.stop-back", back)

	return rb
}

// SwitchEnding: a rollback of a switch takes the source back into service, and leaves the target following.
func SwitchEnding() migrate.Ending {
	return migrate.EndDone(migrate.Leg{Name: "take back", DownTo: following})
}
