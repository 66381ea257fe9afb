package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

type dialer struct {
	space    *os.File
	resolver netip.AddrPort
}

// dial resolves first: the standard dialer given a name, or several addresses, races in goroutines of its own, which are not in the namespace.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
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

func (d dialer) dialLiteral(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := within(d.space, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (d dialer) lookup(ctx context.Context, host string) ([]string, error) {
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
