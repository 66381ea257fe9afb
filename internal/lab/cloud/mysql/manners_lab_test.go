//go:build lab

package mysql

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	c := config()
	s := create(t, "tls", c)
	db := open(t, s, "root", "root-password", true)
	if cipher := value(t, db, "SELECT variable_value FROM performance_schema.session_status WHERE variable_name = 'Ssl_version'"); !strings.HasPrefix(cipher, "TLSv1.") {
		t.Errorf("TLS version is %q", cipher)
	}
	plain := open(t, s, "root", "root-password", false)
	if err := plain.PingContext(t.Context()); number(err) != 3159 {
		t.Errorf("a connection without TLS: %v, want error 3159", err)
	}
	other := create(t, "tls-other", c)
	stranger := &server{tls: other.tls, config: s.config, slot: s.slot}
	if err := open(t, stranger, "root", "root-password", true).PingContext(t.Context()); !errors.As(err, new(x509.UnknownAuthorityError)) && !strings.Contains(fmt.Sprint(err), "certificate") {
		t.Errorf("another instance's CA is good enough: %v", err)
	}
	if err := open(t, s, "root", "wrong", true).PingContext(t.Context()); number(err) != 1045 {
		t.Errorf("a wrong password: %v, want error 1045", err)
	}

	c.OnlyTLS = false
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// The first login without TLS wants the server's public key (caching_sha2_password);
	// the password is cached by the one above.
	if err := open(t, s, "root", "root-password", false).PingContext(t.Context()); err != nil {
		t.Errorf("a connection without TLS where it is allowed: %v", err)
	}
}

// TestInternalCA: the certificate has project:instance as its name and no DNS name.
func TestInternalCA(t *testing.T) {
	c := config()
	c.CAMode = "GOOGLE_MANAGED_INTERNAL_CA"
	certs, err := newCertificates("inst", c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certs.certPEM)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Subject.CommonName != "shop-lab:inst" || len(leaf.DNSNames) != 0 || certs.dnsName != "" {
		t.Errorf("certificate is for %q %v", leaf.Subject.CommonName, leaf.DNSNames)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certs.ca)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool}); err != nil {
		t.Error(err)
	}
}

func TestBinaryLogAndGTID(t *testing.T) {
	t.Parallel()
	c := config()
	s := create(t, "binlog", c)
	db := open(t, s, "root", "root-password", true)
	for query, want := range map[string]string{
		"SELECT @@log_bin": "1", "SELECT @@gtid_mode": "ON", "SELECT @@binlog_format": "ROW", "SELECT @@enforce_gtid_consistency": "ON",
		"SELECT @@binlog_row_image": "FULL", "SELECT @@local_infile": "0", "SELECT @@partial_revokes": "1",
		"SELECT CONVERT_TZ('2026-07-01 12:00:00', 'UTC', 'Europe/Berlin')": "2026-07-01 14:00:00",
	} {
		if got := value(t, db, query); got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}
	id := value(t, db, "SELECT @@server_uuid")
	must(t, db, "CREATE DATABASE shop")
	if got := value(t, db, "SELECT @@gtid_executed"); !strings.Contains(got, id) {
		t.Errorf("gtid_executed is %q, without %s", got, id)
	}
	c.BinLog = false
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := value(t, db, "SELECT @@log_bin"); got != "0" {
		t.Errorf("log_bin is %s after it was switched off", got)
	}
	if again := value(t, db, "SELECT @@server_uuid"); again != id {
		t.Errorf("server_uuid went from %s to %s", id, again)
	}
}

