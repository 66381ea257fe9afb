package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
)

const terminate = syscall.SIGTERM

// Error numbers of the server (MySQL reference, "Server Error Message Reference").
const (
	erDBCreateExists   = 1007
	erDBDropExists     = 1008
	erUnknownCharset   = 1115
	erBadDB            = 1049
	erUnknownCollation = 1273
	erCharsetMismatch  = 1253
	erCannotUser       = 1396
	erTooLong          = 1470
	erNotValidPassword = 1819
)

// told wraps an error of the server by what the API answers for it.
func told(err error) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Number {
	case erDBCreateExists:
		return fmt.Errorf("%w: %w", sqladmin.ErrExists, err)
	case erDBDropExists, erBadDB, erCannotUser:
		return fmt.Errorf("%w: %w", sqladmin.ErrNotFound, err)
	case erUnknownCharset, erUnknownCollation, erCharsetMismatch, erTooLong, erNotValidPassword:
		return fmt.Errorf("%w: %w", sqladmin.ErrInvalid, err)
	}
	return err
}

// exec runs one administrative statement. The error names what was done and
// never the statement, which may hold a password.
func (s *server) exec(ctx context.Context, what, statement string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	if _, err := s.admin.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("%s: %w", what, told(err))
	}
	return nil
}

// identifier quotes a name.
func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Databases implements sqladmin.Server.
func (s *server) Databases(ctx context.Context) ([]sqladmin.Database, error) {
	rows, err := s.admin.QueryContext(ctx, "SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata ORDER BY schema_name")
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	defer rows.Close()
	var list []sqladmin.Database
	for rows.Next() {
		var d sqladmin.Database
		if err := rows.Scan(&d.Name, &d.Charset, &d.Collation); err != nil {
			return nil, fmt.Errorf("list databases: %w", err)
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// defaultsOf are the clauses for a database's character set and collation.
func defaultsOf(d sqladmin.Database) (clauses string, args []any) {
	if d.Charset != "" {
		clauses, args = clauses+" CHARACTER SET ?", append(args, d.Charset)
	}
	if d.Collation != "" {
		clauses, args = clauses+" COLLATE ?", append(args, d.Collation)
	}
	return clauses, args
}

// CreateDatabase implements sqladmin.Server.
func (s *server) CreateDatabase(ctx context.Context, d sqladmin.Database) error {
	clauses, args := defaultsOf(d)
	return s.exec(ctx, "create database "+d.Name, "CREATE DATABASE "+identifier(d.Name)+clauses, args...)
}

// AlterDatabase implements sqladmin.Server.
func (s *server) AlterDatabase(ctx context.Context, d sqladmin.Database) error {
	clauses, args := defaultsOf(d)
	if clauses == "" {
		return nil
	}
	return s.exec(ctx, "alter database "+d.Name, "ALTER DATABASE "+identifier(d.Name)+clauses, args...)
}

// DropDatabase implements sqladmin.Server.
func (s *server) DropDatabase(ctx context.Context, name string) error {
	return s.exec(ctx, "drop database "+name, "DROP DATABASE "+identifier(name))
}

// Users implements sqladmin.Server: all but the server's and the lab's own.
func (s *server) Users(ctx context.Context) ([]sqladmin.User, error) {
	rows, err := s.admin.QueryContext(ctx, `SELECT user, host FROM mysql.user
		WHERE user NOT LIKE 'mysql.%' AND user NOT LIKE 'cloudsql%' ORDER BY user, host`)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	defer rows.Close()
	var list []sqladmin.User
	for rows.Next() {
		var u sqladmin.User
		if err := rows.Scan(&u.Name, &u.Host); err != nil {
			return nil, fmt.Errorf("list users: %w", err)
		}
		list = append(list, u)
	}
	return list, rows.Err()
}

// SetUser implements sqladmin.Server. A user that is new gets the role; one that
// is there keeps what it holds and gets the password.
func (s *server) SetUser(ctx context.Context, u sqladmin.User, password string) error {
	what := fmt.Sprintf("user %s@%s", u.Name, u.Host)
	list, err := s.Users(ctx)
	if err != nil {
		return err
	}
	for _, there := range list {
		if there == u {
			return s.exec(ctx, "set the password of "+what, "ALTER USER ?@? IDENTIFIED BY ?", u.Name, u.Host, password)
		}
	}
	if err := s.exec(ctx, "create "+what, "CREATE USER ?@? IDENTIFIED BY ? DEFAULT ROLE cloudsqlsuperuser@'%'", u.Name, u.Host, password); err != nil {
		return err
	}
	return nil
}

// DropUser implements sqladmin.Server.
func (s *server) DropUser(ctx context.Context, u sqladmin.User) error {
	return s.exec(ctx, fmt.Sprintf("drop user %s@%s", u.Name, u.Host), "DROP USER ?@?", u.Name, u.Host)
}
