package names

import (
	"fmt"
	"net/netip"
	"strings"
)

// Addresses in the lab.
var (
	Primary   = netip.MustParseAddr("10.77.0.71")
	Secondary = netip.MustParseAddr("10.77.0.72")
	Resolver  = netip.MustParseAddr("10.77.0.73")
	// Cloud is where google.lab and ovh.lab lead to.
	Cloud = netip.MustParseAddr("10.77.0.2")
)

// Zones that are served from the start, without the dot at the end.
const (
	Production = "shop.example"
	Rehearsal  = "rehearsal.example"
)

// HostNames are the servers' names as NS records have them, primary first.
var HostNames = []string{"ns1.shop.example.", "ns2.shop.example."}

// GoogleNames are the names under which the same two servers serve zones of
// Cloud DNS; odd ones are the primary.
var GoogleNames = []string{
	"ns-cloud-a1.googledomains.com.", "ns-cloud-a2.googledomains.com.", "ns-cloud-a3.googledomains.com.", "ns-cloud-a4.googledomains.com.",
}

// productionZone is the content of shop.example when the lab comes up. The web
// names lead to the edge's address; the TTL of what a flip changes is 300 s, of
// the rest an hour.
const productionZone = `$ORIGIN shop.example.
$TTL 3600
@           IN SOA   ns1.shop.example. hostmaster.shop.example. 2026110101 3600 600 1209600 300
@           IN NS    ns1
@           IN NS    ns2
@           300 IN A 10.77.0.10
@           IN MX    10 mail
@           IN TXT   "v=spf1 mx ip4:10.77.0.0/24 -all"
@           IN CAA   0 issue "letsencrypt.org"
ns1         IN A     10.77.0.71
ns2         IN A     10.77.0.72
www         300 IN A 10.77.0.10
api         300 IN A 10.77.0.10
static      300 IN CNAME www
m           300 IN CNAME www
mail        IN A     10.77.0.61
smtp        IN CNAME mail
_dmarc      IN TXT   "v=DMARC1; p=quarantine; rua=mailto:postmaster@shop.example"
k1._domainkey IN TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
status      IN CNAME status.hosting.example.net.
`

// rehearsalZone is the content of rehearsal.example when the lab comes up: none
// of production's names, and the record by which a zone says of itself that it
// is there to be rehearsed on.
const rehearsalZone = `$ORIGIN rehearsal.example.
$TTL 3600
@           IN SOA   ns1.shop.example. hostmaster.shop.example. 2026110101 3600 600 1209600 60
@           IN NS    ns1.shop.example.
@           IN NS    ns2.shop.example.
@           IN TXT   "v=spf1 -all"
_slipway    300 IN TXT "rehearsal"
`

// key is a TSIG or control key in BIND's configuration.
func key(name, secret string) string {
	return fmt.Sprintf("key \"%s\" { algorithm hmac-sha256; secret \"%s\"; };\n", name, secret)
}

const keyName = "lab"

// options are common to both servers. notify-delay 0: a change is told at once
// (the default is 5 s).
const options = `options {
	directory "/var/cache/bind"; pid-file "/run/named/named.pid"; session-keyfile none;
	listen-on { any; }; listen-on-v6 { none; };
	recursion no; allow-query { any; }; dnssec-validation no;
	allow-new-zones yes; notify explicit; notify-delay 0; notify-rate 1000; startup-notify-rate 1000;
	serial-query-rate 1000; transfers-in 100; transfers-per-ns 100;
};
controls { inet 127.0.0.1 port 953 allow { 127.0.0.1; } keys { "control"; }; };
logging { channel console { stderr; severity info; print-time yes; }; category default { console; }; };
`

// primaryZone and secondaryZone are what rndc addzone takes as well.
func primaryZone(zone string) string {
	return fmt.Sprintf(`{ type primary; file "%s.zone"; update-policy { grant %s zonesub ANY; }; allow-transfer { key "%s"; }; also-notify { %s key "%s"; }; };`,
		zone, keyName, keyName, Secondary, keyName)
}

func secondaryZone(zone string) string {
	return fmt.Sprintf(`{ type secondary; primaries { %s key "%s"; }; file "%s.zone"; allow-notify { key "%s"; }; allow-transfer { key "%s"; }; };`,
		Primary, keyName, zone, keyName, keyName)
}

func namedConf(secret, control string, zoneOf func(string) string, zones ...string) string {
	var b strings.Builder
	b.WriteString(key(keyName, secret))
	b.WriteString(key("control", control))
	b.WriteString(options)
	for _, zone := range zones {
		fmt.Fprintf(&b, "zone \"%s\" %s\n", zone, zoneOf(zone))
	}
	return b.String()
}

func rndcConf(control string) string {
	return key("control", control) + "options { default-key \"control\"; default-server 127.0.0.1; };\n"
}

// unboundConf: everything is NXDOMAIN but the lab's names and the zones that are
// asked at the two servers.
func unboundConf() string {
	var b strings.Builder
	b.WriteString(`server:
	interface: 0.0.0.0
	access-control: 10.0.0.0/8 allow
	chroot: ""
	username: "unbound"
	directory: "/etc/unbound"
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	do-ip6: no
	module-config: "iterator"
	num-threads: 1
	cache-min-ttl: 0
	infra-host-ttl: 5
	infra-keep-probing: yes
	local-zone: "." static
`)
	for _, name := range []string{"google.lab.", "ovh.lab."} {
		fmt.Fprintf(&b, "\tlocal-zone: \"%s\" redirect\n\tlocal-data: \"%s 60 IN A %s\"\n", name, name, Cloud)
	}
	for i, name := range GoogleNames {
		server := Primary
		if i%2 == 1 {
			server = Secondary
		}
		fmt.Fprintf(&b, "\tlocal-data: \"%s 300 IN A %s\"\n", name, server)
	}
	for _, zone := range []string{Production, Rehearsal} {
		fmt.Fprintf(&b, "\tlocal-zone: \"%s.\" transparent\n", zone)
	}
	b.WriteString("remote-control:\n\tcontrol-enable: no\n")
	for _, zone := range []string{Production, Rehearsal} {
		fmt.Fprintf(&b, "stub-zone:\n\tname: \"%s.\"\n\tstub-addr: %s\n\tstub-addr: %s\n", zone, Primary, Secondary)
	}
	return b.String()
}
