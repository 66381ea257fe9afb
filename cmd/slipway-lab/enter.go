package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/term"

	"github.com/slipway-dev/slipway/internal/lab/daemon"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

func runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run -- CMD [ARG…]",
		Short: "run a program in the lab's network, with the lab's resolver",
		Long: `run replaces itself by a program that is in the lab's network and asks the lab's resolver. It sees this machine's files and nothing of its network:
no Internet, no loopback services. The product is rehearsed and the lab tests are run under it.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("run what? slipway-lab run -- CMD [ARG…]")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := here()
			if err != nil {
				return err
			}
			dialer, err := dialer(cmd.Context())
			if err != nil {
				return err
			}
			return enterAndExec(dialer.Namespace(), daemon.Resolver.Addr().String(), args, append(os.Environ(), p.Environ()...))
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

// dialer reaches into the lab's network.
func dialer(ctx context.Context) (*network.Dialer, error) {
	lab, err := ask(ctx, verb.Status, verb.Nothing{})
	if err != nil {
		return nil, err
	}
	if lab.NetworkPid == 0 {
		return nil, fmt.Errorf("lab %s is still starting: slipway-lab up waits for it", lab.Name)
	}
	return network.OpenDialer(lab.NetworkPid, lab.NetworkInode, daemon.Resolver)
}

func sshCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ssh HOST [CMD…]",
		Short: "log in to a host as root, or run a command on it",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("log in where? slipway-lab ssh HOST [CMD…]")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			h, ok := fleet.Lookup(args[0])
			if !ok {
				return usageError{fmt.Errorf("no host %q: slipway-lab status lists them", args[0])}
			}
			return login(cmd.Context(), h, strings.Join(args[1:], " "))
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

func login(ctx context.Context, h fleet.Host, command string) error {
	p, err := here()
	if err != nil {
		return err
	}
	d, err := dialer(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	key, err := os.ReadFile(filepath.Join(p.Access(), fleet.RootKeyFile))
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return err
	}
	known, err := knownhosts.New(filepath.Join(p.Access(), fleet.KnownHostsFile))
	if err != nil {
		return err
	}
	address := h.Addr.String() + ":22"
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	config := &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: known, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}}
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		return err
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	session.Stdin, session.Stdout, session.Stderr = os.Stdin, os.Stdout, os.Stderr
	if command != "" {
		return exitStatus(session.Run(command))
	}
	return exitStatus(shell(session))
}

// shell runs a login shell, on a terminal of its own if this is one.
func shell(session *ssh.Session) error {
	fd := int(os.Stdin.Fd())
	if term.IsTerminal(fd) {
		width, height, err := term.GetSize(fd)
		if err != nil {
			return err
		}
		if err := session.RequestPty(os.Getenv("TERM"), height, width, ssh.TerminalModes{}); err != nil {
			return err
		}
		old, err := term.MakeRaw(fd)
		if err != nil {
			return err
		}
		defer func() { _ = term.Restore(fd, old) }()
		resized := make(chan os.Signal, 1)
		signal.Notify(resized, windowChange)
		defer signal.Stop(resized)
		go func() {
			for range resized {
				if w, h, err := term.GetSize(fd); err == nil {
					_ = session.WindowChange(h, w)
				}
			}
		}()
	}
	if err := session.Shell(); err != nil {
		return err
	}
	return session.Wait()
}

func exitStatus(err error) error {
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return statusError(exit.ExitStatus())
	}
	return err
}
