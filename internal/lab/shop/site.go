package shop

import (
	"io/fs"
	"net/netip"
)

// A Suite is a Debian release that the shop runs on.
type Suite string

// The fleet is uneven: most hosts run bookworm, a few bullseye.
const (
	Bookworm Suite = "bookworm"
	Bullseye Suite = "bullseye"
)

// PHP is the version of PHP in the suite, as it stands in paths and unit names.
func (s Suite) PHP() string {
	if s == Bullseye {
		return "7.4"
	}
	return "8.2"
}

// A Role is what a host, or a pod's image, does for the shop.
type Role string

// The roles.
const (
	Edge     Role = "edge"     // HAProxy
	Caching  Role = "cache"    // Varnish
	Webs     Role = "web"      // Apache and PHP-FPM, worker, cron
	Redis    Role = "redis"    // both Redis instances
	Database Role = "database" // MariaDB
	Broker   Role = "queue"    // RabbitMQ
)

// A File is one file or symlink in the root filesystem of a host or an image.
type File struct {
	Path  string      // absolute
	Mode  fs.FileMode // permission bits; of no account for a link
	Owner string      // "user:group" by name, as that root filesystem knows them; empty is root:root
	Body  []byte
	Link  string // where the symlink at Path points; empty for a file
}

// A Server is a host under its name.
type Server struct {
	Name string
	Addr netip.Addr
}

// Secrets are the lab's passwords: letters and digits only, since they stand in configuration files as they are.
type Secrets struct {
	Database, Queue, Redis string
}

// A Site says where the parts of the shop are on the hosts.
type Site struct {
	Name          string     // the public host name, www.shop.example
	Cache         netip.Addr // the caches' shared address
	Webs          []Server   // the names become VCL identifiers: letters and digits
	Database      netip.AddrPort
	RedisCache    netip.AddrPort
	RedisSessions netip.AddrPort
	Queue         netip.AddrPort
	Clients       string // the hosts that may use the database, as MariaDB writes a host pattern: 10.77.%
	Secrets       Secrets
}

// A Web says how one web host differs from the others.
type Web struct {
	Suite  Suite
	Worker bool // runs the queue's worker under supervisord
	Cron   bool // runs the cron job
}
