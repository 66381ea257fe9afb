package runbooks_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

var (
	errBusy  = errors.New("another operation runs on it")
	errTaken = errors.New("it is there already")
)

// server is a Cloud SQL instance. It takes one operation at a time, which does what it does when it ends.
type server struct {
	google.InstanceState
	until time.Time
	ends  func()
	gone  bool
	dbs   map[string]google.Database
	users map[google.User]string // passwords
	rows  rows
}

func newServer(name string, labels map[string]string) *server {
	return &server{
		InstanceState: google.InstanceState{Status: "RUNNABLE", Labels: labels,
			Instance: google.Instance{Project: theProject, Region: "europe-west1", Name: name, Private: "10.1.2.3", CA: "PEM"}},
		dbs:   map[string]google.Database{"mysql": {Name: "mysql"}},
		users: map[google.User]string{{Name: "root", Host: "%"}: ""},
		rows:  newRows(),
	}
}

func othersServer(name string) *server { return newServer(name, nil) }

func (s *server) String() string {
	var users []string
	for u, pw := range s.users {
		users = append(users, fmt.Sprintf("%s %d", u, len(pw)))
	}
	slices.Sort(users)
	return fmt.Sprintf("instance %s of %q is %s: %v %v %s", s.Name, s.Labels[stamp.RunLabel], s.Status, sortedKeys(s.dbs), users, s.rows.String())
}

func (s *server) settle(now time.Time) (gone bool) {
	if s.until.IsZero() || now.Before(s.until) {
		return false
	}
	s.until = time.Time{}
	s.ends()
	return s.gone
}

// operate begins an operation; it is called with the world's lock held.
func (s *server) operate(d time.Duration, ends func()) error {
	if !s.until.IsZero() {
		return errBusy
	}
	s.until, s.ends = time.Now().Add(d), ends
	return nil
}

type seeSQL struct{ w *world }

func (e seeSQL) Instance(_ context.Context, name string) (s google.InstanceState, there bool, err error) {
	s, err = ask(e.w, func() (google.InstanceState, error) {
		v := e.w.servers[name]
		if there = v != nil; !there {
			return google.InstanceState{}, nil
		}
		v.Labels = maps.Clone(v.Labels)
		return v.InstanceState, nil
	})
	return s, there, err
}

var errNoInstance = errors.New("no such instance")

func onServer[T any](w *world, name string, f func(*server) T) (T, error) {
	return ask(w, func() (t T, err error) {
		s := w.servers[name]
		if s == nil {
			return t, errNoInstance
		}
		return f(s), nil
	})
}

func (e seeSQL) Databases(_ context.Context, instance string) ([]google.Database, error) {
	return onServer(e.w, instance, func(s *server) []google.Database { return slices.Collect(maps.Values(s.dbs)) })
}

func (e seeSQL) Users(_ context.Context, instance string) ([]google.User, error) {
	return onServer(e.w, instance, func(s *server) []google.User { return slices.Collect(maps.Keys(s.users)) })
}

func (e seeSQL) Login(_ context.Context, inst google.Instance, user string, pw secret.String) error {
	have, err := onServer(e.w, inst.Name, func(s *server) string { return s.users[google.User{Name: user, Host: "%"}] })
	if err == nil && have != pw.Reveal() {
		err = google.ErrLogin
	}
	return err
}

type makeSQL struct {
	seeSQL
	mark stamp.Stamp
}

// finish waits until no operation runs on an instance, and says whether it is there.
func (m makeSQL) finish(ctx context.Context, name string) (s google.InstanceState, there bool, err error) {
	for {
		var busy bool
		if s, there, err = m.Instance(ctx, name); err != nil || !there {
			return s, there, err
		}
		if busy, err = onServer(m.w, name, func(s *server) bool { return !s.until.IsZero() }); err == nil && !busy {
			return s, true, nil
		}
		if err == nil {
			err = m.w.wait(ctx)
		}
		if err != nil && !errors.Is(err, errNoInstance) {
			return s, there, err
		}
	}
}

func (m makeSQL) CreateInstance(ctx context.Context, spec google.InstanceSpec, _ google.Tell) (google.Instance, error) {
	s, there, err := m.Instance(ctx, spec.Name)
	if err != nil {
		return s.Instance, err
	}
	if !there {
		err := m.w.act(onProject, m.mark, "create instance", nil, func() error {
			if m.w.servers[spec.Name] != nil {
				return google.ErrExists
			}
			v := newServer(spec.Name, m.mark.Labels())
			v.Status = "PENDING_CREATE"
			m.w.servers[spec.Name] = v
			return v.operate(6*time.Minute, func() { v.Status = "RUNNABLE" })
		})
		if err != nil {
			return s.Instance, err
		}
	} else if err := m.mark.Admit(s.Labels); err != nil {
		return s.Instance, fmt.Errorf("%w: %w", google.ErrExists, err)
	}
	if s, _, err = m.finish(ctx, spec.Name); err == nil && !s.Running() {
		err = google.ErrBroken
	}
	return s.Instance, err
}

