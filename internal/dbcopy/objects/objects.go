// Package objects carries what of a schema is text: functions, procedures, triggers, events. It reads them at a MariaDB, writes them
// for a MySQL, says which of them are there and are what they should be, makes what is missing and drops what it made. The check
// compiles the very statements that are made later.
//
// By what they do on a target there are two parts. Still ones (functions, procedures) do nothing until they are called, and are made
// after the rows. Acting ones (triggers, events) must not be there while the target is followed, since the log has what they did
// already: they are made at the switch and dropped on the way back. Views are defined like tables, and made with them in package
// dbcopy.
//
// It works over connections that it is given, with a text session (package dbcopy's TextSession): UTF-8, times in UTC, no sql_mode. Of
// Slipway it imports compat, ddl and sqltext alone, because package dbcopy calls it.
package objects

import (
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Kind is what an object is. Kinds are part of what is journaled: never rename one.
type Kind string

// The kinds.
const (
	Function    Kind = "function"
	Procedure   Kind = "procedure"
	Trigger     Kind = "trigger"
	Event       Kind = "event"
	Package     Kind = "package" // of MariaDB alone
	PackageBody Kind = "package body"
)

// Part is a part of a set.
type Part string

// The parts.
const (
	Still  Part = "still"  // functions, procedures, packages
	Acting Part = "acting" // triggers, events
	Timed  Part = "timed"  // of the acting: events
)

// Part says to which part objects of this kind belong.
func (k Kind) Part() Part {
	if k == Trigger || k == Event {
		return Acting
	}
	return Still
}

// in says whether objects of this kind are of a part.
func (k Kind) in(p Part) bool {
	return k.Part() == p || p == Timed && k == Event
}

// Set is what schemas have, in the order in which it is to be made. It is journaled as JSON.
type Set struct {
	Schemas []string `json:"schemas"`
	Objects []Object `json:"objects"`
}

// Object is one of them.
type Object struct {
	Schema string `json:"schema"`
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Create string `json:"create"` // as its server prints it
	Mode   string `json:"sql_mode"`
	// Definer is user@host, or a role.
	Definer string `json:"definer"`
	// Charset and Collation are character_set_client and collation_connection of the session that made it: the latter is that of its
	// literals. SchemaCollation was its schema's default then: that of its variables and parameters.
	Charset         string `json:"charset"`
	Collation       string `json:"collation"`
	SchemaCollation string `json:"schema_collation"`
	Fires           *Fires `json:"fires,omitempty"` // of a trigger
	Runs            *Runs  `json:"runs,omitempty"`  // of an event
}

// Fires is when a trigger fires.
type Fires struct {
	Table string `json:"table"`
	When  string `json:"when"`  // BEFORE, AFTER
	On    string `json:"on"`    // INSERT, UPDATE, DELETE
	Order string `json:"order"` // among those of the same table, time and statement: from 1
}

// Runs is when an event runs, as information_schema says it; times are in Zone.
type Runs struct {
	State      string `json:"state"` // ENABLED, DISABLED, SLAVESIDE_DISABLED
	Zone       string `json:"time_zone"`
	At         string `json:"at,omitempty"`
	Every      string `json:"every,omitempty"`
	Unit       string `json:"unit,omitempty"`
	Starts     string `json:"starts,omitempty"`
	Ends       string `json:"ends,omitempty"`
	Completion string `json:"on_completion"`
	Comment    string `json:"comment,omitempty"`
	Until      string `json:"until,omitempty"`      // in UTC: after it no server keeps the event, unless it is PRESERVEd
	Originator string `json:"originator,omitempty"` // server_id of the server on which it was made
}

// String is how messages call it.
func (o Object) String() string { return string(o.Kind) + " " + o.Schema + "." + o.Name }

func (o Object) qualified() string { return ddl.Quote(o.Schema) + "." + ddl.Quote(o.Name) }

// drop is the statement that drops it.
func (o Object) drop() string { return "DROP " + strings.ToUpper(string(o.Kind)) + " " + o.qualified() }

// Of gives the objects of a part.
func (s Set) Of(p Part) (out []Object) {
	for _, o := range s.Objects {
		if o.Kind.in(p) {
			out = append(out, o)
		}
	}
	return out
}

// notHere: the event was made at another server and came by replication, which disables it: whether it runs there isn't known here.
const notHere = "SLAVESIDE_DISABLED"

// With takes from the set of the other of two masters whether events run that were made there.
func (s Set) With(other Set) Set {
	out := Set{slices.Clone(s.Schemas), slices.Clone(s.Objects)}
	for i, o := range out.Objects {
		if o.Runs == nil || o.Runs.State != notHere {
			continue
		}
		for _, x := range other.Objects {
			if x.Kind == Event && x.Schema == o.Schema && x.Name == o.Name && x.Runs.State != notHere {
				r := *o.Runs
				r.State = x.Runs.State
				out.Objects[i].Runs = &r
			}
		}
	}
	return out
}

// own are the names of the set's functions, in lower case.
func (s Set) own() map[string]bool {
	out := map[string]bool{}
	for _, o := range s.Objects {
		if o.Kind == Function {
			out[strings.ToLower(o.Name)] = true
		}
	}
	return out
}

// Text gives what the text of an object shows, without asking a server: what refuses it, or is to be known.
func (s Set) Text(o Object) []compat.Finding {
	if f, bad := o.unusable(); bad {
		return []compat.Finding{f}
	}
	return append(o.otherCharset(), compat.Body(o.String(), o.Create, s.own())...)
}

// Scheduler says what follows from the event_schedulers of a source and a target, where the set has events that are enabled.
func (s Set) Scheduler(source, target string) []compat.Finding {
	if !slices.ContainsFunc(s.Objects, func(o Object) bool { return o.Runs != nil && o.Runs.State == "ENABLED" }) {
		return nil
	}
	f := compat.Finding{Check: string(Event), Severity: compat.Refuse, Stops: compat.Switch, Object: "event_scheduler"}
	switch {
	case target != "ON":
		f.What, f.Fix = "it is "+target+" at the target: no event would run", "the target's flag event_scheduler = ON"
	case source != "ON":
		f.Severity, f.Stops, f.What = compat.Warn, "", "it is "+source+" at the source, where no event runs, and ON at the target: those that are enabled begin to run at the switch"
		f.Fix = "ALTER EVENT ... DISABLE at the source, for each that isn't to run"
	default:
		return nil
	}
	return []compat.Finding{f}
}
