package chart

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

var update = flag.Bool("update", false, "write the golden files anew")

var environments = []Environment{Development, Staging, Production}

func load(t *testing.T) *v2.Chart {
	t.Helper()
	var files []*archive.BufferedFile
	err := fs.WalkDir(Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := Files.ReadFile(name)
		files = append(files, &archive.BufferedFile{Name: name, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// set puts a value at a path of keys, making the maps on the way.
func set(values map[string]any, value any, keys ...string) {
	for _, k := range keys[:len(keys)-1] {
		next, ok := values[k].(map[string]any)
		if !ok {
			next = map[string]any{}
			values[k] = next
		}
		values = next
	}
	values[keys[len(keys)-1]] = value
}

func values(t *testing.T, e Environment) map[string]any {
	t.Helper()
	v, err := Values(e)
	if err != nil {
		t.Fatal(err)
	}
	set(v, "8f2d.europe-west1.sql.goog", "database", "host")
	set(v, "10.77.1.10", "database", "address")
	return v
}

// render is what Helm would send, by template, in a stable order.
func render(c *v2.Chart, v map[string]any) (string, error) {
	all, err := util.ToRenderValues(c, v, common.ReleaseOptions{Name: "shop", Namespace: "shop", IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return "", err
	}
	rendered, err := engine.Render(c, all)
	if err != nil {
		return "", err
	}
	var names []string
	for name := range rendered {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "---\n# %s\n%s\n", path.Base(name), strings.Trim(rendered[name], "\n"))
	}
	return b.String(), nil
}

func mustRender(t *testing.T, v map[string]any) []runtime.Object {
	t.Helper()
	text, err := render(load(t), v)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, text)
}

// objects decodes strictly: a key that Kubernetes doesn't know, or that stands twice, is an error.
func objects(t *testing.T, text string) []runtime.Object {
	t.Helper()
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var list []runtime.Object
	for _, doc := range strings.Split("\n"+text, "\n---\n") {
		if strings.TrimSpace(strings.Trim(doc, "\n")) == "" || onlyComments(doc) {
			continue
		}
		o, _, err := decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		list = append(list, o)
	}
	return list
}

func onlyComments(doc string) bool {
	for line := range strings.SplitSeq(doc, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

func kindAndName(o runtime.Object) string {
	return o.GetObjectKind().GroupVersionKind().Kind + " " + o.(metav1.Object).GetName()
}

func kindsAndNames(list []runtime.Object) []string {
	var names []string
	for _, o := range list {
		names = append(names, kindAndName(o))
	}
	return names
}

func TestGolden(t *testing.T) {
	for _, e := range environments {
		got, err := render(load(t), values(t, e))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", string(e)+".yaml")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, []byte(got)) {
			t.Errorf("the objects of %s are not those of %s: go test -update writes it anew, git diff shows the difference", e, file)
		}
	}
}

func TestSameObjectsEverywhere(t *testing.T) {
	want := kindsAndNames(mustRender(t, values(t, Development)))
	if len(want) < 25 {
		t.Fatalf("only %d objects: %v", len(want), want)
	}
	off := values(t, Production)
	set(off, false, "writers", "enabled")
	for name, v := range map[string]map[string]any{"staging": values(t, Staging), "production": values(t, Production), "writers off": off} {
		if got := kindsAndNames(mustRender(t, v)); !slices.Equal(got, want) {
			t.Errorf("%s has other objects than development:\n%v\n%v", name, got, want)
		}
	}
}

// pods are the pod templates of a rendering, by the object that has them.
func pods(list []runtime.Object) map[string]corev1.PodSpec {
	found := map[string]corev1.PodSpec{}
	for _, o := range list {
		switch o := o.(type) {
		case *appsv1.Deployment:
			found[kindAndName(o)] = o.Spec.Template.Spec
		case *appsv1.StatefulSet:
			found[kindAndName(o)] = o.Spec.Template.Spec
		case *batchv1.CronJob:
			found[kindAndName(o)] = o.Spec.JobTemplate.Spec.Template.Spec
		}
	}
	return found
}

func TestWritersOff(t *testing.T) {
	for _, on := range []bool{true, false} {
		v := values(t, Production)
		set(v, on, "writers", "enabled")
		writers := 0
		for _, o := range mustRender(t, v) {
			switch o := o.(type) {
			case *appsv1.Deployment:
				if usesDatabaseOrAssets(o.Spec.Template.Spec) {
					writers++
					if (*o.Spec.Replicas > 0) != on {
						t.Errorf("writers %v: %s has %d replicas", on, o.Name, *o.Spec.Replicas)
					}
				} else if *o.Spec.Replicas == 0 {
					t.Errorf("writers %v: %s has no replica and writes nothing", on, o.Name)
				}
			case *batchv1.CronJob:
				if writers++; *o.Spec.Suspend == on {
					t.Errorf("writers %v: %s has suspend %v", on, o.Name, *o.Spec.Suspend)
				}
			}
		}
		if writers != 3 {
			t.Errorf("found %d writers, want web, worker and cron", writers)
		}
	}
}

// usesDatabaseOrAssets says whether a pod can write what is copied from the source.
func usesDatabaseOrAssets(p corev1.PodSpec) bool {
	for _, v := range p.Volumes {
		if c := v.PersistentVolumeClaim; c != nil && c.ClaimName == "shop-assets" {
			return true
		}
		if s := v.Secret; s != nil && s.SecretName == "shop-database" {
			return true
		}
	}
	for _, c := range p.Containers {
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == "shop-database" {
				return true
			}
		}
	}
	return false
}

func TestPodsAskForNoPrivilege(t *testing.T) {
	found := pods(mustRender(t, values(t, Production)))
	if len(found) != 8 {
		t.Errorf("%d pod templates", len(found))
	}
	for name, p := range found {
		if s := p.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 ||
			s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: the pod's user or seccomp profile isn't set", name)
		}
		if p.HostNetwork || p.HostPID || p.HostIPC || p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken ||
			p.EnableServiceLinks == nil || *p.EnableServiceLinks {
			t.Errorf("%s: it shares what it must not, has a token or service links", name)
		}
		for _, v := range p.Volumes {
			if v.HostPath != nil {
				t.Errorf("%s: volume %s is a path of the node", name, v.Name)
			}
			if s := v.Secret; s != nil && *s.DefaultMode&0o007 != 0 && (len(s.Items) != 1 || s.Items[0].Key != "ca.pem") {
				t.Errorf("%s: secret %s can be read by everyone", name, s.SecretName)
			}
		}
		if s := p.SecurityContext; s.FSGroup != nil && slices.ContainsFunc(p.Volumes, func(v corev1.Volume) bool { return v.Name == "assets" }) {
			t.Errorf("%s: fsGroup would change the owners of the assets", name)
		}
		for _, c := range p.Containers {
			s := c.SecurityContext
			if s == nil || s.Privileged != nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
				s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s: container %s has more rights than it needs", name, c.Name)
			}
			if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: container %s has no memory request or limit", name, c.Name)
			}
			for _, e := range c.Env {
				if strings.Contains(strings.ToUpper(e.Name), "PASSWORD") && e.Value != "" {
					t.Errorf("%s: %s has its value in the chart", name, e.Name)
				}
			}
		}
	}
}

