//go:build lab

package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// checked runs a check as the accounts that the product has.
func checked(t testing.TB, o CheckOptions) Report {
	t.Helper()
	r, err := Check(t.Context(), testSource(), testTarget(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := scratchLeft(t); s != nil {
		t.Errorf("left at the target: %q", s)
	}
	return r
}

func scratchLeft(t testing.TB) []string {
	t.Helper()
	return dbtest.Texts(t, admin(t, servers.mysql, ""), "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '\\_slipway\\_%' AND SCHEMA_NAME <> '_slipway' ORDER BY 1")
}

// finding is what a test wants to find: a line of Finding.String begins with the first part and has the others in it.
type finding struct {
	check  string
	sev    Severity
	stops  compat.Stage
	object string
	says   string
}

func (w finding) in(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool {
		return f.Check == w.check && f.Severity == w.sev && f.Stops == w.stops && f.Object == w.object && strings.Contains(f.String(), w.says)
	})
}

func wantAll(t testing.TB, r Report, want []finding) {
	t.Helper()
	for _, w := range want {
		if w.in(r.Findings) {
			continue
		}
		var near []string
		for _, f := range r.Findings {
			if f.Object == w.object || f.Check == w.check {
				near = append(near, f.Check+" ("+string(f.Stops)+") "+f.String())
			}
		}
		t.Errorf("not found: %+v; near it:\n  %s", w, strings.Join(near, "\n  "))
	}
}

// TestCheckTables: the rows of the table in docs/database.md that are about tables, columns, keys and what is in them.
func TestCheckTables(t *testing.T) {
	maria, my := schemas(t, "tab")
	maria.SetMaxOpenConns(1)
	exec(t, maria, "SET SESSION sql_mode = ''",
		"CREATE TABLE e1 (id INT PRIMARY KEY) ENGINE=MyISAM", "CREATE TABLE e2 (id INT PRIMARY KEY) ENGINE=Aria", "CREATE TABLE e3 (id INT PRIMARY KEY) ENGINE=MEMORY", "CREATE TABLE e4 (id INT NOT NULL) ENGINE=CSV",
		"CREATE TABLE auto (a INT, b INT NOT NULL AUTO_INCREMENT, PRIMARY KEY (a, b)) ENGINE=MyISAM",
		"CREATE SEQUENCE seq", "CREATE TABLE usesseq (id INT PRIMARY KEY DEFAULT NEXTVAL(seq))",
		"CREATE TABLE v1 (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
		"CREATE TABLE v2 (id INT PRIMARY KEY, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING",
		"CREATE TABLE v3 (id INT, a DATE, b DATE, PERIOD FOR p (a, b), UNIQUE KEY k (id, p WITHOUT OVERLAPS))",
		"CREATE TABLE js (id INT PRIMARY KEY, j JSON, hid INT INVISIBLE DEFAULT 3)",
		"CREATE TABLE ty (u UUID PRIMARY KEY, i4 INET4, i6 INET6)",
		"CREATE TABLE co (id INT PRIMARY KEY, c VARCHAR(900) COMPRESSED)",
		"CREATE TABLE pc (id INT PRIMARY KEY) PAGE_COMPRESSED=1",
		"CREATE TABLE hk (id INT PRIMARY KEY, x TEXT, UNIQUE KEY u (x))",
		"CREATE TABLE ig (id INT PRIMARY KEY, x INT, KEY k (x) IGNORED)",
		"CREATE TABLE de (id INT PRIMARY KEY, x TEXT DEFAULT 'q', y VARCHAR(40) DEFAULT uuid(), g INT AS (id * 2) STORED, h INT AS (id + 1) VIRTUAL)",
		"CREATE TABLE ck1 (id INT PRIMARY KEY, CONSTRAINT c CHECK (id > 0))", "CREATE TABLE ck2 (id INT PRIMARY KEY CHECK (id > 0), CONSTRAINT c CHECK (id > 1))",
		"CREATE TABLE uc (k VARCHAR(20) COLLATE utf8mb4_uca1400_as_cs PRIMARY KEY)",
		"CREATE TABLE np (id INT PRIMARY KEY, k VARCHAR(20) COLLATE utf8mb4_general_nopad_ci, UNIQUE KEY u (k))", "INSERT INTO np VALUES (1, 'Straße'), (2, 'strasse'), (3, 'x'), (4, NULL), (5, NULL)",
		"CREATE TABLE nopl (id INT PRIMARY KEY, x VARCHAR(9) COLLATE latin1_swedish_nopad_ci)",
		"CREATE TABLE u3 (id INT PRIMARY KEY, x VARCHAR(9) CHARACTER SET utf8mb3, y CHAR(3) CHARACTER SET utf8mb3)",
		"CREATE TABLE l1 (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(50) CHARACTER SET latin1, y VARCHAR(50) CHARACTER SET latin1)",
		"INSERT INTO l1 VALUES (1, CONVERT(x'4AC3BC7267' USING latin1), _latin1 x'4AFC7267'), (2, 'plain', 'plain'), (3, NULL, NULL)",
		"UPDATE l1 SET x = _latin1 x'4AC3BC7267' WHERE id = 1",
		"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'", "INSERT INTO l1 VALUES (0, 'z', 'z')", "SET SESSION sql_mode = ''",
		"CREATE TABLE dec38 (id INT PRIMARY KEY, d DECIMAL(38,38))",
		"CREATE TABLE kp (id INT PRIMARY KEY, "+columnList("c%d INT", 17)+", KEY k ("+columnList("c%d", 17)+"))",
		"CREATE TABLE zd (id INT PRIMARY KEY, a DATE, b DATETIME, c TIMESTAMP NULL, d DATE)", "INSERT INTO zd VALUES (1, '0000-00-00', '2026-00-10', '0000-00-00', '2026-01-01'), (2, '2026-01-01', '2026-01-01', '2026-01-01', NULL)",
		"SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", "INSERT INTO zd VALUES (3, '2026-02-31', NULL, NULL, NULL)", "SET SESSION sql_mode = ''",
		"CREATE TABLE rf1 (id INT PRIMARY KEY) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4", "CREATE TABLE rf2 (id INT PRIMARY KEY) ROW_FORMAT=REDUNDANT", "CREATE TABLE rf3 (id INT PRIMARY KEY) ROW_FORMAT=DYNAMIC",
		"CREATE TABLE nk (a INT, b INT UNIQUE)", "CREATE TABLE nk2 (a INT NOT NULL, UNIQUE KEY (a))",
		"CREATE TABLE ld (id INT PRIMARY KEY) PARTITION BY LIST (id) (PARTITION p1 VALUES IN (1), PARTITION p2 DEFAULT)",
		"CREATE TABLE st (id INT PRIMARY KEY) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION p0 HISTORY, PARTITION pn CURRENT)",
		"CREATE TABLE par (id INT PRIMARY KEY, n INT, m INT, KEY (n), UNIQUE KEY (m))", "CREATE TABLE kid (id INT PRIMARY KEY, n INT, m INT, CONSTRAINT kid_n FOREIGN KEY (n) REFERENCES par (n), CONSTRAINT kid_m FOREIGN KEY (m) REFERENCES par (m))",
		"CREATE TABLE ge (id INT PRIMARY KEY, g POINT NOT NULL, h GEOMETRY, SPATIAL KEY (g))", "INSERT INTO ge VALUES (1, ST_GeomFromText('POINT(1 2)', 4326), NULL), (2, ST_GeomFromText('POINT(1 2)'), NULL)",
		"CREATE TABLE rw (id INT PRIMARY KEY, `manual` INT, `parallel` INT, `qualify` INT, `tablesample` INT, `select` INT)", "CREATE TABLE `rank` (id INT PRIMARY KEY)",
		"CREATE VIEW v_ok AS SELECT id FROM js", "CREATE VIEW v_seq AS SELECT id FROM usesseq", "CREATE VIEW v_bad AS SELECT JSON_DETAILED('{}') AS j", "CREATE VIEW v_re AS SELECT id FROM js WHERE j RLIKE '^x'")
	exec(t, my, "CREATE TABLE theirs (id INT)")
	r := checked(t, CheckOptions{Schemas: []string{"tab"}})
	const c, f = compat.Copy, compat.Follow
	wantAll(t, r, []finding{
		{"engine", Refuse, c, "table tab.e1", "ALTER TABLE `e1` ENGINE=InnoDB"}, {"engine", Refuse, c, "table tab.e2", "its engine is Aria"}, {"engine", Refuse, c, "table tab.e3", "its engine is MEMORY"}, {"engine", Refuse, c, "table tab.e4", "rows aren't InnoDB's to take over"},
		{"auto-increment-key", Refuse, c, "table tab.auto, b", "begins no key"},
		{"sequence", Refuse, c, "sequence tab.seq", "DROP SEQUENCE `tab`.`seq`"}, {"sequence", Refuse, c, "table tab.usesseq, id", "takes numbers from a sequence"},
		{"history", Refuse, c, "table tab.v1", "DROP SYSTEM VERSIONING"}, {"history", Refuse, c, "table tab.v2, s", "part of the rows' history"}, {"history", Refuse, c, "table tab.v3, p", "a PERIOD"}, {"history", Refuse, c, "table tab.v3, k", "WITHOUT OVERLAPS"},
		{"json", Warn, "", "table tab.js, j", "it stays LONGTEXT"}, {"invisible-column", Warn, "", "table tab.js, hid", "stays so"},
		{"type", Rewrite, "", "table tab.ty, u", "UUID to VARCHAR(36)"}, {"type", Rewrite, "", "table tab.ty, i4", "INET4 to VARCHAR(15)"}, {"type", Rewrite, "", "table tab.ty, i6", "INET6 to VARCHAR(39)"},
		{"column-compression", Rewrite, "", "table tab.co, c", "COMPRESSED dropped"}, {"column-compression", Refuse, f, "table tab.co, c", "without COMPRESSED"},
		{"table-option", Rewrite, "", "table tab.pc", "PAGE_COMPRESSED"},
		{"hash-key", Refuse, c, "table tab.hk, u", "UNHEX(SHA2(`x`, 256))"},
		{"ignored-index", Rewrite, "", "table tab.ig, k", "INVISIBLE"},
		{"default-in-parentheses", Rewrite, "", "table tab.de, x", "('q')"}, {"default-in-parentheses", Rewrite, "", "table tab.de, y", "(uuid())"},
		{"check-name", Rewrite, "", "table tab.ck2, c", "ck2_c"},
		{"collation", Rewrite, "", "table tab.uc, k", "utf8mb4_0900_as_cs; there, blanks at the end count"}, {"collation", Rewrite, "", "table tab.np, k", "utf8mb4_general_nopad_ci to utf8mb4_0900_ai_ci"},
		{"new-duplicates", Refuse, c, "table tab.np, u", "1 groups, such as Straße = strasse; 3 values were tried"},
		{"collation", Refuse, c, "table tab.nopl, x", "no collation latin1_swedish_nopad_ci"},
		{"utf8mb3", Warn, "", "table tab.u3, x, y", "utf8mb3"},
		{"latin1-utf8", Warn, "", "table tab.l1, x", "in 1 rows; all 4 rows were looked at"}, {"auto-increment-zero", Warn, "", "table tab.l1, id", "in 1 rows"},
		{"decimal-scale", Refuse, c, "table tab.dec38, d", "at most 30 digits"}, {"key-parts", Refuse, c, "table tab.kp, k", "17 columns"},
		{"zero-date", Warn, "", "table tab.zd, a", "in 2 rows; all 3 rows"}, {"zero-date", Warn, "", "table tab.zd, b", "in 1 rows"}, {"zero-date", Warn, "", "table tab.zd, c", "in 1 rows"},
		{"row-format", Rewrite, "", "table tab.rf1", "COMPRESSED to DYNAMIC"}, {"row-format", Rewrite, "", "table tab.rf2", "REDUNDANT to DYNAMIC"},
		{"no-key", Refuse, f, "table tab.nk", "ADD PRIMARY KEY (slipway_id)"},
		{"partition", Refuse, c, "table tab.ld", "DEFAULT partition"}, {"partition", Refuse, c, "table tab.st", "rows' history"},
		{"foreign-key-parent", Warn, "", "table tab.kid, kid_n", "ALTER TABLE `tab`.`par` ADD UNIQUE KEY (`n`)"}, {"compile", Refuse, c, "table tab.kid", "restrict_fk_on_non_standard_key"},
		{"geometry", Warn, "", "table tab.ge, g, h", "latitude first"}, {"spatial-index", Warn, "", "table tab.ge, g", "doesn't use it"}, {"srid", Warn, "", "table tab.ge, g", "in 1 rows"},
		{"reserved-word", Warn, "", "table tab.rw, qualify", "QUALIFY is a reserved word"}, {"reserved-word", Warn, "", "table tab.rw, tablesample", "TABLESAMPLE"}, {"reserved-word", Warn, "", "table tab.rank", "RANK"},
		{"view-security", Rewrite, "", "view tab.v_ok", "root@127.0.0.1 to INVOKER"}, {"compile", Warn, "", "view tab.v_seq", "not compiled"}, {"compile", Refuse, c, "view tab.v_bad", "json_detailed"}, {"regular-expression", Warn, "", "view tab.v_re", "PCRE"},
		{"target", Warn, "", "target", "it isn't empty: it has 1 objects in these schemas that no load of Slipway made, such as tab.theirs"},
		{"query", Warn, "", "queries", "performance_schema is off"},
	})
	var compiled []string
	for _, f := range r.Findings {
		if f.Check == "compile" {
			compiled = append(compiled, f.Object)
		}
	}
	if slices.Sort(compiled); !slices.Equal(compiled, []string{"table tab.kid", "view tab.v_bad", "view tab.v_seq"}) { // and nothing that is refused already
		t.Errorf("the compiler is said to refuse %q", compiled)
	}
	for _, not := range []string{"table tab.l1, y", "table tab.zd, d", "table tab.rf3", "table tab.nk2", "table tab.kid, kid_m", "table tab.rw, select", "table tab.ge, h", "table tab.ck1", "table tab.uc, PRIMARY"} {
		for _, f := range r.Findings {
			if f.Object == not && f.Check != "range-key" {
				t.Errorf("said too much: %s", f)
			}
		}
	}
	if n, ok := firstOf(r, Warn); !ok || slices.ContainsFunc(r.Findings[n:], func(f Finding) bool { return f.Severity != Warn }) || r.Findings[0].Severity != Refuse {
		t.Error("they aren't in order")
	}
	sameAsCopy(t, r, "tab")
}

func columnList(format string, n int) string {
	var out []string
	for i := range n {
		out = append(out, strings.ReplaceAll(format, "%d", string('a'+rune(i))))
	}
	return strings.Join(out, ", ")
}

func firstOf(r Report, s Severity) (int, bool) {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Severity == s })
	return i, i >= 0
}

