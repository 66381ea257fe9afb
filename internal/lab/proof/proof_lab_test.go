//go:build lab

package proof_test

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// TestReadingLeavesNothing: what the product does on the source, it may: no finding.
func TestReadingLeavesNothing(t *testing.T) {
	lab := labtest.Alone(t)
	lab.WaitHealthy(t)
	lab.BeginProof(t)
	mustSlipway(t, lab, "web1", "cat", "/etc/shop/shop.ini", "/proc/loadavg")
	mustSlipway(t, lab, "files1", "sudo", "-n", "gluster", "volume", "info", "all")
	slipwaySQL(t, lab, "db2", "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT COUNT(*) FROM shop.orders; SHOW MASTER STATUS; COMMIT")
	p := lab.EndProof(t)
	if len(p.Findings) != 0 {
		t.Errorf("found %v", p.Findings)
	}
	if p.Logins < 2 || len(p.Commands) != 1 || p.Statements < 4 || p.Files == 0 || len(p.Zones) == 0 {
		t.Errorf("a proof that didn't look: %+v", p)
	}
}

// TestChangesAreFound: each thing that must not happen is a finding of its own.
func TestChangesAreFound(t *testing.T) {
	for _, c := range []struct {
		name, where, what string
		change            func(*testing.T, *labtest.Lab)
		undo              func(*testing.T, *labtest.Lab)
	}{
		{"a file in /tmp", "web2", "/tmp/left-behind",
			func(t *testing.T, l *labtest.Lab) { mustSlipway(t, l, "web2", "touch", "/tmp/left-behind") },
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "web2", "rm", "/tmp/left-behind") }},
		{"a file where logs are", "web2", "/var/log/left-behind",
			func(t *testing.T, l *labtest.Lab) {
				l.Root(t, "web2", "install", "-o", "slipway", "/dev/null", "/var/log/left-behind")
			},
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "web2", "rm", "/var/log/left-behind") }},
		{"a file in memory", "db1", "/dev/shm/left-behind",
			func(t *testing.T, l *labtest.Lab) { mustSlipway(t, l, "db1", "touch", "/dev/shm/left-behind") },
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "db1", "rm", "/dev/shm/left-behind") }},
		{"a process", "cache1", "sleep 1000",
			func(t *testing.T, l *labtest.Lab) {
				mustSlipway(t, l, "cache1", "sh", "-c", "nohup sleep 1000 >/dev/null 2>&1 &")
			},
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "cache1", "pkill", "-u", "slipway", "sleep") }},
		{"a setting of the host", "lb2", "changed /etc/hosts",
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "lb2", "sh", "-c", "echo '# by nobody' >> /etc/hosts") },
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "lb2", "sed", "-i", "/by nobody/d", "/etc/hosts") }},
		{"a file taken away", "lb2", "removed /usr/bin/ping",
			func(t *testing.T, l *labtest.Lab) {
				l.Root(t, "lb2", "mv", "/usr/bin/ping", "/usr/bin/ping.away")
			},
			func(t *testing.T, l *labtest.Lab) {
				l.Root(t, "lb2", "mv", "/usr/bin/ping.away", "/usr/bin/ping")
			}},
		{"an asset", "files3", "/srv/brick/assets/new.txt",
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "web1", "touch", "/srv/assets/new.txt") },
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "web1", "rm", "/srv/assets/new.txt") }},
		{"SET GLOBAL, refused", "db3", "SET GLOBAL read_only=0",
			func(t *testing.T, l *labtest.Lab) {
				if err := trySlipwaySQL(t, l, "db3", "SET GLOBAL read_only=0"); err == nil {
					t.Error("slipway may SET GLOBAL")
				}
			}, nil},
		{"a write, refused", "db1", "DELETE FROM shop.mails",
			func(t *testing.T, l *labtest.Lab) {
				if err := trySlipwaySQL(t, l, "db1", "DELETE FROM shop.mails"); err == nil {
					t.Error("slipway may delete")
				}
			}, nil},
		{"more than sudo should let", "files2", "slipway through sudo",
			func(t *testing.T, l *labtest.Lab) {
				l.Root(t, "files2", "sh", "-c", "echo 'slipway ALL=(root) NOPASSWD: /usr/bin/true' > /etc/sudoers.d/wider")
				mustSlipway(t, l, "files2", "sudo", "-n", "true")
			},
			func(t *testing.T, l *labtest.Lab) { l.Root(t, "files2", "rm", "/etc/sudoers.d/wider") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab := labtest.Alone(t)
			lab.BeginProof(t)
			c.change(t, lab)
			p := lab.EndProof(t)
			if c.undo != nil {
				c.undo(t, lab)
			}
			if !found(p, c.where, c.what) {
				t.Errorf("not found: %s on %s; only %v", c.what, c.where, p.Findings)
			}
		})
	}
}

func found(p verb.Proof, where, what string) bool {
	for _, f := range p.Findings {
		if f.Where == where && strings.Contains(f.What, what) {
			return true
		}
	}
	return false
}

func mustSlipway(t *testing.T, lab *labtest.Lab, host string, argv ...string) {
	t.Helper()
	if _, err := lab.ExecAsSlipway(t, host, nil, argv...); err != nil {
		t.Fatal(err)
	}
}

func slipwaySQL(t *testing.T, lab *labtest.Lab, host, statements string) {
	t.Helper()
	if err := trySlipwaySQL(t, lab, host, statements); err != nil {
		t.Fatal(err)
	}
}

// trySlipwaySQL asks a server with the product's account, from the host itself as through SSH's forwarding. The password goes by standard input.
func trySlipwaySQL(t *testing.T, lab *labtest.Lab, host, statements string) error {
	t.Helper()
	defaults := "[client]\nhost=127.0.0.1\nuser=slipway\npassword=" + lab.Secrets.SlipwayPassword + "\n"
	_, err := lab.Exec(t, host, strings.NewReader(defaults), "mariadb", "--defaults-extra-file=/dev/stdin", "-e", statements)
	return err
}
