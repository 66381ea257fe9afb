package inventory_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/strictyaml"
	"github.com/slipway-dev/slipway/inventory"
)

func TestExample(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte(inventory.Example))
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Hosts) != 17 || len(inv.Groups) != 6 {
		t.Errorf("%d hosts in %d groups", len(inv.Hosts), len(inv.Groups))
	}
	count := map[inventory.Role]int{}
	for _, r := range inventory.Roles() {
		count[r] = len(inv.With(r))
	}
	for r, n := range map[inventory.Role]int{inventory.LB: 2, inventory.Cache: 2, inventory.Web: 5, inventory.Redis: 2, inventory.DB: 3, inventory.Files: 3, inventory.Queue: 1, inventory.Worker: 2, inventory.Cron: 1} {
		if count[r] != n {
			t.Errorf("%s: %d hosts, want %d", r, count[r], n)
		}
	}
	h, ok := inv.Host("files1")
	if !ok || h.Port != 22 || h.Group != "assets" || !h.Has(inventory.Queue) || !h.Has(inventory.Files) {
		t.Errorf("%+v, %v", h, ok)
	}
	if _, ok := inv.Host("files9"); ok {
		t.Error("files9 is there")
	}
	if v := inv.Groups[0].Virtual.String(); v != "192.0.2.10" {
		t.Error(v)
	}
}

func TestDefaultsComeFromTheGroup(t *testing.T) {
	inv, err := inventory.Parse("i", []byte(`version: 1
groups:
  - name: g
    user: deploy
    port: 2222
    hosts:
      - {name: a, address: A.Example., roles: [cron, web]}
      - {name: b, address: "2001:DB8::1", roles: [web], user: root, port: 22}
`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := inv.Hosts[0], inv.Hosts[1]
	if a.User != "deploy" || a.Port != 2222 || a.Address != "a.example" || a.Roles[0] != inventory.Web {
		t.Errorf("%+v", a)
	}
	if b.User != "root" || b.Port != 22 || b.Address != "2001:db8::1" {
		t.Errorf("%+v", b)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := inventory.Parse("inventory.yaml", []byte(`version: 2
groups:
  - name: Web
    rolls: [web]
    virtual: 10.0.0.1
    hosts:
      - {name: web1, address: 10.0.0.300, roles: [wed]}
      - {name: web1, address: 10.0.0.2, port: 70000}
      - {name: web2, address: "10.0.0.2", roles: [web]}
      - {name: web3, adress: 10.0.0.3, roles: [web]}
      - {name: web4, address: 10.0.0.1, roles: [web]}
      - {name: web5, address: "10.0.0.5:22", roles: [web]}
  - name: empty
    hosts: []
`))
	var ps strictyaml.Problems
	if !errors.As(err, &ps) {
		t.Fatal(err)
	}
	want := []string{
		"inventory.yaml:1:10: version: version 2 is unknown; write 1",
		"inventory.yaml:3:11: groups[0].name: \"Web\" can't be a name; use lower-case letters, digits, dots and dashes, at most 63",
		"inventory.yaml:4:5: groups[0].rolls: unknown key; did you mean roles",
		"inventory.yaml:7:31: groups[0].hosts[0].address: \"10.0.0.300\" is neither an IP address nor a host name; the port has a key of its own",
		"inventory.yaml:7:51: groups[0].hosts[0].roles[0]: unknown role \"wed\"; did you mean web",
		"inventory.yaml:8:9: groups[0].hosts[1].roles: web1 has no role; give it or its group one",
		"inventory.yaml:8:16: groups[0].hosts[1].name: host web1 is there already, at inventory.yaml:7:16",
		"inventory.yaml:8:47: groups[0].hosts[1].port: 70000 is not a port; ports are 1 to 65535",
		"inventory.yaml:9:31: groups[0].hosts[2].address: address 10.0.0.2 is there already, at inventory.yaml:8:31",
		"inventory.yaml:10:9: groups[0].hosts[3].address: the key is missing",
		"inventory.yaml:10:22: groups[0].hosts[3].adress: unknown key; did you mean address",
		"inventory.yaml:11:31: groups[0].hosts[4].address: address 10.0.0.1 is there already, at inventory.yaml:5:14",
		"inventory.yaml:12:31: groups[0].hosts[5].address: \"10.0.0.5:22\" is neither an IP address nor a host name; the port has a key of its own",
		"inventory.yaml:14:12: groups[1].hosts: the group has no hosts; give it some, or take it out",
	}
	var got []string
	for _, p := range ps {
		got = append(got, p.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDigestIsOfTheMeaning(t *testing.T) {
	parse := func(s string) string {
		inv, err := inventory.Parse("i", []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return inv.Digest()
	}
	a := parse("version: 1\ngroups: [{name: g, roles: [web], hosts: [{name: a, address: 10.0.0.1}]}]\n")
	b := parse("# x\nversion: 1\ngroups:\n- name: g\n  roles: [web]\n  hosts:\n  - name: a\n    address: \"10.0.0.1\"\n    port: 22\n")
	c := parse("version: 1\ngroups: [{name: g, roles: [web], hosts: [{name: a, address: 10.0.0.2}]}]\n")
	if a != b || a == c || len(a) != 64 {
		t.Error(a, b, c)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.yaml")
	if _, err := inventory.Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(inventory.Example), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := inventory.Load(path); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(inventory.Example)
	f.Add("version: 1\ngroups: [{name: g, hosts: [&a {name: x}, *a]}]\n")
	f.Add("a: !!binary x\n<<: {b: 1}\n? [c]\n: d\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		inv, err := inventory.Parse("i", []byte(text))
		if (inv == nil) == (err == nil) {
			t.Fatal("neither an inventory nor an error, or both")
		}
	})
}
