package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/inventory"
)

// MaxLag is how far the server that the snapshot is read from may be behind.
const MaxLag = 60 * time.Second

// DatabaseProblems judges the MariaDB servers: that replication works, and that each is set up so that what is written to
// it can be followed. snapshotFrom is the host that the snapshot is read from; databases are those that move.
func DatabaseProblems(inv *inventory.Inventory, dbs []Database, snapshotFrom string, databases []string) []Problem {
	var out []Problem
	for i := range dbs {
		d := &dbs[i]
		out = append(out, binlogProblems(d)...)
		out = append(out, replicaProblems(d)...)
		if len(d.Replicas) == 0 && !slices.ContainsFunc(dbs, func(o Database) bool { return o.follows(inv, d.Host) }) && len(dbs) > 1 {
			out = append(out, Problem{d.Host, "mariadb: it replicates from nobody, and nobody from it", "take it out of the role db, or repair its replication"})
		}
		for _, name := range databases {
			if !slices.Contains(d.Databases, name) {
				out = append(out, Problem{d.Host, "mariadb: database " + name + " is not there, or the account may not see it", "correct source.mariadb.databases, or type there: GRANT SELECT ON " + name + ".* TO the account"})
			}
		}
		for _, g := range d.Grants {
			if p := tooMuch(g); p != "" {
				out = append(out, Problem{d.Host, "mariadb: the account may write (" + p + "), and Slipway must not be able to", "take the privilege away: REVOKE " + p})
			}
		}
		for j := range dbs[:i] {
			out = append(out, pairProblems(inv, &dbs[j], d)...)
		}
	}
	if d := find(dbs, snapshotFrom); d != nil {
		out = append(out, snapshotProblems(d)...)
	}
	return out
}

func find(dbs []Database, host string) *Database {
	if i := slices.IndexFunc(dbs, func(d Database) bool { return d.Host == host }); i >= 0 {
		return &dbs[i]
	}
	return nil
}

// follows says whether d replicates from a host of the inventory: its master's name or address is that host's.
func (d *Database) follows(inv *inventory.Inventory, host string) bool {
	h, ok := inv.Host(host)
	return ok && slices.ContainsFunc(d.Replicas, func(r Replica) bool {
		short, _, _ := strings.Cut(r.Master, ".")
		return strings.EqualFold(r.Master, h.Address) || strings.EqualFold(r.Master, h.Name) || strings.EqualFold(short, h.Name)
	})
}

// binlogProblems: what must be so for the server's writes to be followed row by row.
func binlogProblems(d *Database) []Problem {
	var out []Problem
	need := func(variable, remedy string, good ...string) {
		if v := d.Variable(variable); !slices.ContainsFunc(good, func(g string) bool { return strings.EqualFold(g, v) }) {
			out = append(out, Problem{d.Host, fmt.Sprintf("mariadb: %s is %s, and must be %s", variable, orUnset(v), strings.Join(good, " or ")), remedy})
		}
	}
	file := func(line string) string {
		return "write " + line + " under [mariadb] in its configuration and restart it"
	}
	need("log_bin", file("log_bin=binlog"), "ON")
	if d.Variable("log_bin") != "ON" {
		return out // the others say nothing then
	}
	need("binlog_format", "type there: SET GLOBAL binlog_format=ROW, and write it into its configuration; sessions that are open keep the old one", "ROW")
	need("binlog_row_image", "type there: SET GLOBAL binlog_row_image=FULL, and write it into its configuration", "FULL", "FULL_NODUP")
	need("log_slave_updates", file("log_slave_updates=1"), "ON")
	if d.Variable("server_id") == "0" || d.Variable("server_id") == "" {
		out = append(out, Problem{d.Host, "mariadb: it has no server_id", file("server_id=N, another one on each server")})
	}
	return out
}

func orUnset(v string) string {
	if v == "" {
		return "unset"
	}
	return v
}

