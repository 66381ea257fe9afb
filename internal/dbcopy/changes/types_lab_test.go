//go:build lab

package changes

import (
	"testing"
)

func TestFirst(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			db := schema(t, s, "ch")
			exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20), e enum('a','b'))")
			st := open(t, s, Options{}, describe(t, db, "ch", "t"))
			exec(t, db, "INSERT INTO t VALUES (1,'x','a'),(2,NULL,NULL)", "UPDATE t SET v = 'y' WHERE id = 2", "DELETE FROM t WHERE id = 1")
			for range 3 {
				tx := next(t, st)
				t.Logf("%s %d %v %s %d rows", tx.GTID, tx.Origin, tx.Committed, tx.End.File, tx.Rows)
				for c, err := range tx.Changes {
					t.Logf("%d %q %q %v", c.Kind, c.Before, c.After, err)
				}
			}
		})
	}
}
