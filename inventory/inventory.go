// Package inventory says which hosts there are: their names, addresses, groups and roles, read from a file and checked.
//
// It dials nothing and knows nothing of what is really on the hosts: that is inventory/scan's. It imports neither SSH nor
// the engine.
package inventory

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/strictyaml"
)

// Role is what a host does. Hosts of one role are expected to be alike; where they aren't, that is drift.
type Role string

// The roles. The list only grows.
const (
	LB     Role = "lb"     // HAProxy with TLS offloading
	Cache  Role = "cache"  // Varnish
	Web    Role = "web"    // Apache with PHP-FPM
	Redis  Role = "redis"  // Redis
	DB     Role = "db"     // MariaDB
	Files  Role = "files"  // GlusterFS server
	Queue  Role = "queue"  // RabbitMQ
	Worker Role = "worker" // queue workers under supervisord
	Cron   Role = "cron"   // the application's cron jobs
)

// Roles are all that are known, in the order in which they are shown.
func Roles() []Role { return []Role{LB, Cache, Web, Redis, DB, Files, Queue, Worker, Cron} }

// UnmarshalText takes known roles alone.
func (r *Role) UnmarshalText(b []byte) error {
	names := make([]string, 0, len(Roles()))
	for _, k := range Roles() {
		if string(k) == string(b) {
			*r = k
			return nil
		}
		names = append(names, string(k))
	}
	return fmt.Errorf("unknown role %q; %s", string(b), strictyaml.Suggest(string(b), names))
}

// Host is one machine. Name is how everything else names it; Address is what is dialled and what known_hosts pins.
type Host struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Port    int    `json:"port"`           // of sshd
	User    string `json:"user,omitempty"` // to log in as; "" for slipway.yaml's
	Group   string `json:"group"`
	Roles   []Role `json:"roles"` // the group's and its own, in the order of Roles
}

// Has says whether the host has a role.
func (h Host) Has(r Role) bool { return slices.Contains(h.Roles, r) }

// Group is hosts that belong together. Virtual is the address that keepalived moves between them, if there is one.
type Group struct {
	Name    string     `json:"name"`
	Virtual netip.Addr `json:"virtual,omitzero"`
	Hosts   []string   `json:"hosts"`
}

// Inventory is all hosts and groups, in the order of the file.
type Inventory struct {
	Hosts  []Host  `json:"hosts"`
	Groups []Group `json:"groups"`
}

// Host finds a host by name.
func (inv *Inventory) Host(name string) (Host, bool) {
	i := slices.IndexFunc(inv.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		return Host{}, false
	}
	return inv.Hosts[i], true
}

// Names are all hosts' names, in order.
func (inv *Inventory) Names() []string { return names(inv.Hosts) }

// With are the hosts that have a role, in order.
func (inv *Inventory) With(r Role) []Host {
	return slices.DeleteFunc(slices.Clone(inv.Hosts), func(h Host) bool { return !h.Has(r) })
}

func names(hosts []Host) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = h.Name
	}
	return out
}

