//go:build lab

package dbcopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// routines are those that carried makes.
var routines = []string{"function car.has", "function car.none", "function car.od d", "function car.twice", "function car.umlaut", "procedure car.add_one"}

// TestArtifactObjects: functions, procedures and views that call them come out of a snapshot as they are at the source, whose rows may
// have gone since; triggers and events are in it, and no load makes them.
func TestArtifactObjects(t *testing.T) {
	trusting(t)
	maria, my := schemas(t, "car")
	exec(t, my, "ALTER DATABASE car COLLATE utf8mb4_0900_ai_ci")
	carried(t, maria)
	exec(t, maria, "CREATE USER shop@'%' IDENTIFIED BY 'x'", "GRANT SELECT, EXECUTE, DELETE HISTORY ON car.* TO shop@'%'")
	t.Cleanup(func() { maria.ExecContext(context.Background(), "DROP USER shop@'%'") })
	art := take(t, Options{Schemas: []string{"car"}})
	cat, err := OpenCatalog(art)
	if err != nil {
		t.Fatal(err)
	}
	if at := set(t, "car"); !reflect.DeepEqual(cat.Text, at) {
		t.Errorf("the snapshot has\n%+v\nand the source\n%+v", cat.Text, at)
	}
	sum, err := Summary(art)
	if err != nil || sum.Routines != 6 || len(sum.LeftOut) != 8 || !slices.Contains(sum.LeftOut, "trigger car.z") || !slices.Contains(sum.LeftOut, "event car.runs") {
		t.Errorf("%+v, %v", sum, err)
	}
	// 1: tables are made twice, with their keys and without; else they stay as they were compiled.
	for _, o := range []LoadOptions{{DeferBytes: 1}, {}} {
		got := load1(t, art, o)
		if !slices.Equal(got.Routines, routines) || got.NotMade != nil || !slices.Contains(got.Grants, "GRANT EXECUTE, SELECT ON `car`.* TO 'shop'@'%'") || strings.Contains(strings.Join(got.Grants, " "), "slipway") {
			t.Errorf("%+v", got)
		}
		if again := load1(t, art, o); !slices.Equal(again.Routines, routines) {
			t.Errorf("again: %+v", again)
		}
		for _, v := range []string{"a_second", "b_first"} {
			if n := dbtest.Equal(t, maria, my, v); n != 3 {
				t.Errorf("view %s has %d rows", v, n)
			}
		}
		for _, q := range []string{"SELECT car.twice(21, 'x')", "SELECT car.has('ONE')", "SELECT car.none()", "SELECT car.`od d`()", "SELECT HEX(car.umlaut())"} {
			if a, b := dbtest.One(t, maria, q), dbtest.One(t, my, q); a != b || a == "" {
				t.Errorf("%s: %q at the source, %q at the target", q, a, b)
			}
		}
		if n := dbtest.One(t, my, "SELECT (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'car') + (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'car')"); n != "0" {
			t.Errorf("%s triggers and events were made", n)
		}
		if d := differences(t, art); d != nil {
			t.Errorf("differs: %q", d)
		}
		st, err := testTarget().Look(t.Context(), []string{"car"})
		if err != nil || st.Objects != 4 || st.Routines != 6 || st.Foreign != nil {
			t.Errorf("%+v, %v", st, err)
		}
		if err := testTarget().Drop(t.Context(), testOwner); err != nil {
			t.Fatal(err)
		}
		if st, err = testTarget().Look(t.Context(), []string{"car"}); err != nil || st.Objects+st.Routines > 0 || st.Foreign != nil {
			t.Errorf("left: %+v, %v", st, err)
		}
	}
	// What was recorded is enough to make them at the switch, with the source gone.
	load1(t, art, LoadOptions{})
	if m := made(t, cat.Text, objects.Acting); len(m.Made) < 7 {
		t.Errorf("%+v", m)
	}
	if err := testTarget().DropObjects(t.Context(), cat.Text, objects.Acting); err != nil {
		t.Error(err)
	}
}

