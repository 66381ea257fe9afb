//go:build lab

package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

var (
	engine *Engine
	nw     *network.Network
	labDir string
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

// inLab runs the tests with a lab of their own: a network and the engine.
func inLab(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if labDir, err = os.MkdirTemp("", "mysql-lab-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(labDir)
	l, err := machine.NewLauncher(fmt.Sprintf("mysql-%d", os.Getpid()), filepath.Join(labDir, "machines"))
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
	lower, err := store.Ensure(ctx, Layer)
	if err != nil {
		return 1, err
	}
	if nw, err = network.New(ctx, l, lower, netip.AddrPort{}); err != nil {
		return 1, err
	}
	engine, err = New(ctx, Env{
		Launcher: l, Network: nw, Lower: lower, Cache: filepath.Join(cache, "mysql"), State: filepath.Join(labDir, "disks"),
		Report: report, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return 1, err
	}
	code = m.Run()
	if err := nw.Close(ctx); err != nil {
		return 1, err
	}
	return code, nil
}

// config of an instance as most tests want it.
func config() sqladmin.Config {
	return sqladmin.Config{Project: "shop-lab", Region: "europe-west1", Version: "MYSQL_9_7", DiskGB: 10, BinLog: true, OnlyTLS: true, Private: true, CAMode: casCA}
}

func create(t *testing.T, name string, c sqladmin.Config) *server {
	t.Helper()
	began := time.Now()
	s, err := engine.Create(t.Context(), name, c, "root-password")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("instance %s answers after %.2f s", name, time.Since(began).Seconds())
	t.Cleanup(func() {
		if err := s.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s.(*server)
}

// open connects over the network as a client does. encrypted verifies the
// certificate against the instance's CA and DNS name.
func open(t *testing.T, s *server, user, password string, encrypted bool) *sql.DB {
	t.Helper()
	id := s.Identity()
	address := id.PrivateIP
	if address == "" {
		address = id.PrimaryIP
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.Timeout = user, password, "tcp", address+":3306", 3*time.Second
	c.MultiStatements = true
	c.Logger = silent{}
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return nw.DialContext(ctx, network, addr)
	}
	if encrypted {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(id.CACert)) {
			t.Fatal("no CA certificate")
		}
		c.TLS = &tls.Config{RootCAs: pool, ServerName: strings.TrimSuffix(id.DNSName, "."), MinVersion: tls.VersionTLS12}
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// number is the server's error number; 0: no error, -1: another error.
func number(err error) int {
	var e *mysql.MySQLError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return int(e.Number)
	}
	return -1
}

func must(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func value(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var v sql.NullString
	if err := db.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v.String
}

// TestPrivileges shows what a user of the API may do, and each thing that Cloud
// SQL keeps from it with the server's own error.
func TestPrivileges(t *testing.T) {
	s := create(t, "privileges", config())
	if err := s.SetUser(t.Context(), sqladmin.User{Name: "app", Host: "%"}, "it's a \\ 'password'"); err != nil {
		t.Fatal(err)
	}
	db := open(t, s, "app", "it's a \\ 'password'", true)
	must(t, db, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1)",
		"CREATE USER reader@'%' IDENTIFIED BY 'x'", "GRANT SELECT ON shop.* TO reader@'%'", "GRANT ALL ON shop.* TO reader@'%'",
		"SELECT user FROM mysql.user", "SHOW BINARY LOGS", "SHOW BINARY LOG STATUS", "FLUSH TABLES", "CREATE SCHEMA _slipway",
		"CREATE VIEW shop.v AS SELECT * FROM shop.t", "SET SESSION foreign_key_checks = 0, unique_checks = 0, time_zone = 'Europe/Berlin'",
		"DROP USER reader@'%'", "DROP SCHEMA _slipway")
	rows, err := db.QueryContext(t.Context(), "SHOW GRANTS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var grant string
		if err := rows.Scan(&grant); err != nil {
			t.Fatal(err)
		}
		t.Log(grant)
		for _, never := range []string{"SUPER", "FILE", "SHUTDOWN", "SYSTEM_VARIABLES_ADMIN", "SYSTEM_USER", "BINLOG_ADMIN", "REPLICATION_SLAVE_ADMIN"} {
			if strings.HasPrefix(grant, "GRANT") && (strings.Contains(grant, never+",") || strings.Contains(grant, never+" ON")) {
				t.Errorf("the user holds %s", never)
			}
		}
	}
	for _, tt := range []struct {
		statement string
		number    int
	}{
		{"SET GLOBAL max_connections = 10", 1227},
		{"SET PERSIST max_connections = 10", 1227},
		{"SET SESSION sql_log_bin = 0", 1227},
		{"SET GLOBAL read_only = 1", 1227},
		{"SELECT 1 INTO OUTFILE '/tmp/x'", 1227},
		{"LOAD DATA INFILE '/etc/passwd' INTO TABLE shop.t", 1045},
		{"INSERT INTO mysql.user (host, user) VALUES ('%', 'evil')", 1142},
		{"UPDATE mysql.user SET super_priv = 'Y'", 1142},
		{"DELETE FROM mysql.db", 1142},
		{"CREATE TABLE mysql.x (id INT)", 1142},
		{"DROP TABLE mysql.user", 1142},
		{"DROP DATABASE mysql", 1044},
		{"DROP DATABASE sys", 1044},
		{"CREATE TABLE sys.x (id INT)", 1142},
		{"SHUTDOWN", 1227},
		{"GRANT ALL ON *.* TO app@'%'", 1045},
		{"GRANT SUPER ON *.* TO app@'%'", 1045},
		{"GRANT INSERT ON mysql.* TO app@'%'", 1044},
		{"GRANT 'mysql.session'@'localhost' TO app@'%'", 1227},
		{"GRANT cloudsqladmin@localhost TO app@'%'", 1227},
		{"ALTER USER cloudsqladmin@localhost IDENTIFIED BY 'x'", 1227},
		{"DROP USER cloudsqladmin@localhost", 1227},
		{"INSTALL PLUGIN x SONAME 'x.so'", 1142},
		{"CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'x'", 1227},
		{"PURGE BINARY LOGS BEFORE NOW()", 1227},
		{"CREATE TABLESPACE x ADD DATAFILE 'x.ibd'", 1227},
		{"CREATE TRIGGER shop.tr BEFORE INSERT ON shop.t FOR EACH ROW SET NEW.id = NEW.id", 1419},
		{"REVOKE INSERT ON *.* FROM app@'%'", 3879},
	} {
		_, err := db.ExecContext(t.Context(), tt.statement)
		if got := number(err); got != tt.number {
			t.Errorf("%s: error %d (%v), want %d", tt.statement, got, err, tt.number)
		}
	}
}
