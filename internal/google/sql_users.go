package google

import (
	"context"
	"fmt"

	"google.golang.org/api/sqladmin/v1"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

// mine refuses an instance without this run's stamp, whose databases and users aren't this run's either: they have no labels. So the
// instance carries the fence for them: the first change of a process that has taken the run over raises it, and an earlier process that
// comes back to life is refused from then on.
func (m SQLMaker) mine(ctx context.Context, instance, op string, tell Tell) (there bool, err error) {
	state, there, err := m.look.Instance(ctx, instance)
	if err != nil || !there {
		return there, err
	}
	if err := m.mark.Admit(state.Labels); err != nil {
		return true, fmt.Errorf("%s (%s): instance %s: %w", op, m.look.where(), instance, err)
	}
	if !m.mark.Raises(state.Labels) {
		return true, nil
	}
	labels := m.mark.Labels()
	labels[stamp.StepLabel] = state.Labels[stamp.StepLabel] // the instance is still the work of the step that made it
	raise := &sqladmin.DatabaseInstance{Settings: &sqladmin.Settings{UserLabels: labels}}
	raised := func() (bool, error) {
		state, there, err := m.look.Instance(ctx, instance)
		return there && state.Labels[stamp.FenceLabel] == labels[stamp.FenceLabel], err
	}
	return true, m.change(ctx, "put this process's fence on instance "+instance, tell, func() (*sqladmin.Operation, error) {
		return m.look.c.sql.Instances.Patch(m.look.project, instance, raise).Context(ctx).Do()
	}, raised)
}

// change submits one change of an instance and waits for it. done tells, after an answer that leaves it open, whether it has happened.
func (m SQLMaker) change(ctx context.Context, op string, tell Tell, send func() (*sqladmin.Operation, error), done func() (bool, error)) error {
	c := m.look.c
	tell(op, 0, 0)
	got, sent := submit(ctx, c, tell, op, send)
	if sent == nil {
		if err := c.wait(ctx, tell, sqlAPI(), sqlOperationOf(got), m.look.getOperation(ctx)); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		return nil
	}
	if (passing(sent) || taken(sent) || notFound(sent)) && ctx.Err() == nil {
		if ok, err := done(); err != nil || ok {
			return err
		}
	}
	return c.explain(sent, sqlAPI(), op, m.look.where())
}

// CreateDatabase makes a schema; one that is there with the same character set and collation is fine, and another is ErrExists.
func (m SQLMaker) CreateDatabase(ctx context.Context, instance string, db Database, tell Tell) error {
	op := "create database " + db.Name + " on instance " + instance
	there, err := m.mine(ctx, instance, op, tell)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%s (%s): there is no such instance", op, m.look.where())
	}
	done := func() (bool, error) { return m.hasDatabase(ctx, instance, db) }
	if ok, err := done(); err != nil || ok {
		return err
	}
	return m.change(ctx, op, tell, func() (*sqladmin.Operation, error) {
		return m.look.c.sql.Databases.Insert(m.look.project, instance, &sqladmin.Database{
			Name: db.Name, Charset: db.Charset, Collation: db.Collation, Instance: instance, Project: m.look.project}).Context(ctx).Do()
	}, done)
}

func (m SQLMaker) hasDatabase(ctx context.Context, instance string, db Database) (bool, error) {
	dbs, err := m.look.Databases(ctx, instance)
	if err != nil {
		return false, err
	}
	for _, d := range dbs {
		if d.Name == db.Name {
			if d.Charset != db.Charset || d.Collation != db.Collation {
				return false, fmt.Errorf("database %s of instance %s is %s/%s, not %s/%s: %w", d.Name, instance, d.Charset, d.Collation, db.Charset, db.Collation, ErrExists)
			}
			return true, nil
		}
	}
	return false, nil
}

// DeleteDatabase drops a schema of an instance of this run. One that isn't there is fine.
func (m SQLMaker) DeleteDatabase(ctx context.Context, instance, name string, tell Tell) error {
	op := "delete database " + name + " of instance " + instance
	if there, err := m.mine(ctx, instance, op, tell); err != nil || !there {
		return err
	}
	gone := func() (bool, error) {
		dbs, err := m.look.Databases(ctx, instance)
		for _, d := range dbs {
			if d.Name == name {
				return false, err
			}
		}
		return err == nil, err
	}
	if ok, err := gone(); err != nil || ok {
		return err
	}
	return m.change(ctx, op, tell, func() (*sqladmin.Operation, error) {
		return m.look.c.sql.Databases.Delete(m.look.project, instance, name).Context(ctx).Do()
	}, gone)
}

// PutUser makes an account, or sets the password of one that is there: twice is as good as once.
func (m SQLMaker) PutUser(ctx context.Context, instance string, u User, password secret.String, tell Tell) error {
	op := "put user " + u.String() + " into instance " + instance
	there, err := m.mine(ctx, instance, op, tell)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%s (%s): there is no such instance", op, m.look.where())
	}
	has, err := m.hasUser(ctx, instance, u)
	if err != nil {
		return err
	}
	user := &sqladmin.User{Name: u.Name, Host: u.Host, Password: password.Reveal(), Instance: instance, Project: m.look.project}
	// Neither answer of a request that may have been lost tells which password holds: it is set again by the next attempt.
	unknown := func() (bool, error) { return false, nil }
	send := func() (*sqladmin.Operation, error) {
		if has {
			return m.look.c.sql.Users.Update(m.look.project, instance, user).Name(u.Name).Host(u.Host).Context(ctx).Do()
		}
		return m.look.c.sql.Users.Insert(m.look.project, instance, user).Context(ctx).Do()
	}
	return secret.Redact(m.change(ctx, op, tell, send, unknown), password)
}

func (m SQLMaker) hasUser(ctx context.Context, instance string, u User) (bool, error) {
	users, err := m.look.Users(ctx, instance)
	for _, have := range users {
		if have == u {
			return true, err
		}
	}
	return false, err
}

// DeleteUser deletes an account of an instance of this run. One that isn't there is fine.
func (m SQLMaker) DeleteUser(ctx context.Context, instance string, u User, tell Tell) error {
	op := "delete user " + u.String() + " of instance " + instance
	if there, err := m.mine(ctx, instance, op, tell); err != nil || !there {
		return err
	}
	gone := func() (bool, error) {
		has, err := m.hasUser(ctx, instance, u)
		return !has && err == nil, err
	}
	if ok, err := gone(); err != nil || ok {
		return err
	}
	return m.change(ctx, op, tell, func() (*sqladmin.Operation, error) {
		return m.look.c.sql.Users.Delete(m.look.project, instance).Name(u.Name).Host(u.Host).Context(ctx).Do()
	}, gone)
}
