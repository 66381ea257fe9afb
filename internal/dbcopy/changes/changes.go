// Package changes reads what a server committed out of its binary log: one transaction after another, in the log's order, with each
// row's values canonical (see internal/dbcopy/value). It writes nothing anywhere but a spill file.
package changes

import (
	"iter"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Kind is what happened to a row. Kinds are written into spill files and messages.
type Kind uint8

// The kinds.
const (
	Insert Kind = iota + 1
	Update
	Delete
)

// Table is a table as the reader and whoever applies its changes know it.
type Table struct {
	Schema, Name string
	// Columns are all, generated and invisible ones too, in the server's order, as they were at the position that
	// reading begins at. Where ColumnType is empty, the server's present one is taken.
	Columns []value.Column
}

// Change is one row's change. Before and After have a canonical value for each of the table's columns, nil for NULL. Both are
// valid until the next change is asked for.
type Change struct {
	Table  *Table
	Kind   Kind
	Before [][]byte // of Update and Delete
	After  [][]byte // of Insert and Update
	// NoForeignKeys: the session that wrote it had foreign_key_checks=0, and nothing cascaded from it.
	NoForeignKeys bool
}

// Position is how far a log has been read: what is before it has been, and what comes after goes on from it. File is of
// one server; the GTIDs, of which one is set by the server's flavor, are of the group that replicates.
type Position struct {
	File    binlog.File    `json:"file,omitzero"`
	MariaDB binlog.MariaDB `json:"mariadb,omitzero"`
	MySQL   binlog.MySQL   `json:"mysql,omitzero"`
}

// Transaction is one that the server committed. Those without a change to the tables that are followed come too, without
// changes: they move the position.
//
// One without a GTID on a server that has GTIDs is none: the server said at Committed (this machine's clock) that its log
// has nothing after End yet. It comes about once a second while nothing is committed.
type Transaction struct {
	GTID      string    // "1-2-77", "uuid:55", "uuid:tag:55"; "" also where the server has none (MySQL with gtid_mode=OFF)
	Origin    uint32    // the server_id that wrote it first
	Committed time.Time // at the server that wrote it first, as exact as its log says: MariaDB to the second
	End       Position
	Rows      int64 // changes
	Bytes     int64 // of what Changes gives, about
	// Mark: it has a change in a table of the schema _slipway, so an applier of Slipway committed it.
	Mark bool

	// Changes gives the changes in order. It may be ranged over again, until Close. An error ends it.
	Changes iter.Seq2[Change, error]
	// Close removes what the transaction spilled to disk.
	Close func() error
}