// sameAsCopy: what the check refuses for the copy, the survey before a copy refuses too, but for what only the target's
// compiler and its collations know; and the other way round.
func sameAsCopy(t testing.TB, r Report, schema string) {
	t.Helper()
	sv, err := testSource().Survey(t.Context(), []string{schema})
	if err != nil {
		t.Fatal(err)
	}
	list := func(fs []Finding) (out []string) {
		for _, f := range fs {
			if f.StopsCopy() && f.Check != "compile" && f.Check != "new-duplicates" {
				out = append(out, f.Object+": "+f.What)
			}
		}
		slices.Sort(out)
		return out
	}
	if a, b := list(r.Findings), list(sv.Findings); !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("the check refuses\n  %s\nand the copy\n  %s", strings.Join(a, "\n  "), strings.Join(b, "\n  "))
	}
}

// TestCheckFixes: the statements that findings give are taken by the source, and then nothing is refused.
func TestCheckFixes(t *testing.T) {
	maria, _ := schemas(t, "fixes")
	exec(t, maria, "CREATE TABLE hk (id INT PRIMARY KEY, x TEXT, UNIQUE KEY u (x))", "INSERT INTO hk VALUES (1, 'a'), (2, NULL)", "CREATE TABLE nk (a INT)", "INSERT INTO nk VALUES (1), (1)",
		"CREATE TABLE my (id INT PRIMARY KEY) ENGINE=MyISAM", "CREATE TABLE ve (id INT PRIMARY KEY) WITH SYSTEM VERSIONING", "CREATE TABLE pe (id INT PRIMARY KEY, a DATE, b DATE, PERIOD FOR p (a, b))",
		"CREATE TABLE par (id INT PRIMARY KEY, n INT, KEY (n))", "CREATE TABLE kid (id INT PRIMARY KEY, n INT, FOREIGN KEY (n) REFERENCES par (n))")
	r := checked(t, CheckOptions{Schemas: []string{"fixes"}})
	fixed := 0
	for _, f := range r.Findings {
		if f.Check == "compile" || f.Severity != Refuse && f.Check != "foreign-key-parent" {
			continue
		}
		fix, _, _ := strings.Cut(f.Fix, ", which tells")
		exec(t, maria, fix)
		fixed++
	}
	if fixed != 6 {
		t.Errorf("%d fixes: %v", fixed, r.Findings)
	}
	if r := checked(t, CheckOptions{Schemas: []string{"fixes"}}); r.Refused() {
		t.Errorf("still refused: %v", r.Findings)
	}
}

