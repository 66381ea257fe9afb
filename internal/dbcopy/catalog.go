package dbcopy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Catalog is what an artifact holds besides the rows' bytes: the manifest's detail. Its JSON is part of the artifact's
// format.
type Catalog struct {
	Checksum string   `json:"checksum"` // how sums are made; see ChecksumName
	Server   Server   `json:"server"`
	Schemas  []Schema `json:"schemas"`
	// Text is what of the schemas is text: functions, procedures, triggers, events, as the source printed them. Grants is what its
	// accounts may on the schemas; nil: the account may not look at others'. Both are since format 2.
	Text   objects.Set    `json:"text"`
	Grants *compat.Grants `json:"grants,omitempty"`
}

// Server is what the source's server said of itself.
type Server struct {
	Version        string `json:"version"`
	ServerID       uint32 `json:"server_id"`
	LowerCaseNames int    `json:"lower_case_table_names"`
	Connections    int    `json:"connections"` // that read one and the same snapshot
}

// Schema is one database.
type Schema struct {
	Name      string    `json:"name"`
	Charset   string    `json:"charset"`
	Collation string    `json:"collation"`
	Tables    []Table   `json:"tables"`             // by name
	Views     []View    `json:"views"`              // by name
	LeftOut   []LeftOut `json:"left_out,omitempty"` // in format 1 alone
}

// Table is one base table.
type Table struct {
	Name      string         `json:"name"`
	Create    string         `json:"create"` // as the source printed it
	Collation string         `json:"collation"`
	Columns   []value.Column `json:"columns"`
	// Key is the columns, in order, of the key that chunks are ranges of. Empty: the table has no key for which
	// both servers agree on ranges, and it is read in one go and compared as a whole.
	Key []string `json:"key,omitempty"`
	// Primary names the columns of the primary key, for messages; it may be set where Key is empty.
	Primary []string `json:"primary,omitempty"`
	// OddChoice: an ENUM column has rows with the value 0, which isn't one of its labels.
	OddChoice bool      `json:"odd_choice,omitempty"`
	MaxRow    int64     `json:"max_row"` // the largest row, in bytes of canonical values
	Rows      int64     `json:"rows"`
	Bytes     int64     `json:"bytes"`
	Sum       value.Sum `json:"sum"` // of all rows, as the source's server computed it
	Chunks    []Chunk   `json:"chunks"`

	estRows, estBytes int64 // the server's estimates, while a snapshot is taken
	// apart names the columns of the first key without NULL, the primary if there is one: rows are told apart by it. Set by a survey.
	apart []string
}

// Chunk is the rows of one file. In a table with a Key, the chunks' ranges cover all values that the key can have:
// the first has no After, the last no UpTo.
type Chunk struct {
	File  string      `json:"file"`
	Rows  int64       `json:"rows"`
	Bytes int64       `json:"bytes"`
	After value.Bound `json:"after,omitempty"`
	UpTo  value.Bound `json:"up_to,omitempty"`
	Sum   value.Sum   `json:"sum"` // in a table with a Key as the source's server computed it; else of the rows as read
}

// View is one view.
type View struct {
	Name      string `json:"name"`
	Create    string `json:"create"`    // as the source printed it
	Collation string `json:"collation"` // collation_connection when it was made: of its literals
}

// LeftOut is an object that isn't in a snapshot of format 1: a trigger, a routine, an event.
type LeftOut struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func (l LeftOut) in(schema string) string { return l.Kind + " " + schema + "." + l.Name }

// RangeKey gives the columns of the range key.
func (t *Table) RangeKey() []value.Column {
	out := make([]value.Column, 0, len(t.Key))
	for _, name := range t.Key {
		i := slices.IndexFunc(t.Columns, func(c value.Column) bool { return c.Name == name })
		out = append(out, t.Columns[i])
	}
	return out
}

// check refuses a catalog that this program can't go by.
func (c *Catalog) check() error {
	if c.Checksum != value.ChecksumName {
		return fmt.Errorf("the snapshot's checksums are made by %q, and this program makes %q; take a new snapshot", c.Checksum, value.ChecksumName)
	}
	for _, s := range c.Schemas {
		for _, t := range s.Tables {
			for _, col := range t.Columns {
				if k, ok := value.KindOf(col.Type); !ok || k != col.Kind {
					return fmt.Errorf("column %s.%s.%s: type %s of kind %s isn't one that this program knows; take a new snapshot", s.Name, t.Name, col.Name, col.Type, col.Kind)
				}
			}
			for _, k := range t.Key {
				if !slices.ContainsFunc(t.Columns, func(c value.Column) bool { return c.Name == k }) {
					return fmt.Errorf("table %s.%s: its key's column %s isn't one of its columns", s.Name, t.Name, k)
				}
			}
		}
	}
	return nil
}

// facts are what the definition leaves unsaid.
func (t *Table) facts() ddl.Facts {
	f := ddl.Facts{Collation: t.Collation, Columns: map[string]string{}}
	for _, c := range t.Columns {
		if c.Collation != "" {
			f.Columns[c.Name] = c.Collation
		}
	}
	return f
}

// qualified is `schema`.`table`.

// Severity says what a finding means.
type Severity = compat.Severity

// The severities.
const (
	Refuse  = compat.Refuse
	Rewrite = compat.Rewrite
	Leave   = compat.Leave
	Warn    = compat.Warn
)

// Finding is one thing about the source, or the target, that matters to the copy.
type Finding = compat.Finding

// RefusedError: the source or the target is not as it must be. All reasons are in it; nothing was changed. Deal with
// them and try again.
type RefusedError struct{ Findings []Finding }

func (e *RefusedError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return fmt.Sprintf("%d things must be dealt with first; nothing was changed:\n  %s", len(e.Findings), strings.Join(lines, "\n  "))
}

// refused gives what among the findings stops a copy as an error, or nil.
func refused(fs []Finding) error {
	var bad []Finding
	for _, f := range fs {
		if f.StopsCopy() {
			bad = append(bad, f)
		}
	}
	if bad == nil {
		return nil
	}
	return &RefusedError{bad}
}
