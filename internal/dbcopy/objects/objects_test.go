package objects

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
)

func TestUnusable(t *testing.T) {
	for _, c := range []struct {
		o    Object
		want string
	}{
		{Object{Kind: Package, Create: "CREATE PACKAGE x AS END"}, "no packages"},
		{Object{Kind: PackageBody}, "no packages"},
		{Object{Kind: Function, Create: "CREATE DEFINER=`a`@`b` AGGREGATE FUNCTION `f`(x INT) RETURNS INT"}, "no stored aggregate"},
		{Object{Kind: Procedure, Mode: "PIPES_AS_CONCAT,ORACLE,NO_KEY_OPTIONS", Create: "CREATE PROCEDURE p AS BEGIN NULL; END"}, "sql_mode=ORACLE"},
		{Object{Kind: Function, Charset: "latin1", Create: "CREATE FUNCTION f() RETURNS INT RETURN _binary'\u00fc'"}, "a literal of binary that isn't ASCII"},
		{Object{Kind: Function, Charset: "latin1", Create: "CREATE FUNCTION f() RETURNS INT RETURN _latin1'\u00fc' + _binary'u' + '\u00fc'"}, ""},
		{Object{Kind: Function, Charset: "utf8mb4", Create: "CREATE FUNCTION f() RETURNS INT RETURN _binary'\u00fc'"}, ""},
		{Object{Kind: Function, Create: "CREATE FUNCTION `aggregate`(x INT) RETURNS INT RETURN 1"}, ""},
		{Object{Kind: Function, Create: "CREATE FUNCTION `f`(x INT) RETURNS INT RETURN NVL(x, 1)"}, "NVL: MySQL has none"},
	} {
		fs := Set{Objects: []Object{c.o}}.Text(c.o)
		if len(fs) != 0 != (c.want != "") || c.want != "" && (!strings.Contains(fs[0].What, c.want) || fs[0].Severity != compat.Refuse || fs[0].Stops != compat.Switch) {
			t.Errorf("%s: %+v", c.o.Create, fs)
		}
	}
}

