//go:build recordings

package google

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/stamp"
)

const (
	clusterPath = "/v1/projects/p/locations/us-central1-a/clusters/test-x"
	clustersAt  = "/v1/projects/p/locations/us-central1-a/clusters"
	opsPath     = "/v1/projects/p/locations/us-central1-a/operations"
	gone        = `{"error":{"code":404,"message":"Not found: projects/p/locations/us-central1-a/clusters/test-x.","status":"NOT_FOUND","errors":[{"message":"Not found","domain":"global","reason":"notFound"}]}}`
	runningOp   = `{"name":"operation-1","operationType":"CREATE_CLUSTER","status":"RUNNING","targetLink":"https://container.googleapis.com/v1/projects/271828/zones/us-central1-a/clusters/test-x"}`
)

func absent() call { return call{want: "GET " + clusterPath, status: 404, answer: gone} }
func noOps() call  { return call{want: "GET " + opsPath, answer: `{}`} }

// theirs is the recorded cluster, with the stamp that the request asked for and an endpoint that a test can serve.
func recordedCluster(t *testing.T, all []exchange, status string) call {
	return find(t, all, "GET", "/clusters/test-x", 0).call().with(t, mark.Labels(), "resourceLabels").
		with(t, status, "status").with(t, base64.StdEncoding.EncodeToString([]byte("PEM")), "masterAuth", "clusterCaCertificate")
}

// reachable points a recorded cluster at the script itself.
func reachable(t *testing.T, s *script, c call) call {
	return c.with(t, strings.TrimPrefix(s.srv.URL, "https://"), "endpoint").with(t, base64.StdEncoding.EncodeToString(readFile(t, s.ca)), "masterAuth", "clusterCaCertificate")
}

func spec() ClusterSpec {
	return ClusterSpec{Name: "test-x", Nodes: 2, Machine: "e2-standard-4", AuthorizedNetworks: []string{"203.0.113.0/24"}, Filestore: true}
}

func TestCreateClusterAsRecorded(t *testing.T) {
	all := recording(t, "container-clusters-crud.http.log")
	s, c := newScript(t)
	s.calls = []call{
		absent(),
		func() call {
			e := find(t, all, "POST", "/clusters", 0).call()
			e.body = `"slipway-run":"20261123-010203-7f3a"`
			return e
		}(),
		find(t, all, "GET", "/operations/operation-1", 0).call(),
		recordedCluster(t, all, "RUNNING"),
		noOps(),
		reachable(t, s, recordedCluster(t, all, "RUNNING")),
		{want: "GET /api/v1/namespaces/default", answer: `{}`},
	}
	var p told
	got, err := c.MakeClusters("p", "us-central1-a", mark).CreateCluster(context.Background(), spec(), p.tell)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != "1.30.5-gke.1014001" || got.Name != "test-x" || got.Endpoint != strings.TrimPrefix(s.srv.URL, "https://") || !strings.Contains(got.CA, "BEGIN CERTIFICATE") {
		t.Errorf("cluster %+v", got)
	}
	if !p.has("waiting for operation CREATE_CLUSTER on test-x: RUNNING, 0 s") {
		t.Errorf("progress %q", p.lines)
	}
}

func TestCreateClusterFindsWhatAnEarlierAttemptBegan(t *testing.T) {
	all := recording(t, "container-clusters-crud.http.log")
	s, c := newScript(t)
	s.calls = []call{
		recordedCluster(t, all, "PROVISIONING"),
		{want: "GET " + opsPath, answer: `{"operations":[` + runningOp + `]}`},
		find(t, all, "GET", "/operations/operation-1", 0).call(),
		noOps(),
		recordedCluster(t, all, "PROVISIONING"), // the operation has ended a moment before the status follows
		noOps(),
		reachable(t, s, recordedCluster(t, all, "RUNNING")),
		{want: "GET /api/v1/namespaces/default", answer: `{}`},
	}
	var p told
	if _, err := c.MakeClusters("p", "us-central1-a", mark).CreateCluster(context.Background(), spec(), p.tell); err != nil {
		t.Fatal(err)
	}
}

func TestCreateClusterAfterALostAnswer(t *testing.T) {
	all := recording(t, "container-clusters-crud.http.log")
	s, c := newScript(t)
	s.calls = []call{
		absent(),
		{want: "POST " + clustersAt, status: -1},
		recordedCluster(t, all, "PROVISIONING"), // it had arrived
		recordedCluster(t, all, "PROVISIONING"),
		noOps(),
		reachable(t, s, recordedCluster(t, all, "RUNNING")),
		{want: "GET /api/v1/namespaces/default", answer: `{}`},
	}
	var p told
	if _, err := c.MakeClusters("p", "us-central1-a", mark).CreateCluster(context.Background(), spec(), p.tell); err != nil {
		t.Fatal(err)
	}
}

func TestCreateClusterRefusesAnothersName(t *testing.T) {
	all := recording(t, "container-clusters-crud.http.log")
	s, c := newScript(t)
	s.calls = []call{find(t, all, "GET", "/clusters/test-x", 0).call().with(t, "UGVt", "masterAuth", "clusterCaCertificate")}
	var p told
	_, err := c.MakeClusters("p", "us-central1-a", mark).CreateCluster(context.Background(), spec(), p.tell)
	if !errors.Is(err, ErrExists) || !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("%v, want ErrExists and ErrForeign", err)
	}
}

