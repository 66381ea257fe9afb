//go:build recordings

package google

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
)

// exchange is one request that was recorded against the real Google APIs, and its answer.
type exchange struct {
	method, path string
	request      string
	status       int
	answer       string
}

// recording reads exchanges, with values for their placeholders.
func recording(t *testing.T, name string) []exchange {
	t.Helper()
	fill := strings.NewReplacer("${projectId}", "p", "${projectNumber}", "271828", "${uniqueId}", "x", "${operationID}", "operation-1",
		"${publicEndpointIPV4}", "198.51.100.7", "${privateEndpointIPV4}", "10.0.0.7", "${managedZoneId}", "123")
	var out []exchange
	for _, e := range recordingtest.Load(t, name, "that the clients understand what Google answers") {
		_, path, _ := strings.Cut(strings.TrimPrefix(fill.Replace(e.URL), "https://"), "/")
		path, _, _ = strings.Cut("/"+path, "?")
		out = append(out, exchange{method: e.Method, path: strings.Replace(path, "/sql/v1beta4/", "/v1/", 1),
			request: fill.Replace(string(e.Request)), status: e.Status, answer: fill.Replace(string(e.Answer))})
	}
	if len(out) == 0 {
		t.Fatalf("%s holds no exchange", name)
	}
	return out
}

// find gives the nth exchange (from 0) with a method and an end of its path.
func find(t *testing.T, all []exchange, method, end string, nth int) exchange {
	t.Helper()
	for _, e := range all {
		if e.method == method && strings.HasSuffix(e.path, end) {
			if nth == 0 {
				return e
			}
			nth--
		}
	}
	t.Fatalf("the recording has no %s …%s", method, end)
	return exchange{}
}

func (e exchange) call() call {
	return call{want: e.method + " " + e.path, status: e.status, answer: e.answer}
}

// with sets a field of the recorded answer, by path of keys.
func (c call) with(t *testing.T, value any, path ...string) call {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(c.answer), &doc); err != nil {
		t.Fatal(err)
	}
	at := doc
	for _, k := range path[:len(path)-1] {
		at = at[k].(map[string]any)
	}
	at[path[len(path)-1]] = value
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	c.answer = string(raw)
	return c
}