func TestSelectorsMatch(t *testing.T) {
	list := mustRender(t, values(t, Staging))
	templates := map[string]map[string]string{}
	for _, o := range list {
		switch o := o.(type) {
		case *appsv1.Deployment:
			templates[o.Name] = o.Spec.Template.Labels
		case *appsv1.StatefulSet:
			templates[o.Name] = o.Spec.Template.Labels
		}
	}
	for _, o := range list {
		s, ok := o.(*corev1.Service)
		if !ok {
			continue
		}
		var hits []string
		for name, labels := range templates {
			if match(s.Spec.Selector, labels) {
				hits = append(hits, name)
			}
		}
		if len(hits) != 1 || !strings.HasPrefix(s.Name, hits[0]) {
			t.Errorf("Service %s selects the pods of %v", s.Name, hits)
		}
	}
}

func match(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

func TestConfigurationMakesNewPods(t *testing.T) {
	one, two := values(t, Staging), values(t, Staging)
	set(two, 3, "web", "processes")
	annotation := func(v map[string]any) string {
		for _, o := range mustRender(t, v) {
			if d, ok := o.(*appsv1.Deployment); ok && d.Name == "shop-web" {
				return d.Spec.Template.Annotations["shop/config"]
			}
		}
		return ""
	}
	if a := annotation(one); a == "" || a == annotation(two) {
		t.Error("another configuration leaves the old pods running")
	}
}

func TestSchemaRefuses(t *testing.T) {
	for name, spoil := range map[string]func(map[string]any){
		"an unknown key":          func(v map[string]any) { v["wev"] = map[string]any{} },
		"an unknown key below":    func(v map[string]any) { set(v, 3, "web", "replica") },
		"a key of an image":       func(v map[string]any) { set(v, "x", "images", "web", "digest") },
		"a wrong type":            func(v map[string]any) { set(v, "no", "writers", "enabled") },
		"no replica":              func(v map[string]any) { set(v, 0, "web", "replicas") },
		"an empty tag":            func(v map[string]any) { set(v, "", "images", "web", "tag") },
		"a host that breaks out":  func(v map[string]any) { set(v, "db\"\nuser = \"root", "database", "host") },
		"a public name with more": func(v map[string]any) { set(v, "www.shop.example\nLoadModule x", "site", "host") },
		"no database":             func(v map[string]any) { set(v, "", "database", "host") },
	} {
		v := values(t, Development)
		spoil(v)
		if _, err := render(load(t), v); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := render(load(t), values(t, Development)); err != nil {
		t.Errorf("the values that the cases break are refused themselves: %v", err)
	}
}

func TestUnknownEnvironment(t *testing.T) {
	if _, err := Values("test"); err == nil {
		t.Error("values for an environment that isn't there")
	}
}
