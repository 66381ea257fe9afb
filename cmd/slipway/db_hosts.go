package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/internal/remote"
)

// reach is how hosts are signed in to by a command that has no slipway.yaml.
type reach struct {
	identity   string // file of a private key; "": the agent's keys
	knownHosts string // file; "": ~/.ssh/known_hosts
}

func (x *reach) flags(f *pflag.FlagSet) {
	f.StringVar(&x.identity, "identity", "", "file with the private key for the hosts; without it the agent at $SSH_AUTH_SOCK is asked")
	f.StringVar(&x.knownHosts, "known-hosts", "", "file with the hosts' keys (default ~/.ssh/known_hosts)")
}

// pool reaches hosts that are given as ssh://user@host:port, by that name. Nothing is dialed.
func (x *reach) pool(hosts []remote.Host) (*remote.Pool, error) {
	c := remote.Config{KnownHosts: x.knownHosts}
	if c.KnownHosts == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("--known-hosts: %w", err)
		}
		c.KnownHosts = filepath.Join(home, ".ssh", "known_hosts")
	}
	if x.identity != "" {
		c.Keys = []remote.Key{{Path: x.identity}}
	}
	if c.AgentSocket = os.Getenv("SSH_AUTH_SOCK"); c.AgentSocket == "" && x.identity == "" {
		return nil, errors.New("no way to sign in to the hosts: name a private key (--identity FILE), or start an agent ($SSH_AUTH_SOCK is empty)")
	}
	return remote.Open(c, hosts)
}

// parseHost reads ssh://user@host[:port]. The host's name in messages is what was typed after ssh://.
func parseHost(flag, text string) (remote.Host, error) {
	wrong := func(why string) (remote.Host, error) {
		return remote.Host{}, fmt.Errorf("--%s %q: %s; give it as ssh://user@host:port", flag, text, why)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return wrong("it can't be read")
	case u.Scheme != "ssh":
		return wrong("it doesn't begin with ssh://")
	case u.User.Username() == "":
		return wrong("the user is missing")
	case u.Hostname() == "":
		return wrong("the host is missing")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return wrong("nothing comes after the host and its port")
	}
	if _, has := u.User.Password(); has {
		return remote.Host{}, fmt.Errorf("--%s: a password doesn't belong in an argument, which others can read; sign in by key", flag)
	}
	port := 0
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return wrong("there is no such port")
		}
	}
	return remote.Host{Name: u.Host, Address: u.Hostname(), Port: port, User: u.User.Username()}, nil
}

// mastersHosts are the hosts of a switch's masters, as flags name them.
type mastersHosts struct {
	reach
	source, standby string
}

func (x *mastersHosts) flags(f *pflag.FlagSet) {
	f.StringVar(&x.source, argSourceHost, "", "the host of --source, as ssh://user@host:port: what is frozen is written into its option files too, and survives a restart")
	f.StringVar(&x.standby, argStandbyHost, "", "the host of --standby, likewise")
	x.reach.flags(f)
}

// arguments are the flags that a resume must know.
func (x *mastersHosts) arguments() []struct {
	flag string
	to   *string
} {
	return []struct {
		flag string
		to   *string
	}{{argSourceHost, &x.source}, {argStandbyHost, &x.standby}, {argIdentity, &x.identity}, {argKnownHosts, &x.knownHosts}}
}

// absolute makes the files' names hold in another directory, where the run may be resumed.
func (x *reach) absolute() (err error) {
	for _, file := range []*string{&x.identity, &x.knownHosts} {
		if *file == "" {
			continue
		}
		if *file, err = filepath.Abs(*file); err != nil {
			return err
		}
	}
	return nil
}

// open makes the pool that reaches them, where any is named.
func (x *mastersHosts) open(s *servers, standby bool) error {
	switch {
	case x.source == "" && x.standby == "" && x.reach == reach{}:
		return nil
	case x.source == "":
		return errors.New("--standby-host, --identity or --known-hosts without --source-host: give it too, or none of them")
	case standby != (x.standby != ""):
		return errors.New("--source-host and --standby name one host too few, or one too many: give --standby-host with --standby, and only then")
	}
	var bad []error
	var hosts []remote.Host
	for _, a := range x.arguments()[:2] {
		if *a.to == "" {
			continue
		}
		h, err := parseHost(a.flag, *a.to)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		hosts = append(hosts, h)
		s.hostNames = append(s.hostNames, h.Name)
	}
	if bad != nil {
		return errors.Join(bad...)
	}
	var err error
	s.hosts, err = x.pool(hosts)
	return err
}
