// Package sakila is MySQL's sample database, a video rental shop: views, triggers, functions and procedures with a DEFINER, geometry,
// full text, ENUM, SET, and 47,000 rows. For tests alone; it imports nothing of internal/dbcopy but sqltext.
//
// The files are version 0.9 of the Sakila Spatial sample database, copyright (c) 2014 Oracle Corporation, as Giuseppe Maxia modified it
// in September 2015. The notice and the licence (BSD, three clauses) stand at their heads; data.sql.gz is only compressed. Nothing in
// them was changed; what is read otherwise, Statements says.
package sakila

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// Name is the schema that it makes.
const Name = "sakila"

var (
	//go:embed schema.sql
	schema string
	//go:embed data.sql.gz
	data []byte
)

// since57 is text for MySQL 5.7 alone: MariaDB passes by the comments of 50700 to 50999, and would make addresses without a location.
var since57 = regexp.MustCompile(`(?s)/\*!507\d\d(.*?)\*/`)

// Statements are all that make and fill the schema, dropping one that is there: for one session, whose settings they change (autocommit
// is off at the end). What the files have for MySQL 5.7 alone, which is the geometry, stands in the open.
func Statements() ([]string, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read the sample database's rows: %w", err)
	}
	rows, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("read the sample database's rows: %w", err)
	}
	return append(Cut(since57.ReplaceAllString(schema, "$1")), Cut(since57.ReplaceAllString(string(rows), "$1"))...), nil
}

// Load makes and fills the schema at a server.
func Load(ctx context.Context, s *dbpair.Server) error {
	all, err := Statements()
	if err != nil {
		return err
	}
	db, err := s.Open(dbpair.Root, "")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, stmt := range all {
		if _, err := db.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %.200s: %w", s.Name, stmt, err)
		}
	}
	return nil
}

// Cut cuts a script into its statements at its delimiters, as the client does: DELIMITER gives another one. Comments before a statement
// are left out.
func Cut(script string) (out []string) {
	add := func(stmt string) {
		if stmt = strings.TrimSpace(stmt); stmt != "" {
			out = append(out, stmt)
		}
	}
	delimiter, from, at, naming := ";", 0, 0, false
	for _, p := range sqltext.Cut(script) {
		first := from == at
		at += len(p.Text)
		if naming && p.Kind == sqltext.Space && !first {
			delimiter, naming = script[from:at-len(p.Text)], false
			from = at
		}
		switch {
		case first && p.Kind == sqltext.Space && !strings.HasPrefix(p.Text, "/*!"):
			from = at
		case first && p.Is("DELIMITER"):
			naming, from = true, at
		case naming || p.Kind != sqltext.Mark && p.Kind != sqltext.Word:
		default:
			if stmt, over := strings.CutSuffix(script[from:at], delimiter); over {
				add(stmt)
				from = at
			}
		}
	}
	if !naming {
		add(script[from:])
	}
	return out
}
