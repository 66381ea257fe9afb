//go:build lab

package follow

import (
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestWithoutForeignKeys: a session of the source that has switched foreign keys off leaves what they would have taken away, and the
// target does so too; one that has them on takes it away at both.
func TestWithoutForeignKeys(t *testing.T) {
	source, target := live(t, servers.maria, servers.mysql)
	from := tip(t, servers.maria, value.MariaDB).String()
	c, err := source.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exec(t, c, "INSERT INTO parent (id, name) VALUES (1, 'a'), (2, 'b')", "INSERT INTO child VALUES (1, 1, 'of 1'), (2, 2, 'of 2')",
		"SET SESSION foreign_key_checks = 0", "DELETE FROM parent WHERE id = 1", "INSERT INTO child VALUES (3, 99, 'of nobody')",
		"SET SESSION foreign_key_checks = 1", "DELETE FROM parent WHERE id = 2")
	drained(t, followerOrder{Source: servers.maria.Addr, Target: servers.mysql.Addr, Workers: 4, From: from}, servers.maria)
	want := []string{"1", "3"}
	if a, b := dbtest.Texts(t, source, "SELECT id FROM child ORDER BY id"), dbtest.Texts(t, target, "SELECT id FROM child ORDER BY id"); !slices.Equal(a, want) || !slices.Equal(b, want) {
		t.Errorf("the source has children %q, the target %q", a, b)
	}
	equal(t, source, target)
}
