package google

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/api/sqladmin/v1"

	"github.com/slipway-dev/slipway/internal/stamp"
)

// SQLMaker makes instances with a run's stamp, and databases and users in instances that carry it. It deletes nothing else.
type SQLMaker struct {
	look SQLLooker
	mark stamp.Stamp
}

// MakeSQL opens a maker for a run.
func (c *Client) MakeSQL(project string, mark stamp.Stamp) SQLMaker {
	return SQLMaker{c.LookAtSQL(project), mark}
}

// CreateInstance returns when the instance serves. One of that name that this run has begun is waited for and not begun again. Errors:
// ErrExists when another has the name or Google still keeps it; ErrBroken when Google has given the instance up (its name stays
// taken for a week, so a new run is needed); ErrRefused.
func (m SQLMaker) CreateInstance(ctx context.Context, spec InstanceSpec, tell Tell) (Instance, error) {
	state, there, err := m.look.Instance(ctx, spec.Name)
	if err != nil {
		return Instance{}, err
	}
	if !there {
		if err := m.begin(ctx, spec, tell); err != nil {
			return Instance{}, err
		}
		if state, there, err = m.look.Instance(ctx, spec.Name); err != nil {
			return Instance{}, err
		}
		if !there {
			return Instance{}, fmt.Errorf("create instance %s (%s): Google took the request and knows no such instance: %w", spec.Name, m.look.where(), ErrBroken)
		}
	}
	if err := m.mark.Admit(state.Labels); err != nil {
		return Instance{}, fmt.Errorf("create instance %s (%s): %w: %w", spec.Name, m.look.where(), ErrExists, err)
	}
	if state, err = m.settle(ctx, spec.Name, tell); err != nil {
		return Instance{}, err
	}
	if !state.Running() {
		return Instance{}, fmt.Errorf("instance %s (%s) is %s: %w; roll this run back and start another", spec.Name, m.look.where(), state.Status, ErrBroken)
	}
	return state.Instance, nil
}

func (m SQLMaker) begin(ctx context.Context, spec InstanceSpec, tell Tell) error {
	c, op := m.look.c, "create instance "+spec.Name
	tell("asking Cloud SQL for instance "+spec.Name, 0, 0)
	got, sent := submit(ctx, c, tell, op, func() (*sqladmin.Operation, error) {
		return c.sql.Instances.Insert(m.look.project, m.request(spec)).Context(ctx).Do()
	})
	if sent == nil {
		return c.wait(ctx, tell, sqlAPI(), sqlOperationOf(got), m.look.getOperation(ctx))
	}
	if taken(sent) || passing(sent) && ctx.Err() == nil {
		if _, there, err := m.look.Instance(ctx, spec.Name); err != nil || there {
			return err
		}
	}
	return c.explain(sent, sqlAPI(), op, m.look.where())
}

func (m SQLMaker) request(spec InstanceSpec) *sqladmin.DatabaseInstance {
	ip := &sqladmin.IpConfiguration{
		Ipv4Enabled: spec.PublicAddress, PrivateNetwork: spec.PrivateNetwork, ServerCaMode: spec.ServerCAMode, SslMode: "ENCRYPTED_ONLY",
		ForceSendFields: []string{"Ipv4Enabled"},
	}
	for _, cidr := range spec.AuthorizedNetworks {
		ip.AuthorizedNetworks = append(ip.AuthorizedNetworks, &sqladmin.AclEntry{Kind: "sql#aclEntry", Name: "slipway", Value: cidr})
	}
	set := &sqladmin.Settings{
		Tier: spec.Tier, Edition: spec.Edition, AvailabilityType: spec.Availability, DataDiskSizeGb: spec.DiskGB,
		StorageAutoResize: &spec.AutoResize, UserLabels: m.mark.Labels(), DeletionProtectionEnabled: spec.Protected, IpConfiguration: ip,
		// The binary log, which the way back reads, exists only with backups on.
		BackupConfiguration: &sqladmin.BackupConfiguration{Enabled: true, BinaryLogEnabled: true, TransactionLogRetentionDays: spec.LogDays},
		ForceSendFields:     []string{"DeletionProtectionEnabled"},
	}
	for _, f := range spec.Flags {
		set.DatabaseFlags = append(set.DatabaseFlags, &sqladmin.DatabaseFlags{Name: f.Name, Value: f.Value})
	}
	return &sqladmin.DatabaseInstance{
		Name: spec.Name, Region: spec.Region, DatabaseVersion: spec.Version, Settings: set,
		// Without one, root has no password at all. Nobody needs it: it is forgotten here, and can be set anew through the API.
		RootPassword: rand.Text() + "-aA1",
	}
}

// settle waits until no operation runs on the instance and its status is none that passes.
func (m SQLMaker) settle(ctx context.Context, name string, tell Tell) (InstanceState, error) {
	c, began := m.look.c, time.Now()
	for pause := time.Duration(0); ; {
		op, running, err := m.look.sqlOperation(ctx, name)
		if err != nil {
			return InstanceState{}, err
		}
		if running {
			if err := c.wait(ctx, tell, sqlAPI(), op, m.look.getOperation(ctx)); err != nil {
				return InstanceState{}, err
			}
			continue
		}
		state, there, err := m.look.Instance(ctx, name)
		if err != nil {
			return state, err
		}
		if !there {
			return state, fmt.Errorf("instance %s (%s): it was there, and now it isn't", name, m.look.where())
		}
		if state.Status != "PENDING_CREATE" && state.Status != "MAINTENANCE" {
			return state, nil
		}
		tell(fmt.Sprintf("waiting for instance %s: %s, %d s", name, state.Status, int(time.Since(began).Seconds())), 0, 0)
		pause = c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return state, fmt.Errorf("wait for instance %s: %w", name, err)
		}
	}
}

// DeleteInstance returns when the instance is gone. One that isn't there is fine; one without this run's stamp is stamp.ErrForeign.
func (m SQLMaker) DeleteInstance(ctx context.Context, name string, tell Tell) error {
	c, op, began := m.look.c, "delete instance "+name, time.Now()
	for pause := time.Duration(0); ; {
		state, there, err := m.look.Instance(ctx, name)
		if err != nil || !there {
			return err
		}
		if err := m.mark.Admit(state.Labels); err != nil {
			return fmt.Errorf("%s (%s): %w", op, m.look.where(), err)
		}
		run, running, err := m.look.sqlOperation(ctx, name)
		if err != nil {
			return err
		}
		if !running && state.Status != "PENDING_DELETE" {
			tell("asking Cloud SQL to delete instance "+name, 0, 0)
			got, err := submit(ctx, c, tell, op, func() (*sqladmin.Operation, error) {
				return c.sql.Instances.Delete(m.look.project, name).Context(ctx).Do()
			})
			if err != nil && (!passing(err) || ctx.Err() != nil) && !notFound(err) {
				return c.explain(err, sqlAPI(), op, m.look.where())
			}
			if running = err == nil; running {
				run = sqlOperationOf(got)
			}
		}
		if running {
			// Another operation that fails is as good as one that succeeds: the instance is deleted next.
			if err := c.wait(ctx, tell, sqlAPI(), run, m.look.getOperation(ctx)); err != nil && (run.kind == "DELETE" || ctx.Err() != nil) {
				return err
			}
		}
		tell(fmt.Sprintf("waiting until instance %s is gone: %s, %d s", name, state.Status, int(time.Since(began).Seconds())), 0, 0)
		pause = c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait until instance %s is gone: %w", name, err)
		}
	}
}