// TestFlags: each flag of the list is one that the server takes, at run time or
// with a restart as the list says; the list is replaced whole.
func TestFlags(t *testing.T) {
	t.Parallel()
	c := config()
	s := create(t, "flags", c)
	db := open(t, s, "root", "root-password", true)
	was := value(t, db, "SELECT @@max_allowed_packet")
	started := s.daemon

	c.Flags = []sqladmin.Flag{
		{Name: "local_infile", Value: "on"}, {Name: "log_bin_trust_function_creators", Value: "on"}, {Name: "max_allowed_packet", Value: "134217728"},
		{Name: "sql_mode", Value: "NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES"}, {Name: "binlog_row_image", Value: "minimal"}, {Name: "long_query_time", Value: "2"},
	}
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, s, "root", "root-password", true)
	for query, want := range map[string]string{
		"SELECT @@local_infile": "1", "SELECT @@log_bin_trust_function_creators": "1", "SELECT @@max_allowed_packet": "134217728",
		"SELECT @@sql_mode": "ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION", "SELECT @@binlog_row_image": "MINIMAL", "SELECT @@long_query_time": "2",
	} {
		if got := value(t, fresh, query); got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}
	if s.daemon != started {
		t.Error("flags that need no restart restarted the server")
	}
	must(t, fresh, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT)", "CREATE TRIGGER shop.tr BEFORE INSERT ON shop.t FOR EACH ROW SET NEW.id = 1")

	c.Flags = []sqladmin.Flag{{Name: "character_set_server", Value: "latin1"}, {Name: "collation_server", Value: "latin1_swedish_ci"}, {Name: "innodb_buffer_pool_size", Value: "134217728"}}
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if s.daemon == started {
		t.Error("a flag that needs a restart did not restart the server")
	}
	fresh = open(t, s, "root", "root-password", true)
	for query, want := range map[string]string{
		"SELECT @@GLOBAL.character_set_server": "latin1", "SELECT @@local_infile": "0", "SELECT @@max_allowed_packet": was, "SELECT @@binlog_row_image": "FULL",
		"SELECT @@innodb_buffer_pool_size": "134217728", "SELECT COUNT(*) FROM shop.t": "0",
	} {
		if got := value(t, fresh, query); got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}

	// A value that fits the type and that the server does not take: refused, and the
	// old settings go on.
	bad := c
	bad.Flags = []sqladmin.Flag{{Name: "character_set_server", Value: "latin1"}, {Name: "collation_server", Value: "utf8mb4_bin"}}
	if err := s.Apply(t.Context(), bad); err == nil {
		t.Error("a collation of another character set is taken")
	}
	if got := value(t, fresh, "SELECT @@GLOBAL.collation_server"); got != "latin1_swedish_ci" {
		t.Errorf("after a refused change collation_server is %s", got)
	}
}

