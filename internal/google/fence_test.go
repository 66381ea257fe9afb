package google

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

const (
	fencedSQL     = "/v1/projects/p/instances/mysql-x"
	fencedCluster = "/v1/projects/p/locations/l/clusters/c"
	patchPending  = `{"name":"op-1","operationType":"UPDATE","status":"PENDING","targetId":"mysql-x"}`
	patchDone     = `{"name":"op-1","operationType":"UPDATE","status":"DONE","targetId":"mysql-x"}`
)

// sqlOf is a look at an instance that a process with the fence has worked on.
func sqlOf(fence uint64) call {
	return call{want: "GET " + fencedSQL, answer: fmt.Sprintf(`{"name":"mysql-x","state":"RUNNABLE","settings":{"userLabels":{"slipway-run":%q,"slipway-step":"standup_sql-instance","slipway-fence":"%d"}}}`, mark.Run, fence)}
}

func clusterOf(fence uint64) call {
	return call{want: "GET " + fencedCluster, answer: fmt.Sprintf(`{"name":"c","status":"RUNNING","resourceLabels":{"slipway-run":%q,"slipway-step":"standup_cluster","slipway-fence":"%d"}}`, mark.Run, fence)}
}

// A process that was cut off comes back to life when a later one has made or changed the thing: whatever it does next is refused, and
// nothing is sent.
func TestAnEarlierProcessIsRefused(t *testing.T) {
	old := stamp.Stamp{Run: mark.Run, Step: mark.Step, Fence: 2}
	tell := func(string, int64, int64) {}
	pw := secret.New("correct horse")
	for name, c := range map[string]struct {
		look call
		do   func(c *Client) error
	}{
		"create cluster": {clusterOf(3), func(c *Client) error {
			_, err := c.MakeClusters("p", "l", old).CreateCluster(t.Context(), ClusterSpec{Name: "c"}, tell)
			return err
		}},
		"delete cluster": {clusterOf(3), func(c *Client) error {
			return c.MakeClusters("p", "l", old).DeleteCluster(t.Context(), "c", tell)
		}},
		"create instance": {sqlOf(3), func(c *Client) error {
			_, err := c.MakeSQL("p", old).CreateInstance(t.Context(), InstanceSpec{Name: "mysql-x"}, tell)
			return err
		}},
		"delete instance": {sqlOf(3), func(c *Client) error { return c.MakeSQL("p", old).DeleteInstance(t.Context(), "mysql-x", tell) }},
		"create database": {sqlOf(3), func(c *Client) error {
			return c.MakeSQL("p", old).CreateDatabase(t.Context(), "mysql-x", Database{Name: "shop"}, tell)
		}},
		"delete database": {sqlOf(3), func(c *Client) error { return c.MakeSQL("p", old).DeleteDatabase(t.Context(), "mysql-x", "shop", tell) }},
		"put user": {sqlOf(3), func(c *Client) error {
			return c.MakeSQL("p", old).PutUser(t.Context(), "mysql-x", User{"shop", "%"}, pw, tell)
		}},
		"delete user": {sqlOf(3), func(c *Client) error {
			return c.MakeSQL("p", old).DeleteUser(t.Context(), "mysql-x", User{"shop", "%"}, tell)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newScript(t, c.look) // anything beyond this one look fails the test
			err := c.do(client)
			if !errors.Is(err, stamp.ErrFenced) || !strings.Contains(err.Error(), "its fence is 3, this process has 2") {
				t.Errorf("%v, want ErrFenced", err)
			}
		})
	}
}

// The first change of a process that has taken the run over puts its fence on the instance, before anything else; the second finds it there.
func TestTheFenceIsRaised(t *testing.T) {
	tell := func(string, int64, int64) {}
	list := call{want: "GET " + fencedSQL + "/databases", answer: `{"items":[{"name":"shop","charset":"c","collation":"c"}]}`}
	raise := call{want: "PATCH " + fencedSQL, body: `{"settings":{"userLabels":{"slipway-fence":"3","slipway-run":"` + mark.Run + `","slipway-step":"standup_sql-instance"}}}`, answer: patchPending}
	done := call{want: "GET /v1/projects/p/operations/op-1", answer: patchDone}
	shop := Database{"shop", "c", "c"}

	_, c := newScript(t, sqlOf(2), raise, done, list, sqlOf(3), list)
	for range 2 {
		if err := c.MakeSQL("p", mark).CreateDatabase(t.Context(), "mysql-x", shop, tell); err != nil {
			t.Error(err)
		}
	}
	// An answer that is lost is looked for.
	lost := raise
	lost.status = -1
	_, c = newScript(t, sqlOf(2), lost, sqlOf(3), list)
	if err := c.MakeSQL("p", mark).CreateDatabase(t.Context(), "mysql-x", shop, tell); err != nil {
		t.Error(err)
	}
	// Where it can't be put there, nothing is changed.
	refused := raise
	refused.status, refused.answer = 403, `{"error":{"code":403,"message":"no"}}`
	_, c = newScript(t, sqlOf(2), refused)
	if err := c.MakeSQL("p", mark).DeleteDatabase(t.Context(), "mysql-x", "shop", tell); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}
}
