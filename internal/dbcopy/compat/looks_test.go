package compat

import (
	"slices"
	"strings"
	"testing"
)

// TestLooksAt: what is counted in which columns. A TIMESTAMP after 2038 can't be stored by a server that can be had here, so
// its condition is compared as text.
func TestLooksAt(t *testing.T) {
	for _, c := range []struct {
		dataType, charset, extra string
		want                     []string
	}{
		{"int", "", "", nil}, {"varchar", "utf8mb4", "", nil}, {"time", "", "", nil},
		{"int", "", "auto_increment", []string{"auto-increment-zero"}},
		{"date", "", "", []string{"zero-date"}}, {"datetime", "", "", []string{"zero-date"}},
		{"timestamp", "", "on update current_timestamp()", []string{"zero-date", "timestamp-2038"}},
		{"text", "latin1", "", []string{"latin1-utf8"}}, {"point", "", "", []string{"srid"}},
	} {
		var got []string
		for _, l := range looksAt("table a.b", "c", c.dataType, c.charset, c.extra) {
			got = append(got, l.f.Check)
			if l.f.Object != "table a.b, c" || l.column != "`c`" || (l.f.Severity == Refuse) != (l.f.Check == "timestamp-2038") {
				t.Errorf("%+v: %+v", c, l)
			}
			if l.f.Check == "timestamp-2038" && (!strings.HasPrefix(l.expr, "`c` > '2038-01-19 03:14:07'") || l.f.Fix == "") {
				t.Errorf("its condition is %s", l.expr)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}
