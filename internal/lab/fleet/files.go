package fleet

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// site is where the shop's parts are.
func site(s Secrets) shop.Site {
	at := func(host string, port uint16) netip.AddrPort { return netip.AddrPortFrom(mustHost(host).Addr, port) }
	out := shop.Site{Name: SiteName, Cache: CacheAddress, Database: at("db1", 3306), RedisCache: at("redis1", 6379), RedisSessions: at("redis1", 6380),
		Queue: at(QueueHost, 5672), Clients: "10.77.%", Secrets: shop.Secrets{Database: s.ShopPassword, Queue: s.QueuePassword, Redis: s.RedisPassword}}
	for _, h := range Hosts() {
		if h.Role == Web {
			out.Webs = append(out.Webs, shop.Server{Name: h.Name, Addr: h.Addr})
		}
	}
	return out
}

// hostFiles are all files that make a host of its role's layer this host. They are written when the fleet is formed.
func hostFiles(h Host, s Secrets) ([]machine.File, error) {
	files, err := commonFiles(h, s)
	if err != nil {
		return nil, err
	}
	web := shop.Web{Suite: shop.Suite(h.Suite)}
	switch h.Role {
	case Edge:
		files = append(files, fromShop(site(s).EdgeFiles())...)
		files = append(files, machine.File{Path: site(s).CertificatePath(), Mode: 0o600, Content: []byte(s.EdgeCert + s.EdgeKey)},
			keepalived(h, EdgeAddress, 10, s, true))
	case Cache:
		files = append(files, fromShop(site(s).CacheFiles())...)
		files = append(files, keepalived(h, CacheAddress, 20, s, false))
	case Web:
		web.Worker = h.number() <= 2
		web.Cron = h.number() == 1
		files = append(files, fromShop(site(s).WebFiles(web))...)
		files = append(files, assetsMount()...)
	case Redis:
		var primary netip.Addr
		if h.Name != "redis1" {
			primary = mustHost("redis1").Addr
		}
		files = append(files, fromShop(site(s).RedisFiles(shop.Suite(h.Suite), primary))...)
	case Database:
		files = append(files, databaseFiles(h)...)
	case Files:
		files = append(files, filesFiles(h, s)...)
	}
	files = append(files, units(h)...)
	return append(files, driftFiles(h)...), nil
}

// commonFiles are those that every host has.
func commonFiles(h Host, s Secrets) ([]machine.File, error) {
	hosts := "127.0.0.1 localhost\n"
	for _, other := range append(Hosts(), others...) {
		hosts += fmt.Sprintf("%s %s\n", other.Addr, other.Name)
	}
	private, err := s.hostKey(h.Name)
	if err != nil {
		return nil, err
	}
	public, err := PublicKey(private)
	if err != nil {
		return nil, err
	}
	rootKey, err := PublicKey(s.RootKey)
	if err != nil {
		return nil, err
	}
	slipwayKey, err := PublicKey(s.SlipwayKey)
	if err != nil {
		return nil, err
	}
	// The same at every forming, and unlike any other host's.
	id := sha256.Sum256([]byte("machine-id of " + h.Name))
	return []machine.File{
		machine.Text("/etc/hostname", h.Name+"\n"),
		machine.Text("/etc/hosts", hosts),
		{Path: "/etc/machine-id", Mode: 0o444, Content: fmt.Appendf(nil, "%x\n", id[:16])},
		{Path: "/etc/ssh/ssh_host_ed25519_key", Mode: 0o600, Content: []byte(private)},
		machine.Text("/etc/ssh/ssh_host_ed25519_key.pub", public),
		{Path: "/root/.ssh", Dir: true, Mode: 0o700},
		{Path: "/root/.ssh/authorized_keys", Mode: 0o600, Content: []byte(rootKey)},
		{Path: "/home/slipway/.ssh", Dir: true, Mode: 0o700, Owner: SlipwayUser},
		{Path: "/home/slipway/.ssh/authorized_keys", Mode: 0o600, Owner: SlipwayUser, Content: []byte(slipwayKey)},
	}, nil
}

func fromShop(files []shop.File) []machine.File {
	var out []machine.File
	for _, f := range files {
		out = append(out, machine.File{Path: f.Path, Mode: f.Mode, Owner: f.Owner, Content: f.Body, Link: f.Link})
	}
	return out
}

// keepalived gives a pair of hosts one address. The edge pair speaks unicast, the cache pair multicast, as found at the company.
func keepalived(h Host, address netip.Addr, id int, s Secrets, unicast bool) machine.File {
	priority := 150
	if h.number() == 2 {
		priority = 100
	}
	peers := ""
	if unicast {
		peers = fmt.Sprintf("    unicast_src_ip %s\n    unicast_peer {\n", h.Addr)
		for _, other := range Hosts() {
			if other.Role == h.Role && other.Name != h.Name {
				peers += fmt.Sprintf("        %s\n", other.Addr)
			}
		}
		peers += "    }\n"
	}
	content := fmt.Sprintf(`global_defs {
    router_id %s
    vrrp_garp_master_refresh 5
}
vrrp_instance %s {
    state BACKUP
    interface eth0
    virtual_router_id %d
    priority %d
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass %s
    }
%s    virtual_ipaddress {
        %s/16 dev eth0
    }
}
`, h.Name, strings.ToUpper(string(h.Role)), id, priority, s.KeepalivedPassword, peers, address)
	return machine.File{Path: "/etc/keepalived/keepalived.conf", Mode: 0o640, Content: []byte(content)}
}

