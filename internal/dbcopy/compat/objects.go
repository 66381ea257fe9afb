package compat

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

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
func UserFunctions(ctx context.Context, q ask.Queryer) ([]Finding, error) {
	rows, err := ask.Rows(ctx, q, "SELECT name, dl FROM mysql.func ORDER BY name")
	if ask.Denied(err) {
		return []Finding{unseen("udf", "loaded functions", "mysql.func")}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for loaded functions: %w", err)
	}
	var out []Finding
	for _, r := range rows {
		out = append(out, Finding{Check: "udf", Severity: Refuse, Stops: Switch, Object: "function " + r[0], What: "it is loaded from the library " + r[1] + ", and Cloud SQL loads none",
			Fix: "DROP FUNCTION " + ddl.Quote(r[0]) + ", when nothing uses it"})
	}
	return out, nil
}

// unseen: the account may not look there.
func unseen(check, what, where string) Finding {
	return Finding{Check: check, Severity: Warn, Object: what, What: "not looked at: the account may not read " + where, Fix: "GRANT SELECT ON " + where + " TO the account"}
}

// OnlyMariaDB lists the functions that Body looks for, in lower case.
func OnlyMariaDB() []string { return slices.Clone(onlyMariaDB) }
