package scan

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/inventory"
)

// Database is a MariaDB server: its settings that matter for a move, and from whom it replicates.
type Database struct {
	Host      string     `json:"host"`
	Version   string     `json:"version"`
	Variables []Variable `json:"variables"` // those of wanted that it knows, sorted by name
	Databases []string   `json:"databases"`
	Grants    []string   `json:"grants"` // of the account that asked; without password hashes
	BinlogAt  string     `json:"binlog_at"`
	Replicas  []Replica  `json:"replicas"` // what it replicates: one for each connection
}

// Variable is a global variable.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Replica is a connection to a master.
type Replica struct {
	Name      string        `json:"name"` // "" for the default one
	Master    string        `json:"master"`
	Port      int           `json:"port"`
	IO        string        `json:"io"`  // Yes, No, Connecting, Preparing
	SQL       string        `json:"sql"` // Yes, No
	Lag       time.Duration `json:"lag_ns"`
	LagKnown  bool          `json:"lag_known"` // false while it isn't running
	Delay     time.Duration `json:"delay_ns"`  // that it keeps on purpose
	GTID      string        `json:"gtid"`      // No, Slave_Pos, Current_Pos
	IOError   string        `json:"io_error,omitempty"`
	SQLError  string        `json:"sql_error,omitempty"`
	Filtered  bool          `json:"filtered"` // it leaves tables or databases out
	ServerIDs string        `json:"ignored_server_ids,omitempty"`
}

// Running says whether both threads run.
func (r Replica) Running() bool { return r.IO == "Yes" && r.SQL == "Yes" }

// Variable gives a variable's value; "" where the server doesn't know it.
func (d *Database) Variable(name string) string {
	for _, v := range d.Variables {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// wanted are the variables that are read.
var wanted = []string{"binlog_expire_logs_seconds", "binlog_format", "binlog_row_image", "character_set_server", "collation_server", "expire_logs_days", "gtid_binlog_pos",
	"event_scheduler", "gtid_current_pos", "gtid_domain_id", "gtid_slave_pos", "gtid_strict_mode", "innodb_buffer_pool_size", "innodb_flush_log_at_trx_commit", "innodb_log_file_size",
	"innodb_version", "log_bin", "log_slave_updates", "lower_case_table_names", "max_allowed_packet", "max_connections", "performance_schema", "read_only", "server_id", "sql_mode",
	"sync_binlog", "system_time_zone", "time_zone", "tx_isolation", "version", "wait_timeout", "wsrep_on"}

// Account is who asks MariaDB.
type Account struct {
	User     string
	Password secret.String
	Port     int // on each host, at 127.0.0.1
}

// databaseLimit is how long one server may take to answer all.
const databaseLimit = 20 * time.Second

// Databases asks all hosts with role db, through SSH, each at its own 127.0.0.1. It sends SELECT and SHOW alone, in a
// session that is set to read only. Errors as Fleet's.
func (s Source) Databases(ctx context.Context, a Account) ([]Database, error) {
	var hosts []string
	for _, h := range s.Inventory.With(inventory.DB) {
		hosts = append(hosts, h.Name)
	}
	if len(hosts) == 0 {
		return nil, errors.New("no host of the inventory has the role db")
	}
	all, err := remote.Each(ctx, hosts, s.AtOnce, func(ctx context.Context, host string) (*Database, error) {
		d, err := s.database(ctx, host, a)
		if err != nil {
			return nil, secret.Redact(fmt.Errorf("%s: mariadb: %w", host, trim(err, host)), a.Password)
		}
		return d, nil
	})
	var out []Database
	for _, d := range all {
		if d != nil {
			out = append(out, *d)
		}
	}
	return out, err
}

// trim avoids naming the host twice.
func trim(err error, host string) error {
	if text, ok := strings.CutPrefix(err.Error(), host+": "); ok {
		return &shorter{text, err}
	}
	return err
}

type shorter struct {
	text string
	err  error
}

func (s *shorter) Error() string { return s.text }
func (s *shorter) Unwrap() error { return s.err }

func (s Source) database(ctx context.Context, host string, a Account) (*Database, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, databaseLimit, fmt.Errorf("it did not answer within %s: %w", databaseLimit, remote.ErrTimeout))
	defer cancel()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd = a.User, a.Password.Reveal()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = databaseLimit, databaseLimit, databaseLimit
	cfg.Logger = &mysql.NopLogger{} // what it logs is also returned
	// The driver reports a connection that fails under it as one that was refused; the cause is kept here.
	var dialErr error
	dial := s.Dial(host)
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		var c net.Conn
		c, dialErr = dial(ctx, network, address)
		return c, dialErr
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	db.SetMaxOpenConns(1)
	d := &Database{Host: host}
	if err := d.read(ctx, db); err != nil {
		switch {
		case dialErr != nil:
			return nil, dialErr
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		return nil, explain(err, a)
	}
	return d, nil
}

// explain says what to do about the errors that wrong accounts make: https://mariadb.com/kb/en/mariadb-error-codes/.
func explain(err error, a Account) error {
	var said *mysql.MySQLError
	if !errors.As(err, &said) {
		return err
	}
	switch said.Number {
	case 1045, 1698:
		return fmt.Errorf("it refuses user %s; look at source.mariadb.password, and whether the account may come from 127.0.0.1: %w", a.User, err)
	case 1227, 1142, 1044:
		return fmt.Errorf("user %s lacks a privilege; type there: GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO %s@'127.0.0.1' : %w", a.User, a.User, err)
	}
	return err
}

func (d *Database) read(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SET SESSION TRANSACTION READ ONLY"); err != nil {
		return err
	}
	vars, err := table(ctx, conn, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return err
	}
	for _, v := range vars {
		if name := v.get("Variable_name"); slices.Contains(wanted, name) {
			d.Variables = append(d.Variables, Variable{name, v.get("Value")})
		}
	}
	slices.SortFunc(d.Variables, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	d.Version = d.Variable("version")

	names, err := table(ctx, conn, "SHOW DATABASES")
	if err != nil {
		return err
	}
	for _, n := range names {
		d.Databases = append(d.Databases, n.get("Database"))
	}
	slices.Sort(d.Databases)
	if d.Grants, err = grants(ctx, conn); err != nil {
		return err
	}
	if d.Variable("log_bin") == "ON" {
		at, err := table(ctx, conn, "SHOW MASTER STATUS")
		if err != nil {
			return err
		}
		if len(at) == 1 {
			d.BinlogAt = at[0].get("File") + ":" + at[0].get("Position")
		}
	}
	replicas, err := table(ctx, conn, "SHOW ALL SLAVES STATUS")
	if err != nil {
		return err
	}
	for _, r := range replicas {
		parsed, err := parseReplica(r)
		if err != nil {
			return err
		}
		d.Replicas = append(d.Replicas, parsed)
	}
	slices.SortFunc(d.Replicas, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// grants leaves out IDENTIFIED BY, which has a hash of the password.
func grants(ctx context.Context, conn *sql.Conn) ([]string, error) {
	all, err := table(ctx, conn, "SHOW GRANTS")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, g := range all {
		text, _, _ := strings.Cut(g.values[0], " IDENTIFIED ")
		out = append(out, text)
	}
	return out, nil
}

// record is a row by the names of its columns: which there are depends on the release.
type record struct {
	columns []string
	values  []string
	null    []bool
}

func (r record) get(column string) string {
	if i := slices.IndexFunc(r.columns, func(c string) bool { return strings.EqualFold(c, column) }); i >= 0 {
		return r.values[i]
	}
	return ""
}

func (r record) isNull(column string) bool {
	i := slices.IndexFunc(r.columns, func(c string) bool { return strings.EqualFold(c, column) })
	return i < 0 || r.null[i]
}

func table(ctx context.Context, conn *sql.Conn, statement string) ([]record, error) {
	rs, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.ToLower(statement), err)
	}
	defer rs.Close()
	columns, err := rs.Columns()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.ToLower(statement), err)
	}
	var out []record
	for rs.Next() {
		cells := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rs.Scan(into...); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.ToLower(statement), err)
		}
		r := record{columns: columns}
		for _, c := range cells {
			r.values, r.null = append(r.values, c.String), append(r.null, !c.Valid)
		}
		out = append(out, r)
	}
	if err := rs.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", strings.ToLower(statement), err)
	}
	return out, nil
}

