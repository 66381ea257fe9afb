//go:build recordings

package container_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
)

func TestRecorded(t *testing.T) {
	list := recordingtest.Load(t, "container-clusters-crud.http.log", "shapes of container clusters and operations")
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		a := newAPI(b)
		r := &recordingtest.Replay{
			Handler: a.Handler(), Token: everything,
			Values: map[string]string{"projectId": project, "projectNumber": projectNumber, "uniqueId": "abc123"},
			Free: []string{
				"clusterIpv4Cidr", "servicesIpv4Cidr", "controlPlaneEndpointsConfig.dnsEndpointConfig.endpoint", "currentNodeCount", "etag", "id",
				"instanceGroupUrls[]", "ipAllocationPolicy.clusterIpv4Cidr", "ipAllocationPolicy.clusterIpv4CidrBlock",
				"ipAllocationPolicy.servicesIpv4Cidr", "ipAllocationPolicy.servicesIpv4CidrBlock", "labelFingerprint",
				"maintenancePolicy.resourceVersion", "masterAuth.clusterCaCertificate", "nodePools[].instanceGroupUrls[]",
				"nodePools[].networkConfig.podIpv4CidrBlock", "nodePools[].networkConfig.podIpv4RangeUtilization", "nodePools[].networkConfig.podRange",
			},
		}
		played := 0
		for _, e := range list {
			if strings.Contains(e.URL, "serviceusage") {
				continue // package project's
			}
			played++
			if strings.Contains(e.URL, "/operations/") {
				poll(t, r, e)
			} else {
				delete(r.Values, "operationID") // this one makes its own
			}
			answer := r.Do(t, e)
			if name, ok := answer["name"].(string); ok && answer["operationType"] != nil {
				r.Values["operationID"] = name
			}
		}
		if played != 8 {
			t.Errorf("played %d exchanges, want 8", played)
		}
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if len(b.up) != 0 {
			t.Errorf("clusters are left: %v", b.up)
		}
	})
}

// poll asks for an operation until it is done.
func poll(t *testing.T, r *recordingtest.Replay, e recordingtest.Exchange) {
	t.Helper()
	for range 1000 {
		var op struct {
			Status string
			Error  json.RawMessage
		}
		w := r.Send(t, e)
		if err := json.Unmarshal(w.Body.Bytes(), &op); err != nil || w.Code != 200 {
			t.Fatalf("operation: %d %s", w.Code, w.Body)
		}
		if op.Error != nil {
			t.Fatalf("operation failed: %s", op.Error)
		}
		if op.Status == "DONE" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("operation is never done")
}
