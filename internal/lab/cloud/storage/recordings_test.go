//go:build recordings

package storage_test

import (
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
)

func TestRecorded(t *testing.T) {
	list := recordingtest.Load(t, "storage-bucket-crud.http.log", "shapes of Cloud Storage buckets")
	a, _ := newAPI(t)
	r := &recordingtest.Replay{
		Handler: a.Handler(), Token: everything,
		Values: map[string]string{"projectId": project, "projectNumber": "271828182845", "uniqueId": "abc123"},
		Free: []string{
			"etag", "generation", "id", "acl[].etag", "defaultObjectAcl[].etag",
			"items[].etag", "items[].generation", "items[].acl[].etag", "items[].defaultObjectAcl[].etag",
		},
	}
	for _, e := range list {
		r.Do(t, e)
	}
}
