//go:build lab

package freeze

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

// servers: two masters that replicate from each other, each with a domain of its own, and a MySQL.
var servers struct{ a, b, my *dbpair.Server }

// What the tests of this package use most, by short names.
var (
	as         = dbtest.As
	exec       = dbtest.Exec
	eventually = dbtest.Eventually
)

func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(dbtest.Main(m, "freeze", func(ctx context.Context, lab *dbpair.Lab) (err error) {
		if servers.a, servers.b, err = dbtest.Circle(ctx, lab, nil); err != nil {
			return err
		}
		servers.my, err = lab.MySQL(ctx, "my", dbpair.Options{})
		return err
	}))
}

func endpoint(s *dbpair.Server, user string) dbcopy.Endpoint {
	return dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
}
