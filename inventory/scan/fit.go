package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/inventory"
)

// Problem is what keeps the source from being moved as it is. Host may be "" where it is of no single one.
type Problem struct {
	Host   string `json:"host"`
	What   string `json:"what"`
	Remedy string `json:"remedy"` // what to look at or to type
}

func (p Problem) Error() string {
	s := p.What
	if p.Host != "" {
		s = p.Host + ": " + s
	}
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}

// expected is what a role has running: one of the units, by what their names begin with.
var expected = []struct {
	role  inventory.Role
	units []string
}{
	{inventory.LB, []string{"haproxy.service"}},
	{inventory.Cache, []string{"varnish.service"}},
	{inventory.Web, []string{"apache2.service"}},
	{inventory.Web, []string{"php"}},
	{inventory.Redis, []string{"redis"}},
	{inventory.DB, []string{"mariadb.service", "mysql.service", "mysqld.service"}},
	{inventory.Files, []string{"glusterd.service"}},
	{inventory.Queue, []string{"rabbitmq-server.service"}},
	{inventory.Worker, []string{"supervisor.service"}},
	{inventory.Cron, []string{"cron.service"}},
}

// Problems judges a fleet. clocks is how far two hosts, or a host and this machine, may be apart.
func (f *Fleet) Problems(inv *inventory.Inventory, clocks time.Duration) []Problem {
	var out []Problem
	add := func(host, remedy, format string, args ...any) {
		out = append(out, Problem{host, fmt.Sprintf(format, args...), remedy})
	}
	same := map[string]string{}
	for i := range f.Hosts {
		h := &f.Hosts[i]
		for _, u := range h.Unread {
			add(h.Host, "", "%s can't be read: %s", u.What, u.Why)
		}
		if id := h.MachineID + " " + h.Hostname; h.MachineID != "" {
			if other := same[id]; other != "" {
				add(h.Host, "correct one of the addresses in the inventory", "it is the same machine as %s (hostname %s)", other, h.Hostname)
			}
			same[id] = h.Host
		}
		for _, e := range expected {
			if slices.Contains(h.Roles, e.role) && !slices.ContainsFunc(e.units, func(p string) bool { return runs(h, p) }) {
				name := strings.ReplaceAll(strings.Join(e.units, " or "), ".service", "")
				add(h.Host, "type there: systemctl status "+strings.TrimSuffix(e.units[0], ".service"), "it has the role %s, but no %s runs", e.role, name)
			}
		}
		for _, r := range h.Redis {
			switch {
			case r.Unread != "":
				add(h.Host, "", "redis on port %d can't be read: %s", r.Port, r.Unread)
			case r.Role == "slave" && !r.LinkUp:
				add(h.Host, fmt.Sprintf("type there: redis-cli -p %d INFO replication", r.Port), "redis on port %d has no link to its primary %s", r.Port, r.Primary)
			}
		}
		if off := h.Clock.Offset.Abs(); off-h.Clock.Uncertainty > clocks {
			add(h.Host, "look at its time service and at this machine's", "its clock is %s %s this machine's (give or take %s)", off.Round(time.Millisecond), aheadOrBehind(h.Clock.Offset), h.Clock.Uncertainty.Round(time.Microsecond))
		} else if h.Clock.Uncertainty > clocks {
			add(h.Host, "the connection is slow; raise limits.clock_offset, or go nearer", "its clock can only be read to within %s", h.Clock.Uncertainty.Round(time.Millisecond))
		}
	}
	if a := f.Apart; a.By-a.Uncertainty > clocks {
		add("", "look at both time services", "the clock of %s is %s ahead of that of %s (give or take %s)", a.Ahead, a.By.Round(time.Millisecond), a.Behind, a.Uncertainty.Round(time.Microsecond))
	}
	for _, v := range f.Virtual {
		g := group(inv, v.Group)
		switch known := f.known(g.Hosts); {
		case len(v.Holders) > 1:
			add("", "two hosts answer for one address; look at keepalived and what is between them", "group %s: address %s is on %s at once", v.Group, v.Address, strings.Join(v.Holders, " and "))
		case len(v.Holders) == 0 && known == len(g.Hosts):
			add("", "type there: systemctl status keepalived", "group %s: address %s is on none of %s", v.Group, v.Address, strings.Join(g.Hosts, " "))
		}
	}
	return out
}

