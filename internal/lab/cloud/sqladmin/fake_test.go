package sqladmin_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	api "google.golang.org/api/sqladmin/v1"
)

const (
	project       = "shop-lab"
	projectNumber = "271828182845"
	everything    = "token-of-an-admin"
	nothing       = "token-without-roles"
)

// tokens knows two callers: one who may do everything and one who may nothing.
type tokens struct{}

func (tokens) Authenticate(r *http.Request) (rest.Principal, *rest.Error) {
	p := rest.Principal{Email: "user@example.com", Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}
	switch strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") {
	case everything:
		for _, kind := range []string{"instances", "databases", "users"} {
			for _, verb := range []string{"create", "delete", "get", "list", "restart", "update"} {
				p.Permissions = append(p.Permissions, "cloudsql."+kind+"."+verb)
			}
		}
		slices.Sort(p.Permissions)
		return p, nil
	case nothing:
		return p, nil
	}
	return rest.Principal{}, &rest.Error{Code: 401, Message: "no"}
}

// engine is an Engine of this test: it takes a second for everything, keeps what
// it is told and answers nothing else.
type engine struct {
	versions []sqladmin.Version
	fail     error // what Create is to answer

	mu      sync.Mutex
	servers []*server
}

func newEngine() *engine {
	flags := []*api.Flag{
		{Name: "binlog_row_image", Type: "STRING", AllowedStringValues: []string{"full", "minimal", "noblob"}, Kind: "sql#flag"},
		{Name: "local_infile", Type: "BOOLEAN", Kind: "sql#flag"},
		{Name: "max_allowed_packet", Type: "INTEGER", MinValue: 16384, MaxValue: 1073741824, Kind: "sql#flag"},
	}
	return &engine{versions: []sqladmin.Version{
		{Name: "MYSQL_8_0", Installed: "MYSQL_8_0_41", Maintenance: "MYSQL_8_0_41.R20251004.01_07", Flags: flags},
		{Name: "MYSQL_8_4", Installed: "MYSQL_8_4_7", Maintenance: "MYSQL_8_4_7.R20251004.01_24", PlusDefault: true, Flags: flags},
	}}
}

func (e *engine) Versions() []sqladmin.Version { return e.versions }

func (e *engine) Create(ctx context.Context, name string, c sqladmin.Config, password string) (sqladmin.Server, error) {
	if err := work(ctx); err != nil {
		return nil, err
	}
	if e.fail != nil {
		return nil, e.fail
	}
	s := &server{engine: e, config: c, users: map[sqladmin.User]string{}}
	if password != "" {
		s.users[sqladmin.User{Name: "root", Host: "%"}] = password
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.servers = append(e.servers, s)
	return s, nil
}

func (e *engine) alive() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.servers)
}

func work(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type server struct {
	engine    *engine
	mu        sync.Mutex
	config    sqladmin.Config
	restarts  int
	databases []sqladmin.Database
	users     map[sqladmin.User]string
}

func (s *server) Identity() sqladmin.Identity {
	now := time.Now()
	return sqladmin.Identity{PrimaryIP: "10.77.1.1", CACert: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", CACommonName: "cn", CASerial: "0", CASHA1: "ab", CANotBefore: now, CANotAfter: now}
}

func (s *server) Apply(ctx context.Context, c sqladmin.Config) error {
	if err := work(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = c
	return nil
}

func (s *server) Restart(ctx context.Context) error {
	s.restarts++
	return work(ctx)
}

func (s *server) Databases(context.Context) ([]sqladmin.Database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.databases), nil
}

func (s *server) CreateDatabase(ctx context.Context, d sqladmin.Database) error {
	if err := work(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases = append(s.databases, d)
	return nil
}

func (s *server) AlterDatabase(ctx context.Context, d sqladmin.Database) error {
	return sqladmin.ErrNotFound
}

func (s *server) DropDatabase(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases = slices.DeleteFunc(s.databases, func(d sqladmin.Database) bool { return d.Name == name })
	return nil
}

func (s *server) Users(context.Context) ([]sqladmin.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []sqladmin.User
	for u := range s.users {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b sqladmin.User) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (s *server) SetUser(ctx context.Context, u sqladmin.User, password string) error {
	if err := work(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u] = password
	return nil
}

func (s *server) DropUser(ctx context.Context, u sqladmin.User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, u)
	return nil
}

func (s *server) Delete(ctx context.Context) error {
	if err := work(ctx); err != nil {
		return err
	}
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.engine.servers = slices.DeleteFunc(s.engine.servers, func(x *server) bool { return x == s })
	return nil
}

func newAPI(e *engine) *sqladmin.API {
	return sqladmin.New(sqladmin.Options{
		Project: project, ProjectNumber: projectNumber, Engine: e, Auth: tokens{}, Log: slog.New(slog.DiscardHandler),
	})
}

func closeAPI(t *testing.T, a *sqladmin.API) {
	t.Helper()
	if err := a.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
