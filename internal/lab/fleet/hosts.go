// Package fleet is the lab's source: the 17 hosts of the company, with real systemd, sshd and daemons, formed once (Gluster, replication, the
// shop's data) and from then on started from a checkpoint.
//
// It imports rootfs, machine, network, pki, shop and progress of the lab; nothing of the product.
package fleet

import (
	"net/netip"

	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// Role is what a host does.
type Role string

// The roles, in the order in which hosts are listed.
const (
	Edge     Role = "lb"    // HAProxy, keepalived
	Cache    Role = "cache" // Varnish, keepalived
	Web      Role = "web"   // Apache, PHP-FPM, Gluster mount; workers and cron on some
	Redis    Role = "redis" // two instances
	Database Role = "db"    // MariaDB
	Files    Role = "files" // GlusterFS; RabbitMQ on the first
)

// Host is one of the 17.
type Host struct {
	Name  string
	Role  Role
	Suite rootfs.Suite
	Addr  netip.Addr
}

// Addresses that move between hosts of a role, and the shop's public name.
var (
	EdgeAddress  = netip.MustParseAddr("10.77.0.10")
	CacheAddress = netip.MustParseAddr("10.77.0.20")
)

// SiteName is the shop's public host name.
const SiteName = "www.shop.example"

// QueueHost is the host that runs RabbitMQ.
const QueueHost = "files1"

// roles says how many hosts a role has and where their addresses begin.
var roles = []struct {
	role  Role
	count int
	first byte
}{{Edge, 2, 11}, {Cache, 2, 21}, {Web, 5, 31}, {Redis, 2, 41}, {Database, 3, 51}, {Files, 3, 61}}

// Hosts lists the 17 hosts.
func Hosts() []Host {
	var hosts []Host
	for _, r := range roles {
		for i := range r.count {
			h := Host{Name: string(r.role) + string(rune('1'+i)), Role: r.role, Suite: rootfs.Bookworm, Addr: netip.AddrFrom4([4]byte{10, 77, 0, r.first + byte(i)})}
			// Real fleets are uneven: these two were never upgraded.
			if h.Name == "web5" || h.Name == "redis1" {
				h.Suite = rootfs.Bullseye
			}
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// Others are names that the hosts know besides each other: the name servers, which are machines of the lab but none of the 17.
var others = []Host{
	{Name: "ns1", Addr: netip.MustParseAddr("10.77.0.71")},
	{Name: "ns2", Addr: netip.MustParseAddr("10.77.0.72")},
}

// Lookup finds a host by name.
func Lookup(name string) (Host, bool) {
	for _, h := range Hosts() {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

func mustHost(name string) Host {
	h, ok := Lookup(name)
	if !ok {
		panic("no host " + name) // names in this package are constants
	}
	return h
}

// number is the host's place within its role, from 1.
func (h Host) number() int { return int(h.Name[len(h.Name)-1] - '0') }