// Digest is the SHA-256 of the inventory's meaning, in hex: comments and spelling don't count.
func (inv *Inventory) Digest() string {
	b, err := json.Marshal(inv)
	if err != nil {
		panic(fmt.Sprintf("inventory: %v", err)) // plain data can't fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// The file, as it is written.
type (
	file struct {
		Version int         `yaml:"version,required"`
		Groups  []fileGroup `yaml:"groups,required"`
	}
	fileGroup struct {
		Name    string      `yaml:"name,required"`
		Roles   []Role      `yaml:"roles"`
		User    string      `yaml:"user"`
		Port    *int        `yaml:"port"`
		Virtual *netip.Addr `yaml:"virtual"`
		Hosts   []fileHost  `yaml:"hosts,required"`
	}
	fileHost struct {
		Name    string `yaml:"name,required"`
		Address string `yaml:"address,required"`
		Port    *int   `yaml:"port"`
		User    string `yaml:"user"`
		Roles   []Role `yaml:"roles"`
	}
)

// Example is an inventory with comments, of the 17 hosts that Slipway was made for.
//
//go:embed example.yaml
var Example string

// Load reads and checks a file. What is wrong in it comes at once, as strictyaml.Problems.
func Load(path string) (*Inventory, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	return Parse(path, b)
}

// Parse is Load for a text; name is for messages.
func Parse(name string, text []byte) (*Inventory, error) {
	var in file
	f := strictyaml.Decode(name, text, &in)
	if f.Has("version") && in.Version != 1 {
		f.Problem("version", fmt.Sprintf("version %d is unknown", in.Version), "write 1")
	}
	inv := resolve(f, in)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return inv, nil
}

func resolve(f *strictyaml.File, in file) *Inventory {
	inv := &Inventory{}
	groups, hosts, addresses := newOnce(f, "group"), newOnce(f, "host"), newOnce(f, "address")
	for i, g := range in.Groups {
		at := strictyaml.Index("groups", i)
		groups.add(at+".name", g.Name)
		checkName(f, at+".name", g.Name)
		if f.Has(at+".hosts") && len(g.Hosts) == 0 {
			f.Problem(at+".hosts", "the group has no hosts", "give it some, or take it out")
		}
		out := Group{Name: g.Name}
		if g.Virtual != nil {
			out.Virtual = *g.Virtual
			addresses.add(at+".virtual", g.Virtual.String())
			if len(g.Hosts) == 1 {
				f.Problem(at+".virtual", "an address that moves needs two hosts to move between", "add the second host, or take virtual out")
			}
		}
		port := checkPort(f, at+".port", g.Port, 22)
		for j, h := range g.Hosts {
			at := strictyaml.Index(at+".hosts", j)
			hosts.add(at+".name", h.Name)
			checkName(f, at+".name", h.Name)
			host := Host{Name: h.Name, Address: checkAddress(f, at+".address", h.Address), Port: checkPort(f, at+".port", h.Port, port), User: cmp.Or(h.User, g.User), Group: g.Name}
			addresses.add(at+".address", host.Address)
			for _, r := range Roles() {
				if slices.Contains(g.Roles, r) || slices.Contains(h.Roles, r) {
					host.Roles = append(host.Roles, r)
				}
			}
			if len(g.Roles)+len(h.Roles) == 0 && !f.Has(at+".roles") && !f.Has(strictyaml.Index("groups", i)+".roles") {
				f.Problem(at+".roles", fmt.Sprintf("%s has no role", h.Name), "give it or its group one")
			}
			out.Hosts = append(out.Hosts, h.Name)
			inv.Hosts = append(inv.Hosts, host)
		}
		inv.Groups = append(inv.Groups, out)
	}
	if f.Has("groups") && len(in.Groups) == 0 {
		f.Problem("groups", "there are no groups", "")
	}
	return inv
}

// once finds what is there twice.
type once struct {
	f    *strictyaml.File
	what string
	at   map[string]string
}

func newOnce(f *strictyaml.File, what string) once { return once{f, what, map[string]string{}} }

func (o once) add(path, value string) {
	if value == "" {
		return
	}
	if first, again := o.at[value]; again {
		o.f.Problem(path, fmt.Sprintf("%s %s is there already, at %s", o.what, value, o.f.Place(first)), "")
		return
	}
	o.at[value] = path
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

func checkName(f *strictyaml.File, path, name string) {
	if name != "" && !nameForm.MatchString(name) {
		f.Problem(path, fmt.Sprintf("%q can't be a name", name), "use lower-case letters, digits, dots and dashes, at most 63")
	}
}

// checkAddress gives an IP address in its one canonical spelling, so that the same one written twice is found.
func checkAddress(f *strictyaml.File, path, address string) string {
	if address == "" {
		return ""
	}
	if ip, err := netip.ParseAddr(address); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			f.Problem(path, address+" is not the address of a host", "")
		}
		return ip.Unmap().String()
	}
	lower := strings.ToLower(strings.TrimSuffix(address, "."))
	// What is made of digits and dots alone was meant as an IP address.
	if strings.Trim(lower, "0123456789.") == "" || !nameForm.MatchString(lower) {
		f.Problem(path, fmt.Sprintf("%q is neither an IP address nor a host name", address), "the port has a key of its own")
	}
	return lower
}

func checkPort(f *strictyaml.File, path string, port *int, otherwise int) int {
	if port == nil {
		return otherwise
	}
	if *port < 1 || *port > 65535 {
		f.Problem(path, fmt.Sprintf("%d is not a port", *port), "ports are 1 to 65535")
	}
	return *port
}
