// Package ask reads what a server answers: rows, rows as text, the state of its replication, an error's number. It knows SQL's
// protocol and nothing of what is asked for, and imports nothing of Slipway.
package ask

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Queryer is a pool, or one connection or transaction of it.
type Queryer interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
}

// Each reads each row of an answer with scan.
func Each[T any](ctx context.Context, q Queryer, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Text is for Each: a row of one column, which is not NULL.
func Text(r *sql.Rows) (s string, err error) { err = r.Scan(&s); return s, err }

// Table is a whole answer as text; NULL is "".
type Table struct {
	Names []string // of the columns
	Rows  [][]string
}

// Of gives a row's field by its column's name; "" where the answer has no such column.
func (t Table) Of(row []string, name string) string {
	if i := slices.Index(t.Names, name); i >= 0 {
		return row[i]
	}
	return ""
}

// Read reads a whole answer as text.
func Read(ctx context.Context, q Queryer, query string, args ...any) (t Table, err error) {
	r, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return t, err
	}
	defer r.Close()
	if t.Names, err = r.Columns(); err != nil {
		return t, err
	}
	vals, ptrs := make([]sql.NullString, len(t.Names)), make([]any, len(t.Names))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	for r.Next() {
		if err := r.Scan(ptrs...); err != nil {
			return t, err
		}
		row := make([]string, len(vals))
		for i, v := range vals {
			row[i] = v.String
		}
		t.Rows = append(t.Rows, row)
	}
	return t, r.Err()
}

// Rows is Read without the columns' names.
func Rows(ctx context.Context, q Queryer, query string, args ...any) ([][]string, error) {
	t, err := Read(ctx, q, query, args...)
	return t.Rows, err
}

// Column is the first column of Read.
func Column(ctx context.Context, q Queryer, query string, args ...any) ([]string, error) {
	t, err := Read(ctx, q, query, args...)
	out := make([]string, len(t.Rows))
	for i, r := range t.Rows {
		out[i] = r[0]
	}
	return out, err
}

// Number is the server's error number, or 0.
func Number(err error) uint16 {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return my.Number
	}
	return 0
}

// Denied: the account lacks a privilege for what it asked: on a schema, a table, a column, of an administrator, on a routine. A login
// that is refused is another error.
func Denied(err error) bool {
	switch Number(err) {
	case 1044, 1142, 1143, 1227, 1370:
		return true
	}
	return false
}

// Grantee is the account that was signed in as, in the form that GRANT takes and information_schema has: 'user'@'host'.
func Grantee(ctx context.Context, q Queryer) (string, error) {
	var user string
	if err := q.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&user); err != nil {
		return "", err
	}
	at := strings.LastIndexByte(user, '@')
	return "'" + user[:at] + "'@'" + user[at+1:] + "'", nil
}
