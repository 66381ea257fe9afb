package ddl

import (
	"slices"
	"testing"
)

// eleven is a table as MariaDB 11.8 prints it, by its documentation: no such server can be had here, so this is read and
// not tried.
const eleven = "CREATE TABLE `v` (\n" +
	"  `id` int(11) NOT NULL AUTO_INCREMENT,\n" +
	"  `t` timestamp NOT NULL DEFAULT current_timestamp(),\n" +
	"  `name` varchar(50) DEFAULT NULL,\n" +
	"  `e` vector(5) NOT NULL,\n" +
	"  PRIMARY KEY (`id`),\n" +
	"  VECTOR KEY `e` (`e`) `M`=8 `DISTANCE`=cosine\n" +
	") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_uca1400_ai_ci"

func TestEleven(t *testing.T) {
	tb, err := ParseTable(eleven)
	if err != nil {
		t.Fatal(err)
	}
	_, changes, refusals := NewRewriter(nil).Table(tb, facts("utf8mb4_uca1400_ai_ci", "name"))
	var got []string
	for _, c := range changes {
		got = append(got, string(c.Rule)+" "+c.Part+": "+c.What)
	}
	const to = "utf8mb4_uca1400_ai_ci to utf8mb4_0900_ai_ci; there, blanks at the end count"
	if want := []string{"collation name: " + to, "collation : " + to}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	got = nil
	for _, r := range refusals {
		got = append(got, r.Check+" "+r.Part+": "+r.What)
	}
	if want := []string{"type e: the type VECTOR has no counterpart that this program knows", "type e: a vector index, which MySQL doesn't have"}; !slices.Equal(got, want) {
		t.Errorf("refusals %q, want %q", got, want)
	}
}