// parseReplica reads a row of SHOW ALL SLAVES STATUS: https://mariadb.com/kb/en/show-replica-status/.
func parseReplica(r record) (Replica, error) {
	out := Replica{Name: r.get("Connection_name"), Master: r.get("Master_Host"), IO: r.get("Slave_IO_Running"), SQL: r.get("Slave_SQL_Running"), GTID: r.get("Using_Gtid"),
		IOError: remote.Printable(r.get("Last_IO_Error"), 300), SQLError: remote.Printable(r.get("Last_SQL_Error"), 300), ServerIDs: r.get("Replicate_Ignore_Server_Ids")}
	if out.Master == "" || out.IO == "" || out.SQL == "" {
		return out, fmt.Errorf("%w: replication's status has no master or no state", ErrAnswer)
	}
	var err error
	if out.Port, err = strconv.Atoi(r.get("Master_Port")); err != nil {
		return out, fmt.Errorf("%w: replication's port %q", ErrAnswer, remote.Printable(r.get("Master_Port"), 40))
	}
	if !r.isNull("Seconds_Behind_Master") {
		n, err := strconv.ParseInt(r.get("Seconds_Behind_Master"), 10, 32)
		if err != nil {
			return out, fmt.Errorf("%w: replication's lag %q", ErrAnswer, remote.Printable(r.get("Seconds_Behind_Master"), 40))
		}
		out.Lag, out.LagKnown = time.Duration(n)*time.Second, true
	}
	if d := r.get("SQL_Delay"); d != "" {
		n, err := strconv.ParseInt(d, 10, 32)
		if err != nil {
			return out, fmt.Errorf("%w: replication's delay %q", ErrAnswer, remote.Printable(d, 40))
		}
		out.Delay = time.Duration(n) * time.Second
	}
	for _, f := range []string{"Replicate_Do_DB", "Replicate_Ignore_DB", "Replicate_Do_Table", "Replicate_Ignore_Table", "Replicate_Wild_Do_Table", "Replicate_Wild_Ignore_Table"} {
		out.Filtered = out.Filtered || r.get(f) != ""
	}
	return out, nil
}