// own raises the fence of an instance of this run's and refuses any other.
func (m makeSQL) own(ctx context.Context, name string) (there bool, err error) {
	s, there, err := m.Instance(ctx, name)
	if err != nil || !there {
		return there, err
	}
	if err := m.mark.Admit(s.Labels); err != nil {
		return true, err
	}
	if !m.mark.Raises(s.Labels) {
		return true, nil
	}
	return true, m.operation(ctx, name, "repair: raise the fence of the instance", func(s *server) error { return nil }, func(s *server) {
		s.Labels[stamp.FenceLabel] = m.mark.Labels()[stamp.FenceLabel]
	})
}

// operation sends a request until the instance takes it, and waits for its end. refused is what the API says at once.
func (m makeSQL) operation(ctx context.Context, name, what string, refused func(*server) error, ends func(*server)) error {
	for {
		if _, there, err := m.finish(ctx, name); err != nil || !there {
			return errors.Join(err, errNoInstance)
		}
		err := m.w.act(onProject, m.mark, what, nil, func() error {
			s := m.w.servers[name]
			if s == nil {
				return errNoInstance
			}
			if !s.until.IsZero() {
				return errBusy
			}
			if err := refused(s); err != nil {
				return err
			}
			return s.operate(20*time.Second, func() { ends(s) })
		})
		if errors.Is(err, errBusy) {
			continue
		}
		if err != nil {
			return err
		}
		_, _, err = m.finish(ctx, name)
		return err
	}
}

func (m makeSQL) DeleteInstance(ctx context.Context, name string, _ google.Tell) error {
	s, there, err := m.Instance(ctx, name)
	if err != nil || !there {
		return err
	}
	if err := m.mark.Admit(s.Labels); err != nil {
		return err
	}
	if s.Status == "PENDING_DELETE" {
		_, _, err := m.finish(ctx, name)
		return err
	}
	err = m.operation(ctx, name, "delete instance", func(s *server) error { s.Status = "PENDING_DELETE"; return nil }, func(s *server) { s.gone = true })
	if errors.Is(err, errNoInstance) {
		return nil
	}
	return err
}

func (m makeSQL) CreateDatabase(ctx context.Context, instance string, db google.Database, _ google.Tell) error {
	there, err := m.own(ctx, instance)
	if err != nil || !there {
		return errors.Join(err, fmt.Errorf("create database %s on %s, there: %v", db.Name, instance, there))
	}
	has, err := onServer(m.w, instance, func(s *server) bool { return s.dbs[db.Name] == db })
	if err != nil || has {
		return err
	}
	err = m.operation(ctx, instance, "create database "+db.Name, func(s *server) error {
		if _, there := s.dbs[db.Name]; there {
			return errTaken
		}
		return nil
	}, func(s *server) { s.dbs[db.Name] = db })
	if errors.Is(err, errTaken) { // by the operation of an attempt that was killed
		return nil
	}
	return err
}

func (m makeSQL) DeleteDatabase(ctx context.Context, instance, name string, _ google.Tell) error {
	return m.drop(ctx, instance, "delete database "+name, func(s *server) bool { _, has := s.dbs[name]; return has }, func(s *server) { delete(s.dbs, name) })
}

// drop deletes what is in an instance of this run's, if it is there.
func (m makeSQL) drop(ctx context.Context, instance, what string, has func(*server) bool, drop func(*server)) error {
	there, err := m.own(ctx, instance)
	if err != nil || !there {
		return err
	}
	if is, err := onServer(m.w, instance, has); err != nil || !is {
		return err
	}
	err = m.operation(ctx, instance, what, func(s *server) error {
		if !has(s) {
			return errTaken
		}
		return nil
	}, drop)
	if errors.Is(err, errTaken) {
		return nil
	}
	return err
}

func (m makeSQL) PutUser(ctx context.Context, instance string, u google.User, pw secret.String, _ google.Tell) error {
	there, err := m.own(ctx, instance)
	if err != nil || !there {
		return errors.Join(err, fmt.Errorf("put account %s on %s, there: %v", u, instance, there))
	}
	return m.operation(ctx, instance, "put account "+u.Name, func(*server) error { return nil }, func(s *server) { s.users[u] = strings.Clone(pw.Reveal()) })
}

func (m makeSQL) DeleteUser(ctx context.Context, instance string, u google.User, _ google.Tell) error {
	return m.drop(ctx, instance, "delete account "+u.Name, func(s *server) bool { _, has := s.users[u]; return has }, func(s *server) { delete(s.users, u) })
}
