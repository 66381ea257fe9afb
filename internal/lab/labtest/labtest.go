// Package labtest is what tests that run inside the lab use: its addresses and keys, a shell on its hosts as root to arrange and break things, its faults, and the way
// back: whatever a test breaks through this package is healed when the test ends.
//
// Such tests have the build tag lab and run inside the one lab that is up:
//
//	slipway-lab run -- go test -tags lab ./...
//
// Elsewhere they fail, and say so; they never skip.
package labtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-dev/slipway/internal/lab/control"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/verb"
	"github.com/slipway-dev/slipway/internal/remote"
)

// Limit bounds what this package asks of the lab, each question for itself.
const Limit = 2 * time.Minute

// Lab is the lab that the test runs in.
type Lab struct {
	Place   place.Place
	Secrets fleet.Secrets

	healing bool // a Cleanup heals
}

// Join connects the test to the lab. Tests that break the lab call Alone instead; while one of those runs, others wait.
func Join(t testing.TB) *Lab { return join(t, false) }

// Alone is Join for tests that break things others rely on: it waits until no other test is in the lab, and keeps others out until the test ends.
func Alone(t testing.TB) *Lab { return join(t, true) }

const how = "this test runs inside a lab: slipway-lab up, then slipway-lab run -- go test -tags lab …"

func join(t testing.TB, alone bool) *Lab {
	t.Helper()
	p, err := place.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Place: p}
	state := l.Status(t)
	if err := inside(state.NetworkInode); err != nil {
		t.Fatalf("%v: %s", err, how)
	}
	if state.State != "up" {
		t.Fatalf("lab %s is %s: %s", p.Name, state.State, how)
	}
	if l.Secrets, err = fleet.LoadAccess(p.Access()); err != nil {
		t.Fatal(err)
	}
	release, err := enter(filepath.Join(p.State, "tests"), alone, func() { t.Logf("waiting for other tests to leave lab %s", p.Name) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return l
}

// ask sends a request to the lab's daemon.
func ask[Req, Res any](t testing.TB, p place.Place, v control.Verb[Req, Res], req Req) (Res, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	return control.Call(ctx, p.Socket(), v, req, progress.Discard)
}

func must[Req, Res any](t testing.TB, p place.Place, v control.Verb[Req, Res], req Req) Res {
	t.Helper()
	res, err := ask(t, p, v, req)
	if errors.Is(err, control.ErrNoDaemon) {
		t.Fatalf("lab %s: %v: %s", p.Name, err, how)
	}
	if err != nil {
		t.Fatalf("%s: %v", string(v), err)
	}
	return res
}

// Status is the lab's state.
func (l *Lab) Status(t testing.TB) verb.Lab {
	t.Helper()
	return must(t, l.Place, verb.Status, verb.Nothing{})
}

// Access is the path of a file of the lab's access directory: fleet.SlipwayKeyFile, fleet.KnownHostsFile, fleet.AuthorityFile.
func (l *Lab) Access(name string) string { return filepath.Join(l.Place.Access(), name) }

// Host finds one of the 17.
func (l *Lab) Host(t testing.TB, name string) fleet.Host {
	t.Helper()
	h, ok := fleet.Lookup(name)
	if !ok {
		t.Fatalf("the lab has no host %q", name)
	}
	return h
}

// Config writes what a rehearsal against the lab needs into a directory of the test's, and returns it.
func (l *Lab) Config(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must(t, l.Place, verb.Config, verb.ConfigRequest{Dir: dir})
	return dir
}

// Root runs a program on a host as root, and returns what it printed. A status other than 0 fails the test.
func (l *Lab) Root(t testing.TB, host string, argv ...string) string {
	t.Helper()
	out, err := l.Exec(t, host, nil, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Exec runs a program on a host as root over SSH, with standard input, and returns what it printed. The error holds what it complained of.
func (l *Lab) Exec(t testing.TB, host string, stdin io.Reader, argv ...string) (string, error) {
	t.Helper()
	return l.run(l.Host(t, host), "root", l.Secrets.RootKey, stdin, argv)
}

// ExecAsSlipway is Exec with the product's own account and key.
func (l *Lab) ExecAsSlipway(t testing.TB, host string, stdin io.Reader, argv ...string) (string, error) {
	t.Helper()
	return l.run(l.Host(t, host), fleet.SlipwayUser, l.Secrets.SlipwayKey, stdin, argv)
}

func (l *Lab) run(h fleet.Host, user, key string, stdin io.Reader, argv []string) (string, error) {
	command, err := remote.Quote(argv...)
	if err != nil {
		return "", err
	}
	signer, err := ssh.ParsePrivateKey([]byte(key))
	if err != nil {
		return "", err
	}
	known, err := knownhosts.New(l.Access(fleet.KnownHostsFile))
	if err != nil {
		return "", err
	}
	client, err := ssh.Dial("tcp", h.Addr.String()+":22", &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: known,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 10 * time.Second})
	if err != nil {
		return "", fmt.Errorf("%s as %s: %w", h.Name, user, err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", fmt.Errorf("%s as %s: %w", h.Name, user, err)
	}
	defer session.Close()
	var out, complaints bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = stdin, &out, &complaints
	hung := time.AfterFunc(Limit, func() { _ = client.Close() })
	defer hung.Stop()
	if err := session.Run(command); err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w: %s", h.Name, command, err, strings.TrimSpace(complaints.String()))
	}
	return out.String(), nil
}

// DB connects to a schema of db1, db2 or db3 with an account of the lab's that may do everything. It is closed when the test ends.
func (l *Lab) DB(t testing.TB, host, schema string) *sql.DB {
	t.Helper()
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = "lab", l.Secrets.LabPassword, schema
	config.Net, config.Addr, config.ParseTime = "tcp", l.Host(t, host).Addr.String()+":3306", true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// HTTP is a client that trusts the lab's authority and asks the lab's resolver.
func (l *Lab) HTTP(t testing.TB) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(l.Secrets.CACert)) {
		t.Fatal("the lab's authority is no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Eventually waits until check returns nil, and fails the test with its last error after limit.
func Eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v: %v", what, limit, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// inside says whether this process is in the network namespace of that number.
func inside(inode uint64) error {
	have, err := ownNetwork()
	if err != nil {
		return err
	}
	if have != inode {
		return errors.New("this process is not in the lab's network")
	}
	return nil
}
