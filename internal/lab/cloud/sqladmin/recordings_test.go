//go:build recordings

package sqladmin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	api "google.golang.org/api/sqladmin/v1"
)

// replay plays a recording: requests in their order, and where an operation was
// polled, until it is done.
func replay(t *testing.T, list []recordingtest.Exchange, a *sqladmin.API, skip func(recordingtest.Exchange) bool) {
	r := &recordingtest.Replay{
		Handler: a.Handler(), Token: everything,
		Values: map[string]string{"projectId": project, "projectNumber": projectNumber, "uniqueId": "abc123"},
		Path:   func(p string) string { return strings.Replace(p, "/sql/v1beta4/", "/v1/", 1) },
		Free: []string{
			"user", "etag", "ipAddresses[].ipAddress", "serverCaCert.cert", "serverCaCert.commonName", "serverCaCert.sha1Fingerprint",
			"serviceAccountEmailAddress", "settings.settingsVersion",
		},
		// The normalised recordings have only code and message of an error.
		Extra: []string{"error.errors"},
	}
	for _, e := range list {
		if skip != nil && skip(e) {
			continue
		}
		// v1 differs from v1beta4 in the path alone, which answers repeat in links.
		e.Answer = []byte(strings.ReplaceAll(string(e.Answer), "/sql/v1beta4/", "/v1/"))
		if strings.Contains(e.URL, "/operations/") {
			seen := poll(t, r, e)
			if seen["PENDING"] == 0 || seen["RUNNING"] == 0 {
				t.Errorf("exchange %d: operation was not seen PENDING and RUNNING before it was DONE: %v", e.Number, seen)
			}
		}
		if !strings.Contains(e.URL, "${operationID}") {
			delete(r.Values, "operationID") // this one makes its own
		}
		answer := r.Do(t, e)
		if name, ok := answer["name"].(string); ok && answer["kind"] == "sql#operation" {
			r.Values["operationID"] = name
		}
	}
}

// poll asks for an operation until it is done, counting the states seen.
func poll(t *testing.T, r *recordingtest.Replay, e recordingtest.Exchange) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for range 1000 {
		var op struct {
			Status string
			Error  json.RawMessage
		}
		w := r.Send(t, e)
		if err := json.Unmarshal(w.Body.Bytes(), &op); err != nil || w.Code != 200 {
			t.Fatalf("operation: %d %s", w.Code, w.Body)
		}
		seen[op.Status]++
		if op.Status == "DONE" {
			if op.Error != nil {
				t.Fatalf("operation failed: %s", op.Error)
			}
			return seen
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("operation is never done")
	return nil
}

func TestRecordedMySQL80(t *testing.T) {
	list := recordingtest.Load(t, "sql-instance-crud.http.log", "shapes of sqladmin instances and operations (MYSQL_8_0)")
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine()
		engine.versions[0].Upgrades = recordedUpgrades(t, list)
		a := newAPI(engine)
		replay(t, list, a, nil)
		closeAPI(t, a)
		if n := engine.alive(); n != 0 {
			t.Errorf("%d servers are left", n)
		}
	})
}

func TestRecordedMySQL84(t *testing.T) {
	list := recordingtest.Load(t, "sql-instance-mysql84.http.log", "shapes of sqladmin instances and errors (MYSQL_8_4, ENTERPRISE_PLUS)")
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(newEngine())
		defer closeAPI(t, a)
		replay(t, list, a, nil)
	})
}

// TestRecordedRegional plays the part of the switch-over's recording that needs
// no replica. That replicas and switchover are not served is said with 501.
func TestRecordedRegional(t *testing.T) {
	list := recordingtest.Load(t, "sql-instance-switchover.http.log", "shapes of a REGIONAL instance")
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(newEngine())
		defer closeAPI(t, a)
		replica := false // from the making of the replica to the deletion of the last one
		played := 0
		replay(t, list, a, func(e recordingtest.Exchange) bool {
			if strings.Contains(string(e.Request), "masterInstanceName") || strings.Contains(e.URL, "/switchover") {
				r := &recordingtest.Replay{Handler: a.Handler(), Token: everything, Values: map[string]string{"projectId": project, "uniqueId": "abc123"},
					Path: func(p string) string { return strings.Replace(p, "/sql/v1beta4/", "/v1/", 1) }}
				if w := r.Send(t, e); w.Code != 501 {
					t.Errorf("exchange %d: answered %d, want 501: %s", e.Number, w.Code, w.Body)
				}
				replica = true
			}
			if e.Method == "DELETE" && strings.Contains(e.URL, "/west-") {
				replica = false
			}
			if !replica {
				played++
			}
			return replica
		})
		if played != 5 {
			t.Errorf("played %d exchanges, want 5: insert, operation, get, delete, operation", played)
		}
	})
}

// recordedUpgrades is what the real API offered to upgrade to: engine data, not
// the HTTP layer's.
func recordedUpgrades(t *testing.T, list []recordingtest.Exchange) []*api.AvailableDatabaseVersion {
	t.Helper()
	for _, e := range list {
		var m api.DatabaseInstance
		if json.Unmarshal(e.Answer, &m) == nil && len(m.UpgradableDatabaseVersions) > 0 {
			return m.UpgradableDatabaseVersions
		}
	}
	t.Fatal("no upgradable versions are recorded")
	return nil
}

var _ rest.Authenticator = tokens{}
