package dbcopy

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// A check compiles definitions in schemas of its own on the target: _slipway_check_N. A schema of that name is this
// program's when it has the mark below, or nothing at all (it was killed between the two statements); any other is
// somebody's, and is left. One check at a time uses a target: it holds a lock by name, which goes with its connection.
const (
	scratchPrefix = "_slipway_check_"
	scratchMark   = "_slipway_scratch"
	scratchLock   = "_slipway_check"
)

var scratchName = regexp.MustCompile(`^` + scratchPrefix + `[0-9]+$`)

var (
	// ErrChecking: another check uses this target right now. Wait until it is over.
	ErrChecking = errors.New("another check uses this target")
	// ErrNoScratch: the account may not make schemas on the target; it is ErrDenied too.
	ErrNoScratch = errors.New("the account may not make a schema to compile in")
)

// ErrLeft: a check could not drop its schemas. The next check does.
var ErrLeft = errors.New("a check's schemas are left at the target, and the next check drops them")

// scratch is the schemas of one check.
type scratch struct {
	ep Endpoint
	c  *sql.Conn // holds the lock
	// of gives the scratch schema of a schema of the source.
	of   map[string]string
	made []string
}

// openScratch makes an empty schema for each of the source's, with its charset and collation where the target has them.
// What killed checks have left is dropped first. swept is what that was.
func openScratch(ctx context.Context, ep Endpoint, c *sql.Conn, schemas []Schema, has func(string) bool) (s *scratch, swept []string, err error) {
	var got sql.NullInt64
	if err := c.QueryRowContext(ctx, "SELECT GET_LOCK('"+scratchLock+"', 0)").Scan(&got); err != nil {
		return nil, nil, err
	}
	if got.Int64 != 1 {
		return nil, nil, ErrChecking
	}
	s = &scratch{ep: ep, c: c, of: map[string]string{}}
	taken, err := ask.Each(ctx, c, ask.Text, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '\\_slipway\\_check\\_%' ORDER BY 1")
	if err != nil {
		return nil, nil, err
	}
	var theirs []string
	for _, name := range taken {
		ours, err := isScratch(ctx, c, name)
		if err != nil {
			return nil, nil, err
		}
		if !ours {
			theirs = append(theirs, name)
			continue
		}
		if _, err := c.ExecContext(ctx, "DROP DATABASE "+ddl.Quote(name)); err != nil {
			return nil, nil, fmt.Errorf("drop %s, which a killed check left: %w", name, err)
		}
		swept = append(swept, name)
	}
	n := 0
	for _, sc := range schemas {
		name := ""
		for name == "" || slices.Contains(theirs, name) {
			n++
			name = fmt.Sprintf("%s%d", scratchPrefix, n)
		}
		if err := s.make(ctx, name, sc, has); err != nil {
			return nil, swept, errors.Join(err, s.close(ctx))
		}
		s.of[sc.Name] = name
	}
	return s, swept, nil
}

func (s *scratch) make(ctx context.Context, name string, like Schema, has func(string) bool) error {
	create := "CREATE DATABASE " + ddl.Quote(name)
	if has(like.Collation) {
		create += " COLLATE " + like.Collation
	}
	_, err := s.c.ExecContext(ctx, create)
	if ask.Denied(err) {
		return fmt.Errorf("%w: %w", ErrNoScratch, err)
	}
	if err != nil {
		return fmt.Errorf("make schema %s: %w", name, err)
	}
	s.made = append(s.made, name)
	if _, err := s.c.ExecContext(ctx, "CREATE TABLE "+ddl.Qualified(name, scratchMark)+" (`made` DATETIME NOT NULL) COMMENT='slipway db check: may be dropped when no check runs'"); err != nil {
		return fmt.Errorf("mark schema %s: %w", name, err)
	}
	return nil
}

// isScratch: the schema is a check's own.
func isScratch(ctx context.Context, c *sql.Conn, name string) (bool, error) {
	if !scratchName.MatchString(name) {
		return false, nil
	}
	there, err := objectsIn(ctx, c, name)
	if err != nil {
		return false, err
	}
	return len(there) == 0 || slices.ContainsFunc(there, func(o object) bool { return o.Name == scratchMark }), nil
}

// scratchClose bounds the dropping of what a check made.
const scratchClose = time.Minute

// close drops the schemas and gives up the lock, also when ctx has ended: the driver has closed the connection then, and
// the lock went with it, so it is taken again over another.
func (s *scratch) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scratchClose)
	defer cancel()
	q := ask.Queryer(s.c)
	if err := s.c.PingContext(ctx); err != nil {
		db, err := s.ep.Open(TextSession(), 1)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrLeft, err)
		}
		defer db.Close()
		var got sql.NullInt64
		if err := db.QueryRowContext(ctx, "SELECT GET_LOCK('"+scratchLock+"', 10)").Scan(&got); err != nil || got.Int64 != 1 {
			return fmt.Errorf("%w: %w", ErrLeft, cmp.Or(err, ErrChecking))
		}
		q = db
	}
	for i, name := range slices.Backward(s.made) {
		if _, err := q.ExecContext(ctx, "DROP DATABASE IF EXISTS "+ddl.Quote(name)); err != nil {
			return fmt.Errorf("%w: drop schema %s: %w", ErrLeft, name, err)
		}
		s.made = s.made[:i]
	}
	_, err := q.ExecContext(ctx, "DO RELEASE_LOCK('"+scratchLock+"')")
	return err
}

// names puts the source's names in the place of the scratch schemas'.
func (s *scratch) names(text string) string {
	for _, name := range s.sources() {
		text = strings.ReplaceAll(text, s.of[name], name)
	}
	return text
}

// sources are the source's schemas, those first whose scratch schema has the longest name: _slipway_check_1 begins
// _slipway_check_10.
func (s *scratch) sources() []string {
	var out []string
	for name := range s.of {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int {
		if d := len(s.of[b]) - len(s.of[a]); d != 0 {
			return d
		}
		return strings.Compare(s.of[a], s.of[b])
	})
	return out
}
