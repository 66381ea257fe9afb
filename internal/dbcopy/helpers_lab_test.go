//go:build lab

package dbcopy

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

const testRun snapshot.ID = "20261123-010203-7f3a"

var testOwner = Owner{string(testRun), 1}

func endpoint(s *dbpair.Server, user string) Endpoint {
	return Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
}

func testSource() *Source { return NewSource(endpoint(servers.maria, dbpair.Reader)) }
func testTarget() *Target { return NewTarget(endpoint(servers.mysql, dbpair.Loader)) }

// schemas makes empty schemas of one name on both servers, and drops them and the load's own at the end.
func schemas(t testing.TB, name string) (maria, my *sql.DB) {
	t.Helper()
	return dbtest.Schema(t, servers.maria, name), dbtest.Schema(t, servers.mysql, name)
}

// take makes a snapshot in a store of the test's own.
func take(t testing.TB, o Options) *snapshot.Artifact {
	t.Helper()
	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Tool = "test"
	if _, err := testSource().Take(t.Context(), store, testRun, o); err != nil {
		t.Fatal(err)
	}
	art, err := store.Open(t.Context(), testRun, snapshot.MariaDB)
	if err != nil {
		t.Fatal(err)
	}
	if err := art.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return art
}

func load1(t testing.TB, art *snapshot.Artifact, o LoadOptions) Loaded {
	t.Helper()
	l, err := testTarget().Load(t.Context(), art, testOwner, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// differences verifies and gives what differs.
func differences(t testing.TB, art *snapshot.Artifact) []string {
	t.Helper()
	_, err := testTarget().Verify(t.Context(), art, VerifyOptions{})
	var d *DifferentError
	if err != nil && !errors.As(err, &d) {
		t.Fatal(err)
	}
	var out []string
	if d != nil {
		for _, x := range d.Differences {
			out = append(out, x.String())
		}
	}
	return out
}
