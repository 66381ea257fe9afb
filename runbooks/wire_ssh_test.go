package runbooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
)

// sourceWire is a host of the source that records: each command line that comes over SSH, each command that the scripts
// among them run, and each statement that reaches the MariaDB behind it.
type sourceWire struct {
	mu         sync.Mutex
	lines      []string // command lines
	traced     []string // commands in scripts
	scripts    map[string]bool
	forwards   []string
	statements []string
}

// run answers with the real commands, on this machine. A script is run once more, traced, without anybody's listening.
func (s *sourceWire) run(x *sshtest.Session) sshtest.Exit {
	s.mu.Lock()
	s.lines = append(s.lines, x.Line)
	s.mu.Unlock()
	if !strings.HasPrefix(x.Line, "'sh' '-s'") {
		return sshtest.Sh("/bin/sh")(x)
	}
	script, err := io.ReadAll(x.Stdin)
	if err != nil {
		return sshtest.Exit{Status: 255}
	}
	s.trace(x.Line, script)
	x.Stdin = bytes.NewReader(script)
	return sshtest.Sh("/bin/sh")(x)
}

// trace runs a script in bash, which can write each traced command with one call to a file of its own; dash writes word by word, and the
// commands of a pipeline into one another.
func (s *sourceWire) trace(line string, script []byte) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("bash", "-c", strings.Replace(line, "'sh'", "exec bash --posix -x", 1))
	cmd.Env = append(os.Environ(), "BASH_XTRACEFD=3")
	cmd.Stdin, cmd.ExtraFiles = bytes.NewReader(script), []*os.File{w}
	var text bytes.Buffer
	read := make(chan error, 1)
	go func() {
		_, err := text.ReadFrom(r)
		read <- err
	}()
	_ = cmd.Run() // what can't be looked at on this machine is said on stderr
	if err := errors.Join(w.Close(), <-read, r.Close()); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[string(script)] = true
	for l := range strings.SplitSeq(text.String(), "\n") {
		if c, ok := strings.CutPrefix(strings.TrimLeft(l, "+"), " "); ok && strings.HasPrefix(l, "+") {
			s.traced = append(s.traced, c)
		}
	}
}

// mayRun are the command lines that may come over SSH.
func mayRun(dir string) []*regexp.Regexp {
	d := regexp.QuoteMeta(dir)
	return []*regexp.Regexp{
		regexp.MustCompile(`^'sh' '-s'$`),
		regexp.MustCompile(`^'sh' '-s' '--' 'assets'$`),
		regexp.MustCompile(`^'sh' '-c' 'while read -r _; do date \+%s\.%N \|\| exit 1; done'$`),
		regexp.MustCompile(`^'env' 'LC_ALL=C' 'df' '--output=fstype,source' '--' '` + d + `'$`),
		regexp.MustCompile(`^'env' '--chdir=` + d + `' 'LC_ALL=C' 'find' '\.' '-ignore_readdir_race' '-xdev' '-printf' '[^']+'$`),
		regexp.MustCompile(`^'env' '--chdir=` + d + `' 'LC_ALL=C' 'xargs' '--null' '--no-run-if-empty' 'sh' '-c' 'exec find "\$@" -maxdepth 0 -printf "\$0"' '[^']+'$`),
		regexp.MustCompile(`^'env' 'LC_ALL=C' 'tar' '--create' '--file=-' '--directory=` + d + `'( '--(format=pax|pax-option=delete=atime|numeric-owner|xattrs|xattrs-include=user\.\*|acls|sparse|no-recursion|null|no-unquote|verbatim-files-from|files-from=-)')+$`),
	}
}

// mayTrace are the commands that may run in scripts: what only prints, and the shell's own words.
var mayTrace = []*regexp.Regexp{
	regexp.MustCompile(`^(uname -[nrm]|id -un?|nproc|readlink -f /etc/localtime|cat (/etc/(machine-id|timezone|os-release)|/proc/self/mountinfo)|true)$`),
	regexp.MustCompile(`^dpkg-query -W -f .*$`),
	regexp.MustCompile(`^timeout -k 1 5 (df -P -B1 -T|\S+ (-v|-V|--version|-n -v))$`),
	regexp.MustCompile(`^(ss -H -l -t -n|systemctl list-units --type=service --all --full --plain --no-legend --no-pager|ip -o addr show|ps -e -o args=)$`),
	regexp.MustCompile(`^(sed -n .*|sort -u -k 2n|grep -m 1 .*|sha256sum /etc/\S+)$`),
	regexp.MustCompile(`^timeout -k 1 60 (sudo -n )?/usr/sbin/gluster (volume (info|status) assets --xml|volume heal assets info summary --xml|pool list)$`),
	regexp.MustCompile(`^(main( assets)?|section .*|identity|packages|sizes|versions|settings|redis|gluster .*|say .*|have .*|command -v .*|shift|return 0|read -r .*|echo .*|printf .*|'\[' .*|case .* in|for [a-z]+ in .*|export LC_ALL PATH|[A-Za-z_]+=.*)$`),
}

