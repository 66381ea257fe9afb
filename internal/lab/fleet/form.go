package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// brickMount is where a files host has the file system of its brick, and brick the directory that Gluster uses in it.
const (
	brickMount = "/srv/brick"
	brick      = brickMount + "/" + Volume
)

// formLimit bounds the whole forming with the default size on a slow computer.
const formLimit = 30 * time.Minute

// form makes a fleet in dir: all hosts from their layers and files, Gluster and replication, the shop's data; then halts it. The hosts write straight into dir.
func (f *Fleet) form(ctx context.Context, dir string, size shop.Size, report progress.Func) (err error) {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	secrets, err := NewSecrets()
	if err != nil {
		return err
	}
	point := checkpoint{dir: dir}
	if err := secrets.save(point.secrets()); err != nil {
		return err
	}
	defer func() { // on success all have halted and only their directories go
		for _, h := range Hosts() {
			if m := f.env.Launcher.Machine(h.Name); m != nil {
				err = errors.Join(err, m.Kill(context.WithoutCancel(ctx)))
			}
			err = errors.Join(err, os.RemoveAll(f.env.Launcher.Dir(h.Name)), os.RemoveAll(point.upper(h)+".work"))
		}
	}()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, h := range Hosts() {
		group.Go(func() error { return f.startForming(gctx, h, point, secrets) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := waitRunning(ctx, f.env.Launcher, report); err != nil {
		return err
	}
	former := former{fleet: f, point: point, secrets: secrets, size: size, report: report}
	group, gctx = errgroup.WithContext(ctx)
	group.Go(func() error { return former.files(gctx) })
	group.Go(func() error { return former.rows(gctx) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := f.haltAll(ctx, report); err != nil {
		return err
	}
	if err := settleBricks(point); err != nil {
		return err
	}
	for _, h := range Hosts() {
		if err := forget(point.upper(h)); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) startForming(ctx context.Context, h Host, point checkpoint, secrets Secrets) error {
	s := f.bareSpec(h)
	s.Upper = point.upper(h)
	var err error
	if s.Files, err = hostFiles(h, secrets); err != nil {
		return err
	}
	if h.Role == Files {
		s.Files = append(s.Files, machine.Symlink("/run/systemd/system/rabbitmq-server.service", "/dev/null")) // not before the second start
	}
	if h.Name == "files1" {
		s.Volumes = []machine.Volume{{Path: brickMount, Upper: point.seed()}}
	}
	_, err = f.env.Launcher.Start(ctx, s)
	return err
}

// layBricks starts the files hosts again, each with a brick of its own over the tree that was filled.
func (f *Fleet) layBricks(ctx context.Context, point checkpoint, report progress.Func) error {
	task := progress.Begin(report, "lay the bricks")
	group, gctx := errgroup.WithContext(ctx)
	for _, h := range Hosts() {
		if h.Role != Files {
			continue
		}
		group.Go(func() error {
			m, err := f.Machine(h.Name)
			if err != nil {
				return err
			}
			if err := m.Halt(gctx); err != nil {
				return err
			}
			s := f.bareSpec(h)
			s.Upper = point.upper(h)
			s.Volumes = []machine.Volume{{Path: brickMount, Lower: []string{point.seed()}, Upper: point.brick(h)}}
			_, err = f.env.Launcher.Start(gctx, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	task.End()
	return waitRunning(ctx, f.env.Launcher, report)
}

// settleBricks checks, when all have halted, that no seeded file was written since its brick was laid. Such a one would have been copied up into the host's own brick, and its hard
// link in Gluster's own directory would not follow it there from a second checkpoint layer.
func settleBricks(point checkpoint) error {
	for _, h := range Hosts() {
		if h.Role != Files {
			continue
		}
		work := point.brick(h) + ".work"
		copied, err := filepath.Glob(filepath.Join(work, "index", "*"))
		if err != nil {
			return err
		}
		if len(copied) > 0 {
			return fmt.Errorf("%d seeded files of %s were changed while the volume was made", len(copied), h.Name)
		}
		if err := os.RemoveAll(work); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) haltAll(ctx context.Context, report progress.Func) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	task := progress.Begin(report, "hosts halt")
	var halted atomic.Int64
	halt := func(roles ...Role) error {
		group, gctx := errgroup.WithContext(ctx)
		for _, h := range Hosts() {
			m := f.env.Launcher.Machine(h.Name)
			if m == nil || !slices.Contains(roles, h.Role) {
				continue
			}
			group.Go(func() error {
				if err := m.Halt(gctx); err != nil {
					return err
				}
				task.At(h.Name, halted.Add(1), int64(len(Hosts())))
				return nil
			})
		}
		return group.Wait()
	}
	// Clients before their servers, or a web host would hang in its Gluster mount.
	if err := halt(Edge, Cache, Web); err != nil {
		return err
	}
	if err := halt(Redis, Database, Files); err != nil {
		return err
	}
	task.End()
	return nil
}

// forget removes from a halted host what it would carry along for nothing.
func forget(upper string) error {
	for _, pattern := range []string{"var/log/journal/*", "var/log/*.log", "var/log/*/*.log", "tmp/*", "var/tmp/*"} {
		matches, err := filepath.Glob(filepath.Join(upper, pattern))
		if err != nil {
			return err
		}
		for _, m := range matches {
			if err := os.RemoveAll(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// former does what an administrator did when the company set up its hosts.
type former struct {
	fleet   *Fleet
	point   checkpoint
	secrets Secrets
	size    shop.Size
	report  progress.Func
}

func (f former) run(ctx context.Context, host string, argv ...string) (string, error) {
	m, err := f.fleet.Machine(host)
	if err != nil {
		return "", err
	}
	out, err := m.Output(ctx, argv...)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, trim(out))
	}
	return string(trim(out)), nil
}

// files makes the Gluster volume, fills it and mounts it on the web hosts.
//
// It is filled through Gluster while it has one brick. That brick's tree is then laid under the bricks of all three hosts (overlayfs), and the real volume made of them:
// written through three replicas the same files take six times as much processor time, and three times the disk. What results is what a healthy volume looks like: equal
// names, contents, gfids and metadata on all bricks, nothing to heal.
func (f former) files(ctx context.Context) error {
	task := progress.Begin(f.report, "gluster peers")
	for _, peer := range []string{"files2", "files3"} {
		if _, err := f.run(ctx, "files1", "gluster", "--mode=script", "peer", "probe", peer); err != nil {
			return err
		}
	}
	// Each must see both others: files1 sees them first, and they each other a moment later.
	err := progress.Wait(ctx, progress.Discard, "gluster peers connect", 6, 100*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		var seen int64
		for _, h := range []string{"files1", "files2", "files3"} {
			out, err := f.run(ctx, h, "gluster", "peer", "status")
			if err != nil {
				return seen, "", err
			}
			seen += int64(strings.Count(out, "Peer in Cluster (Connected)"))
		}
		return seen, "", nil
	})
	if err != nil {
		return err
	}
	task.End()
	if err := f.volume(ctx, "files1"); err != nil {
		return err
	}
	if _, err := f.run(ctx, "web1", "systemctl", "start", mountUnit); err != nil {
		return err
	}
	if err := f.seedFiles(ctx); err != nil {
		return err
	}
	if _, err := f.run(ctx, "web1", "systemctl", "stop", mountUnit); err != nil {
		return err
	}
	for _, verb := range []string{"stop", "delete"} {
		if _, err := f.gluster(ctx, "volume", verb, Volume); err != nil {
			return err
		}
	}
	if err := f.fleet.layBricks(ctx, f.point, f.report); err != nil {
		return err
	}
	task = progress.Begin(f.report, "gluster volume "+Volume)
	if err := f.volume(ctx, "files1", "files2", "files3"); err != nil {
		return err
	}
	for _, h := range Hosts() {
		if h.Role != Web {
			continue
		}
		if _, err := f.run(ctx, h.Name, "systemctl", "enable", "--now", mountUnit); err != nil {
			return err
		}
	}
	task.End()
	return nil
}

func (f former) gluster(ctx context.Context, args ...string) (string, error) {
	return f.run(ctx, "files1", append([]string{"gluster", "--mode=script"}, args...)...)
}

// volume makes and starts the volume with a brick on each host.
func (f former) volume(ctx context.Context, hosts ...string) error {
	args := []string{"volume", "create", Volume}
	if len(hosts) > 1 {
		args = append(args, "replica", strconv.Itoa(len(hosts)))
	}
	for _, h := range hosts {
		args = append(args, h+":"+brick)
	}
	// force: the bricks have no device of their own, and have files.
	if _, err := f.gluster(ctx, append(args, "force")...); err != nil {
		return err
	}
	_, err := f.gluster(ctx, "volume", "start", Volume)
	return err
}

// seedFiles writes through the mount of a web host, as the shop's own uploads do.
func (f former) seedFiles(ctx context.Context) error {
	m, err := f.fleet.Machine("web1")
	if err != nil {
		return err
	}
	task := progress.Begin(f.report, "seed files")
	root := filepath.Join(fmt.Sprintf("/proc/%d/root", m.Pid()), AssetsPath)
	err = shop.SeedFiles(ctx, root, f.size, seedWorkers, func(names, total, bytes int64) {
		task.At(fmt.Sprintf("%d MB", bytes>>20), names, total)
	})
	if err != nil {
		return fmt.Errorf("seed files: %w", err)
	}
	task.End()
	return nil
}

// seedWorkers write side by side: each waits for the replicas most of its time.
const seedWorkers = 8

// rows sets up replication, makes the accounts and fills the shop's tables.
func (f former) rows(ctx context.Context) error {
	task := progress.Begin(f.report, "mariadb replication")
	for _, h := range []string{"db1", "db2", "db3"} {
		// Each server has made its own system tables: what it logged of that is nobody's business.
		statements := "SET sql_log_bin=0;\n" +
			"CREATE USER repl@'10.77.%' IDENTIFIED BY '" + f.secrets.ReplicationPassword + "'; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO repl@'10.77.%';\n" +
			"SET sql_log_bin=1; RESET MASTER; SET GLOBAL gtid_slave_pos='';\n"
		if err := f.mariadb(ctx, h, statements); err != nil {
			return err
		}
	}
	for _, link := range []struct{ host, from string }{{"db1", "db2"}, {"db2", "db1"}, {"db3", "db1"}} {
		statements := fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_USER='repl', MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE;\n",
			mustHost(link.from).Addr, f.secrets.ReplicationPassword)
		if err := f.mariadb(ctx, link.host, statements); err != nil {
			return err
		}
	}
	if err := f.mariadb(ctx, "db1", f.accounts()); err != nil {
		return err
	}
	if err := f.mariadb(ctx, "db1", shop.Schema()); err != nil {
		return err
	}
	task.End()
	db, err := f.fleet.open(f.secrets, "db1", "shop")
	if err != nil {
		return err
	}
	defer db.Close()
	task = progress.Begin(f.report, "seed rows")
	if err := shop.SeedRows(ctx, db, f.size, func(done, total int64) { task.At("", done, total) }); err != nil {
		return fmt.Errorf("seed rows: %w", err)
	}
	task.End()
	return f.fleet.waitReplicated(ctx, f.secrets, f.report)
}

// accounts are made on db1 and replicated: the shop's, Slipway's (it reads, and nothing else), and the lab's own.
func (f former) accounts() string {
	statements := site(f.secrets).Accounts()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		who := "slipway@'" + host + "'"
		statements = append(statements, "CREATE USER "+who+" IDENTIFIED BY '"+f.secrets.SlipwayPassword+"'",
			"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO "+who)
	}
	statements = append(statements, "CREATE USER lab@'10.77.0.1' IDENTIFIED BY '"+f.secrets.LabPassword+"'", "GRANT ALL ON *.* TO lab@'10.77.0.1' WITH GRANT OPTION")
	return strings.Join(statements, ";\n") + ";\n"
}

// mariadb runs statements as root, given on standard input so that passwords are in no argument.
func (f former) mariadb(ctx context.Context, host, statements string) error {
	m, err := f.fleet.Machine(host)
	if err != nil {
		return err
	}
	return m.Run(ctx, machine.Cmd{Argv: []string{"mariadb"}, Stdin: strings.NewReader(statements)})
}

// DB connects to a schema of a database host with the lab's own account, which may do everything.
func (f *Fleet) DB(host, schema string) (*sql.DB, error) {
	s, err := f.Secrets()
	if err != nil {
		return nil, err
	}
	return f.open(s, host, schema)
}

func (f *Fleet) open(s Secrets, host, schema string) (*sql.DB, error) {
	h, ok := Lookup(host)
	if !ok || h.Role != Database {
		return nil, fmt.Errorf("no database host %q", host)
	}
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = "lab", s.LabPassword, schema
	config.Net, config.Addr = "tcp", h.Addr.String()+":3306"
	config.DialFunc = f.env.Network.DialContext
	config.ParseTime, config.InterpolateParams = true, true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// waitReplicated waits until db2 and db3 have all that db1 has, and db1 all that db2 has.
func (f *Fleet) waitReplicated(ctx context.Context, s Secrets, report progress.Func) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	source, err := f.open(s, "db1", "")
	if err != nil {
		return err
	}
	defer source.Close()
	var want string
	if err := source.QueryRowContext(ctx, "SELECT @@gtid_binlog_pos").Scan(&want); err != nil {
		return err
	}
	return progress.Wait(ctx, report, "replicas catch up", 2, 200*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		var done int64
		note := ""
		for _, h := range []string{"db2", "db3"} {
			reached, err := f.reached(ctx, s, h, want)
			if err != nil {
				return 0, "", err
			}
			if reached {
				done++
			} else {
				note = h + " is not at " + want
			}
		}
		return done, note, nil
	})
}

// reached says whether a server has applied all up to a position of its source's.
func (f *Fleet) reached(ctx context.Context, s Secrets, host, want string) (bool, error) {
	db, err := f.open(s, host, "")
	if err != nil {
		return false, err
	}
	defer db.Close()
	var result int
	err = db.QueryRowContext(ctx, "SELECT MASTER_GTID_WAIT(?, 0)", want).Scan(&result)
	return result == 0, err
}
