package compat

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// Stored is a routine, trigger or event: an object that is text, and that the copy doesn't carry yet.
type Stored struct {
	Schema  string
	Kind    string // "procedure", "function", "trigger", "event", "package", "package body"
	Name    string
	Mode    string // the sql_mode that it was made in
	Definer string
	Create  string // as the source prints it
}

// Object is how findings call it.
func (s Stored) Object() string { return s.Kind + " " + s.Schema + "." + s.Name }

// Aggregate functions have FETCH GROUP NEXT ROW in their body and AGGREGATE in their head.
var aggregate = regexp.MustCompile(`(?i)^CREATE\s+(OR\s+REPLACE\s+)?(DEFINER=\S+\s+)?AGGREGATE\s`)

// ReadStored reads the stored objects of a schema, which must be the session's default one.
func ReadStored(ctx context.Context, q Queryer, schema string) ([]Stored, error) {
	list, err := table(ctx, q, "SELECT LOWER(type), name, sql_mode, definer FROM mysql.proc WHERE "+in("db", schema)+
		" UNION ALL SELECT 'trigger', TRIGGER_NAME, SQL_MODE, DEFINER FROM information_schema.TRIGGERS WHERE "+in("TRIGGER_SCHEMA", schema)+
		" UNION ALL SELECT 'event', EVENT_NAME, SQL_MODE, DEFINER FROM information_schema.EVENTS WHERE "+in("EVENT_SCHEMA", schema)+" ORDER BY 1, 2")
	if err != nil {
		return nil, fmt.Errorf("ask for routines, triggers and events: %w", err)
	}
	var out []Stored
	for _, l := range list {
		s := Stored{Schema: schema, Kind: l[0], Name: l[1], Mode: l[2], Definer: l[3]}
		// The third column is the text for all but events, where it is the fourth.
		row, err := table(ctx, q, "SHOW CREATE "+strings.ToUpper(s.Kind)+" "+ident(schema)+"."+ident(s.Name))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.Object(), err)
		}
		at := 2
		if s.Kind == "event" {
			at = 3
		}
		if len(row) != 1 || len(row[0]) <= at || row[0][at] == "" {
			return nil, fmt.Errorf("read %s: the server shows no text: the account lacks a privilege on it", s.Object())
		}
		s.Create = row[0][at]
		out = append(out, s)
	}
	return out, nil
}

// Unusable says what of a stored object can't be in MySQL at all, whatever its text. ok: there is nothing; its text is
// to be compiled.
func (s Stored) Unusable() (f Finding, ok bool) {
	f = Finding{Check: s.Kind, Severity: Refuse, Stops: Switch, Object: s.Object()}
	switch {
	case strings.HasPrefix(s.Kind, "package"):
		f.What, f.Fix = "MySQL has no packages", "procedures and functions of its own in the package's place"
	case aggregate.MatchString(s.Create):
		f.What, f.Fix = "MySQL has no stored aggregate functions", "DROP FUNCTION "+ident(s.Schema)+"."+ident(s.Name)+", and the computation in the queries that use it"
	case slices.Contains(strings.Split(s.Mode, ","), "ORACLE"):
		f.What, f.Fix = "it is written in Oracle's language (sql_mode=ORACLE), which MySQL doesn't read", "the same in SQL/PSM, made without that sql_mode"
	default:
		return Finding{}, true
	}
	return f, false
}

// modes are what MySQL 8 and later knows of sql_mode.
// https://dev.mysql.com/doc/refman/9.7/en/sql-mode.html
var modes = strings.Fields(`ALLOW_INVALID_DATES ANSI_QUOTES ERROR_FOR_DIVISION_BY_ZERO HIGH_NOT_PRECEDENCE IGNORE_SPACE NO_AUTO_VALUE_ON_ZERO NO_BACKSLASH_ESCAPES
	NO_DIR_IN_CREATE NO_ENGINE_SUBSTITUTION NO_UNSIGNED_SUBTRACTION NO_ZERO_DATE NO_ZERO_IN_DATE ONLY_FULL_GROUP_BY PAD_CHAR_TO_FULL_LENGTH PIPES_AS_CONCAT REAL_AS_FLOAT
	STRICT_ALL_TABLES STRICT_TRANS_TABLES TIME_TRUNCATE_FRACTIONAL`)

// Modes splits an object's sql_mode into what the target takes and what is taken out.
func Modes(mode string) (keep string, out []string) {
	var kept []string
	for _, m := range strings.Split(mode, ",") {
		switch {
		case m == "":
		case slices.Contains(modes, m):
			kept = append(kept, m)
		default:
			out = append(out, m)
		}
	}
	return strings.Join(kept, ","), out
}

var definer = regexp.MustCompile("(?is)^(CREATE\\s+(?:OR\\s+REPLACE\\s+)?)DEFINER\\s*=\\s*(?:`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?|\\S+)\\s+")

