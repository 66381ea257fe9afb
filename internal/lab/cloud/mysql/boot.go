package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// boot makes the disk and the machine and starts mysqld.
func (s *server) boot(ctx context.Context) (err error) {
	if s.tls, err = newCertificates(s.name, s.config, time.Now()); err != nil {
		return err
	}
	password := make([]byte, 24)
	if _, err := rand.Read(password); err != nil {
		return err
	}
	secret := hex.EncodeToString(password)
	if err := s.makeDisk(ctx); err != nil {
		return err
	}
	if s.admin, err = s.openAdmin(secret); err != nil {
		return err
	}
	if err := s.launch(ctx, fmt.Sprintf("ALTER USER cloudsqladmin@localhost IDENTIFIED BY '%s';\n", secret)); err != nil {
		return err
	}
	return s.host().Run(ctx, machine.Cmd{Argv: []string{"rm", initPath}})
}

// launch starts the machine and mysqld in it; statements run before mysqld takes
// connections.
func (s *server) launch(ctx context.Context, statements string) error {
	s.mu.Lock()
	c := s.config
	s.mu.Unlock()
	files := []machine.File{
		{Path: tlsPath, Dir: true, Mode: 0o750, Owner: "root:mysql"},
		{Path: tlsPath + "/ca.pem", Content: s.tls.caPEM},
		{Path: tlsPath + "/server.pem", Content: s.tls.certPEM},
		{Path: tlsPath + "/server.key", Content: s.tls.keyPEM, Mode: 0o640, Owner: "root:mysql"},
		{Path: configPath, Content: []byte(serverConf(c, s.slot))},
		{Path: "/run/mysqld", Dir: true, Mode: 0o755, Owner: "mysql:mysql"},
		{Path: diskPath, Dir: true},
	}
	var args []string
	if statements != "" {
		files = append(files, machine.File{Path: initPath, Content: []byte(statements), Mode: 0o640, Owner: "root:mysql"})
		args = append(args, "--init-file="+initPath)
	}
	m, err := s.engine.env.Launcher.Start(ctx, machine.Spec{
		Name: s.machineName(), Hostname: "mysql", Lower: s.engine.env.Lower, Argv: machine.Idle(), Files: files,
		Net: s.engine.env.Network.Port(s.machineName(), primaryIP(s.slot), privateIP(s.slot)),
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.machine = m
	s.mu.Unlock()
	go s.guard(m)
	if err := s.mountDisk(ctx); err != nil {
		return err
	}
	if statements != "" {
		if err := s.allocate(ctx); err != nil {
			return err
		}
	}
	if err := s.setFirewall(ctx, c); err != nil {
		return err
	}
	return s.start(ctx, args...)
}

// guard starts the machine again when it has ended and nobody deleted it.
func (s *server) guard(m *machine.Machine) {
	<-m.Done()
	for try := range 5 {
		time.Sleep(time.Duration(2+try) * time.Second) // later than watch looks
		s.mu.Lock()
		over := s.deleted || s.machine != m
		s.mu.Unlock()
		if over {
			return
		}
		s.log.Warn("the instance's machine has ended and is started again")
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		err := s.launch(ctx, "")
		cancel()
		if err == nil || s.host() != m {
			return // it runs, or has a guard of its own
		}
		s.log.Error("the instance's machine does not come up again", "error", err.Error())
	}
}

func (s *server) machineName() string { return "sql-" + s.name }

func (s *server) makeDisk(ctx context.Context) error {
	image, err := ensureImage(ctx, s.engine.env, s.engine.template, s.size)
	if err != nil {
		return err
	}
	return copyTree(ctx, image, s.image)
}

// allocateScript gives every large file of the data directory the room that it
// says it has.
const allocateScript = `set -eu
find ` + dataPath + ` -type f -size +512k -printf '%s %p\n' | while read -r size file; do fallocate -l "$size" "$file"; done
`

// allocate takes the holes out of a new instance's files (redo log, undo,
// doublewrite), which copying left: a server that cannot write where it has long
// been crashes, which a full disk alone does not bring about.
func (s *server) allocate(ctx context.Context) error {
	if err := s.host().Run(ctx, machine.Cmd{Argv: []string{"/bin/sh", "-s"}, Stdin: strings.NewReader(allocateScript)}); err != nil {
		return fmt.Errorf("allocate the data files: %w", err)
	}
	return nil
}

// mountDisk mounts the data disk in the machine. Writes are not flushed through
// to this computer's disk (nobarrier): they outlive mysqld and the machine, which
// is what can fail in a lab.
func (s *server) mountDisk(ctx context.Context) (err error) {
	device, err := attach(s.image, filepath.Dir(s.image))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.close()) }() // from then on the mount holds it
	for _, argv := range [][]string{
		{"rm", "-f", "/dev/disk"},
		{"mknod", "-m", "0600", "/dev/disk", "b", "7", fmt.Sprint(device.number)},
		{"mount", "-t", "ext4", "-o", "noatime,nosuid,nodev,nobarrier", "/dev/disk", diskPath},
	} {
		if err := s.host().Run(ctx, machine.Cmd{Argv: argv}); err != nil {
			return fmt.Errorf("mount the data disk: %w", err)
		}
	}
	return nil
}

func (s *server) setFirewall(ctx context.Context, c sqladmin.Config) error {
	if err := s.host().Run(ctx, machine.Cmd{Argv: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(firewall(c, s.slot))}); err != nil {
		return fmt.Errorf("set the networks that reach the instance: %w", err)
	}
	return nil
}

// openAdmin prepares connections of the lab's own account through the socket,
// which is reached by the machine's root directory.
func (s *server) openAdmin(secret string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = "cloudsqladmin", secret, "unix", socketPath
	c.InterpolateParams = true
	c.Timeout, c.ReadTimeout, c.WriteTimeout = 5*time.Second, adminTimeout, adminTimeout
	c.Logger = silent{}
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		m := s.host()
		if m == nil || !m.Running() {
			return nil, errors.New("the instance's machine does not run")
		}
		path := fmt.Sprintf("/proc/%d/root%s", m.Pid(), socketPath)
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(0) // a held connection would outlive a restart
	return db, nil
}

// silent drops the driver's remarks on connections that break in a restart.
type silent struct{}

func (silent) Print(...any) {}
