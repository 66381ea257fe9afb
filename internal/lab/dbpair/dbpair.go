// Package dbpair starts database servers of a test's own: real MariaDB and real MySQL, which may be killed, filled up and
// thrown away, where the lab's db hosts and instances may not. They run in machines of their own, on the loopback device
// of the network that the test is in.
//
// It is for tests alone. A test's TestMain calls machine.Main first, then Open, and Close at its end.
package dbpair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"database/sql"

	"github.com/go-sql-driver/mysql"

	instance "github.com/slipway-dev/slipway/internal/lab/cloud/mysql"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// Password is every account's.
const Password = "only-in-tests"

// The accounts: Root may do all; Reader has what the product's account has on a MariaDB host; Loader has what Cloud SQL
// gives a user that is made through its API.
const (
	Root   = "root"
	Reader = "slipway"
	Loader = "loader"
)

// mariadbLayer is that of the lab's db hosts, so it is built once.
var mariadbLayer = fleet.RoleLayer(fleet.Database, rootfs.Bookworm)

// Lab starts servers.
type Lab struct {
	launcher *machine.Launcher
	store    *rootfs.Store
}

// Open cleans what a killed test of the same name in the same lab left. Names of tests that run side by side must differ.
func Open(ctx context.Context, name string, tell io.Writer) (*Lab, error) {
	p, err := place.FromEnv()
	if err != nil {
		return nil, err
	}
	name = "dbpair-" + p.Name + "-" + name
	dir := filepath.Join(filepath.Dir(p.State), name)
	l, err := machine.NewLauncher(name, dir)
	if err != nil {
		return nil, err
	}
	if err := l.Clean(ctx, true); err != nil {
		return nil, err
	}
	if l, err = machine.NewLauncher(name, dir); err != nil {
		return nil, err
	}
	store, err := rootfs.Open(p.Cache, l, progress.Printer(tell, 5*time.Second))
	if err != nil {
		return nil, err
	}
	return &Lab{l, store}, nil
}

// Close ends all servers and removes what they wrote.
func (l *Lab) Close(ctx context.Context) error { return l.launcher.Clean(ctx, true) }

// Options of one server.
type Options struct {
	Args []string // for the server's command line; they win over this package's own
	// Disk, if not 0, is the size in bytes of a file system (in memory) for the server's data or, with LogDisk, for
	// MySQL's binary log alone; see Server.Resize.
	Disk    int64
	LogDisk bool
	// Durable makes the server's fsync reach the disk, for what is to be measured; else it doesn't.
	Durable bool
}

// Server is one database server.
type Server struct {
	Name string
	Addr string // 127.0.0.1:port

	kind kind
	m    *machine.Machine
	log  string
	opts Options

	mu   sync.Mutex
	proc *machine.Process
	done chan error
}

type kind struct {
	layer    *rootfs.Layer
	init     []string // makes the data directory
	argv     []string
	accounts string
}

// data is the data directory; small is what Options.Disk mounts.
const (
	data  = "/data/d"
	small = "/small"
)

