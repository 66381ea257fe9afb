package mysql

import (
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
)

// Paths in an instance's machine. The data disk is mounted at diskPath, with the
// data directory and the temporary files in it.
const (
	diskPath   = "/data"
	dataPath   = diskPath + "/data"
	configPath = "/etc/mysql/lab.cnf"
	initPath   = "/etc/mysql/init.sql"
	tlsPath    = "/etc/mysql/tls"
	socketPath = "/run/mysqld/mysqld.sock"
)

// serverConf is the server's option file. innodb-flush-method: the disk is a file
// of this computer, where direct I/O would be paid twice. What a flag can set is not among the
// fixed lines, so that taking a flag away leads back to the server's default.
func serverConf(c sqladmin.Config, slot int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[mysqld]
user = mysql
datadir = %s
tmpdir = %s/tmp
socket = %s
pid-file = /run/mysqld/mysqld.pid
port = 3306
bind-address = 0.0.0.0
mysqlx = 0
skip-name-resolve = ON
secure-file-priv = NULL
partial-revokes = ON
server-id = %d
gtid-mode = ON
enforce-gtid-consistency = ON
innodb-flush-log-at-trx-commit = 1
innodb-flush-method = fsync
ssl-ca = %s/ca.pem
ssl-cert = %s/server.pem
ssl-key = %s/server.key
tls-version = TLSv1.2,TLSv1.3
require-secure-transport = %s
`, dataPath, diskPath, socketPath, 1000+slot, tlsPath, tlsPath, tlsPath, onOff(c.OnlyTLS))
	if c.BinLog {
		b.WriteString("log-bin = mysql-bin\nlog-replica-updates = ON\nsync-binlog = 1\n")
	} else {
		b.WriteString("disable-log-bin\n")
	}
	// Below what a flag may say otherwise: an option that comes later wins.
	b.WriteString("performance-schema = OFF\ninnodb-buffer-pool-size = 268435456\n")
	for _, f := range c.Flags {
		fmt.Fprintf(&b, "%s = %s\n", strings.ReplaceAll(f.Name, "_", "-"), quote(f.Value))
	}
	return b.String()
}

// defaults are the fixed lines that a flag may override: what taking the flag
// away leads back to.
var defaults = map[string]string{"innodb_buffer_pool_size": "268435456"}

func onOff(b bool) string {
	if b {
		return "ON"
	}
	return "OFF"
}

// quote makes a value safe in an option file. Flags have been held against their
// types; what remains are lists and time zones.
func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// firewall are nftables rules for the machine's own network namespace: who
// reaches port 3306 on which address. Others' packets are dropped, so that they
// wait as they would for Cloud SQL.
func firewall(c sqladmin.Config, slot int) string {
	var b strings.Builder
	b.WriteString("table ip cloudsql\ndelete table ip cloudsql\ntable ip cloudsql {\n\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n")
	if c.Private {
		fmt.Fprintf(&b, "\t\tip daddr %s tcp dport 3306 accept\n", privateIP(slot))
	}
	if c.Public {
		for _, n := range c.Networks {
			fmt.Fprintf(&b, "\t\tip daddr %s ip saddr %s tcp dport 3306 accept\n", primaryIP(slot), n)
		}
	}
	b.WriteString("\t\tiifname \"lo\" accept\n\t\tct state established accept\n\t\ttcp dport 3306 drop\n\t}\n}\n")
	return b.String()
}
