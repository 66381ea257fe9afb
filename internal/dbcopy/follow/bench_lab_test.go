//go:build lab

package follow

import (
	"strconv"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
)

// BenchmarkFollow applies transactions of ten row changes each (four inserts, four updates, two deletes, over two tables with a
// second key) at a MySQL with its durable settings, by four workers. The source's log is in memory.
func BenchmarkFollow(b *testing.B) {
	db := schema(b, servers.mysql, "made")
	exec(b, db, "CREATE TABLE p (id INT PRIMARY KEY, name VARCHAR(20), UNIQUE KEY (name))", "CREATE TABLE c (id INT PRIMARY KEY, p INT, KEY (p))")
	var m made
	for tx := 0; tx < b.N; tx++ {
		var cs []changes.Change
		for i := range 4 {
			id := tx*4 + i
			cs = append(cs, changes.Change{Table: parentTable, Kind: changes.Insert, After: row(strconv.Itoa(id), "n"+strconv.Itoa(id))})
		}
		for i := range 4 {
			id := tx*4 + i
			cs = append(cs, changes.Change{Table: parentTable, Kind: changes.Update, Before: row(strconv.Itoa(id), "n"+strconv.Itoa(id)), After: row(strconv.Itoa(id), "m"+strconv.Itoa(id))})
		}
		for i := range 2 {
			id := tx*4 + i
			cs = append(cs, changes.Change{Table: parentTable, Kind: changes.Delete, Before: row(strconv.Itoa(id), "m"+strconv.Itoa(id))})
		}
		m.commit(cs...)
	}
	f := open(b, options(4))
	b.ResetTimer()
	began := time.Now()
	if err := f.Drain(limit(b, 5*time.Minute), &m, at(b.N)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(10*b.N)/time.Since(began).Seconds(), "rows/s")
}