func TestCreateClusterAfresh(t *testing.T) {
	all := recording(t, "container-clusters-crud.http.log")
	s, c := newScript(t)
	failed := `{"name":"operation-1","operationType":"CREATE_CLUSTER","status":"DONE","error":{"code":8,"message":"Insufficient regional quota to satisfy request: resource \"CPUS\""},"targetLink":"https://x/clusters/test-x"}`
	s.calls = []call{
		absent(),
		find(t, all, "POST", "/clusters", 0).call(),
		{want: "GET " + opsPath + "/operation-1", answer: failed},
	}
	var p told
	mk := c.MakeClusters("p", "us-central1-a", mark)
	_, err := mk.CreateCluster(context.Background(), spec(), p.tell)
	if err == nil || !strings.Contains(err.Error(), "Insufficient regional quota") {
		t.Fatalf("%v, want the operation's reason", err)
	}
	// The second attempt finds the cluster in ERROR and deletes it first.
	s.calls = []call{
		recordedCluster(t, all, "ERROR"),
		recordedCluster(t, all, "ERROR"),
		noOps(),
		find(t, all, "DELETE", "/clusters/test-x", 0).call(),
		{want: "GET " + opsPath + "/operation-1", answer: strings.NewReplacer("CREATE", "DELETE", "RUNNING", "DONE").Replace(runningOp)},
		absent(),
		find(t, all, "POST", "/clusters", 0).call(),
		find(t, all, "GET", "/operations/operation-1", 0).call(),
		recordedCluster(t, all, "RUNNING"),
		noOps(),
		reachable(t, s, recordedCluster(t, all, "RUNNING")),
		{want: "GET /api/v1/namespaces/default", answer: `{}`},
	}
	if _, err := mk.CreateCluster(context.Background(), spec(), p.tell); err != nil {
		t.Fatal(err)
	}
}

func TestDeleteCluster(t *testing.T) {
	all := recording(t, "container-clusters-crud.http.log")
	busyNow := `{"error":{"code":400,"message":"Operation operation-0 is currently creating cluster test-x. Please wait and try again once it is done.","status":"FAILED_PRECONDITION"}}`
	s, c := newScript(t)
	s.calls = []call{
		recordedCluster(t, all, "PROVISIONING"),
		{want: "GET " + opsPath, answer: `{"operations":[` + runningOp + `]}`}, // its creation still runs
		find(t, all, "GET", "/operations/operation-1", 0).call(),
		recordedCluster(t, all, "RUNNING"),
		noOps(),
		{want: "DELETE " + clusterPath, status: 400, answer: busyNow}, // begun between our two looks
		find(t, all, "DELETE", "/clusters/test-x", 0).call(),
		find(t, all, "GET", "/operations/operation-1", 2).call(),
		recordedCluster(t, all, "STOPPING"),
		noOps(),
		absent(),
	}
	var p told
	if err := c.MakeClusters("p", "us-central1-a", mark).DeleteCluster(context.Background(), "test-x", p.tell); err != nil {
		t.Fatal(err)
	}
	if !p.has("another operation runs on it") {
		t.Errorf("progress %q", p.lines)
	}
}

func TestDeleteClusterOfAnotherRun(t *testing.T) {
	all := recording(t, "container-clusters-crud.http.log")
	other := stamp.Stamp{Run: "20261123-999999-0000", Step: "standup.cluster"}
	s, c := newScript(t)
	var p told
	for name, labels := range map[string]map[string]string{"another run's": other.Labels(), "nobody's": {}} {
		s.calls = []call{recordedCluster(t, all, "RUNNING").with(t, labels, "resourceLabels")}
		if err := c.MakeClusters("p", "us-central1-a", mark).DeleteCluster(context.Background(), "test-x", p.tell); !errors.Is(err, stamp.ErrForeign) {
			t.Errorf("%s: %v, want ErrForeign", name, err)
		}
	}
	s.calls = []call{absent()}
	if err := c.MakeClusters("p", "us-central1-a", mark).DeleteCluster(context.Background(), "test-x", p.tell); err != nil {
		t.Errorf("one that isn't there: %v", err)
	}
}

func TestReach(t *testing.T) {
	s, c := newScript(t)
	cl := Cluster{Name: "test-x", Endpoint: strings.TrimPrefix(s.srv.URL, "https://"), CA: string(readFile(t, s.ca))}
	l := c.LookAtClusters("p", "us-central1-a")
	s.calls = []call{{want: "GET /api/v1/namespaces/default", status: 403, answer: `{"kind":"Status","message":"namespaces \"default\" is forbidden"}`}}
	if err := l.Reach(context.Background(), cl); err == nil || !strings.Contains(err.Error(), "roles/container.admin") {
		t.Errorf("%v, want the role to grant", err)
	}
	cl.CA = otherCA(t)
	if err := l.Reach(context.Background(), cl); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want a certificate that isn't the cluster's refused", err)
	}
}