func aheadOrBehind(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead of"
}

func runs(h *Facts, prefix string) bool {
	return slices.ContainsFunc(h.Units, func(u Unit) bool {
		return strings.HasPrefix(u.Name, prefix) && u.Active == "active" && u.Sub == "running"
	})
}

func group(inv *inventory.Inventory, name string) inventory.Group {
	i := slices.IndexFunc(inv.Groups, func(g inventory.Group) bool { return g.Name == name })
	if i < 0 {
		return inventory.Group{}
	}
	return inv.Groups[i]
}

// known counts the hosts whose facts are there.
func (f *Fleet) known(hosts []string) (n int) {
	for _, name := range hosts {
		if _, ok := f.Host(name); ok {
			n++
		}
	}
	return n
}

// Notes are what a person should know and nothing need wait for: units that failed, host names that aren't the inventory's.
func (f *Fleet) Notes() []string {
	var out []string
	for _, h := range f.Hosts {
		if short, _, _ := strings.Cut(h.Hostname, "."); short != h.Host && h.Hostname != h.Host {
			out = append(out, fmt.Sprintf("%s: it calls itself %s", h.Host, h.Hostname))
		}
		for _, u := range h.Units {
			if u.Active == "failed" {
				out = append(out, fmt.Sprintf("%s: unit %s has failed", h.Host, u.Name))
			}
		}
	}
	return out
}

// Digest is the SHA-256, in hex, of what makes the hosts what they are: names, releases, versions of the services. What
// changes by itself (kernels, packages, sizes, clocks) is not in it.
func (f *Fleet) Digest() string {
	type host struct {
		Host, MachineID string
		OS              OS
		Services        []Service
	}
	all := make([]host, len(f.Hosts))
	for i, h := range f.Hosts {
		all[i] = host{h.Host, h.MachineID, OS{ID: h.OS.ID, Version: h.OS.Version}, h.Services}
	}
	return digest(all)
}

func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("scan: %v", err)) // plain data can't fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Problems judges a volume: what it takes to be read and believed.
func (v *Volume) Problems() []Problem {
	var out []Problem
	add := func(remedy, format string, args ...any) {
		out = append(out, Problem{v.AskedOn, fmt.Sprintf(format, args...), remedy})
	}
	if v.Status != "Started" {
		add("type there: gluster volume start "+v.Name, "volume %s is %s", v.Name, strings.ToLower(v.Status))
		return out // nothing else can be asked then
	}
	for _, p := range v.Peers {
		if !p.Connected {
			add("type there: gluster peer status", "peer %s is not connected (%s)", p.Host, p.State)
		}
	}
	status, heal := "type there: gluster volume status "+v.Name, "type there: gluster volume heal "+v.Name+" info"
	for _, b := range v.Bricks {
		switch {
		case !b.Online:
			add(status, "brick %s is down", b.Name())
		case b.Heals < 0 || b.Healing < 0 || b.SplitBrains < 0:
			add(heal, "brick %s could not be asked what waits to be healed", b.Name())
		default:
			if b.SplitBrains > 0 {
				add(heal+" split-brain", "brick %s has %d entries in split-brain: which copy is right, only a person can say", b.Name(), b.SplitBrains)
			}
			if b.Heals > 0 {
				add(heal, "brick %s has %d entries that wait to be healed; reading now may give old contents", b.Name(), b.Heals)
			}
			if b.Healing > 0 {
				add("wait, and look: gluster volume heal "+v.Name+" info", "brick %s has %d entries that are being healed, or written without a pause", b.Name(), b.Healing)
			}
		}
	}
	if len(v.Bricks) == 0 {
		add(status, "volume %s has no bricks", v.Name)
	}
	return out
}

// Digest is of what the volume is, and not of how it is.
func (v *Volume) Digest() string {
	type brick struct {
		Host, Path string
		Arbiter    bool
	}
	bricks := make([]brick, len(v.Bricks))
	for i, b := range v.Bricks {
		bricks[i] = brick{b.Host, b.Path, b.Arbiter}
	}
	return digest(struct {
		Name, ID, Type string
		Replicas       int
		Bricks         []brick
		Options        []Option
	}{v.Name, v.ID, v.Type, v.Replicas, bricks, v.Options})
}