func TestWithoutDefiner(t *testing.T) {
	for in, want := range map[string]string{
		"CREATE DEFINER=`root`@`localhost` PROCEDURE `p`() SELECT 1":        "CREATE PROCEDURE `p`() SELECT 1",
		"CREATE DEFINER=`a``b`@`%` TRIGGER `t` BEFORE INSERT ON `x`":        "CREATE TRIGGER `t` BEFORE INSERT ON `x`",
		"CREATE DEFINER=\"a b\"@\"%\" TRIGGER \"t\" BEFORE INSERT ON \"x\"": "CREATE TRIGGER \"t\" BEFORE INSERT ON \"x\"",
		"CREATE DEFINER=`role` FUNCTION f() RETURNS INT RETURN 1":           "CREATE FUNCTION f() RETURNS INT RETURN 1",
		"CREATE PROCEDURE `p`() SELECT 'DEFINER=`a`@`b` x'":                 "CREATE PROCEDURE `p`() SELECT 'DEFINER=`a`@`b` x'",
		"CREATE OR REPLACE DEFINER = root@localhost EVENT `e` DO ...":       "CREATE OR REPLACE EVENT `e` DO ...",
	} {
		if got := (Object{Create: in}).withoutDefiner(); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func TestWithState(t *testing.T) {
	for in, want := range map[string]string{
		"CREATE EVENT `ENABLE` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE DO SELECT 1": "CREATE EVENT `ENABLE` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE DISABLE DO SELECT 1",
		"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SELECT 'ENABLE'":                  "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 'ENABLE'",
		"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SET ENABLE = 1":                                    "",
		"CREATE EVENT e": "",
	} {
		if got, ok := withState(in, "DISABLED"); got != want || ok != (want != "") {
			t.Errorf("%s: %s", in, got)
		}
	}
	if got, _ := withState("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE COMMENT 'x' DO SELECT 1", "ENABLED"); got != "CREATE EVENT e ON SCHEDULE EVERY 1 DAY ENABLE COMMENT 'x' DO SELECT 1" {
		t.Error(got)
	}
}

// TestShape: what the two servers print of one and the same object has one shape, and of others hasn't.
func TestShape(t *testing.T) {
	maria := "CREATE DEFINER=`a`@`b` FUNCTION `f`(p_id INT(11), s VARCHAR(3)) RETURNS varchar(20) CHARSET utf8 COLLATE utf8_general_ci\n    READS SQL DATA\n    DETERMINISTIC\n    COMMENT 'it''s (one)'\nBEGIN\n  RETURN 'a\\'b'; -- END\nEND"
	for _, c := range []struct {
		name, text string
		same       bool
	}{
		{"as MySQL prints it", "CREATE DEFINER=`x`@`%` FUNCTION `f`(p_id INT(11), s VARCHAR(3)) RETURNS varchar(20) CHARSET utf8mb3\n    READS SQL DATA\n    DETERMINISTIC\n    COMMENT 'it''s (one)'\nBEGIN\n  RETURN 'a\\'b'; -- END\nEND", true},
		{"another body", strings.Replace(maria, "'b'", "'c'", 1), false},
		{"another comment in the body", strings.Replace(maria, "-- END", "-- end", 1), false},
		{"another parameter", strings.Replace(maria, "VARCHAR(3)", "VARCHAR(4)", 1), false},
		{"another type", strings.Replace(maria, "varchar(20)", "varchar(21)", 1), false},
		{"not deterministic", strings.Replace(maria, "    DETERMINISTIC\n", "", 1), false},
		{"another security", strings.Replace(maria, "    COMMENT", "    SQL SECURITY INVOKER\n    COMMENT", 1), false},
		{"the usual security", strings.Replace(maria, "    COMMENT", "    SQL SECURITY DEFINER\n    COMMENT", 1), true},
		{"another comment", strings.Replace(maria, "(one)", "(two)", 1), false},
	} {
		a, ok := shapeOf(Function, maria)
		b, okb := shapeOf(Function, c.text)
		if !ok || !okb || (a == b) != c.same {
			t.Errorf("%s:\n%+v\n%+v", c.name, a, b)
		}
	}
	if !strings.HasPrefix(func() string { s, _ := shapeOf(Function, maria); return s.body }(), "BEGIN\n") {
		t.Error("the body begins elsewhere")
	}
	for _, c := range []struct {
		kind Kind
		text string
		want string
	}{
		{Trigger, "CREATE DEFINER=`a`@`b` TRIGGER `FOR` AFTER UPDATE ON x.y FOR EACH ROW FOLLOWS `z` SET @a = 1", "SET @a = 1"},
		{Trigger, "CREATE TRIGGER t AFTER UPDATE ON x.y FOR  EACH\nROW BEGIN END", "BEGIN END"},
		{Event, "CREATE EVENT `DO` ON SCHEDULE EVERY 1 DAY ENABLE COMMENT 'DO' DO DO 1", "DO 1"},
		{Procedure, "CREATE PROCEDURE `p (`()\n    SQL SECURITY INVOKER\nSELECT 1", "SELECT 1"},
		{Trigger, "CREATE TRIGGER t AFTER UPDATE ON y", ""}, {Function, "CREATE FUNCTION f", ""}, {Function, "CREATE FUNCTION f(a INT)", ""}, {Event, "CREATE EVENT e", ""},
	} {
		s, ok := shapeOf(c.kind, c.text)
		if ok != (c.want != "") || ok && s.body != c.want {
			t.Errorf("%s: %v %+v", c.text, ok, s)
		}
	}
}

func TestWrite(t *testing.T) {
	has := func(c string) bool {
		return c == "utf8mb4_0900_ai_ci" || c == "utf8mb4_general_ci" || c == "utf8mb3_general_ci"
	}
	o := Object{Schema: "shop", Kind: Function, Name: "f", Mode: "STRICT_ALL_TABLES,NO_AUTO_CREATE_USER", Definer: "a@b", Charset: "utf8mb4", Collation: "utf8mb4_general_ci", SchemaCollation: "utf8mb4_uca1400_ai_ci",
		Create: "CREATE DEFINER=`a`@`b` FUNCTION `f`() RETURNS varchar(9) CHARSET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci\nRETURN (SELECT x COLLATE utf8_general_ci FROM shop.t)"}
	w, err := o.Write(To{Has: has, Schemas: map[string]string{"shop": "s_1"}})
	if err != nil || w.Create != "CREATE FUNCTION `f`() RETURNS varchar(9) CHARSET utf8mb4 COLLATE utf8mb4_0900_ai_ci\nRETURN (SELECT x COLLATE utf8mb3_general_ci FROM `s_1`.t)" || w.SchemaCollation != "utf8mb4_0900_ai_ci" ||
		!slices.Equal(w.Session, []string{"USE `s_1`", "SET NAMES utf8mb4", "SET SESSION collation_connection = 'utf8mb4_general_ci'", "SET SESSION sql_mode = 'STRICT_ALL_TABLES'"}) || len(w.Changes) != 4 {
		t.Errorf("%+v, %v", w, err)
	}
	e := Object{Schema: "shop", Kind: Event, Name: "e", Runs: &Runs{State: "ENABLED", Zone: "+02:00"}, Create: "CREATE EVENT `e` ON SCHEDULE EVERY 1 DAY ENABLE DO SELECT 1"}
	if w, err := e.Write(To{Has: has}); err != nil || !strings.Contains(w.Create, " ENABLE DO") || !slices.Contains(w.Session, "SET SESSION time_zone = '+02:00'") {
		t.Errorf("%+v, %v", w, err)
	}
	if w, err := e.Write(To{Has: has, Asleep: true}); err != nil || !strings.Contains(w.Create, " DISABLE DO") {
		t.Errorf("asleep: %+v, %v", w, err)
	}
	e.Runs.State = notHere
	if w, err := e.Write(To{Has: has}); err != nil || !strings.Contains(w.Create, " DISABLE DO") || len(w.Changes) == 0 {
		t.Errorf("from the other master: %+v, %v", w, err)
	}
	other := Set{Objects: []Object{{Schema: "shop", Kind: Event, Name: "e", Runs: &Runs{State: "ENABLED"}}}}
	s := Set{Schemas: []string{"shop"}, Objects: []Object{o, e}}
	if got := s.With(other); got.Objects[1].Runs.State != "ENABLED" || s.Objects[1].Runs.State != notHere {
		t.Errorf("with the other master's: %+v", got)
	}
	b, err := json.Marshal(s)
	var back Set
	if err := errors.Join(err, json.Unmarshal(b, &back)); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("through JSON: %+v, %v", back, err)
	}
}

func TestCompiled(t *testing.T) {
	for _, c := range []struct {
		number uint16
		want   string
		sev    compat.Severity
	}{{0, "the target compiles it", compat.Leave}, {1419, "log_bin_trust_function_creators", compat.Refuse}, {1064, "doesn't take its text", compat.Refuse}, {1142, "GRANT", compat.Refuse}, {1146, "isn't there", compat.Refuse}} {
		var err error
		if c.number != 0 {
			err = &mysql.MySQLError{Number: c.number}
		}
		f, ok := Object{Kind: Trigger}.Compiled(Written{}, err)
		if !ok || f.Severity != c.sev || !strings.Contains(f.String(), c.want) || f.Severity == compat.Refuse != (f.Stops == compat.Switch) {
			t.Errorf("%d: %+v, %v", c.number, f, ok)
		}
	}
	for _, err := range []error{errors.New("connection lost"), &mysql.MySQLError{Number: 1053}, &mysql.MySQLError{Number: 1205}} {
		if f, ok := (Object{Kind: Trigger}).Compiled(Written{}, err); ok {
			t.Errorf("%v says %+v of the object", err, f)
		}
	}
}

func TestScheduler(t *testing.T) {
	runs, sleeps := Set{Objects: []Object{{Kind: Event, Runs: &Runs{State: "ENABLED"}}}}, Set{Objects: []Object{{Kind: Event, Runs: &Runs{State: "DISABLED"}}, {Kind: Trigger}}}
	for _, c := range []struct {
		s              Set
		source, target string
		want           compat.Severity
	}{{runs, "ON", "ON", ""}, {runs, "ON", "OFF", compat.Refuse}, {runs, "OFF", "DISABLED", compat.Refuse}, {runs, "OFF", "ON", compat.Warn}, {sleeps, "OFF", "OFF", ""}} {
		if fs := c.s.Scheduler(c.source, c.target); (c.want == "") != (fs == nil) || fs != nil && (fs[0].Severity != c.want || fs[0].Fix == "") {
			t.Errorf("%s, %s: %v", c.source, c.target, fs)
		}
	}
}
