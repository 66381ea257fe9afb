// Package dbhost keeps MariaDB servers read-only across restarts: by one file of options on each one's host, over SSH.
//
// read_only is in force at run time by internal/dbcopy/freeze. The file is for what comes after: a host that is restarted while the
// target is written to must not come up writable.
package dbhost

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/remote"
)

// FileName is read after the folder's others, which are read in the order of their names.
const FileName = "zz-slipway-freeze.cnf"

// Options are what a host's MariaDB comes up with, as far as read_only goes.
type Options struct {
	Host      string   `json:"host"`      // as it is reached
	Name      string   `json:"name"`      // its own
	Root      bool     `json:"root"`      // files can be written there
	Dir       string   `json:"dir"`       // of the option files that are read last; "": there is none
	Arguments []string `json:"arguments"` // of a running server that make the files not count, or not alone
	ReadOnly  bool     `json:"read_only"` // by the option files
	File      string   `json:"file"`      // what Slipway's own file there holds; "": there is none
}

// Path is Slipway's own file.
func (o Options) Path() string { return path.Join(o.Dir, FileName) }

// problem says why a file there would not keep the server read-only; nil when it would. server is the name that the server gives of
// its host, run whose file may be there.
func (o Options) problem(server, run string) error {
	switch {
	case o.Name != server:
		return fmt.Errorf("%s: it calls itself %q, and the server that is frozen says that it runs on %q: name that server's own host", o.Host, o.Name, server)
	case o.Dir == "":
		return fmt.Errorf("%s: neither /etc/mysql/mariadb.conf.d nor /etc/my.cnf.d is there: Slipway knows no folder of option files that is read last", o.Host)
	case len(o.Arguments) > 0:
		return fmt.Errorf("%s: the server was started with %s, which counts for more than a file, or instead of it: have it started without", o.Host, strings.Join(o.Arguments, " "))
	case !o.Root:
		return fmt.Errorf("%s: the account is not root there and may not run sh as root without a password: sign in as root, or allow it sudo for this time", o.Host)
	case o.File != "" && o.File != text(run):
		return fmt.Errorf("%s: %s is there and is not this run's: its first line says whose it is; end that run (slipway rollback), or remove the file", o.Host, o.Path())
	}
	return nil
}

// Looker looks at hosts.
type Looker struct {
	look  remote.Looker
	hosts []string // as the pool names them, in the order of the masters
}

// Look makes a looker of hosts that a pool reaches: those of the masters, in their order.
func Look(l remote.Looker, hosts []string) *Looker { return &Looker{l, hosts} }

// Hosts are what messages call them.
func (l *Looker) Hosts() []string { return slices.Clone(l.hosts) }

// Options reads what each comes up with.
func (l *Looker) Options(ctx context.Context) ([]Options, error) {
	return remote.Each(ctx, l.hosts, len(l.hosts), func(ctx context.Context, host string) (Options, error) {
		out, err := l.look.Look(ctx, host, remote.MariaDBOptions())
		if err != nil {
			return Options{}, err
		}
		return parse(host, out.Stdout)
	})
}

// Ready tells all that would keep the files from being written, or from counting. servers are the names that the masters give of
// their hosts, in the same order.
func (l *Looker) Ready(ctx context.Context, servers []string, run string) ([]Options, error) {
	all, err := l.Options(ctx)
	if err != nil {
		return nil, err
	}
	var bad *multierror.Error
	for i, o := range all {
		if err := o.problem(servers[i], run); err != nil {
			bad = multierror.Append(bad, err)
		}
	}
	return all, errlist.OrNil(bad)
}

// Held says which hosts' servers would come up writable, or by a file that isn't this run's.
func (l *Looker) Held(ctx context.Context, run string) (open []string, err error) {
	all, err := l.Options(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if !o.ReadOnly || o.File != text(run) {
			open = append(open, o.Host)
		}
	}
	return open, nil
}