// TestArtifactNotMade: what the target doesn't take is named and hinders nothing but the view that calls it.
func TestArtifactNotMade(t *testing.T) {
	maria, my := schemas(t, "unmade")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "CREATE PROCEDURE p() SELECT 1")
	art := take(t, Options{Schemas: []string{"unmade"}})
	got := load1(t, art, LoadOptions{})
	if !slices.Equal(got.Routines, []string{"procedure unmade.p"}) || len(got.NotMade) != 1 || got.NotMade[0].Object != "function unmade.f" || !strings.Contains(got.NotMade[0].String(), "log_bin_trust_function_creators") {
		t.Errorf("%+v", got)
	}
	if st, err := testTarget().Look(t.Context(), []string{"unmade"}); err != nil || st.Routines != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	// Made anew when it can be, and refused when another's is there.
	trusting(t)
	if again := load1(t, art, LoadOptions{}); len(again.Routines) != 2 || again.NotMade != nil {
		t.Errorf("%+v", again)
	}
	loader, err := servers.mysql.Open(dbpair.Loader, "unmade")
	if err != nil {
		t.Fatal(err)
	}
	defer loader.Close()
	exec(t, loader, "DROP FUNCTION f", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 2")
	if d := differences(t, art); !slices.Equal(d, []string{"function unmade.f: its body, its sql_mode"}) {
		t.Errorf("differs: %q", d)
	}
	var differ *objects.DifferentError
	if _, err := testTarget().Load(t.Context(), art, testOwner, LoadOptions{}); !errors.As(err, &differ) || !strings.Contains(err.Error(), "DROP FUNCTION `unmade`.`f`") {
		t.Errorf("with another in its place: %v", err)
	}
	if err := testTarget().Drop(t.Context(), testOwner); err != nil {
		t.Fatal(err)
	}
	exec(t, admin(t, servers.mysql, ""), "SET GLOBAL log_bin_trust_function_creators = OFF")
	exec(t, maria, "CREATE VIEW v AS SELECT f() AS n")
	var r *RefusedError
	if _, err := testTarget().Load(t.Context(), take(t, Options{Schemas: []string{"unmade"}}), testOwner, LoadOptions{}); !errors.As(err, &r) || !strings.Contains(err.Error(), "view unmade.v") || !strings.Contains(err.Error(), "log_bin_trust_function_creators") {
		t.Errorf("with a view that calls it: %v", err)
	}
	exec(t, my, "CREATE PROCEDURE theirs() SELECT 1")
	if _, err := testTarget().Load(t.Context(), art, testOwner, LoadOptions{}); !errors.As(err, &r) || !strings.Contains(err.Error(), "procedure unmade.theirs") {
		t.Errorf("with somebody's procedure there: %v", err)
	}
}

// TestArtifactOfFormat1: what was taken before snapshots had any text is read and loaded; what it lacks is said.
func TestArtifactOfFormat1(t *testing.T) {
	maria, my := schemas(t, "old")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1),(2)", "CREATE PROCEDURE p() SELECT 1")
	art := take(t, Options{Schemas: []string{"old"}})
	path := filepath.Join(art.Path(), "manifest.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var outer struct{ Manifest map[string]any }
	if err := json.Unmarshal(b, &outer); err != nil {
		t.Fatal(err)
	}
	m := outer.Manifest
	detail := m["detail"].(map[string]any)
	delete(detail, "text")
	delete(detail, "grants")
	detail["schemas"].([]any)[0].(map[string]any)["left_out"] = []any{map[string]any{"kind": "routine", "name": "p (procedure)"}}
	m["format"] = 1
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	if err := os.WriteFile(path, fmt.Appendf(nil, "{\"sha256\":%q,\n\"manifest\":%s}\n", hex.EncodeToString(sum[:]), body), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := snapshot.At(filepath.Join(art.Path(), "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	old, err := store.Open(t.Context(), testRun, snapshot.MariaDB)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Preview(old)
	if err != nil || !slices.ContainsFunc(found, func(f Finding) bool { return strings.Contains(f.String(), "routine old.p (procedure)") }) {
		t.Errorf("%v, %v", found, err)
	}
	if got := load1(t, old, LoadOptions{}); got.Rows != 2 || len(got.Routines) > 0 || got.Grants != nil {
		t.Errorf("%+v", got)
	}
	dbtest.Equal(t, maria, my, "a", "id")
}