// TestEveryFlag sets each flag of the list once: none is a name or a bound that
// MySQL 9.7 does not have.
func TestEveryFlag(t *testing.T) {
	c := config()
	s := create(t, "every-flag", c)
	for _, f := range flags {
		if f.RequiresRestart {
			continue
		}
		one := flagChange{name: f.Name}
		switch f.Type {
		case "BOOLEAN":
			one.value = "on"
		case "INTEGER":
			one.value = fmt.Sprint(f.MinValue)
		default:
			one.value = f.AllowedStringValues[0]
		}
		for _, ch := range []flagChange{one, {name: f.Name, unset: true}} {
			if err := s.setGlobal(t.Context(), ch); err != nil {
				t.Errorf("%+v: %v", ch, err)
			}
		}
	}
	for _, f := range flags {
		if !f.RequiresRestart {
			continue
		}
		value := "on"
		switch f.Type {
		case "INTEGER":
			value = fmt.Sprint(f.MaxValue)
		case "STRING":
			value = f.AllowedStringValues[0]
		case "MYSQL_TIMEZONE_OFFSET":
			value = "+02:00"
		}
		conf := serverConf(sqladmin.Config{Flags: []sqladmin.Flag{{Name: f.Name, Value: value}}}, 1)
		if f.Name == "collation_server" {
			conf += "character-set-server = latin1\n"
		}
		if err := s.writeConf(t.Context(), conf); err != nil {
			t.Errorf("flag %s: %v", f.Name, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	c := config()
	c.Private, c.Public = false, true
	s := create(t, "networks", c)
	address := net.JoinHostPort(s.Identity().PrimaryIP, "3306")
	reach := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := nw.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	var timeout net.Error
	if err := reach(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("an address that no network may reach: %v, want a timeout", err)
	}
	c.Networks = []string{"10.77.0.0/24"}
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := reach(); err != nil {
		t.Errorf("from an authorized network: %v", err)
	}
	if id := s.Identity(); id.PrivateIP != "" {
		t.Errorf("there is a private address: %+v", id)
	}
}

// TestDiskFull: the disk is as large as was asked for; what does not fit does not
// go in, the server stays, and after room is made it goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	c := config()
	s := create(t, "disk-full", c)
	db := open(t, s, "root", "root-password", true)
	must(t, db, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)")
	running := s.daemon
	if err := s.Fill(t.Context(), 40<<20); err != nil {
		t.Fatal(err)
	}
	var last error
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		_, last = db.ExecContext(ctx, "INSERT INTO shop.t (b) VALUES (REPEAT('x', 1048576))")
		cancel()
		if last != nil {
			break
		}
	}
	t.Logf("a full disk: %v", last)
	// InnoDB and temporary files: an error. The binary log: the server waits until
	// there is room, and says so in its log (MySQL reference, "How MySQL Handles a
	// Full Disk").
	if n := number(last); n <= 0 && !strings.Contains(s.lastLines(), "Disk is full writing") {
		t.Errorf("200 MB into 40 MB: %v, want an error of the server; log: %s", last, s.lastLines())
	}
	if s.daemon != running {
		t.Error("the server crashed of a full disk")
	}
	if err := s.Unfill(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(90 * time.Second)
	for {
		_, err := db.ExecContext(t.Context(), "INSERT INTO shop.t (b) VALUES ('x')")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after room was made: %v", err)
		}
		time.Sleep(time.Second)
	}
}

func TestGrow(t *testing.T) {
	engine.SetDiskUnit(48 << 20)
	defer engine.SetDiskUnit(0)
	c := config()
	s := create(t, "grow", c)
	size := func() (mb int) {
		out, err := s.host().Output(t.Context(), "stat", "-f", "-c", "%b %S", diskPath)
		if err != nil {
			t.Fatal(err)
		}
		var blocks, bytes int
		if _, err := fmt.Sscan(string(out), &blocks, &bytes); err != nil {
			t.Fatal(err)
		}
		return blocks * bytes >> 20
	}
	before := size()
	c.DiskGB = 20
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if after := size(); before < 400 || before > 480 || after < 850 || after > 960 {
		t.Errorf("the disk went from %d to %d MB, want a little less than 480 and 960", before, after)
	}
	must(t, open(t, s, "root", "root-password", true), "CREATE DATABASE shop")
}

func TestComesUpAgain(t *testing.T) {
	s := create(t, "killed", config())
	db := open(t, s, "root", "root-password", true)
	must(t, db, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1)")
	if err := s.daemon.process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for db.PingContext(t.Context()) != nil || value(t, db, "SELECT COUNT(*) FROM shop.t") != "1" {
		if time.Now().After(deadline) {
			t.Fatal("mysqld does not come up again")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestMachineComesUpAgain: as after a power failure, with what was committed.
func TestMachineComesUpAgain(t *testing.T) {
	t.Parallel()
	s := create(t, "power", config())
	db := open(t, s, "root", "root-password", true)
	must(t, db, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1)")
	killed := s.host()
	if err := killed.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(60 * time.Second)
	for s.host() == killed || db.PingContext(t.Context()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the instance does not come up again")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got := value(t, db, "SELECT COUNT(*) FROM shop.t"); got != "1" {
		t.Errorf("%s rows are there", got)
	}
	if err := s.SetUser(t.Context(), sqladmin.User{Name: "app", Host: "%"}, "x"); err != nil {
		t.Errorf("the API's own way in: %v", err)
	}
}

// TestLeavesNothing: no disk, no loop device, no directory, no address.
func TestLeavesNothing(t *testing.T) {
	s, err := engine.Create(t.Context(), "gone", config(), "")
	if err != nil {
		t.Fatal(err)
	}
	x := s.(*server)
	dir := engine.env.Launcher.Dir(x.machineName())
	list, err := s.Users(t.Context())
	if err != nil || len(list) != 0 {
		t.Errorf("without a root password there are users: %v %v", list, err)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{x.image, dir} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	// The kernel lets go of the device when the mount's last reference is gone.
	deadline := time.Now().Add(5 * time.Second)
	for {
		held := ""
		files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if raw, err := os.ReadFile(file); err == nil && bytes.Contains(raw, []byte(x.image)) {
				held = file
			}
		}
		if held == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s still holds the disk", held)
		}
		time.Sleep(20 * time.Millisecond)
	}
	left, err := filepath.Glob(filepath.Join(engine.env.State, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the state directory: %v %v", left, err)
	}
}

func TestDatabasesAndUsers(t *testing.T) {
	s := create(t, "accounts", config())
	if err := s.CreateDatabase(t.Context(), sqladmin.Database{Name: "shop", Charset: "utf8mb4", Collation: "utf8mb4_unicode_ci"}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateDatabase(t.Context(), sqladmin.Database{Name: "shop"}); !errors.Is(err, sqladmin.ErrExists) {
		t.Errorf("a database that exists: %v", err)
	}
	if err := s.CreateDatabase(t.Context(), sqladmin.Database{Name: "x", Charset: "klingon"}); !errors.Is(err, sqladmin.ErrInvalid) {
		t.Errorf("an unknown character set: %v", err)
	}
	if err := s.DropDatabase(t.Context(), "none"); !errors.Is(err, sqladmin.ErrNotFound) {
		t.Errorf("a database that is not there: %v", err)
	}
	list, err := s.Databases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (sqladmin.Database{Name: "shop", Charset: "utf8mb4", Collation: "utf8mb4_unicode_ci"}); list[len(list)-2] != want {
		t.Errorf("databases are %v", list)
	}
	u := sqladmin.User{Name: "app", Host: "%"}
	for _, password := range []string{"one", "two"} {
		if err := s.SetUser(t.Context(), u, password); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, s, "app", "two", true).PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	if err := open(t, s, "app", "one", true).PingContext(t.Context()); number(err) != 1045 {
		t.Errorf("the old password: %v", err)
	}
	if err := s.DropUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if err := s.DropUser(t.Context(), u); !errors.Is(err, sqladmin.ErrNotFound) {
		t.Errorf("a user that is not there: %v", err)
	}
}
