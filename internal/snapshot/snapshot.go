// Package snapshot is the store of artifacts: what a run read from the source once and later rehearsals use again
// without touching it.
//
// A store is one directory, or a prefix in a bucket (see InBucket). Below it, each snapshot has a directory named by its id, which is the id of the run that
// made it, and in that one directory for each part ("mariadb", "assets"): files and a manifest.json. A part is
// written under another name and renamed when its manifest, written last, is on the disk; so a part under its own
// name is whole. A half-made part is its run's alone: only that run begins it anew or discards it.
//
//	DIR/20261123-010203-7f3a/mariadb/manifest.json
//	DIR/20261123-010203-7f3a/mariadb/0001-000001.zst
//	DIR/20261123-010203-7f3a/.assets.half/...
//
// Directories are 0700 and files 0600: they hold customers' data.
//
// The package knows nothing of databases, trees, Google's APIs or the engine, and imports none of them. The types that one step
// hands to another about a snapshot (Rows, Files) live here.
package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
)

// ID names a snapshot: the id of the run that made it.
type ID string

// maxID bounds an id's length in bytes; a run's id has 20.
const maxID = 64

// Check refuses what can't be a directory's name here: an id is lower-case letters, digits and dashes.
func (id ID) Check() error {
	s := string(id)
	if s == "" || len(s) > maxID || s[0] == '-' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("snapshot id %q: want lower-case letters, digits and dashes, as in slipway snapshot list", s)
	}
	return nil
}

// Part is one of the things that a snapshot can hold.
type Part string

// The parts. Their names are directory names and never change.
const (
	MariaDB Part = "mariadb"
	Assets  Part = "assets"
)

// Parts are all parts, in the order in which they are listed.
func Parts() []Part { return []Part{MariaDB, Assets} }

var (
	// ErrNotFound: there is no such part in the store. Another id may be meant; see slipway snapshot list.
	ErrNotFound = errors.New("no such snapshot")
	// ErrHalf: the part was begun and not finished. Resume the run that made it, or use another snapshot.
	ErrHalf = errors.New("snapshot is half made")
	// ErrExists: the part is there and whole; it is never written again.
	ErrExists = errors.New("snapshot is already made")
	// ErrBusy: another process writes this part now. Wait for it.
	ErrBusy = errors.New("snapshot is being written")
	// ErrNotOwner: only the run that made a half-made part may begin it anew or discard it.
	ErrNotOwner = errors.New("snapshot belongs to another run")
	// ErrDamaged: a file or the manifest is not what was written. The artifact can't be used; make another.
	ErrDamaged = errors.New("snapshot is damaged")
	// ErrForeign: objects are where a snapshot is to be begun, and nobody knows whose. Nothing was changed.
	ErrForeign = errors.New("they are somebody else's")
	// ErrFormat: a later version of this program made it. Use that one, or take a new snapshot.
	ErrFormat = errors.New("it has format")
)

// Format is the version of the manifest and of the layout that is written. A reader reads all up to it and refuses later ones. In
// format 1 a database's detail had no text of functions, procedures, triggers and events, and no grants.
const Format = 2

// Manifest says what a part holds.
type Manifest struct {
	Format   int       `json:"format"`
	ID       ID        `json:"id"`
	Part     Part      `json:"part"`
	Tool     string    `json:"tool"`               // the program's version
	From     string    `json:"from"`               // the host, and the server or volume on it
	Begun    time.Time `json:"begun"`              // UTC
	Made     time.Time `json:"made"`               // UTC
	Position *Position `json:"position,omitempty"` // of a database: the place in its log that the rows are of
	Objects  []Object  `json:"objects"`
	Files    []File    `json:"files"`
	Detail   any       `json:"detail,omitempty"` // the part's own; see Artifact.Detail
}

// Position is the place in a MariaDB's binary log that a snapshot's rows are of: following begins there.
type Position struct {
	File binlog.File    `json:"file"`
	GTID binlog.MariaDB `json:"gtid"`
}

// Object is a table or a directory: what a person counts.
type Object struct {
	Kind  string `json:"kind"` // "table", "directory"
	Name  string `json:"name"`
	Rows  int64  `json:"rows,omitempty"`
	Files int64  `json:"files,omitempty"`
	Bytes int64  `json:"bytes"` // of contents, before compression
}

// File is one stored file of a part.
type File struct {
	Name   string   `json:"name"`
	Of     string   `json:"of"`     // what it holds, for messages: "table shop.orders, chunk 3"
	Size   int64    `json:"size"`   // bytes as stored
	Raw    int64    `json:"raw"`    // bytes before compression
	SHA256 string   `json:"sha256"` // of the stored bytes, hex
	Blocks []uint32 `json:"blocks"` // CRC-32C of each BlockSize stored bytes: they place a damage
}

// BlockSize is the length in bytes of the stretches that File.Blocks are of; the last one is shorter.
const BlockSize = 256 << 10

// Rows is what the step that takes a snapshot of a database hands on (journaled; no secret).
type Rows struct {
	ID       ID       `json:"id"`
	Digest   string   `json:"digest"` // of the manifest, which has the digests of all else
	From     string   `json:"from"`
	Schemas  []string `json:"schemas"`
	Position Position `json:"position"`
	Tables   int64    `json:"tables"`
	Views    int64    `json:"views"`
	Routines int64    `json:"routines"` // functions, procedures and packages
	Rows     int64    `json:"rows"`
	Bytes    int64    `json:"bytes"`    // of values
	Stored   int64    `json:"stored"`   // on disk
	LeftOut  []string `json:"left_out"` // what a load doesn't make, by name: triggers and events
}

// Files is what the step that takes a snapshot of a tree hands on (journaled; no secret).
type Files struct {
	ID     ID     `json:"id"`
	Digest string `json:"digest"` // of the manifest, which has the digests of all else
	From   string `json:"from"`
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"`  // of contents
	Stored int64  `json:"stored"` // on disk
}