var mariadb = kind{&mariadbLayer,
	[]string{"mariadb-install-db", "--no-defaults", "--force", "--user=root", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"},
	[]string{"mariadbd", "--no-defaults", "--server-id=2", "--gtid-domain-id=2", "--log-bin=mariadb-bin", "--log-slave-updates=1", "--binlog-format=ROW",
		"--plugin-dir=/usr/lib/mysql/plugin", "--plugin-maturity=gamma", "--lc-messages-dir=/usr/share/mysql", "--skip-name-resolve"},
	`SET sql_log_bin=0;
CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY '` + Password + `';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE OR REPLACE USER 'slipway'@'127.0.0.1' IDENTIFIED BY '` + Password + `';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO 'slipway'@'127.0.0.1';
`}

var mySQL = kind{&instance.Layer,
	[]string{"mysqld", "--no-defaults", "--initialize-insecure", "--user=root", "--datadir=" + data},
	[]string{"mysqld", "--no-defaults", "--server-id=20", "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--mysqlx=OFF", "--skip-name-resolve"},
	`SET sql_log_bin=0;
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '` + Password + `';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS 'loader'@'127.0.0.1' IDENTIFIED BY '` + Password + `';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER ON *.* TO 'loader'@'127.0.0.1';
`}

// MariaDB starts a MariaDB 10.11 with a row-format binary log, as the lab's standby has.
func (l *Lab) MariaDB(ctx context.Context, name string, o Options) (*Server, error) {
	return l.start(ctx, name, mariadb, o)
}

// MySQL starts a MySQL 9.7 with GTIDs and a binary log, as an instance has.
func (l *Lab) MySQL(ctx context.Context, name string, o Options) (*Server, error) {
	return l.start(ctx, name, mySQL, o)
}

func (l *Lab) start(ctx context.Context, name string, k kind, o Options) (*Server, error) {
	lower, err := l.store.Ensure(ctx, *k.layer)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	// Nothing here measures or proves durability, and a SIGKILL of the server leaves what it wrote to the kernel.
	spec := machine.Spec{Name: name, Lower: lower, Argv: machine.Idle(), HostNetwork: true, Volatile: !o.Durable,
		Files: []machine.File{{Path: "/init.sql", Content: []byte(k.accounts), Mode: 0o600}, {Path: "/data", Dir: true}}}
	m, err := l.launcher.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: name, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), kind: k, m: m, opts: o, log: filepath.Join(filepath.Dir(m.Console()), "server.log")}
	cmds := [][]string{{"mkdir", "-p", data, small}}
	if o.Disk > 0 {
		cmds = append(cmds, []string{"mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", o.Disk), "tmpfs", small})
	}
	if o.Disk > 0 && !o.LogDisk {
		cmds = append(cmds, []string{"rmdir", data}, []string{"mkdir", small + "/d"}, []string{"ln", "-s", small + "/d", data})
	}
	for _, argv := range cmds {
		if err := m.Run(ctx, machine.Cmd{Argv: argv}); err != nil {
			return nil, err
		}
	}
	var out tail
	init := k.init
	if k.layer == &instance.Layer { // sizes count from the first start
		init = append(append([]string{}, init...), o.Args...)
	}
	if err := m.Run(ctx, machine.Cmd{Argv: init, Stdout: &out, Stderr: &out}); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out.b)
	}
	return s, s.Start(ctx)
}

type tail struct{ b []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-2000):]
	return len(b), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Run runs a program in the server's machine.
func (s *Server) Run(ctx context.Context, c machine.Cmd) error { return s.m.Run(ctx, c) }

// Tools is a machine without a server, for programs that come as packages; Close ends it.
func (l *Lab) Tools(ctx context.Context, name string, layer rootfs.Layer) (*machine.Machine, error) {
	lower, err := l.store.Ensure(ctx, layer)
	if err != nil {
		return nil, err
	}
	return l.launcher.Start(ctx, machine.Spec{Name: name, Lower: lower, Argv: machine.Idle(), HostNetwork: true})
}

// Start starts the server again after Kill or Stop and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	argv := append(append([]string{}, s.kind.argv...), "--user=root", "--datadir="+data, "--port="+port, "--bind-address=127.0.0.1",
		"--socket=/tmp/s.sock", "--pid-file=/tmp/server.pid", "--init-file=/init.sql", "--innodb-buffer-pool-size=128M")
	if s.opts.LogDisk {
		argv = append(argv, "--log-bin="+small+"/binlog")
	}
	argv = append(argv, s.opts.Args...)
	// The server lives longer than the caller's context.
	p, err := s.m.Start(context.WithoutCancel(ctx), machine.Cmd{Argv: argv, Stdout: log, Stderr: log})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	s.mu.Lock()
	s.proc, s.done = p, done
	s.mu.Unlock()
	db, err := s.Open(Root, "")
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case werr := <-done:
			done <- werr
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("%s ended while it started (%w):\n%s", s.Name, errors.Join(werr, err), text[max(0, len(text)-3000):])
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w (%w)", s.Name, err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Kill ends the server with SIGKILL and waits until it is gone.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Stop ends the server in good order.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	if err := s.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := <-s.done
	s.proc = nil
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// Resize gives Options.Disk another size in bytes. Only with Options.Disk.
func (s *Server) Resize(ctx context.Context, bytes int64) error {
	return s.m.Run(ctx, machine.Cmd{Argv: []string{"mount", "-o", fmt.Sprintf("remount,size=%d", bytes), small}})
}

// Remove ends the server and removes its machine with all its data.
func (s *Server) Remove(ctx context.Context) error {
	return errors.Join(s.Kill(), s.m.Kill(ctx), s.m.Remove(ctx))
}

// Log is the server's error log so far.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Open makes a pool that logs in as user, for a test's own statements.
func (s *Server) Open(user, schema string) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = user, Password, "tcp", s.Addr, schema
	cfg.Logger = &mysql.NopLogger{}
	cfg.MultiStatements = true
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}