// WithoutDefiner is the text for an account that may not set a definer: the object becomes its maker's.
func (s Stored) WithoutDefiner() string { return definer.ReplaceAllString(s.Create, "$1") }

// onlyMariaDB are functions that MariaDB has built in and MySQL hasn't. In a stored body MySQL takes each for a function
// of the schema and fails when it is called. (Views name them in full, and the compiler finds them.)
// https://mariadb.com/kb/en/function-differences-between-mariadb-and-mysql/
var onlyMariaDB = strings.Fields(`add_months addmonths chr column_add column_check column_create column_delete column_exists column_get column_json column_list crc32c
	decode_histogram decode_oracle des_decrypt des_encrypt encode decode encrypt json_array_intersect json_compact json_detailed json_equals json_exists json_key_value json_loose json_normalize
	json_object_filter_keys json_object_to_array json_query kdf lastval length_oracle lpad_oracle master_gtid_wait median natural_sort_key nextval
	nvl nvl2 old_password percentile_cont percentile_disc regexp_replace_oracle rownum rpad_oracle setval sformat spider_bg_direct_sql spider_copy_tables spider_direct_sql
	spider_flush_table_mon_cache sys_guid to_char to_date to_number trim_oracle trunc vec_distance vec_distance_euclidean vec_distance_cosine wsrep_last_seen_gtid wsrep_last_written_gtid
	wsrep_sync_wait_upto_gtid xmltype`)

// oddPattern is what PCRE reads in a regular expression and ICU doesn't, or otherwise.
var oddPattern = regexp.MustCompile(`\\\\?[KRQ]|\(\?P[<>=]|\(\?[R0-9&|]|\[\[[:.=]|\(\*[A-Z]`)

// Body looks through a text of SQL for what only MariaDB has. own are functions of the schemas, in lower case.
func Body(object, text string, own map[string]bool) (out []Finding) {
	ps := sqltext.Dense(sqltext.Cut(text))
	var functions []string
	regexps, odd := false, ""
	for i, p := range ps {
		w := strings.ToLower(p.Text)
		switch {
		case p.Kind == sqltext.Word && i+1 < len(ps) && ps[i+1].IsMark("(") && slices.Contains(onlyMariaDB, w) && !own[w] &&
			(i == 0 || !ps[i-1].IsMark(".") && !ps[i-1].Is("FUNCTION") && !ps[i-1].Is("PROCEDURE")):
			if !slices.Contains(functions, w) {
				functions = append(functions, w)
			}
		case p.Kind == sqltext.Word && strings.HasPrefix(w, "regexp"), p.Is("RLIKE"):
			regexps = true
		case p.Kind == sqltext.String && odd == "":
			odd = oddPattern.FindString(p.Text)
		case p.Is("RETURNING") && i > 0 && !ps[i-1].IsMark("."):
			functions = append(functions, "... RETURNING")
		}
	}
	for _, f := range functions {
		out = append(out, Finding{Check: "function", Severity: Refuse, Stops: Switch, Object: object, What: strings.ToUpper(f) + ": MySQL has none", Fix: "what both servers have in its place"})
	}
	switch {
	case regexps && odd != "":
		out = append(out, Finding{Check: "regular-expression", Severity: Refuse, Stops: Switch, Object: object, What: "a regular expression with " + odd + ", which MySQL's (ICU) doesn't read or reads otherwise", Fix: "a pattern that both read alike"})
	case regexps:
		out = append(out, Finding{Check: "regular-expression", Severity: Warn, Object: object, What: "it uses regular expressions: MariaDB's are PCRE, MySQL's are ICU", Will: "it goes over as it is; try it"})
	}
	return out
}

// UserFunctions looks for functions that were loaded from libraries.
func UserFunctions(ctx context.Context, q Queryer) ([]Finding, error) {
	rows, err := table(ctx, q, "SELECT name, dl FROM mysql.func ORDER BY name")
	if denied(err) {
		return []Finding{unseen("udf", "loaded functions", "mysql.func")}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for loaded functions: %w", err)
	}
	var out []Finding
	for _, r := range rows {
		out = append(out, Finding{Check: "udf", Severity: Refuse, Stops: Switch, Object: "function " + r[0], What: "it is loaded from the library " + r[1] + ", and Cloud SQL loads none",
			Fix: "DROP FUNCTION " + ident(r[0]) + ", when nothing uses it"})
	}
	return out, nil
}

// unseen: the account may not look there.
func unseen(check, what, where string) Finding {
	return Finding{Check: check, Severity: Warn, Object: what, What: "not looked at: the account may not read " + where, Fix: "GRANT SELECT ON " + where + " TO the account"}
}

// OnlyMariaDB lists the functions that Body looks for, in lower case.
func OnlyMariaDB() []string { return slices.Clone(onlyMariaDB) }
