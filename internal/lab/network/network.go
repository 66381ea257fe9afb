// Package network is the lab's own network: a namespace with a bridge, seen from nowhere else on this computer and gone with the process that
// made it; ports of the bridge for machines; and the ways for Go code to dial and listen inside.
//
// The bridge carries 10.77.0.0/16, this computer's end of it is 10.77.0.1. Nothing is routed in or out. It knows no hosts, and imports machine
// alone of the lab.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// Gateway is the address that everything outside the machines (the daemon's listeners, the product under test) has in the lab.
var Gateway = netip.MustParsePrefix("10.77.0.1/16")

// bridge is the name of the device, inside the namespace.
const bridge = "br0"

// hardware is the bridge's address. Without one of its own a bridge takes the lowest of its ports': when that port goes, everybody's packets to
// the daemon's end are lost until their neighbour entries expire.
const hardware = "02:00:0a:4d:00:01"

// Network is one lab's network. It is safe for concurrent use.
type Network struct {
	space    *os.File
	tools    *machine.Machine // in whose namespaces ip, tc and nft run
	resolver netip.AddrPort
}

// New makes the network. lower are layers with iproute2, nftables and tini: a machine made of them holds the namespace and runs the tools.
// resolver is where names given to DialContext are asked, inside the network.
func New(ctx context.Context, launcher *machine.Launcher, lower []string, resolver netip.AddrPort) (*Network, error) {
	m, err := launcher.Start(ctx, machine.Spec{Name: "network", Lower: lower, Argv: machine.Idle(), Sysctls: []machine.Sysctl{
		{Key: "net/ipv4/ip_forward", Value: "1"}, // to the ranges behind machines (AddRoute)
		{Key: "net/ipv4/conf/all/send_redirects", Value: "0"}, {Key: "net/ipv4/conf/default/send_redirects", Value: "0"},
	}})
	if err != nil {
		return nil, err
	}
	n := &Network{tools: m, resolver: resolver}
	if n.space, err = m.NetNS(); err != nil {
		return nil, errors.Join(err, m.Remove(ctx))
	}
	// Multicast snooping would hide keepalived's announcements from each other.
	err = n.IP(ctx, nil, "link set lo up", "link add "+bridge+" address "+hardware+" type bridge forward_delay 0 mcast_snooping 0",
		"addr add "+Gateway.String()+" dev "+bridge, "link set "+bridge+" up")
	if err != nil {
		return nil, errors.Join(err, n.Close(context.WithoutCancel(ctx)))
	}
	return n, nil
}

// Close gives the network up. It goes when the last machine on it has ended.
func (n *Network) Close(ctx context.Context) error {
	return errors.Join(n.space.Close(), n.tools.Remove(ctx))
}

// Namespace is the network's namespace. It stays the Network's to close.
func (n *Network) Namespace() *os.File { return n.space }

// Pid is a process that lives as long as the network and is in its namespace, whose number in /proc Inode tells.
func (n *Network) Pid() int { return n.tools.Pid() }

// Inode identifies the namespace.
func (n *Network) Inode() (uint64, error) { return inodeOf(n.space) }

// IP runs ip(8) commands, one a line, in the lab's namespace, or in the one given. files are reachable as /proc/self/fd/3 and up.
func (n *Network) IP(ctx context.Context, in *os.File, lines ...string) error {
	return n.ip(ctx, in, nil, lines...)
}

func (n *Network) ip(ctx context.Context, in *os.File, files []*os.File, lines ...string) error {
	c := machine.Cmd{Argv: []string{"ip", "-batch", "-"}, Stdin: strings.NewReader(strings.Join(lines, "\n") + "\n"), Net: in, Files: files}
	if err := n.tools.Run(ctx, c); err != nil {
		return fmt.Errorf("%w (commands: %s)", err, strings.Join(lines, "; "))
	}
	return nil
}

// Run runs a tool (ip, tc, nft, bridge) in the lab's namespace, or in the one given, with stdin, and returns what it printed.
func (n *Network) Run(ctx context.Context, in *os.File, stdin string, argv ...string) (string, error) {
	var out strings.Builder
	err := n.tools.Run(ctx, machine.Cmd{Argv: argv, Stdin: strings.NewReader(stdin), Stdout: &out, Net: in})
	return out.String(), err
}

