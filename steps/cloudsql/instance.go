package cloudsql

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
)

// Instance creates a Cloud SQL instance of this run's own.
type Instance struct {
	Project string
	Shape   google.InstanceSpec // without a name
}

// Spec: the deletion goes on whatever else fails; it takes databases and accounts with it.
func (st Instance) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.sql-instance", Version: 1, Title: "create the Cloud SQL instance", Timeout: time.Hour, OnUndoFailure: migrate.GoOn}
}

// Plan looks for the instance by the run's name. One that Google has given up can't be created again under its name for a week: that is an
// error, and a new run the way out.
func (st Instance) Plan(ctx context.Context, s *migrate.Scope[AdminLook], rec migrate.Recorded[google.Instance]) (migrate.Plan[google.Instance], error) {
	var p migrate.Plan[google.Instance]
	name := "slipway-" + s.Run()
	p.Want = google.Instance{Project: st.Project, Region: st.Shape.Region, Name: name}
	state, there, err := s.C.Instance(ctx, name)
	switch {
	case err != nil:
		return p, err
	case !there:
		p.Effects = []migrate.Effect{{Verb: "create", Object: "instance " + name, Detail: st.describe()}}
		return p, nil
	}
	if err := ofAnother(state.Labels, s.Stamp()); err != nil {
		return p, fmt.Errorf("instance %s in project %s: %w: %w", name, st.Project, google.ErrExists, err)
	}
	switch {
	case state.Status == "PENDING_CREATE" || state.Status == "MAINTENANCE":
		p.Effects = []migrate.Effect{{Verb: "wait for", Object: "instance " + name, Detail: "begun by an earlier attempt, " + state.Status}}
	case !state.Running():
		return p, fmt.Errorf("instance %s in project %s is %s: %w; roll this run back and start another", name, st.Project, state.Status, google.ErrBroken)
	case rec.Complete && state.Address() == rec.Out.Address() && state.CA == rec.Out.CA:
		return migrate.Done(rec.Out), nil // patch levels are raised by Google as time goes by
	case rec.Attempts > 0 && !rec.Complete:
		return migrate.Done(state.Instance), nil
	default:
		p.Effects = []migrate.Effect{{Verb: "take over", Object: "instance " + name, Detail: "it carries this run's stamp and isn't recorded as it is"}}
	}
	return p, nil
}

func (st Instance) describe() string {
	d := []string{st.Shape.Version, st.Shape.Tier, st.Shape.Region}
	if st.Shape.DiskGB > 0 {
		d = append(d, fmt.Sprintf("%d GB", st.Shape.DiskGB))
	}
	if st.Shape.PrivateNetwork != "" {
		d = append(d, "address in "+st.Shape.PrivateNetwork)
	}
	if st.Shape.PublicAddress {
		d = append(d, "public address open to "+strings.Join(st.Shape.AuthorizedNetworks, " "))
	}
	for _, f := range st.Shape.Flags {
		d = append(d, f.Name+"="+f.Value)
	}
	return strings.Join(d, ", ")
}

// Run creates it, or finishes what an earlier attempt began.
func (st Instance) Run(ctx context.Context, s *migrate.Scope[AdminMake], want google.Instance) (google.Instance, error) {
	spec := st.Shape
	spec.Name = want.Name
	return s.C.CreateInstance(ctx, spec, s.Tell)
}

// Verify: it serves, and is the one that is recorded. That it can be reached from here is seen when its accounts log in.
func (st Instance) Verify(ctx context.Context, s *migrate.Scope[AdminLook], out google.Instance) error {
	state, there, err := s.C.Instance(ctx, out.Name)
	switch {
	case err != nil:
		return err
	case !there || !state.Running():
		return fmt.Errorf("instance %s: it doesn't serve: %q", out.Name, state.Status)
	case state.Address() != out.Address() || state.CA != out.CA:
		return fmt.Errorf("instance %s: its address or its certificate authority has changed: it isn't the one that was created", out.Name)
	case out.Address() == "":
		return fmt.Errorf("instance %s has no address: ask for a private network or a public address", out.Name)
	}
	return nil
}

// Undo deletes the instance of this run's name, if it carries this run's stamp.
func (st Instance) Undo(ctx context.Context, s *migrate.Scope[AdminMake], rec migrate.Recorded[google.Instance]) error {
	return s.C.DeleteInstance(ctx, rec.Want.Name, s.Tell)
}
