package google

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
)

// What was deleted by hand, or replaced under its name, is said to be gone; trouble in asking is not taken for that.
func TestStill(t *testing.T) {
	ctx := context.Background()
	cl := Cluster{Name: "c", Endpoint: "192.0.2.1", CA: "PEM"}
	inst := Instance{Name: "i", CA: "PEM"}
	const at, sqlAt = "GET /v1/projects/p/locations/l/clusters/c", "GET /v1/projects/p/instances/i"
	ca := base64.StdEncoding.EncodeToString([]byte("PEM"))
	const denied = `{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}`
	for name, c := range map[string]struct {
		call call
		gone bool
		ok   bool
	}{
		"there":        {call{want: at, answer: `{"name":"c","endpoint":"192.0.2.1","masterAuth":{"clusterCaCertificate":"` + ca + `"}}`}, false, true},
		"another":      {call{want: at, answer: `{"name":"c","endpoint":"192.0.2.2","masterAuth":{"clusterCaCertificate":"` + ca + `"}}`}, true, false},
		"another's CA": {call{want: at, answer: `{"name":"c","endpoint":"192.0.2.1"}`}, true, false},
		"gone":         {call{want: at, status: 404, answer: `{"error":{"code":404,"message":"Not found","status":"NOT_FOUND"}}`}, true, false},
		"not told":     {call{want: at, status: 403, answer: denied}, false, false},
		"sql there":    {call{want: sqlAt, answer: `{"name":"i","serverCaCert":{"cert":"PEM"}}`}, false, true},
		"sql another":  {call{want: sqlAt, answer: `{"name":"i","serverCaCert":{"cert":"X"}}`}, true, false},
		"sql gone":     {call{want: sqlAt, status: 404, answer: `{"error":{"code":404,"message":"The Cloud SQL instance does not exist.","errors":[{"reason":"instanceDoesNotExist"}]}}`}, true, false},
		"sql not told": {call{want: sqlAt, status: 403, answer: denied}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newScript(t, c.call)
			var err error
			if c.call.want == sqlAt {
				err = client.LookAtSQL("p").Still(ctx, inst)
			} else {
				err = client.LookAtClusters("p", "l").Still(ctx, cl)
			}
			if (err == nil) != c.ok || errors.Is(err, ErrGone) != c.gone {
				t.Errorf("%v, want ok %t, gone %t", err, c.ok, c.gone)
			}
		})
	}
}