// TestCheckLooksAreBounded: a table that takes longer than it may is looked at in part, and that is said.
func TestCheckLooksAreBounded(t *testing.T) {
	maria, _ := schemas(t, "bounded")
	exec(t, maria, "CREATE TABLE big (id INT PRIMARY KEY, d DATE, hid DATE INVISIBLE)", "SET SESSION sql_mode = ''", "INSERT INTO big (id, d) SELECT seq, '2026-01-01' FROM seq_1_to_200000", "UPDATE IGNORE big SET d = '0000-00-00' WHERE id IN (1, 199999)")
	db := admin(t, servers.maria, "bounded")
	for _, c := range []struct {
		o    compat.LookOptions
		want string
	}{
		{compat.LookOptions{}, "in 2 rows; all 200000 rows were looked at"},
		{compat.LookOptions{Longest: 10 * time.Millisecond, Sample: 10}, "in 1 rows; the first 10 rows were looked at, since all would have taken more than 10ms"},
		{compat.LookOptions{Longest: 10 * time.Millisecond, Sample: 10}, "only its first 10 rows were looked at"},
		{compat.LookOptions{Longest: time.Millisecond, Sample: 200_000}, "none of its rows were looked at"},
	} {
		fs, err := compat.Looks(t.Context(), db, "bounded", c.o)
		if err != nil || !slices.ContainsFunc(fs, func(f Finding) bool { return strings.Contains(f.What, c.want) }) {
			t.Errorf("%+v: %v, %v", c.o, fs, err)
		}
	}
}

