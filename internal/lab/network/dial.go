package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// Dialer connects from inside a lab's network that another process made.
type Dialer struct {
	space    *os.File
	resolver netip.AddrPort
}

// OpenDialer takes the network namespace of a process of the lab. inode is what the lab's daemon says of it, so that a process number that was used
// again is noticed.
func OpenDialer(pid int, inode uint64, resolver netip.AddrPort) (*Dialer, error) {
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("the lab's network: %w", err)
	}
	have, err := inodeOf(space)
	if err == nil && have != inode {
		err = fmt.Errorf("the lab's network is gone (process %d is another's)", pid)
	}
	if err != nil {
		return nil, errors.Join(err, space.Close())
	}
	return &Dialer{space: space, resolver: resolver}, nil
}

// Namespace is the network's namespace. It stays the Dialer's to close.
func (d Dialer) Namespace() *os.File { return d.space }

// Close gives the namespace up; connections stay.
func (d Dialer) Close() error { return d.space.Close() }

// DialContext is as Network's.
//
// It resolves first first: the standard dialer given a name, or several addresses, races in goroutines of its own, which are not in the namespace.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		if addrs, err = d.lookup(ctx, host); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, a := range addrs {
		conn, err := d.dialLiteral(ctx, network, net.JoinHostPort(a, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (d Dialer) dialLiteral(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := within(d.space, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (d Dialer) lookup(ctx context.Context, host string) ([]string, error) {
	if !d.resolver.IsValid() {
		return nil, fmt.Errorf("look up %s: the lab has no resolver", host)
	}
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.dialLiteral(ctx, network, d.resolver.String())
	}}
	ips, err := r.LookupIP(ctx, "ip4", host)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	return out, nil
}
