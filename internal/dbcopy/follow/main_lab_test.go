//go:build lab

package follow

import (
	"context"
	"os"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
)

// servers are the two that most tests share; a test that kills or fills one starts its own.
var servers struct {
	lab   *dbpair.Lab
	maria *dbpair.Server
	mysql *dbpair.Server
}

// What the tests of this package use most, by short names.
var (
	admin  = dbtest.Admin
	exec   = dbtest.Exec
	schema = dbtest.Schema
	start  = dbtest.Server
	limit  = dbtest.Limit
)

func TestMain(m *testing.M) {
	machine.Main()
	follower.Main(followerOrder.run, nil)
	os.Exit(dbtest.Main(m, "follow", func(ctx context.Context, lab *dbpair.Lab) (err error) {
		servers.lab = lab
		servers.maria, servers.mysql, err = dbtest.Pair(ctx, lab)
		return err
	}))
}

func endpoint(s *dbpair.Server, user string) dbcopy.Endpoint {
	return dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
}
