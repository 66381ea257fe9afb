//go:build recordings

package project_test

import (
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
)

func TestRecordedService(t *testing.T) {
	list := recordingtest.Load(t, "container-clusters-crud.http.log", "shape of a service's state")
	r := &recordingtest.Replay{Handler: newAPI("serviceusage.services.get").ServiceUsage(), Values: map[string]string{"projectId": "shop-lab", "projectNumber": "271828182845"}}
	r.Do(t, list[0])
}
