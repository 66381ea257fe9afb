package scan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/inventory"
)

// Drift is one thing in which hosts of one role differ.
type Drift struct {
	Role   inventory.Role `json:"role"`
	What   string         `json:"what"`   // "os", "version of php", "package libc6", "unit cron.service", "listener *:80", "file /etc/sysctl.conf", "mount /srv"
	Values []Value        `json:"values"` // the one that most hosts have first
}

// Value is what some of the hosts have. None is what those have that lack the thing.
type Value struct {
	Value string   `json:"value"`
	Hosts []string `json:"hosts"`
}

// None is the value of a thing that isn't there.
const None = "none"

// String is one line: "web: version of php: 8.2.26 on web1 web2 web3 web4; 7.4.33 on web5".
func (d Drift) String() string {
	parts := make([]string, len(d.Values))
	for i, v := range d.Values {
		parts[i] = v.Value + " on " + strings.Join(v.Hosts, " ")
	}
	return fmt.Sprintf("%s: %s: %s", d.Role, d.What, strings.Join(parts, "; "))
}

// ephemeral is where the kernel takes ports by itself (ip_local_port_range's default): which one a program got is no
// difference between hosts. Gluster's bricks take theirs from 49152 on.
const ephemeral = 32768

// owners are the roles whose business a service is. In a role that isn't one of them its presence is no drift: web1 runs
// supervisord because it is a worker, and web5 isn't one.
var owners = []struct {
	name  string // of a service, and what its unit begins with
	ports []uint16
	roles []inventory.Role
}{
	{"haproxy", nil, []inventory.Role{inventory.LB}},
	{"varnish", nil, []inventory.Role{inventory.Cache}},
	{"keepalived", nil, []inventory.Role{inventory.LB, inventory.Cache}},
	{"apache", nil, []inventory.Role{inventory.Web}},
	{"php", nil, []inventory.Role{inventory.Web}},
	{"redis", []uint16{6379, 6380}, []inventory.Role{inventory.Redis}},
	{"mariadb", []uint16{3306}, []inventory.Role{inventory.DB}},
	{"gluster", []uint16{24007}, []inventory.Role{inventory.Files}},
	{"rabbitmq", []uint16{5672, 15672, 25672}, []inventory.Role{inventory.Queue}},
	{"epmd", []uint16{4369}, []inventory.Role{inventory.Queue}},
	{"supervisor", nil, []inventory.Role{inventory.Worker}},
	{"cron", nil, []inventory.Role{inventory.Cron}},
}

// foreign says that a thing is another role's business.
func foreign(role inventory.Role, is func(name string, ports []uint16) bool) bool {
	for _, o := range owners {
		if is(o.name, o.ports) {
			return !slices.Contains(o.roles, role)
		}
	}
	return false
}

// trait is a thing of a host that can be compared.
type trait struct{ what, value string }

// drift compares the hosts of each role. Packages are compared among hosts of the same release alone: between releases
// nearly all differ, and what matters of that is in the services' versions.
func drift(hosts []Facts) []Drift {
	var out []Drift
	for _, role := range inventory.Roles() {
		var same []Facts
		for _, h := range hosts {
			if slices.Contains(h.Roles, role) {
				same = append(same, h)
			}
		}
		out = append(out, compare(role, same, func(f *Facts) []trait { return general(role, f) })...)
		for _, release := range releases(same) {
			var of []Facts
			for _, h := range same {
				if h.OS.ID+h.OS.Version == release {
					of = append(of, h)
				}
			}
			out = append(out, compare(role, of, packages)...)
		}
	}
	return out
}