// TestCheckServers: settings of the two servers.
func TestCheckServers(t *testing.T) {
	maria, _ := schemas(t, "settings")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)")
	set := func(db *sql.DB, name, value string) {
		t.Helper()
		was := dbtest.One(t, db, "SELECT @@GLOBAL."+name)
		if was == "1" || was == "0" || strings.Trim(was, "0123456789") == "" {
			was = strings.TrimSpace(was)
		} else {
			was = "'" + was + "'"
		}
		exec(t, db, "SET GLOBAL "+name+" = "+value)
		t.Cleanup(func() {
			if _, err := db.ExecContext(context.Background(), "SET GLOBAL "+name+" = "+was); err != nil {
				t.Error(err)
			}
		})
	}
	if r := checked(t, CheckOptions{Schemas: []string{"settings"}}); r.Refused() {
		t.Errorf("as they are: %v", r.Findings)
	}
	set(maria, "binlog_format", "'MIXED'")
	set(maria, "binlog_row_image", "'MINIMAL'")
	set(maria, "binlog_expire_logs_seconds", "3600")
	set(maria, "time_zone", "'+02:00'")
	set(maria, "explicit_defaults_for_timestamp", "0")
	exec(t, maria, "INSERT INTO mysql.func VALUES ('shiny', 2, 'shiny.so', 'function')")
	t.Cleanup(func() { admin(t, servers.maria, "mysql").ExecContext(context.Background(), "DELETE FROM mysql.func") })
	r := checked(t, CheckOptions{Schemas: []string{"settings"}})
	wantAll(t, r, []finding{
		{"binlog", Refuse, compat.Follow, "binlog_format", "SET GLOBAL binlog_format = 'ROW'"}, {"binlog", Refuse, compat.Follow, "binlog_row_image", "'FULL'"}, {"binlog", Refuse, compat.Follow, "binlog_expire_logs_seconds", "kept for 1h0m0s"},
		{"server-settings", Warn, "", "time_zone", "+02:00 at the source and UTC at the target"}, {"server-settings", Warn, "", "explicit_defaults_for_timestamp", "OFF at the source"}, {"server-settings", Warn, "", "sql_mode", "ONLY_FULL_GROUP_BY"},
		{"udf", Refuse, compat.Switch, "function shiny", "loaded from the library shiny.so"},
	})
	sv, err := testSource().Survey(t.Context(), []string{"settings"})
	if err != nil || sv.Refused() != nil {
		t.Errorf("a copy is refused: %v, %v", sv.Refused(), err)
	}
}

