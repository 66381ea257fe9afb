package cloudsql_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/cloudsql"
)

type server struct {
	google.InstanceState
	dbs   map[string]google.Database
	users map[google.User]string // passwords
}

// admin is the world: the instances of a project.
type admin struct {
	p       *steptest.Process
	servers map[string]*server
}

const (
	runA = "20261123-010203-0001"
	runB = "20261124-010203-0002"
)

func newAdmin(p *steptest.Process, instances ...string) *admin {
	a := &admin{p: p, servers: map[string]*server{"prod": {InstanceState: google.InstanceState{Status: "RUNNABLE"}}}}
	for _, name := range instances {
		a.servers[name] = newServer(name, runA, "RUNNABLE")
	}
	return a
}

func newServer(name, run, status string) *server {
	return &server{
		InstanceState: google.InstanceState{Status: status, Labels: map[string]string{stamp.RunLabel: run},
			Instance: google.Instance{Project: "p", Region: "r", Name: name, Private: "10.1.2.3", CA: "PEM"}},
		dbs:   map[string]google.Database{"mysql": {Name: "mysql"}},
		users: map[google.User]string{{Name: "root", Host: "%"}: ""},
	}
}

func (a *admin) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a.servers)) {
		s := a.servers[name]
		var users []string
		for u, pw := range s.users {
			users = append(users, fmt.Sprintf("%s %d", u, len(pw)))
		}
		slices.Sort(users)
		all = append(all, fmt.Sprintf("%s %s %v %v", name, s.Status, slices.Sorted(maps.Keys(s.dbs)), users))
	}
	return strings.Join(all, "; ")
}

func (a *admin) Instance(_ context.Context, name string) (google.InstanceState, bool, error) {
	s, ok := a.servers[name]
	if !ok {
		return google.InstanceState{}, false, a.p.Look()
	}
	return s.InstanceState, true, a.p.Look()
}

func (a *admin) Databases(_ context.Context, instance string) ([]google.Database, error) {
	s, ok := a.servers[instance]
	if !ok {
		return nil, errors.New("no such instance")
	}
	return slices.Collect(maps.Values(s.dbs)), a.p.Look()
}

func (a *admin) Users(_ context.Context, instance string) ([]google.User, error) {
	s, ok := a.servers[instance]
	if !ok {
		return nil, errors.New("no such instance")
	}
	return slices.Collect(maps.Keys(s.users)), a.p.Look()
}

func (a *admin) Login(_ context.Context, inst google.Instance, user string, pw secret.String) error {
	if err := a.p.Look(); err != nil {
		return err
	}
	if s, ok := a.servers[inst.Name]; ok {
		if s.users[google.User{Name: user, Host: "%"}] != pw.Reveal() {
			return google.ErrLogin
		}
		return nil
	}
	return errors.New("no route to host")
}

type hand struct {
	*admin
	mark stamp.Stamp
}

func (h hand) CreateInstance(_ context.Context, spec google.InstanceSpec, _ google.Tell) (google.Instance, error) {
	if s, ok := h.servers[spec.Name]; ok {
		if err := h.mark.Check(s.Labels); err != nil {
			return google.Instance{}, google.ErrExists
		}
		if s.Status == "RUNNABLE" {
			return s.Instance, nil
		}
	}
	err := h.p.Act("create instance "+spec.Name, func() { h.servers[spec.Name] = newServer(spec.Name, h.mark.Run, "PENDING_CREATE") },
		func() error { h.servers[spec.Name] = newServer(spec.Name, h.mark.Run, "RUNNABLE"); return nil })
	if err != nil {
		return google.Instance{}, err
	}
	return h.servers[spec.Name].Instance, nil
}

func (h hand) mine(name string) (*server, error) {
	s, ok := h.servers[name]
	if !ok {
		return nil, h.p.Look()
	}
	return s, h.mark.Check(s.Labels)
}

func (h hand) DeleteInstance(_ context.Context, name string, _ google.Tell) error {
	s, err := h.mine(name)
	if err != nil || s == nil {
		return err
	}
	return h.p.Act("delete instance "+name, func() { s.Status = "PENDING_DELETE" }, func() error { delete(h.servers, name); return nil })
}

func (h hand) CreateDatabase(_ context.Context, instance string, db google.Database, _ google.Tell) error {
	s, err := h.mine(instance)
	if err != nil {
		return err
	}
	if s == nil {
		return errors.New("no such instance")
	}
	if s.dbs[db.Name] == db {
		return nil
	}
	return h.p.Act("create database "+db.Name, nil, func() error {
		if _, there := s.dbs[db.Name]; there {
			return google.ErrExists
		}
		s.dbs[db.Name] = db
		return nil
	})
}

func (h hand) DeleteDatabase(_ context.Context, instance, name string, _ google.Tell) error {
	s, err := h.mine(instance)
	if err != nil || s == nil || s.dbs[name].Name == "" {
		return err
	}
	return h.p.Act("delete database "+name, nil, func() error { delete(s.dbs, name); return nil })
}

func (h hand) PutUser(_ context.Context, instance string, u google.User, pw secret.String, _ google.Tell) error {
	s, err := h.mine(instance)
	if err != nil {
		return err
	}
	return h.p.Act("put user "+u.Name, nil, func() error { s.users[u] = pw.Reveal(); return nil })
}

func (h hand) DeleteUser(_ context.Context, instance string, u google.User, _ google.Tell) error {
	s, err := h.mine(instance)
	if err != nil || s == nil {
		return err
	}
	if _, ok := s.users[u]; !ok {
		return nil
	}
	return h.p.Act("delete user "+u.Name, nil, func() error { delete(s.users, u); return nil })
}

