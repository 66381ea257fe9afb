//go:build lab

package dbcopy

import (
	"context"
	"os"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// servers are the two that most tests share; a test that kills or fills one starts its own.
var servers struct {
	lab   *dbpair.Lab
	maria *dbpair.Server
	mysql *dbpair.Server
}

// What the tests of this package use most, by short names.
var (
	admin    = dbtest.Admin
	exec     = dbtest.Exec
	deadline = dbtest.Limit
)

func TestMain(m *testing.M) {
	machine.Main()
	copierChild.Main(copierOrder.run, copierStatus)
	loader.Main(loaderOrder.run, nil)
	os.Exit(dbtest.Main(m, "dbcopy", func(ctx context.Context, lab *dbpair.Lab) (err error) {
		servers.lab = lab
		servers.maria, servers.mysql, err = dbtest.Pair(ctx, lab)
		return err
	}))
}
