package compat

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// says gives the findings of a check, as text.
func says(fs []Finding, check string) (out []string) {
	for _, f := range fs {
		if f.Check == check {
			out = append(out, f.String())
		}
	}
	return out
}

func TestServer(t *testing.T) {
	good := map[string]string{"binlog_format": "ROW", "binlog_row_image": "FULL", "server_id": "1", "binlog_expire_logs_seconds": "864000", "expire_logs_days": "10",
		"gtid_domain_id": "1", "gtid_slave_pos": "2-2-9", "read_only": "OFF", "wsrep_on": "OFF"}
	if fs := server(good, true); fs != nil {
		t.Errorf("a good one: %v", fs)
	}
	for _, c := range []struct{ name, value, check, want string }{
		{"binlog_format", "MIXED", "binlog", "SET GLOBAL binlog_format = 'ROW'"},
		{"binlog_format", "STATEMENT", "binlog", "it is STATEMENT"},
		{"binlog_row_image", "MINIMAL", "binlog", "a part of each changed row"},
		{"binlog_row_image", "FULL_NODUP", "binlog", "SET GLOBAL binlog_row_image = 'FULL'"}, // MariaDB 11.4
		{"server_id", "0", "binlog", "SET GLOBAL server_id"},
		{"binlog_expire_logs_seconds", "3600", "binlog", "kept for 1h0m0s"},
		{"gtid_slave_pos", "2-2-9,1-7-3", "binlog", "all in GTID domain 1"},
		{"wsrep_on", "ON", "galera", "Galera"},
	} {
		v := maps.Clone(good)
		v[c.name] = c.value
		got := says(server(v, true), c.check)
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s=%s: %q", c.name, c.value, got)
		}
		if c.check == "binlog" {
			for _, f := range server(v, true) {
				if f.Severity != Refuse || f.Stops != Follow || f.StopsCopy() || f.Fix == "" {
					t.Errorf("%s=%s: %+v", c.name, c.value, f)
				}
			}
		}
	}
	v := maps.Clone(good)
	v["gtid_slave_pos"] = "2-2-9,1-1-4" // its own writes came round
	if fs := server(v, true); fs != nil {
		t.Errorf("one of a circle: %v", fs)
	}
	v["gtid_slave_pos"] = "1-7-3"
	if fs := server(v, false); fs != nil {
		t.Errorf("no replica: %v", fs)
	}
	v["read_only"] = "ON"
	if fs := server(v, true); fs != nil {
		t.Errorf("one that takes no writes: %v", fs)
	}
	for _, c := range []struct {
		seconds, days string
		short         bool
	}{{"", "0.5", true}, {"", "1", false}, {"0", "0", false}, {"86400", "", false}, {"86399", "1", true}, {"", "0", false}} {
		v := maps.Clone(good)
		v["binlog_expire_logs_seconds"], v["expire_logs_days"] = c.seconds, c.days
		if got := len(server(v, false)) == 1; got != c.short {
			t.Errorf("%+v: short is %v", c, got)
		}
	}
}

func TestCompare(t *testing.T) {
	src := map[string]string{"time_zone": "SYSTEM", "system_time_zone": "UTC", "explicit_defaults_for_timestamp": "ON", "lower_case_table_names": "0", "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"}
	dst := maps.Clone(src)
	dst["time_zone"] = "+00:00"
	if fs := compare(src, dst, []string{"shop.Orders"}); fs != nil {
		t.Errorf("alike: %v", fs)
	}
	for _, c := range []struct{ name, value, check, want string }{
		{"time_zone", "Europe/Amsterdam", "server-settings", "UTC at the source and Europe/Amsterdam"},
		{"explicit_defaults_for_timestamp", "OFF", "server-settings", "ON at the source and OFF"},
		{"sql_mode", "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES", "server-settings", "the target has ONLY_FULL_GROUP_BY"},
		{"lower_case_table_names", "1", "name-case", "table shop.Orders: names are told apart by capitals on one side only"},
	} {
		v := maps.Clone(dst)
		v[c.name] = c.value
		if got := says(compare(src, v, []string{"shop.Orders", "shop.plain"}), c.check); len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s=%s: %q", c.name, c.value, got)
		}
	}
	if fs := Names(1, 2, []string{"a.B"}); fs != nil {
		t.Errorf("both tell no capitals apart: %v", fs)
	}
	if fs := Names(1, 0, []string{"a.B"}); len(fs) != 1 || !fs[0].StopsCopy() {
		t.Errorf("got %v", fs)
	}
}

// TestColumns has rows as MariaDB prints them; the types of 11.x among them are committed here because no such server can
// be had.
func TestColumns(t *testing.T) {
	rows := [][]string{
		{"a", "id", "int", "", ""}, {"a", "j", "longtext", "utf8mb4", ""}, {"a", "old", "varchar", "utf8mb3", ""}, {"a", "older", "char", "utf8", ""}, {"a", "hid", "int", "", "INVISIBLE"},
		{"b", "g", "point", "", ""}, {"b", "h", "geometry", "", "INVISIBLE, DEFAULT_GENERATED"}, {"c", "x", "int", "", ""},
	}
	fs := columns("shop", rows, map[[2]string]bool{{"a", "j"}: true}, map[[2]string]bool{{"b", "g"}: true})
	for check, want := range map[string][]string{
		"json": {"table shop.a, j: "}, "utf8mb3": {"table shop.a, old, older: "}, "invisible-column": {"table shop.a, hid: ", "table shop.b, h: "},
		"geometry": {"table shop.b, g, h: "}, "spatial-index": {"table shop.b, g: "},
	} {
		got := says(fs, check)
		if len(got) != len(want) {
			t.Errorf("%s: %q", check, got)
			continue
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: %q, want %q", check, got[i], want[i])
			}
		}
	}
}

