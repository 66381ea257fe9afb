package objects

import (
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
)

// when says when an object is made.
func (k Kind) when() string {
	if k.Part() == Acting {
		return "it is made at the switch, because what it does is in the log that is followed"
	}
	return "it is made after the rows"
}

// Compiled is what is to be said of an object that was made, or tried, at a target; err is what the target answered. ok: it was the
// target's compiler that answered, or nothing but this program refuses it; not ok: err is of the connection or the server.
func (o Object) Compiled(w Written, err error) (f compat.Finding, ok bool) {
	const noTrust, exists = 1419, 1304
	f = compat.Finding{Check: string(o.Kind), Severity: compat.Leave, Object: o.String()}
	if o.Kind.Part() == Still {
		f.Severity = compat.Rewrite
	}
	refuse := func(what, fix string) {
		f.Severity, f.Stops, f.What, f.Fix = compat.Refuse, compat.Switch, what, fix
	}
	switch n := ask.Number(err); {
	case err == nil:
		f.What = strings.Join(append([]string{o.Kind.when() + "; the target compiles it"}, w.Changes...), ", ")
	case n == 0 && w.runs.State != "" && w.Create == "":
		refuse("not compiled: "+err.Error(), "")
	case n == 0 || lost(n):
		return f, false
	case n == noTrust:
		refuse("not compiled: the target lets nobody without SUPER make functions and triggers while it writes a binary log", "the target's flag log_bin_trust_function_creators = ON")
	case Absent(n):
		refuse("not compiled: it needs what is refused or isn't there ("+err.Error()+")", "")
	case Denied(n):
		refuse("not compiled: "+err.Error(), "GRANT CREATE ROUTINE, ALTER ROUTINE, TRIGGER, EVENT ON the schema TO the account, at the target")
	default:
		refuse("the target doesn't take its text: "+err.Error(), "the same in what both servers have")
	}
	return f, true
}

// Absent: errors of a statement that names what isn't there: a table or column that was itself refused, or a temporary one.
func Absent(n uint16) bool {
	switch n {
	case 1049, 1051, 1054, 1109, 1146, 1356: // schema, table, column, table, table, view on what isn't there
		return true
	}
	return false
}

// Denied: the account lacks a privilege.
func Denied(n uint16) bool { return n == 1044 || n == 1142 || n == 1227 || n == 1370 }

// lost: the server goes away, or gave up; it says nothing of the statement.
func lost(n uint16) bool {
	switch n {
	case 1053, 1152, 1158, 1159, 1160, 1161, 1205, 1213, 1317, 1927, 3169, 4031: // shutdown, aborted, packets, lock wait, deadlock, interrupted, killed, idle too long
		return true
	}
	return false
}
