package changes

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// checker looks at what a server must have so that its log can be read row by row.
type checker struct {
	db    *sql.DB
	src   Source
	vars  map[string]string
	found []dbcopy.Finding
}

func (c *checker) refuse(object, fix, f string, a ...any) {
	c.found = append(c.found, dbcopy.Finding{Check: "binlog", Severity: dbcopy.Refuse, Stops: compat.Follow, Object: object, What: fmt.Sprintf(f, a...), Fix: fix})
}

// check holds the server's settings and the position to what reading needs, and completes the position with MariaDB's GTIDs.
// All that is wrong with the settings comes at once.
func check(ctx context.Context, db *sql.DB, src Source, from Position) (Position, error) {
	c := &checker{db: db, src: src}
	if err := c.refused(ctx); err != nil {
		return from, err
	}
	from, err := c.position(ctx, from)
	if err != nil {
		return from, fmt.Errorf("%s: %w", src.Endpoint.Name, err)
	}
	return from, nil
}

// Readable holds a server's settings, and what the account may, to what reading its log needs, before a position is known: all that is
// wrong is one *dbcopy.RefusedError.
func Readable(ctx context.Context, src Source) error {
	db, err := src.Endpoint.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	return (&checker{db: db, src: src}).refused(ctx)
}

// refused is all that settings finds.
func (c *checker) refused(ctx context.Context) error {
	if err := c.settings(ctx); err != nil {
		return c.src.Endpoint.Explain(err)
	}
	if len(c.found) > 0 {
		return fmt.Errorf("%s: %w", c.src.Endpoint.Name, &dbcopy.RefusedError{Findings: c.found})
	}
	return nil
}

func (c *checker) settings(ctx context.Context) (err error) {
	names := []string{"version", "log_bin", "binlog_format", "binlog_row_image", "binlog_row_value_options", "server_id", "log_slave_updates", "log_replica_updates", "gtid_strict_mode", "gtid_mode",
		"binlog_expire_logs_seconds", "expire_logs_days", "encrypt_binlog"}
	if c.vars, err = compat.Variables(ctx, c.db, names...); err != nil {
		return err
	}
	v := c.vars
	if isMaria := strings.Contains(v["version"], "MariaDB"); isMaria != (c.src.Flavor == value.MariaDB) {
		c.refuse("version", "", "it is %s, and was to be %s", v["version"], map[value.Flavor]string{value.MariaDB: "MariaDB", value.MySQL: "MySQL"}[c.src.Flavor])
		return nil
	}
	if !isOn(v["log_bin"]) {
		c.refuse("log_bin", "log_bin in the server's configuration, and a restart", "the binary log is off")
		return nil
	}
	if f := v["binlog_format"]; f != "ROW" && f != "" { // without the variable there are only rows
		c.refuse("binlog_format", "SET GLOBAL binlog_format = 'ROW', and in the server's configuration; sessions that are open keep the old one", "it is %s: the log has statements where it must have rows", f)
	}
	if i := v["binlog_row_image"]; i != "" && i != "FULL" {
		c.refuse("binlog_row_image", "SET GLOBAL binlog_row_image = 'FULL', and in the server's configuration; sessions that are open keep the old one", "it is %s: the log has a part of each changed row only", i)
	}
	if o := v["binlog_row_value_options"]; o != "" {
		c.refuse("binlog_row_value_options", "SET GLOBAL binlog_row_value_options = '', and in the server's configuration", "it is %s: the log has a part of a changed JSON value only", o)
	}
	if v["server_id"] == "0" {
		c.refuse("server_id", "SET GLOBAL server_id = N, a number that no other server of the replication has", "it is 0: nobody may read the log")
	}
	replica, err := c.replica(ctx)
	if err != nil {
		return err
	}
	if updates := v["log_slave_updates"] + v["log_replica_updates"]; replica && !strings.Contains(updates, "ON") && !strings.Contains(updates, "1") {
		c.refuse("log_slave_updates", "log_slave_updates in the server's configuration, and a restart; or read the log of each server that is written to", "the server replicates another, and what it replicates isn't in its own log")
	}
	if replica && v["gtid_strict_mode"] != "" && !isOn(v["gtid_strict_mode"]) {
		c.refuse("gtid_strict_mode", "SET GLOBAL gtid_strict_mode = 1, and in the server's configuration", "it is off where the server replicates another: GTIDs may be logged out of order, and a position by GTID then says nothing")
	}
	return c.privileges(ctx)
}

func isOn(v string) bool { return v == "ON" || v == "1" }

