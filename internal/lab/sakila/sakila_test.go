package sakila

import (
	"slices"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	got := Cut("-- a ; comment\nSET a = ';\n';\n/*!50610 ALTER TABLE a */;;\nDELIMITER $$\n\nCREATE x BEGIN # no $$ here\n one; two; END $$\nDELIMITER //\nCREATE y; END//\nDELIMITER ;\nSELECT 1 -- and no more")
	want := []string{"SET a = ';\n'", "/*!50610 ALTER TABLE a */", "CREATE x BEGIN # no $$ here\n one; two; END", "CREATE y; END", "SELECT 1 -- and no more"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestStatements: all objects of the sample are among the statements, and no row and no column is left to a comment.
func TestStatements(t *testing.T) {
	all, err := Statements()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, s := range all {
		for _, kind := range []string{"CREATE TABLE", "CREATE VIEW", "CREATE DEFINER", "CREATE TRIGGER", "CREATE PROCEDURE", "CREATE FUNCTION", "INSERT INTO"} {
			if strings.HasPrefix(s, kind) {
				found[kind]++
			}
		}
		if strings.Contains(s, "/*!507") {
			t.Errorf("%.100s: has a comment for MySQL 5.7 alone", s)
		}
		if n := strings.Count(s, ", 0x0000000001010000") + strings.Count(s, ",0x0000000001010000"); strings.HasPrefix(s, "INSERT INTO `address`") && n != 603 {
			t.Errorf("%d addresses have a location", n)
		}
	}
	for kind, n := range map[string]int{"CREATE TABLE": 16, "CREATE VIEW": 6, "CREATE DEFINER": 1, "CREATE TRIGGER": 6, "CREATE PROCEDURE": 3, "CREATE FUNCTION": 3, "INSERT INTO": 17} {
		if found[kind] != n {
			t.Errorf("%s: %d, want %d", kind, found[kind], n)
		}
	}
}