// releases are those that the hosts have, in the hosts' order.
func releases(hosts []Facts) []string {
	var out []string
	for _, h := range hosts {
		if r := h.OS.ID + h.OS.Version; !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// compare gives what differs, in the order in which the traits first occur.
func compare(role inventory.Role, hosts []Facts, traits func(*Facts) []trait) []Drift {
	if len(hosts) < 2 {
		return nil
	}
	var order []string
	has := map[string][]string{} // what -> a value for each host, in the hosts' order
	for i := range hosts {
		for _, t := range traits(&hosts[i]) {
			if has[t.what] == nil {
				order = append(order, t.what)
				has[t.what] = make([]string, len(hosts))
			}
			has[t.what][i] = t.value
		}
	}
	var out []Drift
	for _, what := range order {
		d := Drift{Role: role, What: what}
		for i, v := range has[what] {
			if v == "" {
				v = None
			}
			at := slices.IndexFunc(d.Values, func(x Value) bool { return x.Value == v })
			if at < 0 {
				at = len(d.Values)
				d.Values = append(d.Values, Value{Value: v})
			}
			d.Values[at].Hosts = append(d.Values[at].Hosts, hosts[i].Host)
		}
		if len(d.Values) > 1 {
			slices.SortStableFunc(d.Values, func(a, b Value) int { return len(b.Hosts) - len(a.Hosts) })
			out = append(out, d)
		}
	}
	return out
}

func general(role inventory.Role, f *Facts) []trait {
	out := []trait{{"os", f.OS.String()}, {"kernel", f.Kernel}, {"architecture", f.Machine}, {"cpus", fmt.Sprint(f.CPUs)}, {"memory", gibibytes(f.Memory.Total)}, {"time zone", f.TimeZone}}
	versions := map[string]string{}
	for _, s := range f.Services {
		if !foreign(role, func(n string, _ []uint16) bool { return n == s.Name }) {
			versions[s.Name] = strings.TrimPrefix(versions[s.Name]+", "+s.Version, ", ")
		}
	}
	for _, s := range f.Services {
		if v := versions[s.Name]; v != "" {
			out = append(out, trait{"version of " + s.Name, v})
			delete(versions, s.Name)
		}
	}
	for _, u := range f.Units {
		// What a timer runs now and then is running by chance; a login's units come and go.
		if (u.Sub == "running" || u.Active == "failed") && !passing(u.Name) &&
			!foreign(role, func(n string, _ []uint16) bool { return strings.HasPrefix(u.Name, n) }) {
			out = append(out, trait{"unit " + u.Name, u.Active})
		}
	}
	for _, l := range listeners(f) {
		if !foreign(role, func(_ string, ports []uint16) bool { return slices.Contains(ports, l.port) }) {
			out = append(out, trait{"listener " + l.text, "open"})
		}
	}
	for _, s := range f.Settings {
		out = append(out, trait{"file " + s.Path, s.SHA256[:12]})
	}
	for _, m := range f.Mounts {
		if m.Target != "/" {
			out = append(out, trait{"mount " + m.Target, m.Type})
		}
	}
	return out
}

func passing(unit string) bool {
	for _, p := range []string{"user@", "user-runtime-dir@", "session-", "ssh@", "run-", "systemd-hostnamed", "systemd-localed", "systemd-timedated", "packagekit"} {
		if strings.HasPrefix(unit, p) {
			return true
		}
	}
	return false
}

type listener struct {
	text string
	port uint16
}

// listeners writes a host's own address as "own", so that equal set-ups are equal. A virtual address is on one host alone.
func listeners(f *Facts) []listener {
	var out []listener
	for _, l := range f.Listeners {
		where := l.Address.String()
		switch own, err := netip.ParseAddr(f.Address); {
		case l.Port >= ephemeral:
			continue
		case l.Address.IsUnspecified():
			where = "*" // of one family or both: which, differs by release and says nothing
		case l.Address.IsLoopback():
			where = "loopback"
		case err == nil && own == l.Address:
			where = "own"
		}
		t := listener{fmt.Sprintf("%s:%d", where, l.Port), l.Port}
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// DatabaseDrift compares MariaDB's settings among the servers, apart from those that are each server's own.
func DatabaseDrift(dbs []Database) []Drift {
	hosts := make([]Facts, len(dbs))
	for i, d := range dbs {
		hosts[i].Host = d.Host
	}
	return compare(inventory.DB, hosts, func(f *Facts) []trait {
		var out []trait
		for _, v := range find(dbs, f.Host).Variables {
			if !slices.Contains(own, v.Name) {
				out = append(out, trait{"mariadb's " + v.Name, v.Value})
			}
		}
		return out
	})
}

// own are variables in which servers differ by right.
var own = []string{"gtid_binlog_pos", "gtid_current_pos", "gtid_domain_id", "gtid_slave_pos", "read_only", "server_id"}

func packages(f *Facts) []trait {
	out := make([]trait, len(f.Packages))
	for i, p := range f.Packages {
		out[i] = trait{"package " + p.Name, p.Version}
	}
	return out
}

// gibibytes rounds to a tenth: two machines of one kind differ by what their firmware keeps.
func gibibytes(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
