//go:build lab

package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	mdns "github.com/miekg/dns"
	ovhclient "github.com/ovh/go-ovh/ovh"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	containerapi "google.golang.org/api/container/v1"
	dnsapi "google.golang.org/api/dns/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	sqlapi "google.golang.org/api/sqladmin/v1"
	storageapi "google.golang.org/api/storage/v1"

	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	labmysql "github.com/slipway-dev/slipway/internal/lab/cloud/mysql"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/names"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/pki"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

var (
	world   *Cloud
	servers *names.Servers
	nw      *network.Network
	roots   *x509.CertPool
	keys    map[string][]byte
)

func TestMain(m *testing.M) {
	machine.Main()
	code, err := inLab(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// noClusters is a backend for a test that has none.
type noClusters struct{}

func (noClusters) Versions() []string { return []string{"1.37.2-gke.1000000"} }

func (noClusters) Start(context.Context, container.Spec, func(container.Stage)) (container.Endpoint, error) {
	return container.Endpoint{}, errors.New("this test has no clusters")
}

func (noClusters) Stop(context.Context, string) error { return errors.New("this test has no clusters") }

// inLab runs the tests with a lab of their own: network, name servers, cloud.
func inLab(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "cloud-lab-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	l, err := machine.NewLauncher(fmt.Sprintf("cloud-%d", os.Getpid()), filepath.Join(dir, "machines"))
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, l.Clean(context.WithoutCancel(ctx), true)) }()
	cache := os.Getenv("SLIPWAY_LAB_CACHE")
	if cache == "" {
		cache = "/var/cache/slipway-lab"
	}
	report := progress.Printer(os.Stderr, 5*time.Second)
	store, err := rootfs.Open(cache, l, report)
	if err != nil {
		return 1, err
	}
	lower, err := store.Ensure(ctx, names.Layer)
	if err != nil {
		return 1, err
	}
	sqlLower, err := store.Ensure(ctx, labmysql.Layer)
	if err != nil {
		return 1, err
	}
	if nw, err = network.New(ctx, l, lower, netip.AddrPortFrom(names.Resolver, 53)); err != nil {
		return 1, err
	}
	if servers, err = names.Start(ctx, names.Env{Launcher: l, Network: nw, Lower: lower}); err != nil {
		return 1, err
	}
	ca, err := pki.New("test")
	if err != nil {
		return 1, err
	}
	roots = ca.Pool()
	began := time.Now()
	world, err = Start(ctx, Env{
		Launcher: l, Network: nw, Names: servers, MySQL: sqlLower, Clusters: noClusters{}, Issue: ca.Issue, State: filepath.Join(dir, "cloud"), Cache: cache,
		Report: report, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return 1, err
	}
	fmt.Fprintf(os.Stderr, "the cloud's endpoints answer after %.2f s\n", time.Since(began).Seconds())
	list, err := world.Credentials()
	if err != nil {
		return 1, err
	}
	if err := WriteCredentials(filepath.Join(dir, "secrets"), list); err != nil {
		return 1, err
	}
	keys = map[string][]byte{}
	for _, c := range list {
		info, err := os.Stat(filepath.Join(dir, "secrets", c.Name))
		if err != nil || info.Mode().Perm() != 0o600 {
			return 1, fmt.Errorf("%s: %v %v", c.Name, info.Mode(), err)
		}
		if keys[c.Name], err = os.ReadFile(filepath.Join(dir, "secrets", c.Name)); err != nil {
			return 1, err
		}
	}
	code = m.Run()
	if err := errors.Join(world.Close(ctx), servers.Close(ctx), nw.Close(ctx)); err != nil {
		return 1, err
	}
	return code, nil
}

// plain is an HTTPS client in the lab's network that trusts the lab's CA.
func plain() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: nw.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

// authorized is a client with the tokens of a key file, as the product makes it.
func authorized(t *testing.T, file string) *http.Client {
	t.Helper()
	config, err := google.JWTConfigFromJSON(keys[file], "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, plain())
	return oauth2.NewClient(ctx, config.TokenSource(ctx))
}

func sqlClient(t *testing.T, file string) *sqlapi.Service {
	t.Helper()
	c, err := sqlapi.NewService(t.Context(), option.WithEndpoint("https://sqladmin.google.lab/"), option.WithHTTPClient(authorized(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wait(t *testing.T, c *sqlapi.Service, op *sqlapi.Operation, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for op.Status != "DONE" {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("operation %s is %s for 2 minutes", op.OperationType, op.Status)
		}
		time.Sleep(50 * time.Millisecond)
		if op, err = c.Operations.Get(Project, op.Name).Do(); err != nil {
			t.Fatal(err)
		}
	}
	if op.Error != nil {
		t.Fatalf("operation %s: %s", op.OperationType, op.Error.Errors[0].Message)
	}
	t.Logf("%s: done after %.2f s", op.OperationType, time.Since(began).Seconds())
}

func TestInstance(t *testing.T) {
	c := sqlClient(t, "google.json")
	op, err := c.Instances.Insert(Project, &sqlapi.DatabaseInstance{
		Name: "shop-rehearsal", Region: "europe-west1", DatabaseVersion: "MYSQL_9_7", RootPassword: "not-needed",
		Settings: &sqlapi.Settings{
			Tier: "db-custom-2-7680", Edition: "ENTERPRISE", UserLabels: map[string]string{"slipway-run": "20261123-010203-7f3a"}, StorageAutoResize: googleapi.Bool(false),
			BackupConfiguration: &sqlapi.BackupConfiguration{Enabled: true, BinaryLogEnabled: true},
			IpConfiguration: &sqlapi.IpConfiguration{
				SslMode: "ENCRYPTED_ONLY", ServerCaMode: "GOOGLE_MANAGED_CAS_CA", PrivateNetwork: "projects/shop-lab/global/networks/default", ForceSendFields: []string{"Ipv4Enabled"},
			},
			DatabaseFlags: []*sqlapi.DatabaseFlags{{Name: "local_infile", Value: "on"}, {Name: "log_bin_trust_function_creators", Value: "on"}},
		},
	}).Do()
	wait(t, c, op, err)
	op, err = c.Databases.Insert(Project, "shop-rehearsal", &sqlapi.Database{Name: "shop", Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}).Do()
	wait(t, c, op, err)
	op, err = c.Users.Insert(Project, "shop-rehearsal", &sqlapi.User{Name: "slipway", Host: "%", Password: "pass'word"}).Do()
	wait(t, c, op, err)
	in, err := c.Instances.Get(Project, "shop-rehearsal").Do()
	if err != nil {
		t.Fatal(err)
	}
	if in.State != "RUNNABLE" || len(in.IpAddresses) != 1 || in.IpAddresses[0].Type != "PRIVATE" || in.DnsName == "" {
		t.Fatalf("%+v", in)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(in.ServerCaCert.Cert)) {
		t.Fatal("no CA certificate")
	}
	m := mysql.NewConfig()
	m.User, m.Passwd, m.Net, m.Addr, m.DBName = "slipway", "pass'word", "tcp", in.IpAddresses[0].IpAddress+":3306", "shop"
	m.TLS = &tls.Config{RootCAs: pool, ServerName: strings.TrimSuffix(in.DnsName, ".")}
	m.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return nw.DialContext(ctx, network, addr)
	}
	connector, err := mysql.NewConnector(m)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var version, infile string
	if err := db.QueryRowContext(t.Context(), "SELECT @@version, @@local_infile").Scan(&version, &infile); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version, "9.7.") || infile != "1" {
		t.Errorf("version %s, local_infile %s", version, infile)
	}
	if _, err := sqlClient(t, "google-viewer.json").Users.List(Project, "shop-rehearsal").Do(); err != nil {
		t.Errorf("a viewer may not look: %v", err)
	}
	_, err = sqlClient(t, "google-viewer.json").Instances.Delete(Project, "shop-rehearsal").Do()
	if e := new(googleapi.Error); !errors.As(err, &e) || e.Code != 403 {
		t.Errorf("a viewer may delete: %v", err)
	}
	op, err = c.Instances.Delete(Project, "shop-rehearsal").Do()
	wait(t, c, op, err)
	if left := world.Engine.Machines(); len(left) != 0 {
		t.Errorf("machines are left: %v", left)
	}
}

func lookup(t *testing.T, server netip.Addr, name string) string {
	t.Helper()
	conn, err := nw.DialContext(t.Context(), "tcp", netip.AddrPortFrom(server, 53).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := new(mdns.Msg).SetQuestion(name, mdns.TypeA)
	answer, _, err := new(mdns.Client).ExchangeWithConn(m, &mdns.Conn{Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, rr := range answer.Answer {
		out = append(out, strings.Join(strings.Fields(rr.String())[1:], " "))
	}
	return strings.Join(out, "; ")
}

// TestOVH: through the API, into both name servers, with the rehearsal's key.
func TestOVH(t *testing.T) {
	key := func(name string) string { return strings.TrimSpace(string(keys[name])) }
	c, err := ovhclient.NewClient("https://api.ovh.lab/1.0", key("ovh-application-key"), key("ovh-application-secret"), key("ovh-consumer-key"))
	if err != nil {
		t.Fatal(err)
	}
	c.Client = plain()
	before, err := servers.Transfer(t.Context(), names.Production)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	if err := c.Get("/domain/zone/shop.example/record", &ids); err != nil || len(ids) != len(before)-1 {
		t.Errorf("OVH knows %d records of production's zone, the servers %d: %v", len(ids), len(before)-1, err)
	}
	err = c.Post("/domain/zone/shop.example/refresh", nil, nil)
	if e := new(ovhclient.APIError); !errors.As(err, &e) || e.Code != 403 {
		t.Errorf("the rehearsal's key may refresh production's zone: %v", err)
	}
	record := map[string]any{"fieldType": "A", "subDomain": "www", "target": "10.77.3.1", "ttl": 30}
	var made struct{ ID, TTL int64 }
	if err := c.Post("/domain/zone/rehearsal.example/record", record, &made); err != nil || made.TTL != 60 {
		t.Fatalf("%+v %v", made, err)
	}
	refreshed := func(want string) {
		t.Helper()
		began := time.Now()
		for { // one at a time: the refresh before is done a moment after the servers answer
			err := c.Post("/domain/zone/rehearsal.example/refresh", nil, nil)
			if err == nil {
				break
			}
			if e := new(ovhclient.APIError); !errors.As(err, &e) || e.Code != 409 || time.Since(began) > 10*time.Second {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		for _, server := range names.Addresses() {
			for lookup(t, server, "www.rehearsal.example.") != want {
				if time.Since(began) > 10*time.Second {
					t.Fatalf("%s answers %q, want %q", server, lookup(t, server, "www.rehearsal.example."), want)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		t.Logf("both servers answer after %d ms", time.Since(began).Milliseconds())
	}
	refreshed("60 IN A 10.77.3.1")
	if err := c.Delete(fmt.Sprintf("/domain/zone/rehearsal.example/record/%d", made.ID), nil); err != nil {
		t.Fatal(err)
	}
	refreshed("")
	after, err := servers.Transfer(t.Context(), names.Production)
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("production's zone is another: %v %v", after, err)
	}
}

func TestCloudDNS(t *testing.T) {
	c, err := dnsapi.NewService(t.Context(), option.WithEndpoint("https://dns.google.lab/"), option.WithHTTPClient(authorized(t, "google.json")))
	if err != nil {
		t.Fatal(err)
	}
	z, err := c.ManagedZones.Create(Project, &dnsapi.ManagedZone{Name: "team", DnsName: "team.example.net.", Description: "d"}).Do()
	if err != nil {
		t.Fatal(err)
	}
	set := &dnsapi.ResourceRecordSet{Name: "www.team.example.net.", Type: "A", Ttl: 300, Rrdatas: []string{"192.0.2.1"}}
	if _, err := c.Changes.Create(Project, "team", &dnsapi.Change{Additions: []*dnsapi.ResourceRecordSet{set}}).Do(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, host := range z.NameServers[:2] {
		address, err := netip.ParseAddr(strings.Fields(lookup(t, names.Resolver, host))[3])
		if err != nil {
			t.Fatal(err)
		}
		for lookup(t, address, set.Name) != "300 IN A 192.0.2.1" {
			if time.Since(began) > 15*time.Second {
				t.Fatalf("%s answers %q", host, lookup(t, address, set.Name))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	t.Logf("both servers answer after %d ms", time.Since(began).Milliseconds())
	if _, err := c.Changes.Create(Project, "team", &dnsapi.Change{Deletions: []*dnsapi.ResourceRecordSet{set}}).Do(); err != nil {
		t.Fatal(err)
	}
	if err := c.ManagedZones.Delete(Project, "team").Do(); err != nil {
		t.Fatal(err)
	}
	for servers.Has(t.Context(), "team.example.net.") {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the zone is still served")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestOthers(t *testing.T) {
	s, err := storageapi.NewService(t.Context(), option.WithEndpoint("https://storage.google.lab/storage/v1/"), option.WithHTTPClient(authorized(t, "google.json")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Buckets.Insert(Project, &storageapi.Bucket{Name: "artifacts"}).Do(); err != nil {
		t.Error(err)
	}
	k, err := containerapi.NewService(t.Context(), option.WithEndpoint("https://container.google.lab/"), option.WithHTTPClient(authorized(t, "google.json")))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := k.Projects.Locations.GetServerConfig("projects/" + Project + "/locations/europe-west1").Do(); err != nil || v.DefaultClusterVersion == "" {
		t.Errorf("%+v %v", v, err)
	}
	answer, err := authorized(t, "google.json").Post("https://cloudresourcemanager.google.lab/v1/projects/"+Project+":testIamPermissions", "application/json",
		strings.NewReader(`{"permissions":["cloudsql.instances.create","container.clusters.create"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if raw, err := io.ReadAll(answer.Body); err != nil || strings.Count(string(raw), "create") != 2 {
		t.Errorf("permissions %s %v", raw, err)
	}
	review, err := plain().Post(TokenReviewURL, "application/json", strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer review.Body.Close()
	if review.StatusCode != 200 {
		t.Errorf("token review: %d", review.StatusCode)
	}
	for _, url := range []string{"https://nonsense.google.lab/v1/x", "https://sqladmin.google.lab/v1/projects/shop-lab/instances"} {
		r, err := plain().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 404 && r.StatusCode != 401 {
			t.Errorf("%s: %d", url, r.StatusCode)
		}
	}
}
