//go:build recordings

package dns_test

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
)

func TestRecorded(t *testing.T) {
	for file, letter := range map[string]string{"dns-managed-zone-crud.http.log": "a", "dns-record-set-crud.http.log": "c"} {
		t.Run(file, func(t *testing.T) {
			list := recordingtest.Load(t, file, "shapes of Cloud DNS zones and record sets")
			synctest.Test(t, func(t *testing.T) {
				s := newServers(letter)
				a := newAPI(s)
				r := &recordingtest.Replay{
					Handler: a.Handler(), Token: everything,
					Values: map[string]string{"projectId": project, "uniqueId": "abc123"},
					Free:   []string{"id", "nameServers[]"}, // the recorded zone's servers are a set, its records' another
				}
				for _, e := range list {
					r.Do(t, e)
				}
				time.Sleep(5 * time.Second)
				a.Close()
				if len(s.zones) != 0 {
					t.Errorf("zones are left: %v", slices.Sorted(maps.Keys(s.zones)))
				}
			})
		})
	}
}
