package changes

import (
	"fmt"
	"strings"
)

// StopKind is why a log can't be read on. Kinds are printed and part of the JSON output.
type StopKind string

// The kinds.
const (
	StopDDL        StopKind = "ddl"        // a definition of a schema that is followed was changed
	StopTruncate   StopKind = "truncate"   // a table that is followed was emptied by TRUNCATE, which logs no rows
	StopStatement  StopKind = "statement"  // rows were changed by a statement, and the log has only its text
	StopXA         StopKind = "xa"         // a transaction in two phases, whose end may come at any time or never
	StopIncident   StopKind = "incident"   // the server says that its log lacks something
	StopEvent      StopKind = "event"      // an event that this program doesn't know
	StopImage      StopKind = "image"      // a row with a part of its columns
	StopCompressed StopKind = "compressed" // a COMPRESSED column, whose values the log has compressed
	StopVersioned  StopKind = "versioned"  // a system-versioned table
	StopDefinition StopKind = "definition" // rows that aren't of the table's definition
	StopTable      StopKind = "table"      // rows of a table, in a schema that is followed, that isn't
	StopPurged     StopKind = "purged"     // the server hasn't the log any more
	StopOtherLog   StopKind = "other-log"  // the position is of another server, or of a log that was reset
	StopDamaged    StopKind = "damaged"    // the log, or what came of it, can't be read
)

// StopError: the log can't be read past this place without losing something. All before it was delivered, and nothing of
// the transaction at hand. Reading on from the same position stops at the same place. A person decides; where End is not
// zero, what was met is over there, and reading may begin at End once the person has done at the target what it did.
type StopError struct {
	Kind      StopKind
	GTID      string   // of the transaction at hand; may be empty
	At        string   // place in the log, "file:offset", of the event's end
	End       Position // after the transaction at hand
	Object    string   // "table shop.orders", where it is one table's
	Statement string   // cut at 500 bytes; without literals if it changes rows or accounts
	What      string   // what was met and what it means
	Do        string   // what to do
}

func (e *StopError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the log can't be followed past %s", e.At)
	if e.GTID != "" {
		fmt.Fprintf(&b, ", transaction %s", e.GTID)
	}
	b.WriteString(": ")
	if e.Object != "" {
		b.WriteString(e.Object + ": ")
	}
	b.WriteString(e.What)
	if e.Statement != "" {
		b.WriteString(": " + e.Statement)
	}
	if e.Do != "" {
		b.WriteString("; " + e.Do)
	}
	return b.String()
}

// mostStatement bounds how much of a statement is printed, in bytes.
const mostStatement = 500

func cut(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > mostStatement {
		text = strings.ToValidUTF8(text[:mostStatement], "") + "…"
	}
	return text
}