func TestBody(t *testing.T) {
	for _, c := range []struct{ name, text, check, want string }{
		{"a function", "BEGIN SET @a = NVL2 (x, 1, 2); END", "function", "NVL2"},
		{"in a comment", "BEGIN /* NVL(x) */ SET @a = 'NVL(1)'; -- NVL(2)\nEND", "function", ""},
		{"one's own", "BEGIN SET @a = median(x); END", "function", ""},
		{"a column of that name", "SELECT t.trunc, `nvl`(1) FROM t", "function", ""},
		{"another schema's", "SELECT tools.nvl(1)", "function", ""},
		{"returning", "DELETE FROM t WHERE a = 1 RETURNING b", "function", "RETURNING"},
		{"a pattern", "SELECT a RLIKE '^x'", "regular-expression", "warn: "},
		{"an odd pattern", `SELECT REGEXP_REPLACE(a, 'foo\\Kbar', '')`, "regular-expression", "refuse: "},
		{"a named group", `SELECT a REGEXP '(?P<x>a)'`, "regular-expression", "refuse: "},
		{"a text that looks like one", `SELECT '(?P<x>a)'`, "regular-expression", ""},
	} {
		got := says(Body("function a.b", c.text, map[string]bool{"median": true}), c.check)
		if c.want == "" && got != nil || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestModes(t *testing.T) {
	keep, out := Modes("STRICT_ALL_TABLES,NO_AUTO_CREATE_USER,ANSI_QUOTES,EMPTY_STRING_IS_NULL,")
	if keep != "STRICT_ALL_TABLES,ANSI_QUOTES" || !slices.Equal(out, []string{"NO_AUTO_CREATE_USER", "EMPTY_STRING_IS_NULL"}) {
		t.Errorf("%s, %q", keep, out)
	}
}

func TestAccounts(t *testing.T) {
	plugins, known := []string{"CACHING_SHA2_PASSWORD", "SHA256_PASSWORD"}, []string{"SELECT", "SUPER", "FILE", "CREATE VIEW"}
	rows := [][]string{{"shop", "%", "mysql_native_password", "", ""}, {"bob", "h", "ed25519", "", ""}, {"pq", "h", "parsec", "", ""}, {"root", "localhost", "mysql_native_password", `[{"plugin":"unix_socket"}]`, ""},
		{"readers", "", "", "", "true"}, {"PUBLIC", "", "", "", "true"}, {"new", "h", "caching_sha2_password", "", ""}}
	held := [][]string{{"'shop'@'%'", "SELECT"}, {"'shop'@'%'", "DELETE HISTORY"}, {"'shop'@'%'", "SUPER"}, {"'shop'@'%'", "USAGE"}, {"'bob'@'h'", "SELECT"}, {"'readers'@''", "SHOW CREATE ROUTINE"}}
	got := accounts(rows, held, plugins, known)
	for i, want := range []string{"signs in by mysql_native_password, which the target doesn't have; privileges that the target doesn't have or Cloud SQL doesn't give: DELETE HISTORY, SUPER", "signs in by ed25519",
		"signs in by parsec", "one of several ways", "SHOW CREATE ROUTINE", "MySQL has no PUBLIC", "all of its privileges are there"} {
		if !strings.Contains(got[i].String(), want) || got[i].Severity != Leave {
			t.Errorf("got %s, want %s", got[i], want)
		}
	}
	if strings.Contains(got[0].What, "USAGE") || strings.Contains(got[1].What, "privileges") {
		t.Errorf("too much is said: %v", got)
	}
}

func TestGrants(t *testing.T) {
	known := []string{"SELECT", "INSERT", "EXECUTE", "ALTER ROUTINE", "USAGE", "PROCESS", "SHOW VIEW"}
	who := [][]string{{"'me'@'h'", "1"}, {"'root'@'h'", "0"}, {"'shop'@'%'", "0"}, {"'wide'@'%'", "0"}}
	held := [][]string{{"'me'@'h'", "`shop`.*", "SELECT", "", "NO"}, {"'shop'@'%'", "`shop`.*", "DELETE HISTORY", "", "NO"}, {"'shop'@'%'", "`shop`.*", "INSERT", "", "NO"}, {"'shop'@'%'", "`shop`.*", "SELECT", "", "NO"},
		{"'shop'@'%'", "`shop`.`a`", "SELECT", "`x`", "YES"}, {"'shop'@'%'", "PROCEDURE `shop`.`p`", "EXECUTE", "", "NO"}, {"'gone'@'%'", "`shop`.*", "SELECT", "", "NO"}}
	global := [][]string{{"'root'@'h'", "SELECT"}, {"'root'@'h'", "SUPER"}, {"'wide'@'%'", "PROCESS"}, {"'wide'@'%'", "SELECT"}, {"'wide'@'%'", "SHOW VIEW"}, {"'shop'@'%'", "USAGE"}}
	want := []string{"GRANT INSERT, SELECT ON `shop`.* TO 'shop'@'%'", "GRANT SELECT (`x`) ON `shop`.`a` TO 'shop'@'%' WITH GRANT OPTION", "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO 'shop'@'%'", "GRANT SELECT, SHOW VIEW ON `shop`.* TO 'wide'@'%'"}
	if got := grants(who, held, global, known, []string{"shop"}); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
