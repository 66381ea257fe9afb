package kube

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Chart is a Helm chart in memory.
type Chart struct {
	files  []*archive.BufferedFile
	digest string
}

// LoadChart reads a chart from a file system; the chart's folder is its root. Nothing is fetched from anywhere: dependencies must be in
// charts/.
func LoadChart(fsys fs.FS) (Chart, error) {
	var c Chart
	sum := sha256.New()
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		data, err := fs.ReadFile(fsys, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%q %d\n", path, len(data))
		sum.Write(data)
		c.files = append(c.files, &archive.BufferedFile{Name: path, Data: data})
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("read chart: %w", err)
	}
	c.digest = hex.EncodeToString(sum.Sum(nil))
	_, err = c.load()
	return c, err
}

// load makes Helm's form anew each time, since Helm's actions change the chart that they are given.
func (c Chart) load() (*chart.Chart, error) {
	ch, err := loader.LoadFiles(c.files)
	if err != nil {
		return nil, fmt.Errorf("load chart: %w", err)
	}
	if err := ch.Validate(); err != nil {
		return nil, fmt.Errorf("load chart: %w", err)
	}
	return ch, nil
}

// ErrValues: the values and the chart's defaults don't have the same shape. Helm would skip such a value with no more than a line in a log.
var ErrValues = errors.New("values don't fit the chart")

// prepare loads the chart and checks that each value that is a map, and no other, is one in the chart's defaults too.
func (s ReleaseSpec) prepare() (*chart.Chart, map[string]any, error) {
	ch, err := s.Chart.load()
	if err != nil {
		return nil, nil, err
	}
	if bad := misfits("", ch.Values, s.Values); len(bad) > 0 {
		slices.Sort(bad)
		return nil, nil, fmt.Errorf("release %s/%s: %w: %s", s.Namespace, s.Name, ErrValues, strings.Join(bad, "; "))
	}
	return ch, cloneValues(s.Values), nil
}

func misfits(at string, defaults, values map[string]any) []string {
	var bad []string
	for k, v := range values {
		d, ok := defaults[k]
		dm, dIsMap := d.(map[string]any)
		vm, vIsMap := v.(map[string]any)
		switch {
		case !ok || d == nil || v == nil: // a value of the template's own; null takes a default away
		case dIsMap && !vIsMap:
			bad = append(bad, at+k+" is a map in the chart, not "+fmt.Sprint(v))
		case !dIsMap && vIsMap:
			bad = append(bad, at+k+" is no map in the chart")
		case dIsMap:
			bad = append(bad, misfits(at+k+".", dm, vm)...)
		}
	}
	return bad
}

// ReleaseSpec is a release as it should be. Values hold no secrets: Helm keeps them in the cluster in a form that is easily printed.
type ReleaseSpec struct {
	Namespace, Name string
	Chart           Chart
	Values          map[string]any // complete: nothing is taken over from an earlier revision
	Service         string         // of type LoadBalancer, whose address the release is reached at
}

// Digest is the same for the same chart and values; 32 hex digits, which fit a label.
func (s ReleaseSpec) Digest() (string, error) {
	raw, err := json.Marshal(s.Values) // sorts keys
	if err != nil {
		return "", fmt.Errorf("values of release %s: %w", s.Name, err)
	}
	sum := sha256.Sum256([]byte(s.Chart.digest + "\n" + string(raw)))
	return hex.EncodeToString(sum[:16]), nil
}

// Count is how many objects of a kind a release has.
type Count struct {
	Kind string
	N    int
}

// Render renders the chart without a cluster: it finds a chart and values that don't go together before anything is made, and says what a
// release consists of, in the order of kinds.
func (s ReleaseSpec) Render() ([]Count, error) {
	ch, values, err := s.prepare()
	if err != nil {
		return nil, err
	}
	in := action.NewInstall(action.NewConfiguration(quiet))
	in.DryRunStrategy, in.ReleaseName, in.Namespace = action.DryRunClient, s.Name, s.Namespace
	in.WaitStrategy = waitNot
	out, err := in.Run(ch, values)
	if err != nil {
		return nil, fmt.Errorf("render release %s/%s: %w", s.Namespace, s.Name, err)
	}
	rel, ok := out.(*release.Release)
	if !ok {
		return nil, fmt.Errorf("render release %s/%s: Helm gave a %T", s.Namespace, s.Name, out)
	}
	objects, err := parseManifest(rel.Manifest)
	if err != nil {
		return nil, fmt.Errorf("render release %s/%s: %w", s.Namespace, s.Name, err)
	}
	var counts []Count
	for _, o := range objects {
		i := slices.IndexFunc(counts, func(c Count) bool { return c.Kind == o.GetKind() })
		if i < 0 {
			counts, i = append(counts, Count{Kind: o.GetKind()}), len(counts)
		}
		counts[i].N++
	}
	slices.SortFunc(counts, func(a, b Count) int { return strings.Compare(a.Kind, b.Kind) })
	return counts, nil
}

// cloneValues keeps Helm's actions from changing what they are given.
func cloneValues(v map[string]any) map[string]any {
	out := make(map[string]any, len(v))
	for k, x := range v {
		if m, ok := x.(map[string]any); ok {
			x = cloneValues(m)
		}
		out[k] = x
	}
	return out
}

func parseManifest(manifest string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(manifest), 4096)
	for {
		var doc map[string]any
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		if len(doc) > 0 {
			out = append(out, &unstructured.Unstructured{Object: doc})
		}
	}
}

// workloadsOf are those of a manifest whose pods are waited for.
func workloadsOf(objects []*unstructured.Unstructured) []Workload {
	var out []Workload
	for _, o := range objects {
		switch o.GetKind() {
		case "Deployment", "StatefulSet", "DaemonSet":
			out = append(out, Workload{o.GetKind(), o.GetName()})
		}
	}
	slices.SortFunc(out, func(a, b Workload) int { return strings.Compare(a.String(), b.String()) })
	return out
}
