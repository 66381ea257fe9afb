package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
)

// source is how the hosts are looked at. Nothing is dialed before it is used; close ends the connections.
type source struct {
	pool    *remote.Pool
	scan    scan.Source
	mariadb scan.Account
	files   *treecopy.Host // the volume's mount that its files are read from
}

func openSource(c *config.Config, inv *inventory.Inventory) (*source, error) {
	var all *multierror.Error
	rc := remote.Config{User: c.SSH.User, KnownHosts: string(c.SSH.KnownHosts), DialTimeout: time.Duration(c.Limits.Connect)}
	if c.SSH.Agent {
		if rc.AgentSocket = os.Getenv("SSH_AUTH_SOCK"); rc.AgentSocket == "" {
			all = multierror.Append(all, fmt.Errorf("%s: ssh.agent is true and there is no agent: $SSH_AUTH_SOCK is empty", c.Place("ssh.agent")))
		}
	}
	for _, k := range c.SSH.Keys {
		rc.Keys = append(rc.Keys, remote.Key{Path: string(k.File), Passphrase: k.Passphrase})
	}
	for _, j := range c.SSH.Jump {
		rc.Jump = append(rc.Jump, remote.Host{Name: j.Address, Address: j.Address, Port: j.Port, User: j.User})
	}
	s := &source{mariadb: scan.Account{User: c.Source.MariaDB.User, Port: c.Source.MariaDB.Port}}
	s.mariadb.Password = resolve(&all, c, "source.mariadb.password", c.Source.MariaDB.Password)
	redis := resolve(&all, c, "source.redis.password", c.Source.Redis.Password)
	if err := errlist.OrNil(all); err != nil {
		return nil, &configError{err}
	}
	var err error
	if s.pool, err = remote.Open(rc, scan.Hosts(inv, c.SSH.User)); err != nil {
		return nil, &configError{err}
	}
	looker := remote.NewLooker(s.pool)
	if s.files, err = treecopy.OnHost(looker, c.Source.Gluster.ReadFrom, c.Source.Gluster.Mount); err != nil {
		return nil, &configError{fmt.Errorf("%s: source.gluster.mount: %w", c.Place("source.gluster.mount"), err)}
	}
	s.scan = scan.Source{Inventory: inv, Looker: looker, Dial: s.dial, AtOnce: c.Limits.Hosts, RedisPassword: redis}
	return s, nil
}

// dial opens connections as if from the host itself.
func (s *source) dial(host string) func(context.Context, string, string) (net.Conn, error) {
	return remote.Dialer(s.pool, host)
}

// rows is the standby that the rows are read from.
func (s *source) rows(c *config.Config) *dbcopy.Source {
	host := c.Source.MariaDB.SnapshotFrom
	return dbcopy.NewSource(dbcopy.Endpoint{
		Name:     host,
		Addr:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Source.MariaDB.Port)),
		User:     s.mariadb.User,
		Password: s.mariadb.Password,
		Dial:     s.dial(host),
	})
}

func (s *source) close() error { return s.pool.Close() }

// resolve reads a secret; what is wrong with it is added to all, with its place. The zero reference is the zero secret.
func resolve(all **multierror.Error, c *config.Config, path string, r secret.Ref) secret.String {
	if r.IsZero() {
		return secret.String{}
	}
	v, err := r.Resolve()
	if err != nil {
		*all = multierror.Append(*all, fmt.Errorf("%s: %s: %w", c.Place(path), path, err))
	}
	return v
}

func userAgent() string { return "slipway/" + version }

// target is how Google's APIs, and what is made through them, are reached. Nothing is dialed before it is used.
type target struct {
	google   *google.Client
	roots    *x509.CertPool
	loadAs   string
	password secret.Ref
}

func openTarget(c *config.Config) (*target, error) {
	var all *multierror.Error
	key := resolve(&all, c, "google.credentials", c.Google.Credentials)
	if err := errlist.OrNil(all); err != nil {
		return nil, &configError{err}
	}
	e := c.Google.Endpoints
	g, err := google.New(google.Options{
		Key: key, CAFile: string(c.CAFile), UserAgent: userAgent(),
		Endpoints: google.Endpoints{SQLAdmin: e.SQLAdmin, Container: e.Container, DNS: e.DNS, ResourceManager: e.ResourceManager, Storage: e.Storage},
	})
	if err != nil {
		return nil, &configError{err}
	}
	roots, err := google.Roots(string(c.CAFile))
	if err != nil {
		return nil, &configError{err}
	}
	t := &target{google: g, roots: roots, loadAs: c.CloudSQL.LoadAs}
	for _, u := range c.CloudSQL.Users {
		if u.Name == t.loadAs {
			t.password = u.Password
		}
	}
	return t, nil
}

// cluster opens the API server of a cluster that a run made, if it is still there.
func (t *target) cluster(ctx context.Context, cl google.Cluster) (*kube.Cluster, error) {
	if err := t.google.LookAtClusters(cl.Project, cl.Location).Still(ctx, cl); err != nil {
		return nil, err
	}
	return kube.Connect(kube.Access{Endpoint: cl.Endpoint, CA: cl.CA, Tokens: t.google.Tokens(), UserAgent: userAgent()})
}

// database opens an instance that a run made, if it is still there, as the account that loads and verifies.
func (t *target) database(ctx context.Context, i google.Instance) (*dbcopy.Target, error) {
	if err := t.google.LookAtSQL(i.Project).Still(ctx, i); err != nil {
		return nil, err
	}
	tls, err := i.TLS()
	if err != nil {
		return nil, err
	}
	password, err := t.password.Resolve()
	if err != nil {
		return nil, fmt.Errorf("password of %s: %w", t.loadAs, err)
	}
	return dbcopy.NewTarget(dbcopy.Endpoint{
		Name: "instance " + i.Name, Addr: net.JoinHostPort(i.Address(), "3306"), User: t.loadAs, Password: password, TLS: tls,
	}), nil
}