func (a *admin) eye() migrate.Eye[cloudsql.AdminLook] {
	return migrate.Look("google project", cloudsql.OnlyAdmin(a))
}

func (a *admin) hand() migrate.Hand[migrate.Rehearsal, cloudsql.AdminMake] {
	return migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cloudsql.AdminMake, error) {
		return hand{a, stamp.Stamp{Run: s.Run, Step: string(s.Step)}}, nil
	})
}

var shape = google.InstanceSpec{Version: "MYSQL_9_7", Tier: "db-custom-2-7680", Region: "europe-west1", PrivateNetwork: "projects/p/global/networks/n"}

func TestInstance(t *testing.T) {
	mine := "slipway-" + runA
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		a := newAdmin(p)
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				migrate.Add(rb, cloudsql.Instance{Project: "p", Shape: shape}, a.eye(), a.hand())
			},
			State: a.String,
			Spoil: []steptest.Spoil{
				{Name: "deleted", Do: func() { delete(a.servers, mine) }},
				{Name: "suspended", Do: func() { a.servers[mine].Status = "SUSPENDED" }},
				{Name: "another", Do: func() { a.servers[mine].CA = "another" }},
			},
		}
	}})
}

func TestInstanceThatGoogleHasGivenUp(t *testing.T) {
	a := newAdmin(&steptest.Process{})
	for name, c := range map[string]struct {
		s    *server
		want error
	}{
		"failed":    {newServer("slipway-"+migrate.PlanID, migrate.PlanID, "FAILED"), google.ErrBroken},
		"another's": {newServer("slipway-"+migrate.PlanID, runB, "RUNNABLE"), google.ErrExists},
	} {
		a.servers["slipway-"+migrate.PlanID] = c.s
		text := plan(t, func(rb *migrate.Runbook[migrate.Rehearsal]) {
			migrate.Add(rb, cloudsql.Instance{Project: "p", Shape: shape}, a.eye(), a.hand())
		})
		if !strings.Contains(text, c.want.Error()) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func plan(t *testing.T, add func(*migrate.Runbook[migrate.Rehearsal])) string {
	t.Helper()
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("stand up")
	add(rb)
	o, err := rb.Plan(context.Background(), migrate.Options{})
	return fmt.Sprintf("%+v %v", o, err)
}

var theInstance = google.Instance{Project: "p", Region: "r", Name: "i", Private: "10.1.2.3", CA: "PEM"}

func TestDatabase(t *testing.T) {
	st := cloudsql.Database{Names: []string{"shop", "crm"}, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}
	steptest.Run(t, steptest.Case{NotTwice: "each run has an instance of its own", New: func(t *testing.T, p *steptest.Process) steptest.World {
		a := newAdmin(p, "i")
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				st := st
				st.Instance = steptest.Given(rb, "standup.sql-instance", theInstance)
				migrate.Add(rb, st, a.eye(), a.hand())
			},
			State: a.String,
			Spoil: []steptest.Spoil{
				{Name: "dropped", Do: func() { delete(a.servers["i"].dbs, "shop") }},
				{Name: "the second dropped", Do: func() { delete(a.servers["i"].dbs, "crm") }},
				{Name: "another collation", Do: func() { a.servers["i"].dbs["shop"] = google.Database{Name: "shop", Charset: "utf8mb4", Collation: "x"} }},
			},
		}
	}})
}

func TestDatabaseWithoutAName(t *testing.T) {
	a := newAdmin(&steptest.Process{}, "i")
	text := plan(t, func(rb *migrate.Runbook[migrate.Rehearsal]) {
		migrate.Add(rb, cloudsql.Database{Instance: steptest.Given(rb, "standup.sql-instance", theInstance)}, a.eye(), a.hand())
	})
	if !strings.Contains(text, "no database is named") {
		t.Error(text)
	}
}

const password = "correct horse battery staple"

func TestUsers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := secret.ParseRef("file:" + filepath.Join(dir, "pw"))
	if err != nil {
		t.Fatal(err)
	}
	st := cloudsql.Users{Accounts: []cloudsql.Account{{Name: "shop", Host: "%", Password: ref}, {Name: "slipway", Host: "%", Password: ref}}}
	steptest.Run(t, steptest.Case{NotTwice: "each run has an instance of its own", New: func(t *testing.T, p *steptest.Process) steptest.World {
		a := newAdmin(p, "i")
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				st := st
				st.Instance = steptest.Given(rb, "standup.sql-instance", theInstance)
				migrate.Add(rb, st, a.eye(), a.hand())
			},
			State:      a.String,
			Secrets:    []string{password},
			Repeatable: func(effect string) bool { return strings.HasPrefix(effect, "put user ") }, // sets the password
			Spoil: []steptest.Spoil{
				{Name: "one deleted", Do: func() { delete(a.servers["i"].users, google.User{Name: "shop", Host: "%"}) }},
				{Name: "another password", Do: func() { a.servers["i"].users[google.User{Name: "slipway", Host: "%"}] = "x" }},
			},
		}
	}})
}

// An account that is there before is nobody's to delete later: it is refused.
func TestUserThatIsThere(t *testing.T) {
	a := newAdmin(&steptest.Process{}, "i")
	ref, err := secret.ParseRef("env:PW")
	if err != nil {
		t.Fatal(err)
	}
	text := plan(t, func(rb *migrate.Runbook[migrate.Rehearsal]) {
		st := cloudsql.Users{Instance: steptest.Given(rb, "standup.sql-instance", theInstance), Accounts: []cloudsql.Account{{Name: "root", Host: "%", Password: ref}}}
		migrate.Add(rb, st, a.eye(), a.hand())
	})
	if !strings.Contains(text, "account 'root'@'%' is on instance i before this run made it") {
		t.Error(text)
	}
}