// replica: the server replicates another. Not to be allowed to know is found by privileges.
func (c *checker) replica(ctx context.Context) (bool, error) {
	query := "SHOW ALL SLAVES STATUS"
	if c.src.Flavor == value.MySQL {
		query = "SHOW REPLICA STATUS"
	}
	masters, err := ask.Rows(ctx, c.db, query)
	if ask.Number(err) == 1227 {
		privilege := "REPLICATION CLIENT"
		if c.src.Flavor == value.MariaDB {
			privilege = compat.SlaveMonitor(dbcopy.Version(c.vars["version"]))
		}
		grantee, err := ask.Grantee(ctx, c.db)
		c.refuse("account", "GRANT "+privilege+" ON *.* TO "+grantee, "it may not see whether the server replicates another")
		return false, err
	}
	return len(masters) > 0, err
}

// privileges asks what reading the log itself doesn't: the server refuses it later and by the by.
func (c *checker) privileges(ctx context.Context) error {
	grants, err := ask.Column(ctx, c.db, "SHOW GRANTS")
	if err != nil {
		return err
	}
	var all []string
	for _, g := range grants {
		if list, rest, ok := strings.Cut(strings.TrimPrefix(g, "GRANT "), " ON "); ok && strings.HasPrefix(rest, "*.*") {
			for p := range strings.SplitSeq(list, ",") {
				all = append(all, strings.ToUpper(strings.TrimSpace(p)))
			}
		}
	}
	grantee, err := ask.Grantee(ctx, c.db)
	if err != nil {
		return err
	}
	need := [][]string{{"REPLICATION SLAVE", "REPLICATION REPLICA"}, {"REPLICATION CLIENT", "BINLOG MONITOR"}}
	for _, names := range need {
		if !slices.Contains(all, "ALL PRIVILEGES") && !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(all, n) }) {
			c.refuse("account", "GRANT "+names[0]+" ON *.* TO "+grantee, "it lacks %s, without which it may not read the log or see where it ends", names[0])
		}
	}
	return nil
}

// position holds a position to the server's log.
func (c *checker) position(ctx context.Context, from Position) (Position, error) {
	if c.src.Flavor == value.MySQL {
		return from, c.mysqlPosition(ctx, from)
	}
	if from.MariaDB.IsZero() {
		logs, err := fileNames(ctx, c.db)
		if err != nil {
			return from, err
		}
		if !slices.Contains(logs, from.File.Name) {
			return from, c.noFile(ctx, from, logs)
		}
		from.MariaDB, err = gtidAt(ctx, c.db, from.File)
		return from, err
	}
	var text string
	if err := c.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_current_pos").Scan(&text); err != nil {
		return from, err
	}
	// What the server replicated before it logged counts too.
	now, err := binlog.ParseMariaDB(text)
	if err != nil {
		return from, err
	}
	var logged string
	if err := c.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_binlog_pos").Scan(&logged); err != nil {
		return from, err
	}
	for _, g := range from.MariaDB.Last() {
		ok := false
		for _, text := range []string{logged, text} {
			p, err := binlog.ParseMariaDB(text)
			if err != nil {
				return from, err
			}
			for _, h := range p.Last() {
				ok = ok || h.Domain == g.Domain && (h.Seq > g.Seq || h == g)
			}
		}
		if !ok {
			return from, &StopError{Kind: StopOtherLog, At: from.String(), What: fmt.Sprintf("the position has transaction %s, and this server is at %s: it is of another server, or this one was put back to an older state", g, now),
				Do: "give a position of this server, or copy anew"}
		}
	}
	return from, nil
}

func (c *checker) mysqlPosition(ctx context.Context, from Position) error {
	logs, err := fileNames(ctx, c.db)
	if err != nil {
		return err
	}
	if from.MySQL.IsZero() {
		if !slices.Contains(logs, from.File.Name) {
			return c.noFile(ctx, from, logs)
		}
		return nil
	}
	if c.vars["gtid_mode"] != "ON" {
		return &StopError{Kind: StopOtherLog, At: from.String(), What: "the position is by GTID, and gtid_mode is " + c.vars["gtid_mode"], Do: "SET GLOBAL gtid_mode = ON, step by step as MySQL's manual says"}
	}
	var executed, purged string
	if err := c.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged").Scan(&executed, &purged); err != nil {
		return err
	}
	has, err := binlog.ParseMySQL(executed)
	if err != nil {
		return err
	}
	gone, err := binlog.ParseMySQL(purged)
	if err != nil {
		return err
	}
	if o, err := from.MySQL.Compare(has); err != nil || o == binlog.After {
		return &StopError{Kind: StopOtherLog, At: from.String(), What: fmt.Sprintf("the position has transactions that this server hasn't (it is at %s): it is of another server, or this one was put back to an older state", has),
			Do: "give a position of this server, or copy anew"}
	}
	if o, err := gone.Compare(from.MySQL); err != nil || o == binlog.After {
		return &StopError{Kind: StopPurged, At: from.String(), What: fmt.Sprintf("the server hasn't the log from there any more: %s is purged", gone), Do: advice(ctx, c.db, c.src.Flavor)}
	}
	return nil
}

