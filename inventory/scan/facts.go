// Package scan reads what is really on the hosts of an inventory: facts over SSH from all hosts at once, the state of
// MariaDB's replication and of a Gluster volume, and where hosts of one role differ (drift).
//
// It only looks. Parsers are pure: they get what a command printed. It imports internal/remote and the inventory, and no
// step and no engine.
package scan

import (
	"net/netip"
	"time"

	"github.com/slipway-dev/slipway/inventory"
)

// Facts are one host's. Lists are sorted, so that two scans of an unchanged host are equal but for Clock, the sizes in use
// and Redis's counters. Sizes are bytes.
type Facts struct {
	Host      string           `json:"host"`
	Address   string           `json:"address"`
	Roles     []inventory.Role `json:"roles"`
	Hostname  string           `json:"hostname"`
	MachineID string           `json:"machine_id"`
	User      string           `json:"user"` // as which it was looked at
	OS        OS               `json:"os"`
	Kernel    string           `json:"kernel"`
	Machine   string           `json:"machine"`  // architecture, as uname has it
	TimeZone  string           `json:"timezone"` // Europe/Paris; "" if it has none
	CPUs      int              `json:"cpus"`
	Memory    Memory           `json:"memory"`
	Packages  []Package        `json:"packages"`
	Services  []Service        `json:"services"`
	Units     []Unit           `json:"units"`
	Listeners []Listener       `json:"listeners"`
	Addresses []Address        `json:"addresses"`
	Mounts    []Mount          `json:"mounts"`
	Disks     []Disk           `json:"disks"`
	Settings  []File           `json:"settings"` // files that hosts of a role should share
	Redis     []Redis          `json:"redis,omitempty"`
	Clock     Clock            `json:"clock"`
	// Unread are sections that the host could not answer, with what it said instead.
	Unread []Unread `json:"unread,omitempty"`
}

// OS is from /etc/os-release: os-release(5).
type OS struct {
	ID      string `json:"id"`      // debian
	Version string `json:"version"` // 12
	Name    string `json:"name"`    // Debian GNU/Linux 12 (bookworm)
}

func (o OS) String() string {
	if o.Name != "" {
		return o.Name
	}
	return o.ID + " " + o.Version
}

// Memory is from /proc/meminfo.
type Memory struct {
	Total     int64 `json:"total"`
	Available int64 `json:"available"`
	Swap      int64 `json:"swap"`
}

// Package is one that dpkg has installed. Name has the architecture where dpkg needs it to tell two apart.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Service is a program that the stack is made of, and the version that it says it has.
type Service struct {
	Name    string `json:"name"` // haproxy varnish apache php redis mariadb gluster rabbitmq keepalived supervisor
	Version string `json:"version"`
}

// Unit is a systemd service that is loaded.
type Unit struct {
	Name   string `json:"name"`
	Active string `json:"active"` // active, inactive, failed, activating ...
	Sub    string `json:"sub"`    // running, exited, dead ...
}

// Listener is a TCP socket that takes connections. The zero address (:: or 0.0.0.0) is all of the host's.
type Listener struct {
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
}

// Address is one of the host's.
type Address struct {
	Interface string       `json:"interface"`
	Prefix    netip.Prefix `json:"prefix"`
}

// Mount is a mounted file system, the kernel's own ones left out.
type Mount struct {
	Target  string `json:"target"`
	Type    string `json:"type"`
	Source  string `json:"source"`
	Options string `json:"options"`
}

// Disk is how full a file system is.
type Disk struct {
	Target    string `json:"target"`
	Type      string `json:"type"`
	Source    string `json:"source"`
	Size      int64  `json:"size"`
	Used      int64  `json:"used"`
	Available int64  `json:"available"` // to ordinary users
}

// File is a file and the SHA-256 of what is in it, in hex.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Redis is one server on the host.
type Redis struct {
	Port     uint16     `json:"port"`
	Version  string     `json:"version,omitempty"`
	Role     string     `json:"role,omitempty"`    // master or slave, as Redis says
	Primary  string     `json:"primary,omitempty"` // of a slave: host:port
	LinkUp   bool       `json:"link_up,omitempty"` // of a slave
	Replicas int        `json:"replicas"`
	Keys     int64      `json:"keys"`
	Memory   int64      `json:"memory"`
	Unread   string     `json:"unread,omitempty"` // why there is no more
	address  netip.Addr // where it listens
}

// Clock is how far the host's clock is ahead of this machine's (negative: behind), give or take Uncertainty: half of the
// fastest round trip's time.
type Clock struct {
	Offset      time.Duration `json:"offset_ns"`
	Uncertainty time.Duration `json:"uncertainty_ns"`
}

// Unread is a section of facts that could not be read.
type Unread struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Service gives a service's version.
func (f *Facts) Service(name string) (string, bool) {
	for _, s := range f.Services {
		if s.Name == name {
			return s.Version, true
		}
	}
	return "", false
}

// Holds says whether the host has an address.
func (f *Facts) Holds(a netip.Addr) bool {
	for _, h := range f.Addresses {
		if h.Prefix.Addr() == a {
			return true
		}
	}
	return false
}

// Running says whether a unit runs.
func (f *Facts) Running(unit string) bool {
	for _, u := range f.Units {
		if u.Name == unit {
			return u.Active == "active" && u.Sub == "running"
		}
	}
	return false
}
