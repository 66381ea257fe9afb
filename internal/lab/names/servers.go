package names

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// Layer is what the three machines are made of.
var Layer = rootfs.Layer{Name: "names", Suite: rootfs.Bookworm, On: &rootfs.Base, Packages: []string{"bind9", "bind9-dnsutils", "unbound"}}

// Env is what of the lab the servers need.
type Env struct {
	Launcher *machine.Launcher
	Network  *network.Network
	Lower    []string // the directories of Layer
}

// Servers are the three name servers.
type Servers struct {
	network                      *network.Network
	primary, secondary, resolver *machine.Machine
	secret                       string // of the TSIG key, base64

	change sync.Mutex // one change of zones or of a zone's content at a time
}

// Start starts the servers and returns when each answers.
func Start(ctx context.Context, e Env) (_ *Servers, err error) {
	secret, err := newSecret()
	if err != nil {
		return nil, err
	}
	control, err := newSecret()
	if err != nil {
		return nil, err
	}
	s := &Servers{network: e.Network, secret: secret}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	zones := []string{Production, Rehearsal}
	bind := func(zoneOf func(string) string) []machine.File {
		return []machine.File{
			{Path: "/etc/bind/named.conf", Content: []byte(namedConf(secret, control, zoneOf, zones...)), Mode: 0o640, Owner: "root:bind"},
			{Path: "/etc/bind/rndc.conf", Content: []byte(rndcConf(control)), Mode: 0o640, Owner: "root:bind"},
			{Path: "/run/named", Dir: true, Mode: 0o775, Owner: "root:bind"},
		}
	}
	named := []string{"/usr/bin/tini", "--", "/usr/sbin/named", "-f", "-u", "bind", "-c", "/etc/bind/named.conf"}
	primaryFiles := append(bind(primaryZone),
		machine.File{Path: "/var/cache/bind/" + Production + ".zone", Content: []byte(productionZone), Owner: "bind:bind"},
		machine.File{Path: "/var/cache/bind/" + Rehearsal + ".zone", Content: []byte(rehearsalZone), Owner: "bind:bind"})
	for _, one := range []struct {
		into  **machine.Machine
		name  string
		at    netip.Addr
		argv  []string
		files []machine.File
	}{
		{&s.primary, "ns1", Primary, named, primaryFiles},
		{&s.secondary, "ns2", Secondary, named, bind(secondaryZone)},
		{&s.resolver, "resolver", Resolver, []string{"/usr/bin/tini", "--", "/usr/sbin/unbound", "-d", "-c", "/etc/unbound/lab.conf"},
			[]machine.File{machine.Text("/etc/unbound/lab.conf", unboundConf())}},
	} {
		// A server of an earlier lab may have left its zones: they begin anew.
		if err := os.RemoveAll(e.Launcher.Dir(one.name)); err != nil {
			return nil, fmt.Errorf("start the name servers: %w", err)
		}
		m, err := e.Launcher.Start(ctx, machine.Spec{
			Name: one.name, Lower: e.Lower, Argv: one.argv, Files: one.files, Net: e.Network.Port(one.name, one.at),
		})
		if err != nil {
			return nil, fmt.Errorf("start the name servers: %w", err)
		}
		*one.into = m
	}
	return s, s.ready(ctx, zones)
}

func newSecret() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("random bytes: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

// startTimeout bounds how long the servers may take until they answer.
const startTimeout = 30 * time.Second

// ready waits until both servers answer each zone's SOA and the resolver a name.
func (s *Servers) ready(ctx context.Context, zones []string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, zone := range zones {
		for _, server := range []netip.Addr{Primary, Secondary} {
			err := s.poll(ctx, func() error {
				_, err := s.soa(ctx, server, zone)
				return err
			})
			if err != nil {
				return fmt.Errorf("name server %s does not answer zone %s: %w", server, zone, err)
			}
		}
	}
	err := s.poll(ctx, func() error {
		_, err := s.query(ctx, Resolver, "www."+Production, dns.TypeA, true)
		return err
	})
	if err != nil {
		return fmt.Errorf("resolver %s does not answer: %w", Resolver, err)
	}
	return nil
}

// poll asks every 20 ms until there is no error; a machine that has ended ends
// the wait with its console's last lines.
func (s *Servers) poll(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		for _, m := range []*machine.Machine{s.primary, s.secondary, s.resolver} {
			if !m.Running() {
				return fmt.Errorf("%w; %s has ended: %s", err, m.Name(), tail(m.Console()))
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tail(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "; ")
}

// Close ends the servers and removes what they wrote.
func (s *Servers) Close(ctx context.Context) error {
	var all error
	for _, m := range []*machine.Machine{s.primary, s.secondary, s.resolver} {
		if m != nil {
			all = errors.Join(all, m.Remove(ctx))
		}
	}
	return all
}

// Key is the TSIG key (hmac-sha256) that may transfer and update every zone: its
// name and its secret in base64. It is the lab's, not the product's.
func (s *Servers) Key() (name, secret string) { return keyName, s.secret }

// Machine is one of the servers' machines, for status.
type Machine struct {
	Name    string
	Address netip.Addr
	State   string // running or down
	Pid     int
}

// Machines lists the servers' machines.
func (s *Servers) Machines() []Machine {
	var out []Machine
	for _, one := range []struct {
		m  *machine.Machine
		at netip.Addr
	}{{s.primary, Primary}, {s.secondary, Secondary}, {s.resolver, Resolver}} {
		state := "down"
		if one.m.Running() {
			state = "running"
		}
		out = append(out, Machine{Name: one.m.Name(), Address: one.at, State: state, Pid: one.m.Pid()})
	}
	return out
}
