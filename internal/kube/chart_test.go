package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-dev/slipway/internal/stamp"
)

func pair(t *testing.T) Chart {
	t.Helper()
	c, err := LoadChart(os.DirFS("testdata/chart"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRender(t *testing.T) {
	values := map[string]any{"replicas": 2, "nested": map[string]any{"a": 1}}
	sp := ReleaseSpec{Namespace: "n", Name: "pair", Chart: pair(t), Values: values}
	counts, err := sp.Render()
	if err != nil || fmt.Sprint(counts) != "[{ConfigMap 1} {Deployment 1} {Service 1}]" {
		t.Errorf("%v, %v", counts, err)
	}
	if fmt.Sprint(values) != "map[nested:map[a:1] replicas:2]" {
		t.Errorf("rendering changed the values: %v", values)
	}
	for want, bad := range map[string]map[string]any{
		"replicas is no map in the chart":      {"replicas": map[string]any{"x": 1}},
		"limits is a map in the chart, not 5":  {"limits": 5},
		"limits.memory is no map in the chart": {"limits": map[string]any{"memory": map[string]any{}}},
	} {
		sp.Values = bad
		if _, err := sp.Render(); !errors.Is(err, ErrValues) || !strings.Contains(err.Error(), want) {
			t.Errorf("values %v: %v", bad, err)
		}
	}
	sp.Values = map[string]any{"limits": nil, "own": map[string]any{"x": 1}}
	if _, err := sp.Render(); err != nil {
		t.Errorf("values that fit: %v", err)
	}
	if _, err := LoadChart(fstest.MapFS{"values.yaml": {Data: []byte("a: 1")}}); err == nil {
		t.Error("a chart without Chart.yaml loads")
	}
}

func TestDigest(t *testing.T) {
	digest := func(c Chart, v map[string]any) string {
		t.Helper()
		d, err := ReleaseSpec{Name: "x", Chart: c, Values: v}.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	c := pair(t)
	one := digest(c, map[string]any{"a": 1, "b": map[string]any{"c": true}})
	if len(one) > 63 || one != digest(pair(t), map[string]any{"b": map[string]any{"c": true}, "a": 1}) {
		t.Errorf("digest %q is not a stable label", one)
	}
	if one == digest(c, map[string]any{"a": 1, "b": map[string]any{"c": false}}) {
		t.Error("other values have the same digest")
	}
	if one == digest(Chart{files: c.files, digest: "x"}, map[string]any{"a": 1, "b": map[string]any{"c": true}}) {
		t.Error("another chart has the same digest")
	}
	if _, err := (ReleaseSpec{Values: map[string]any{"f": func() {}}}).Digest(); err == nil {
		t.Error("values that can't be written have a digest")
	}
}

func TestStamper(t *testing.T) {
	in := "# Source: x\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  mode: 0o644\n  n: \"1e3\"\n---\nkind: Service\nmetadata:\n  name: b\n  labels: {app: b}\n"
	out, err := stamper{stamp.Stamp{Run: "r1"}}.Run(bytes.NewBufferString(in))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := parseManifest(out.String())
	if err != nil || len(objects) != 2 {
		t.Fatalf("%v, %v", objects, err)
	}
	if got := objects[1].GetLabels(); !maps.Equal(got, map[string]string{"app": "b", stamp.RunLabel: "r1"}) {
		t.Errorf("labels %v", got)
	}
	if !strings.Contains(out.String(), "mode: 0o644") || !strings.Contains(out.String(), `n: "1e3"`) {
		t.Errorf("the rest has changed:\n%s", out)
	}
}

func TestWorkloadsOfAManifest(t *testing.T) {
	objects, err := parseManifest("kind: StatefulSet\nmetadata: {name: q}\n---\n# nothing\n---\nkind: Deployment\nmetadata: {name: w}\n---\nkind: Job\nmetadata: {name: j}\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(workloadsOf(objects)); got != "[Deployment w StatefulSet q]" {
		t.Error(got)
	}
}

// Requests that Helm makes end with the caller's context, also while their answers are read.
func TestBound(t *testing.T) {
	stop := errors.New("the step's time is up")
	ctx, cancel := context.WithCancelCause(context.Background())
	pr, pw := io.Pipe()
	defer pw.Close()
	b := bound(ctx, roundTrip(func(r *http.Request) (*http.Response, error) {
		context.AfterFunc(r.Context(), func() { _ = pw.CloseWithError(context.Cause(r.Context())) })
		return &http.Response{Body: pr}, nil
	}))
	req, err := http.NewRequest(http.MethodGet, "https://x", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel(stop)
	if _, err := io.ReadAll(res.Body); !errors.Is(err, stop) {
		t.Errorf("reading goes on: %v", err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.RoundTrip(req); !errors.Is(err, stop) {
		t.Errorf("a new request is made: %v", err)
	}
}

func TestConnect(t *testing.T) {
	if _, err := Connect(Access{Endpoint: "192.0.2.1"}); err == nil {
		t.Error("a connection without certificate authority and tokens")
	}
}