// AddAddress gives the daemon's end of the bridge a further address, for a listener.
func (n *Network) AddAddress(ctx context.Context, addr netip.Addr) error {
	return n.IP(ctx, nil, fmt.Sprintf("addr replace %s dev %s", netip.PrefixFrom(addr, Gateway.Bits()), bridge))
}

// AddRoute leads a range to a machine's address: a pod range to its node.
func (n *Network) AddRoute(ctx context.Context, to netip.Prefix, via netip.Addr) error {
	return n.IP(ctx, nil, fmt.Sprintf("route replace %s via %s", to, via))
}

// Port is a machine's connection to the bridge: a machine.Wire.
type Port struct {
	Network *Network
	// Name is the machine's name; DeviceName(Name) is its end on the bridge's side. Inside it is eth0.
	Name string
	// Addrs are the machine's addresses; the first is the one others know it by. Its device's address follows from it, so that a machine
	// that comes back is known at once.
	Addrs []netip.Addr
}

// Port describes a machine's connection.
func (n *Network) Port(name string, addrs ...netip.Addr) Port {
	return Port{Network: n, Name: name, Addrs: addrs}
}

// DeviceName is the machine's end on the bridge's side, within the kernel's 15 characters.
func DeviceName(name string) string {
	if len(name) <= 13 {
		return "v-" + name
	}
	var sum uint32 = 2166136261 // FNV-1a, so that long names with a common beginning stay apart
	for _, b := range []byte(name) {
		sum = (sum ^ uint32(b)) * 16777619
	}
	return fmt.Sprintf("v-%.4s%08x", name, sum)
}

// Connect implements machine.Wire.
func (p Port) Connect(ctx context.Context, netns *os.File) error {
	if len(p.Addrs) == 0 {
		return fmt.Errorf("connect %s: no address", p.Name)
	}
	device := DeviceName(p.Name)
	mac := p.Addrs[0].As4()
	if err := p.Network.Unplug(ctx, p.Name); err != nil {
		return err
	}
	err := p.Network.ip(ctx, nil, []*os.File{netns},
		fmt.Sprintf("link add %s type veth peer name eth0 address 02:00:%02x:%02x:%02x:%02x netns /proc/self/fd/3", device, mac[0], mac[1], mac[2], mac[3]),
		fmt.Sprintf("link set %s master %s up", device, bridge))
	if err != nil {
		return fmt.Errorf("connect %s: %w", p.Name, err)
	}
	lines := []string{"link set lo up"}
	for _, a := range p.Addrs {
		lines = append(lines, fmt.Sprintf("addr add %s dev eth0", netip.PrefixFrom(a, Gateway.Bits())))
	}
	lines = append(lines, "link set eth0 up", "route add default via "+Gateway.Addr().String())
	if err := p.Network.IP(ctx, netns, lines...); err != nil {
		return fmt.Errorf("connect %s: %w", p.Name, err)
	}
	return nil
}

// Unplug takes away a machine's connection if it has one. The kernel keeps the network of a machine that was just killed for a
// moment, in which its address answers that nothing listens.
func (n *Network) Unplug(ctx context.Context, name string) error {
	device := DeviceName(name)
	if !n.has(ctx, device) {
		return nil
	}
	// It may go by itself while it is deleted.
	if err := n.IP(ctx, nil, "link del "+device); err != nil && n.has(ctx, device) {
		return fmt.Errorf("unplug %s: %w", name, err)
	}
	return nil
}

// has says whether there is a device of that name.
func (n *Network) has(ctx context.Context, device string) bool {
	_, err := n.Run(ctx, nil, "", "ip", "link", "show", device)
	return err == nil
}

// Do runs f on a thread that is in the lab's network. Sockets made in f stay in it; goroutines started in f are not.
func (n *Network) Do(f func() error) error { return within(n.space, f) }

// DialContext connects from inside the lab. A name is asked at the lab's resolver.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return Dialer{space: n.space, resolver: n.resolver}.DialContext(ctx, network, address)
}

// Listen listens inside the lab. address has a literal IP address.
func (n *Network) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return l, err
}

// ListenPacket is Listen for datagrams.
func (n *Network) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	var c net.PacketConn
	err := n.Do(func() (err error) {
		c, err = new(net.ListenConfig).ListenPacket(ctx, network, address)
		return err
	})
	return c, err
}
