package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

func openSSH(ctx context.Context, p Place, o Options) (tree.Target, io.Closer, error) {
	conf, err := o.config()
	if err != nil {
		return nil, nil, err
	}
	if p.User == "" {
		me, err := user.Current()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: no user is named, and who this program runs as is not known: %w", p, err)
		}
		p.User = me.Username
	}
	pool, err := remote.Open(conf, []remote.Host{{Name: p.Host, Address: p.Host, Port: p.Port, User: p.User}})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p, err)
	}
	actor := o.Act(pool)
	run := func(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
		return actor.Run(ctx, p.Host, remote.Cmd{Argv: argv, Stdin: in, Stdout: out})
	}
	b, err := readBinary(ctx, o.AgentDir, run)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", p, err), pool.Close())
	}
	return atAgent(ctx, p, p.Path, o, b.starter(run, sshError), pool)
}

// config is how hosts are logged in to, with what OpenSSH's client takes where nothing is said.
func (o *SSHOptions) config() (remote.Config, error) {
	c := remote.Config{KnownHosts: o.KnownHosts, AgentSocket: o.AgentSocket}
	for _, k := range o.Identity {
		c.Keys = append(c.Keys, remote.Key{Path: k})
	}
	if c.KnownHosts != "" && (len(c.Keys) > 0 || c.AgentSocket != "") {
		return c, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return c, err
	}
	if c.KnownHosts == "" {
		c.KnownHosts = filepath.Join(home, ".ssh", "known_hosts")
	}
	if len(c.Keys) > 0 || c.AgentSocket != "" {
		return c, nil
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		path := filepath.Join(home, ".ssh", name)
		if _, err := os.Stat(path); err == nil {
			c.Keys = append(c.Keys, remote.Key{Path: path})
		}
	}
	return c, nil
}

// sshError says of what ended an agent on a host whether another try may help.
func sshError(err error) error {
	var exit *remote.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return ended(exit.Status, err)
	case errors.Is(err, remote.ErrLost), errors.Is(err, remote.ErrUnreachable), errors.Is(err, remote.ErrTimeout):
		return fmt.Errorf("%w: %w", tree.ErrLost, err)
	}
	return err
}

// ended says why an agent has ended, or the script that was to become one.
func ended(status int, err error) error {
	switch status {
	case statusNoExec:
		return ErrNoExec
	case statusTool, statusRoom, 126, 127: // those of a shell that can't execute, and that doesn't find
		return err
	}
	return fmt.Errorf("%w: %w", tree.ErrLost, err)
}