// parse reads the answer of mariadb.sh.
func parse(host string, answer []byte) (Options, error) {
	o := Options{Host: host, Arguments: []string{}}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(answer)); s.Scan(); {
		word, rest, _ := strings.Cut(s.Text(), " ")
		switch word {
		case "name":
			o.Name = rest
		case "root":
			o.Root = rest == "yes"
		case "dir":
			o.Dir = rest
		case "argument":
			o.Arguments = append(o.Arguments, rest)
		case "option":
			o.ReadOnly = on(rest)
		case "line":
			lines = append(lines, rest)
		default:
			return o, fmt.Errorf("%s: %q is no line of an answer about option files", host, s.Text())
		}
	}
	if len(lines) > 0 {
		o.File = strings.Join(lines, "\n") + "\n"
	}
	return o, nil
}

// on reads an option as the server does: --read_only, --read-only=1, --skip-read-only (https://mariadb.com/kb/en/configuring-mariadb-with-option-files/).
func on(arg string) bool {
	name, value, valued := strings.Cut(strings.TrimPrefix(strings.ReplaceAll(arg, "_", "-"), "--"), "=")
	name = strings.TrimPrefix(name, "loose-")
	if strings.HasPrefix(name, "skip-") {
		return false
	}
	return !valued || slices.Contains([]string{"1", "on", "true", "yes"}, strings.ToLower(value))
}

// text is the file of a run.
func text(run string) string {
	return "# Written by slipway, run " + run + ". While that run is open this server must come up read-only: another one is written to.\n" +
		"# slipway rollback " + run + " takes the file away. After the run was finalized it may be removed by hand.\n" +
		"[mariadbd]\nread_only = ON\n"
}

// Actor also writes and removes the files.
type Actor struct {
	*Looker
	act remote.Actor
}

// Act makes an actor of a looker's hosts.
func Act(l *Looker, a remote.Actor) *Actor { return &Actor{l, a} }

//go:embed write.sh
var writeScript string

//go:embed remove.sh
var removeScript string

// asRoot runs the script that comes on standard input.
const asRoot = `if [ "$(id -u)" = 0 ]; then exec sh -s -- "$@"; else exec sudo -n sh -s -- "$@"; fi`

// exitForeign is what the scripts exit with when the file there isn't the one they were given.
const exitForeign = 3

// Hold writes the file of a run to each host, whole or not at all, on disk when it returns, and asks whether it counts. A file of the
// same run is left as it is.
func (a *Actor) Hold(ctx context.Context, run string) error {
	if err := a.each(ctx, writeScript, run); err != nil {
		return err
	}
	open, err := a.Held(ctx, run)
	if err == nil && len(open) > 0 {
		err = fmt.Errorf("the servers on %s would come up writable in spite of Slipway's file: an option file that is read later sets read_only otherwise; type my_print_defaults --mysqld there", strings.Join(open, ", "))
	}
	return err
}

// Release removes the file of a run from each host. One that is gone is no error; one that isn't this run's is, and stays.
func (a *Actor) Release(ctx context.Context, run string) error {
	return a.each(ctx, removeScript, run)
}

func (a *Actor) each(ctx context.Context, script, run string) error {
	all, err := a.Options(ctx)
	if err != nil {
		return err
	}
	_, err = remote.Each(ctx, a.hosts, len(a.hosts), func(ctx context.Context, host string) (struct{}, error) {
		o := all[slices.Index(a.hosts, host)]
		if o.Dir == "" {
			return struct{}{}, o.problem(o.Name, run)
		}
		err := a.act.Run(ctx, host, remote.Cmd{Argv: []string{"sh", "-c", asRoot, "sh", o.Dir, FileName, text(run)}, Stdin: strings.NewReader(script), Timeout: 20 * time.Second})
		var exit *remote.ExitError
		if errors.As(err, &exit) && exit.Status == exitForeign {
			err = fmt.Errorf("%s: %s is not what run %s wrote; it was left: see what it says, and remove it by hand if this server may come up writable", host, o.Path(), run)
		}
		return struct{}{}, err
	})
	return err
}
