package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/strictyaml"
	"github.com/slipway-dev/slipway/inventory"
)

var update = flag.Bool("update", false, "rewrite testdata")

// example writes what `slipway init` writes.
func example(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"slipway.yaml": config.Example, "inventory.yaml": inventory.Example} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "slipway.yaml")
}

func TestExampleLoads(t *testing.T) {
	path := example(t)
	dir := filepath.Dir(path)
	c, inv, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Hosts) != 17 {
		t.Errorf("%d hosts", len(inv.Hosts))
	}
	if string(c.SSH.KnownHosts) != filepath.Join(dir, "known_hosts") || string(c.State) != filepath.Join(dir, ".slipway") {
		t.Errorf("paths aren't relative to the file: %s, %s", c.SSH.KnownHosts, c.State)
	}
	if got := c.Source.MariaDB.Password.Path(); got != filepath.Join(dir, "secrets/mariadb") {
		t.Errorf("references aren't relative to the file: %s", got)
	}
	if c.CloudSQL.Users[1].Host != "%" || c.Release.Secrets[2].Type != "Opaque" || c.Smoke[4].Status != 303 || c.Smoke[0].Method != "GET" {
		t.Error("defaults are missing")
	}
	if time.Duration(c.Limits.ClockOffset) != 500*time.Millisecond || c.CloudSQL.DiskSize != 50<<30 || c.DNS.OVH.Endpoint != "ovh-eu" {
		t.Errorf("%+v", c.Limits)
	}
	if time.Duration(c.Gates.Go.Within) != 2*time.Hour {
		t.Errorf("%+v", c.Gates)
	}
}

// Every key of the schema is in the example, be it in a comment. Some are alternatives that prose speaks of.
func TestExampleHasEveryKey(t *testing.T) {
	lines := strings.Split(config.Example, "\n")
	var missing []string
	var walk func(path string, v reflect.Type)
	walk = func(path string, v reflect.Type) {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || v.PkgPath() != reflect.TypeFor[config.Config]().PkgPath() {
			return
		}
		for i := range v.NumField() {
			key, _, _ := strings.Cut(v.Field(i).Tag.Get("yaml"), ",")
			if key == "" {
				continue
			}
			re := regexp.MustCompile(`^[ #]*(.*[{,] ?|- )?` + key + `:`)
			if !contains(lines, re) && !slices.Contains([]string{".smoke.capture.header", ".dns.production.managed_zone", ".dns.rehearsal.managed_zone"}, path+"."+key) {
				missing = append(missing, path+"."+key)
			}
			walk(path+"."+key, v.Field(i).Type)
		}
	}
	walk("", reflect.TypeFor[config.Config]())
	if len(missing) > 0 {
		t.Errorf("not in the example: %v", missing)
	}
}

func contains(lines []string, re *regexp.Regexp) bool {
	for _, l := range lines {
		if re.MatchString(l) {
			return true
		}
	}
	return false
}

