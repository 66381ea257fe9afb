package compat

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// shortest is how long a source must keep its binary log: a follower that stood still over a night can go on in the
// morning.
const shortest = 24 * time.Hour

// Server looks at what keeps the source's writes from being followed row by row. replica: it follows another server.
// That the log is there at all is the survey's to say.
func Server(ctx context.Context, q ask.Queryer, replica bool) ([]Finding, error) {
	v, err := Variables(ctx, q, "binlog_format", "binlog_row_image", "binlog_expire_logs_seconds", "expire_logs_days", "server_id", "gtid_domain_id", "gtid_slave_pos", "read_only", "wsrep_on")
	if err != nil {
		return nil, err
	}
	return server(v, replica), nil
}

func server(v map[string]string, replica bool) (out []Finding) {
	add := func(object, fix, f string, a ...any) {
		out = append(out, Finding{Check: "binlog", Severity: Refuse, Stops: Follow, Object: object, What: fmt.Sprintf(f, a...), Fix: fix})
	}
	if f := v["binlog_format"]; f != "ROW" {
		add("binlog_format", "SET GLOBAL binlog_format = 'ROW', and in the server's configuration; sessions that are open keep the old one",
			"it is %s; the copy can be taken, but not be followed", f)
	}
	if img := v["binlog_row_image"]; img != "" && img != "FULL" { // FULL_NODUP (11.4) leaves unchanged columns out of the after-image
		add("binlog_row_image", "SET GLOBAL binlog_row_image = 'FULL', and in the server's configuration", "it is %s: the log has a part of each changed row only", img)
	}
	if v["server_id"] == "0" {
		add("server_id", "SET GLOBAL server_id = N, a number that no other server of the replication has", "it is 0: nobody may read the log")
	}
	if keep, known := retention(v); known && keep > 0 && keep < shortest {
		add("binlog_expire_logs_seconds", fmt.Sprintf("SET GLOBAL binlog_expire_logs_seconds = %d (before MariaDB 10.6 expire_logs_days = 3), and in the server's configuration", 3*24*60*60),
			"the binary log is kept for %s: a follower that stands still for longer can't go on", keep)
	}
	d := v["gtid_domain_id"]
	anothers := func(g string) bool { // its own comes round where two replicate from each other
		return strings.HasPrefix(g, d+"-") && !strings.HasPrefix(g, d+"-"+v["server_id"]+"-")
	}
	if replica && v["read_only"] == "OFF" && slices.ContainsFunc(strings.Split(v["gtid_slave_pos"], ","), anothers) {
		add("gtid_domain_id", "SET GLOBAL gtid_domain_id = N, another number on each server that takes writes",
			"the server takes writes itself and replicates another's, all in GTID domain %s: the order of the two is lost", d)
	}
	if v["wsrep_on"] == "ON" {
		out = append(out, Finding{Check: "galera", Severity: Warn, Object: "wsrep_on", What: "the source is a node of a Galera cluster: writes of the other nodes are in its log only with log_slave_updates and wsrep_gtid_mode",
			Fix: "follow one node only, with both on"})
	}
	return out
}

// retention is how long the log is kept; 0: for ever.
func retention(v map[string]string) (time.Duration, bool) {
	if s := v["binlog_expire_logs_seconds"]; s != "" && s != "0" {
		n, err := strconv.ParseInt(s, 10, 64)
		return time.Duration(n) * time.Second, err == nil
	}
	d, err := strconv.ParseFloat(v["expire_logs_days"], 64) // 10.6 has fractions
	return time.Duration(d * float64(24*time.Hour)), err == nil
}

// SlaveMonitor is the privilege on *.* without which a MariaDB doesn't say whether it replicates.
// https://mariadb.com/kb/en/grant/#slave-monitor
func SlaveMonitor(version int) string {
	if version < 100500 {
		return "REPLICATION CLIENT"
	}
	return "SLAVE MONITOR"
}