// TestCheckNames: a target that doesn't tell capitals apart, and so can't have two tables of the source.
func TestCheckNames(t *testing.T) {
	ctx := deadline(t, 3*time.Minute)
	s := dbtest.Server(t, servers.lab.MySQL, "lower", dbpair.Options{Args: []string{"--lower-case-table-names=1"}})
	maria, _ := schemas(t, "caps")
	exec(t, maria, "CREATE TABLE Orders (id INT PRIMARY KEY)", "CREATE TABLE plain (id INT PRIMARY KEY)")
	r, err := Check(ctx, testSource(), NewTarget(endpoint(s, dbpair.Loader)), CheckOptions{Schemas: []string{"caps"}})
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, r, []finding{{"name-case", Refuse, compat.Copy, "table caps.Orders", "lower_case_table_names is 0 at the source, 1 at the target"}})
	if n, _ := firstOf(r, Refuse); n != 0 || len(r.Findings) > 1 && r.Findings[1].Severity == Refuse {
		t.Errorf("got %v", r.Findings)
	}
}

// TestCheckAccounts: how accounts sign in, and what they may, that the target hasn't.
func TestCheckAccounts(t *testing.T) {
	maria, _ := schemas(t, "acc")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSTALL SONAME 'auth_ed25519'")
	drop := []string{"DROP USER IF EXISTS shopper@'%', eddy@h, sock@localhost, deleter@'%'", "DROP ROLE IF EXISTS readers", "REVOKE SELECT ON acc.* FROM PUBLIC", "UNINSTALL SONAME 'auth_ed25519'"}
	t.Cleanup(func() {
		db := admin(t, servers.maria, "")
		for _, s := range drop {
			if _, err := db.ExecContext(context.Background(), s); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
	})
	exec(t, maria, "CREATE USER shopper@'%' IDENTIFIED BY 'x'", "GRANT SUPER, FILE, DELETE HISTORY, SELECT ON *.* TO shopper@'%'", "CREATE USER eddy@h IDENTIFIED VIA ed25519 USING PASSWORD('x')", "CREATE USER sock@localhost IDENTIFIED VIA unix_socket",
		"CREATE ROLE readers", "GRANT SELECT ON acc.* TO readers", "GRANT SELECT ON acc.* TO PUBLIC", "CREATE USER deleter@'%' IDENTIFIED BY 'x'", "GRANT DELETE HISTORY, SELECT ON acc.* TO deleter@'%'")
	r := checked(t, CheckOptions{Schemas: []string{"acc"}})
	wantAll(t, r, []finding{
		{"account", Leave, "", "account 'shopper'@'%'", "mysql_native_password, which the target doesn't have; privileges that the target doesn't have or Cloud SQL doesn't give: DELETE HISTORY, FILE, SUPER"},
		{"account", Leave, "", "account 'eddy'@'h'", "ed25519"}, {"account", Leave, "", "account 'sock'@'localhost'", "unix_socket"}, {"account", Leave, "", "account 'deleter'@'%'", "DELETE HISTORY"},
		{"account", Leave, "", "role readers", "make it anew"}, {"account", Leave, "", "grants to PUBLIC", "no PUBLIC"},
	})
	if r.Refused() {
		t.Errorf("refused: %v", r.Findings)
	}
}

// TestCheckLacks: an account that may not see everything gets no report; a target's that may not make a schema neither.
func TestCheckLacks(t *testing.T) {
	maria, my := schemas(t, "lacking")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE OR REPLACE USER poor@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'", "GRANT SELECT ON lacking.* TO poor@'127.0.0.1'")
	exec(t, my, "CREATE USER poor@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'", "GRANT SELECT ON *.* TO poor@'127.0.0.1'")
	t.Cleanup(func() {
		admin(t, servers.maria, "").ExecContext(context.Background(), "DROP USER poor@'127.0.0.1'")
		admin(t, servers.mysql, "").ExecContext(context.Background(), "DROP USER poor@'127.0.0.1'")
	})
	o := CheckOptions{Schemas: []string{"lacking"}}
	if _, err := Check(t.Context(), NewSource(endpoint(servers.maria, "poor")), testTarget(), o); !errors.Is(err, ErrPrivileges) || !strings.Contains(err.Error(), "GRANT TRIGGER ON `lacking`.* TO 'poor'@'127.0.0.1'") {
		t.Errorf("at the source: %v", err)
	}
	if _, err := Check(t.Context(), testSource(), NewTarget(endpoint(servers.mysql, "poor")), o); !errors.Is(err, ErrNoScratch) || errors.Is(err, ErrLogin) || !strings.Contains(err.Error(), "GRANT ALL ON `\\_slipway\\_check\\_%`.*") {
		t.Errorf("at the target: %v", err)
	}
	exec(t, my, "GRANT ALL ON `\\_slipway\\_check\\_%`.* TO poor@'127.0.0.1'")
	if _, err := Check(t.Context(), testSource(), NewTarget(endpoint(servers.mysql, "poor")), o); err != nil {
		t.Errorf("with what the message says: %v", err)
	}
	r := checked(t, CheckOptions{Schemas: []string{"lacking", "absent"}})
	wantAll(t, r, []finding{{"schema", Refuse, compat.Copy, "schema absent", "no such schema"}})
	if _, err := Check(t.Context(), NewSource(Endpoint{Name: "source", Addr: "127.0.0.1:1"}), testTarget(), o); !errors.Is(err, ErrLost) || !strings.HasPrefix(err.Error(), "source:") {
		t.Errorf("nobody there: %v", err)
	}
	r, err := Check(t.Context(), testSource(), NewTarget(endpoint(servers.maria, dbpair.Reader)), o)
	if err == nil && !r.Refused() || err != nil && !strings.Contains(err.Error(), "target") {
		t.Errorf("a MariaDB as the target: %v, %v", r.Findings, err)
	}
}