func replicaProblems(d *Database) []Problem {
	var out []Problem
	for _, r := range d.Replicas {
		add := func(remedy, format string, args ...any) {
			from := "replication from " + r.Master
			if r.Name != "" {
				from += " (connection " + r.Name + ")"
			}
			out = append(out, Problem{d.Host, "mariadb: " + from + ": " + fmt.Sprintf(format, args...), remedy})
		}
		const look = "type there: SHOW ALL SLAVES STATUS"
		if r.IO != "Yes" {
			add(look, "its receiving thread does not run (%s)%s", r.IO, because(r.IOError))
		}
		if r.SQL != "Yes" {
			add(look, "its applying thread does not run (%s)%s", r.SQL, because(r.SQLError))
		}
		if r.Filtered {
			add("a copy from here would lack them; take the filters out, or read from another", "it leaves databases or tables out")
		}
	}
	return out
}

func because(said string) string {
	if said == "" {
		return ""
	}
	return ": " + said
}

// pairProblems looks at two servers that replicate from each other.
func pairProblems(inv *inventory.Inventory, a, b *Database) []Problem {
	var out []Problem
	if a.Variable("server_id") == b.Variable("server_id") && a.Variable("server_id") != "" {
		out = append(out, Problem{b.Host, fmt.Sprintf("mariadb: it has the same server_id as %s (%s)", a.Host, a.Variable("server_id")), "give each server its own"})
	}
	if a.follows(inv, b.Host) && b.follows(inv, a.Host) && a.Variable("gtid_domain_id") == b.Variable("gtid_domain_id") {
		out = append(out, Problem{b.Host, fmt.Sprintf("mariadb: it and %s replicate from each other in one gtid_domain_id (%s): where both write, their order is lost", a.Host, orUnset(a.Variable("gtid_domain_id"))),
			"give each its own: SET GLOBAL gtid_domain_id=N, and write it into its configuration"})
	}
	return out
}

func snapshotProblems(d *Database) []Problem {
	var out []Problem
	for _, r := range d.Replicas {
		switch {
		case r.Delay > 0:
			out = append(out, Problem{d.Host, fmt.Sprintf("mariadb: it is kept %s behind %s on purpose, and the snapshot is read from it", r.Delay, r.Master), "name another host in source.mariadb.snapshot_from"})
		case r.Running() && r.LagKnown && r.Lag > MaxLag:
			out = append(out, Problem{d.Host, fmt.Sprintf("mariadb: it is %s behind %s, and the snapshot is read from it", r.Lag, r.Master), "wait until it has caught up: SHOW ALL SLAVES STATUS"})
		}
	}
	return out
}

// tooMuch finds privileges with which the account could change the source. ALL has all of them.
func tooMuch(grant string) string {
	list, _, ok := strings.Cut(strings.TrimPrefix(grant, "GRANT "), " ON ")
	if !ok {
		return ""
	}
	for p := range strings.SplitSeq(strings.ToUpper(list), ",") {
		switch p = strings.TrimSpace(p); p {
		case "ALL PRIVILEGES", "SUPER", "INSERT", "UPDATE", "DELETE", "DELETE HISTORY", "CREATE", "DROP", "ALTER", "INDEX", "CREATE USER", "GRANT OPTION", "FILE", "SHUTDOWN", "CREATE ROUTINE",
			"ALTER ROUTINE", "EXECUTE", "BINLOG ADMIN", "BINLOG REPLAY", "READ_ONLY ADMIN", "READ ONLY ADMIN", "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN", "CONNECTION ADMIN", "SET USER", "RELOAD":
			return p
		}
	}
	return ""
}

// DatabasesDigest is of what the servers are: versions, ids and settings that don't move by themselves.
func DatabasesDigest(dbs []Database) string {
	type server struct{ Host, Version, ServerID, Domain string }
	all := make([]server, len(dbs))
	for i, d := range dbs {
		all[i] = server{d.Host, d.Version, d.Variable("server_id"), d.Variable("gtid_domain_id")}
	}
	return digest(all)
}
