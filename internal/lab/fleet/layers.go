package fleet

import (
	"fmt"
	"strconv"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// Slipway's account on the hosts. Its number is the same everywhere, so that the proof can tell by it what the account left.
const (
	SlipwayUser = "slipway"
	SlipwayUID  = 1500
)

// AccountLayer puts Slipway's account on a host layer: no password, no way in but its key, in the group that may read the shop's files.
func AccountLayer(on *rootfs.Layer) rootfs.Layer {
	return rootfs.Layer{Name: "account", Suite: on.Suite, On: on,
		Setup: [][]string{{"useradd", "--uid", strconv.Itoa(SlipwayUID), "--create-home", "--shell", "/bin/bash", "--groups", "www-data", SlipwayUser}},
		Files: []machine.File{machine.Text("/etc/ssh/sshd_config.d/20-access.conf", "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n")},
	}
}

var (
	bookworm = AccountLayer(&rootfs.BookwormHost)
	bullseye = AccountLayer(&rootfs.BullseyeHost)
)

// RoleLayer is the layer of a role's hosts of one release.
func RoleLayer(role Role, suite rootfs.Suite) rootfs.Layer {
	l := rootfs.Layer{Name: string(role), Suite: suite, On: &bookworm}
	if suite == rootfs.Bullseye {
		l.On = &bullseye
	}
	switch role {
	case Edge:
		l.Packages = append(shop.Packages(shop.Edge), "keepalived")
	case Cache:
		l.Packages = append(shop.Packages(shop.Caching), "keepalived")
	case Web:
		l.Packages = append(shop.Packages(shop.Webs), "glusterfs-client")
	case Redis:
		l.Packages = shop.Packages(shop.Redis)
	case Database:
		l.Packages = shop.Packages(shop.Database)
	case Files:
		l.Packages = append(shop.Packages(shop.Broker), "glusterfs-server", "attr")
	default:
		panic(fmt.Sprintf("no role %q", role))
	}
	return l
}

// Layers are all layers of the fleet, each once. The slowest come first, so that none of them is built last and alone.
func Layers() []rootfs.Layer {
	return []rootfs.Layer{
		RoleLayer(Web, rootfs.Bookworm), RoleLayer(Web, rootfs.Bullseye), RoleLayer(Files, rootfs.Bookworm), RoleLayer(Database, rootfs.Bookworm),
		RoleLayer(Cache, rootfs.Bookworm), RoleLayer(Edge, rootfs.Bookworm), RoleLayer(Redis, rootfs.Bookworm), RoleLayer(Redis, rootfs.Bullseye),
	}
}