// noFile: a log file that the server doesn't list is purged, or another server's.
func (c *checker) noFile(ctx context.Context, from Position, logs []string) error {
	e := &StopError{Kind: StopOtherLog, At: from.String(), What: "the server has no such log", Do: "give a position of this server, or copy anew"}
	if len(logs) > 0 {
		o, err := from.File.Compare(binlog.File{Name: logs[0], Offset: 4})
		if err == nil && o == binlog.Before {
			e.Kind, e.What, e.Do = StopPurged, "the server hasn't the log from there any more", advice(ctx, c.db, c.src.Flavor)
		}
	}
	return e
}

// fileNames are the server's log files, the oldest first.
func fileNames(ctx context.Context, db *sql.DB) ([]string, error) {
	return ask.Column(ctx, db, "SHOW BINARY LOGS")
}

// advice is what to do about a log that is gone: what there still is, and for how long the server keeps it.
func advice(ctx context.Context, db *sql.DB, f value.Flavor) string {
	out := "copy anew"
	if logs, err := fileNames(ctx, db); err == nil && len(logs) > 0 {
		out += "; the oldest log that there is is " + logs[0]
		if g, err := gtidAt(ctx, db, binlog.File{Name: logs[0], Offset: 4}); f == value.MariaDB && err == nil && !g.IsZero() {
			out += ", from " + g.String() + " on"
		}
	}
	keep := "for ever, by its settings: somebody purged it"
	v, err := compat.Variables(ctx, db, "binlog_expire_logs_seconds", "expire_logs_days")
	if err != nil {
		return out
	}
	if n, err := strconv.ParseInt(v["binlog_expire_logs_seconds"], 10, 64); err == nil && n > 0 {
		keep = "for " + (time.Duration(n) * time.Second).String()
	} else if d, err := strconv.ParseFloat(v["expire_logs_days"], 64); err == nil && d > 0 {
		keep = fmt.Sprintf("for %g days", d)
	}
	return out + "; the server keeps its log " + keep + " (SET GLOBAL binlog_expire_logs_seconds = 259200 keeps it for three days)"
}

// Retention is how long the server keeps its log; 0: for ever.
func Retention(ctx context.Context, src Source) (time.Duration, error) {
	db, err := src.Endpoint.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	v, err := compat.Variables(ctx, db, "binlog_expire_logs_seconds", "expire_logs_days")
	if err != nil {
		return 0, src.Endpoint.Explain(err)
	}
	if n, err := strconv.ParseInt(v["binlog_expire_logs_seconds"], 10, 64); err == nil && n > 0 {
		return time.Duration(n) * time.Second, nil
	}
	d, _ := strconv.ParseFloat(v["expire_logs_days"], 64) // a server without either keeps it for ever
	return time.Duration(d * float64(24*time.Hour)), nil
}

// TwoWriters names the domains in which more than one server wrote, from @@gtid_binlog_state of two moments: a server whose
// number rose between them writes now. Two masters that write in one domain give their transactions no order that a position
// could hold; each needs a gtid_domain_id of its own.
func TwoWriters(before, now string) ([]string, error) {
	old := map[[2]uint32]uint64{}
	parse := func(text string) (out []binlog.GTID, err error) {
		for part := range strings.SplitSeq(text, ",") {
			if strings.TrimSpace(part) == "" {
				continue
			}
			g, err := binlog.ParseGTID(strings.TrimSpace(part))
			if err != nil {
				return nil, err
			}
			out = append(out, g)
		}
		return out, nil
	}
	was, err := parse(before)
	if err != nil {
		return nil, err
	}
	for _, g := range was {
		old[[2]uint32{g.Domain, g.Server}] = g.Seq
	}
	is, err := parse(now)
	if err != nil {
		return nil, err
	}
	writers := map[uint32][]uint32{}
	var domains []uint32
	for _, g := range is {
		if g.Seq > old[[2]uint32{g.Domain, g.Server}] {
			if writers[g.Domain] == nil {
				domains = append(domains, g.Domain)
			}
			writers[g.Domain] = append(writers[g.Domain], g.Server)
		}
	}
	slices.Sort(domains)
	var out []string
	for _, d := range domains {
		if w := writers[d]; len(w) > 1 {
			slices.Sort(w)
			out = append(out, fmt.Sprintf("servers %s write in GTID domain %d: SET GLOBAL gtid_domain_id = N, another number on each server that takes writes", strings.Trim(fmt.Sprint(w), "[]"), d))
		}
	}
	return out, nil
}