// The keys that stand in comments are right too: with the marks taken away the file still loads.
func TestExampleCommentsLoad(t *testing.T) {
	comment := regexp.MustCompile(`(?m)^( *)# ( *- \{|[a-z_]+:( |$)|  [a-z_]+: (https|file))`)
	before, rest, _ := strings.Cut(config.Example, "# steps:\n")
	steps, after, _ := strings.Cut(rest, "\n\n")
	steps = regexp.MustCompile(`(?m)^# `).ReplaceAllString(steps, "") // whole: a list of keys
	text := comment.ReplaceAllString(before, "$1$2") + "steps:\n" + steps + "\n\n" + comment.ReplaceAllString(after, "$1$2")
	text = strings.Replace(text, "  environment: production\n", "", 1) // of the built-in chart, which a chart of one's own replaces
	if strings.Count(text, "#") > strings.Count(config.Example, "#")-12 {
		t.Fatalf("few comments were keys:\n%s", text)
	}
	if _, err := config.Parse("slipway.yaml", []byte(text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// One file with ten problems and more, all shown at once.
func TestAllProblemsAtOnce(t *testing.T) {
	for _, name := range []string{"bad", "secrets", "dns", "shape"} {
		t.Run(name, func(t *testing.T) {
			in := filepath.Join("testdata", name+".yaml")
			text, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Parse("slipway.yaml", text)
			var ps strictyaml.Problems
			if !errors.As(err, &ps) {
				t.Fatalf("%v", err)
			}
			golden(t, filepath.Join("testdata", name+".txt"), err.Error()+"\n")
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the message quotes what may be a secret")
			}
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// edit loads the example with one change.
func edit(t *testing.T, from, to string) error {
	t.Helper()
	if strings.Count(config.Example, from) != 1 {
		t.Fatalf("%q is there %d times", from, strings.Count(config.Example, from))
	}
	path := example(t)
	if err := os.WriteFile(path, []byte(strings.Replace(config.Example, from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := config.Load(path)
	return err
}

func TestChecks(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{"zone: rehearsal.example.org", "zone: example.com", "is production's zone"},
		{"zone: rehearsal.example.org", "zone: EXAMPLE.com.", "won't do"},
		{"zone: rehearsal.example.org", "zone: test.example.com", "is inside of production's zone"},
		{"zone: example.com", "zone: shop.rehearsal.example.org", "is inside of rehearsal.example.org"},
		{"site: www.example.com", "site: www.rehearsal.example.org", "source.site, www.rehearsal.example.org, is inside of"},
		{"names: [www,", "names: [www.example.com.,", "write the name relative to the zone"},
		{"names: [www,", "names: [\"@\",", "name @ is there already"},
		{"  ttl: 60s", "  ttl: 30s", "OVH stores a TTL under 60s as 60s"},
		{"  ttl: 60s", "  ttl: 1500ms", "write whole seconds"},
		{"snapshot_from: db2", "snapshot_from: web2", "does not have the role db; these have it: db1, db2, db3"},
		{"snapshot_from: db2", "snapshot_from: bd2", "not a host of the inventory; did you mean db2"},
		{"read_from: web1", "read_from: wbe1", "did you mean web1"},
		{"mount: /srv/assets", "mount: /srv/../etc", "whole path"},
		{"databases: [shop]", "databases: [shop, shop]", "database shop is there already"},
		{"databases: [shop]", "databases: [shop, MySQL]", "the server's own"},
		{"databases: [shop]", "databases: []", "the list is empty"},
		{"load_as: slipway", "load_as: slipwya", "did you mean slipway"},
		{"{key: ca.pem, instance: ca}", "{key: ca.pem, instance: cert}", "write one of host, address, port, ca"},
		{"{key: ca.pem, instance: ca}", "{key: ca.pem}", "no from, instance or value"},
		{"{key: ca.pem, instance: ca}", "{key: ca.pem, instance: ca, value: x}", "several of from, instance and value"},
		{"database.address: address", "database.address: adress", "write one of host, address, port, ca"},
		{"environment: production", "environment: live", "write one of development, staging, production"},
		{"  # chart: chart", "  chart: .", "it is of the built-in chart"},
		{"writers: writers.enabled", "writers: writers enabled", "write the path of a value"},
		{"    - name: slipway\n      password: file:secrets/cloudsql-slipway", "    - name: shop\n      password: file:secrets/x", "user shop@% is there already"},
		{"private_network: projects", "# private_network: projects", "nobody could reach"},
		{"private_network: projects", "authorized_networks: [0.0.0.0/0]\n  private_network: projects", "that is everybody"},
		{"  directory: snapshots", "  bucket: my-bucket/shop", "write gs://bucket or gs://bucket/prefix"},
		{"  directory: snapshots", "  bucket: gs://My/shop", "write gs://bucket or gs://bucket/prefix"},
		{"log_days: 7", "log_days: 8", "from 1 to 7"},
		{"location: europe-west9-a", "location: us-east1-b", "is not in google.region"},
		{"version: MYSQL_9_7", "version: MySQL 9.7", "MYSQL_9_7"},
		{"namespace: shop", "namespace: kube-system", "the cluster's own"},
		{"  # values: [values-rehearsal.yaml]", "  values: [nowhere.yaml]", "it does not exist"},
		{"# ca_file: ca.pem", "ca_file: ca.pem", "it does not exist"},
		{"inventory: inventory.yaml", "inventory: hosts.yaml", "does not exist; type: slipway init"},
		{"- {key: tls.key, from: file:secrets/tls.key}", "- {key: tls.kye, from: file:secrets/tls.key}", "needs the key tls.key"},
		{"name: shop-redis\n", "name: shop-tls\n", "secret shop-tls is there already"},
		{"    from: gluster\n", "", "0 claims are filled from gluster"},
		{"claim: shop-rabbitmq", "claim: shop-assets", "claim shop-assets is there already"},
		{"    method: POST\n", "", "sent with POST alone"},
		{`value: "{token}"`, `value: "{tokn}"`, "did you mean token"},
		{`value: "{token}"`, `value: "{{token}}"`, ""},
		{`value: "{token}"`, `value: "{token"`, "a brace that stands for nothing"},
		{`value: "{token}"`, `value: x, from: env:X`, "it has a value and a reference"},
		{`pattern: 'name="token" value="([^"]+)"'`, `pattern: 'x'`, "0 groups"},
		{`pattern: 'name="token" value="([^"]+)"'`, `pattern: '(x'`, "missing closing )"},
		{"agent: false", "agent: no", "a text where true or false is expected"},
		{"clock_offset: 500ms", "clock_offset: 0s", "no time at all"},
		{"provider: ovh", "provider: clouddns", "provider clouddns needs it"},
		{"provider: ovh", "provider: clouddns", "dns.ovh: it is for provider ovh"},
		{"    zone: example.com", "    zone: example.com\n    managed_zone: x", "it is for provider clouddns"},
		{"    endpoint: ovh-eu", "    endpoint: ovh-de", "not an address of an API"},
		{"provider: ovh", "provider: cloudflare", "write one of ovh, clouddns"},
	} {
		err := edit(t, c.from, c.to)
		if c.says == "" {
			if err != nil {
				t.Errorf("%q: %v", c.to, err)
			}
			continue
		}
		var ps strictyaml.Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %v, want %q", c.to, err, c.says)
			continue
		}
		for _, p := range ps {
			if p.Line == 0 {
				t.Errorf("%q: no place: %s", c.to, p)
			}
		}
	}
}

func TestBothFilesProblemsComeTogether(t *testing.T) {
	path := example(t)
	dir := filepath.Dir(path)
	for name, text := range map[string]string{"slipway.yaml": strings.Replace(config.Example, "nodes: 3", "nodes: 0", 1), "inventory.yaml": strings.Replace(inventory.Example, "address: 192.0.2.12", "address: 192.0.2.11", 1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := config.Load(path)
	if err == nil || !strings.Contains(err.Error(), "slipway.yaml:") || !strings.Contains(err.Error(), "inventory.yaml:17:") {
		t.Error(err)
	}
	if _, _, err := config.Load(filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "slipway init") {
		t.Error(err)
	}
}

// TestDigestsOfFiles: where the files are is no difference, and what is in them is one.
func TestDigestsOfFiles(t *testing.T) {
	load := func(dir, values string) []config.Digest {
		t.Helper()
		text := strings.Replace(config.Example, "  # values: [values-rehearsal.yaml]", "  values: [more.yaml]", 1)
		for name, text := range map[string]string{"slipway.yaml": text, "inventory.yaml": inventory.Example, "more.yaml": values} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, _, err := config.Load(filepath.Join(dir, "slipway.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return c.Digests()
	}
	here := load(t.TempDir(), "a: 1")
	if there := load(t.TempDir(), "a: 1"); !slices.Equal(here, there) {
		t.Errorf("the same files in another directory differ:\n%v\n%v", here, there)
	}
	changed := load(t.TempDir(), "a: 2")
	var differ []string
	for i := range here {
		if here[i] != changed[i] {
			differ = append(differ, here[i].Name)
		}
	}
	if !slices.Equal(differ, []string{"contents of release.values[0]"}) {
		t.Errorf("other values differ in %q", differ)
	}
}

func TestDigests(t *testing.T) {
	digests := func(from, to string) map[string]string {
		t.Helper()
		if !strings.Contains(config.Example, from) {
			t.Fatal(from)
		}
		c, err := config.Parse("/etc/slipway.yaml", []byte(strings.Replace(config.Example, from, to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, d := range c.Digests() {
			if len(d.SHA256) != 64 {
				t.Errorf("%+v", d)
			}
			out[d.Name] = d.SHA256
		}
		return out
	}
	base := digests("version: 1", "version: 1")
	differ := func(from, to string) (out []string) {
		other := digests(from, to)
		for k := range base {
			if base[k] != other[k] {
				out = append(out, k)
			}
		}
		return out
	}
	for _, c := range []struct{ from, to, want string }{
		{"nodes: 3", "nodes: 3 # as many as zones", ""},
		{"nodes: 3", "nodes: 4", "cluster.nodes"},
		{"  ttl: 60s", "  ttl: 1m", ""},
		{"edition: ENTERPRISE\n", "\n", ""},
		{"password: file:secrets/mariadb", "password: env:PW", "source.mariadb.password"},
		{"names: [www,", "names: [shop,", "dns.names"},
		{"hosts: 32", "hosts: 3", ""},
		{"agent: false", "agent: true", ""},
	} {
		if got := strings.Join(differ(c.from, c.to), " "); got != c.want {
			t.Errorf("%q: %q differ, want %q", c.to, got, c.want)
		}
	}
	if len(base) < 45 {
		t.Errorf("only %d settings have a digest", len(base))
	}
}

// What is printed of a configuration has references and no secret; and nothing is resolved while it loads.
func TestNothingSecretIsHeld(t *testing.T) {
	t.Setenv("SLIPWAY_TEST_PASSWORD", "hunter2")
	c, err := config.Parse("slipway.yaml", []byte(strings.Replace(config.Example, "password: file:secrets/mariadb", "password: env:SLIPWAY_TEST_PASSWORD", 1)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "hunter2") || !strings.Contains(string(b), "env:SLIPWAY_TEST_PASSWORD") {
		t.Error(string(b))
	}
	holds := false
	var walk func(reflect.Type)
	walk = func(v reflect.Type) {
		switch {
		case v == reflect.TypeFor[secret.String]():
			holds = true
		case v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice:
			walk(v.Elem())
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).IsExported() {
					walk(v.Field(i).Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[config.Config]())
	if holds {
		t.Error("the configuration has a field for a secret's value")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(config.Example)
	for _, name := range []string{"bad", "secrets", "dns", "shape"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("slipway.yaml", []byte(text))
		if (c == nil) == (err == nil) {
			t.Fatal("neither a configuration nor an error, or both")
		}
		if err == nil {
			c.Digests()
		}
	})
}

func TestBucket(t *testing.T) {
	for url, want := range map[string][2]string{"gs://b-1": {"b-1", ""}, "gs://b-1/": {"b-1", ""}, "gs://b-1/shop/x": {"b-1", "shop/x"}} {
		if b, p := (config.Snapshots{Bucket: url}).InBucket(); b != want[0] || p != want[1] {
			t.Errorf("%s: %q, %q", url, b, p)
		}
	}
}