func matches(all []*regexp.Regexp, s string) bool {
	for _, re := range all {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}

// redirect finds what a script writes to. Only the null device and other descriptors may be there.
var redirect = regexp.MustCompile(`[0-9]?>>?\s*(&?[^\s;)&|]+)`)

// Looking at the source sends commands that only look, and statements that only read: every looker that the wiring has on
// the hosts, with a real shell behind the SSH connection.
func TestNoCommandChangesTheSource(t *testing.T) {
	wire := &sourceWire{scripts: map[string]bool{}}
	db := &mariaDB{wire: wire}
	key, file := sshtest.NewKeyFile(t)
	srv := sshtest.Start(t, sshtest.Options{Exec: wire.run, Forward: func(address string) (net.Conn, error) {
		wire.mu.Lock()
		wire.forwards = append(wire.forwards, address)
		wire.mu.Unlock()
		if address != "127.0.0.1:3306" {
			return nil, fmt.Errorf("nothing listens there")
		}
		return db.dial()
	}})
	srv.Authorize(key.PublicKey())
	inv, err := inventory.Parse("inventory.yaml", fmt.Appendf(nil, "version: 1\ngroups:\n  - name: all\n    roles: [db, files, web]\n    hosts: [{name: h1, address: 127.0.0.1, port: %d}]\n", srv.Addr.Port))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := remote.Open(remote.Config{User: sshtest.User, KnownHosts: sshtest.KnownHosts(t, srv), Keys: []remote.Key{{Path: file}}, DialTimeout: 10 * time.Second}, scan.Hosts(inv, sshtest.User))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a picture.png"), []byte("png"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, looker := t.Context(), remote.NewLooker(pool)
	dial := func(h string) func(context.Context, string, string) (net.Conn, error) { return remote.Dialer(pool, h) }
	src := scan.Source{Inventory: inv, Looker: looker, Dial: dial}

	if _, err := scan.LookAtFleet(src).Fleet(ctx, func(int, int) {}); err != nil {
		t.Errorf("hosts: %v", err)
	}
	if _, err := scan.LookAtVolume(src, "assets").Volume(ctx); err == nil {
		t.Error("this machine has a Gluster volume called assets?")
	}
	if dbs, err := scan.LookAtDatabases(src, scan.Account{User: "slipway", Password: secret.New("x"), Port: 3306}).Databases(ctx); err != nil || dbs[0].Version == "" {
		t.Errorf("MariaDB: %v, %+v", err, dbs)
	}
	tree, err := treecopy.OnHost(looker, "h1", dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Mount(ctx); err != nil {
		t.Errorf("mount: %v", err)
	}
	if _, err := treecopy.Take(ctx, tree, store, runID, treecopy.Options{From: "test"}); err != nil {
		t.Errorf("files: %v", err)
	}
	rows := dbcopy.NewSource(dbcopy.Endpoint{Name: "h1", Addr: "127.0.0.1:3306", User: "slipway", Password: secret.New("x"), Dial: dial("h1")})
	if _, err := rows.Take(ctx, store, runID, dbcopy.Options{Schemas: []string{"shop"}}); err != nil {
		t.Errorf("rows: %v", err)
	}

	wire.check(t, dir)
}

func (s *sourceWire) check(t *testing.T, dir string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if !matches(mayRun(dir), l) {
			t.Errorf("sent: %s", l)
		}
	}
	for _, c := range s.traced {
		if !matches(mayTrace, c) {
			t.Errorf("a script runs: %s", c)
		}
	}
	for text := range s.scripts {
		for l := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(l), "#") {
				continue
			}
			for _, m := range redirect.FindAllStringSubmatch(l, -1) {
				if m[1] != "/dev/null" && m[1] != "&1" && m[1] != "&2" {
					t.Errorf("a script writes to %s: %s", m[1], l)
				}
			}
		}
	}
	for _, a := range s.forwards {
		// Redis, where this machine runs one, is asked at the host's own address too, and refuses here.
		if !regexp.MustCompile(`^127\.0\.0\.1:[0-9]+$`).MatchString(a) {
			t.Errorf("a connection to %s", a)
		}
	}
	for _, q := range s.statements {
		if !readOnly(q) {
			t.Errorf("a statement that may change something: %s", q)
		}
	}
	if len(s.lines) < 7 || len(s.scripts) != 2 || len(s.traced) < 50 || len(s.statements) < 40 {
		t.Errorf("%d command lines, %d scripts, %d commands in them, %d statements: what was proved?", len(s.lines), len(s.scripts), len(s.traced), len(s.statements))
	}
	t.Logf("%d command lines, %d commands in scripts, %d statements", len(s.lines), len(s.traced), len(s.statements))
}

// The lists are narrow.
func TestForbiddenCommands(t *testing.T) {
	for _, l := range []string{
		`'sh' '-c' 'rm -rf /'`, `'env' 'LC_ALL=C' 'tar' '--create' '--file=/tmp/x' '--directory=/srv'`, `'env' 'LC_ALL=C' 'tar' '--extract' '--file=-' '--directory=/srv'`,
		`'env' '--chdir=/srv' 'LC_ALL=C' 'find' '.' '-delete'`, `'systemctl' 'stop' 'mariadb'`, `'touch' '/srv/x'`, `'sh' '-s' '--' 'other'`,
	} {
		if matches(mayRun("/srv"), l) {
			t.Errorf("allowed over SSH: %s", l)
		}
	}
	for _, c := range []string{"systemctl restart mariadb", "sudo -n /usr/sbin/gluster volume stop assets", "timeout -k 1 60 sudo -n /usr/sbin/gluster volume heal assets full", "sed -i s/a/b/ /etc/x", "tee /etc/x", "rm /etc/x", "mysql -e DROP"} {
		if matches(mayTrace, c) {
			t.Errorf("allowed in scripts: %s", c)
		}
	}
	for _, q := range []string{"INSERT INTO a VALUES (1)", "SET GLOBAL read_only=1", "FLUSH TABLES WITH READ LOCK", "SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT * FROM a FOR UPDATE", "LOCK TABLES a WRITE", "START TRANSACTION",
		"SELECT GET_LOCK('x',1)", "KILL 7", "STOP SLAVE", "SELECT 1; DROP TABLE a", "CREATE TEMPORARY TABLE a (b int)"} {
		if readOnly(q) {
			t.Errorf("allowed to MariaDB: %s", q)
		}
	}
}