// Volume is the Gluster volume with the shop's static files.
const Volume = "assets"

// AssetsPath is where the web hosts have it mounted.
const AssetsPath = "/srv/assets"

// assetsMount is a unit of its own and not a line of fstab: it tries again when the servers come up later than the web host.
func assetsMount() []machine.File {
	unit := `[Unit]
Description=Static assets from Gluster
After=network.target
Before=apache2.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/mount.glusterfs files1:/` + Volume + ` ` + AssetsPath + ` -o backup-volfile-servers=files2:files3
ExecStop=/bin/umount -l ` + AssetsPath + `
Restart=on-failure
RestartSec=300ms

[Install]
WantedBy=multi-user.target
`
	return []machine.File{
		{Path: AssetsPath, Dir: true},
		machine.Text("/etc/systemd/system/"+mountUnit, unit), // enabled when there is a volume to mount
	}
}

const mountUnit = "srv-assets-mount.service"

func enabled(unit, target string) machine.File {
	return machine.Symlink("/etc/systemd/system/multi-user.target.wants/"+unit, target)
}

// databaseFiles configure MariaDB. db1 is written, db2 stands by, both replicate from each other; db3 follows db1.
func databaseFiles(h Host) []machine.File {
	n := h.number()
	readOnly := "OFF"
	if n != 1 {
		readOnly = "ON"
	}
	connections := 200
	if n == 3 {
		connections = 151 // drift: see driftFiles
	}
	offset := 1
	if n == 2 {
		offset = 2
	}
	return []machine.File{machine.Text("/etc/mysql/mariadb.conf.d/60-shop.cnf", fmt.Sprintf(`[mariadb]
server_id                = 5%d
gtid_domain_id           = %d
bind_address             = 0.0.0.0
skip_name_resolve        = ON
log_bin                  = binlog
log_slave_updates        = ON
binlog_format            = ROW
binlog_row_image         = FULL
binlog_expire_logs_seconds = 864000
sync_binlog              = 1
innodb_flush_log_at_trx_commit = 1
relay_log                = relay
auto_increment_increment = 2
auto_increment_offset    = %d
read_only                = %s
max_connections          = %d
innodb_buffer_pool_size  = 96M
innodb_log_file_size     = 32M
performance_schema       = OFF
`, n, n, offset, readOnly, connections))}
}

// filesFiles configure GlusterFS, and RabbitMQ on the first host. Slipway's account may look at Gluster through sudo, and at nothing else.
func filesFiles(h Host, s Secrets) []machine.File {
	sudo := `# What Slipway reads as root: the state of the volumes, nothing that changes it.
Cmnd_Alias GLUSTER_STATE = /usr/sbin/gluster volume info *, /usr/sbin/gluster volume status *, /usr/sbin/gluster volume heal * info*, /usr/sbin/gluster peer status, /usr/sbin/gluster pool list
slipway ALL=(root) NOPASSWD: GLUSTER_STATE
`
	files := []machine.File{
		{Path: "/etc/sudoers.d/slipway", Mode: 0o440, Content: []byte(sudo)},
		// Debian's package leaves it disabled.
		enabled("glusterd.service", "/lib/systemd/system/glusterd.service"),
	}
	if h.Name == QueueHost {
		return append(files, fromShop(site(s).QueueFiles())...)
	}
	return append(files, machine.Symlink("/etc/systemd/system/rabbitmq-server.service", "/dev/null"))
}

// units enables what the role runs and masks what its packages would start besides.
func units(h Host) []machine.File {
	var role shop.Role
	var not []string
	switch h.Role {
	case Edge:
		role = shop.Edge
	case Cache:
		role, not = shop.Caching, []string{"varnishncsa.service"}
	case Web:
		role = shop.Webs
		if h.number() > 2 {
			not = append(not, "supervisor.service")
		}
		if h.number() != 1 {
			not = append(not, "cron.service")
		}
	case Redis:
		role, not = shop.Redis, []string{"redis-server.service", "redis.service"}
	case Database:
		role = shop.Database
	case Files:
		if h.Name != QueueHost {
			return nil
		}
		role = shop.Broker
	}
	var files []machine.File
	for _, unit := range not {
		files = append(files, machine.Symlink("/etc/systemd/system/"+unit, "/dev/null"))
	}
next:
	for _, unit := range shop.Units(role, shop.Suite(h.Suite)) {
		for _, masked := range not {
			if unit == masked {
				continue next
			}
		}
		file := unit
		if name, rest, ok := strings.Cut(unit, "@"); ok {
			_, suffix, _ := strings.Cut(rest, ".")
			file = name + "@." + suffix
		}
		files = append(files, enabled(unit, "/lib/systemd/system/"+file))
	}
	return files
}

// driftFiles make some hosts differ from the others of their role, as years of hands do, so that whoever looks for drift finds some: web4 has the wrong time zone, lb2 never
// got the last sysctl, db3 (databaseFiles) another max_connections, web5 and redis1 an older Debian.
func driftFiles(h Host) []machine.File {
	switch {
	case h.Name == "web4":
		return []machine.File{machine.Symlink("/etc/localtime", "/usr/share/zoneinfo/Europe/Paris"), machine.Text("/etc/timezone", "Europe/Paris\n")}
	case h.Role == Edge && h.Name != "lb2":
		return []machine.File{machine.Text("/etc/sysctl.d/50-edge.conf", "net.ipv4.tcp_max_syn_backlog = 4096\nnet.core.somaxconn = 8192\n")}
	}
	return nil
}
