package place

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/treecopy/agent"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Options are how places are reached.
type Options struct {
	ReadOnly bool         // the tree is a source: nothing is written there, and the agent gives way to other programs
	Rate     int64        // bytes a second that are read from files at most; 0: as fast as it goes
	Sessions int          // operations at once; 0: the agent's default
	AgentDir string       // where slipway-agent lies; "": beside this program
	Note     func(string) // told what a person should know of a place that is opened; may be nil

	SSHOptions
	KubeOptions
}

// SSHOptions are how hosts are reached.
type SSHOptions struct {
	Identity    []string // private key files; none: the agent's keys and those in ~/.ssh under their usual names
	KnownHosts  string   // "": ~/.ssh/known_hosts
	AgentSocket string   // of the ssh agent; "": it isn't asked
	// Act makes a hand on hosts: remote.NewActor, given by the one file that may.
	Act func(*remote.Pool) remote.Actor
}

// Open opens a place. Whoever opened it closes it when nothing of it goes on any more; then nothing of it is left at the place. Errors: those of
// tree.Source, ErrNoExec, ErrNoAgent, and those of reaching the host or the cluster.
func Open(ctx context.Context, p Place, o Options) (tree.Target, io.Closer, error) {
	switch p.Kind {
	case SSH:
		return openSSH(ctx, p, o)
	case Claim:
		return openClaim(ctx, p, o)
	case Volume:
		return openVolume(ctx, p, o)
	}
	return openLocal(p.Path, o)
}

// agent opens a tree at an agent.
func (o *Options) agent(ctx context.Context, name string, hello agent.Hello, start agent.Start) (*agent.Tree, error) {
	hello.ReadOnly, hello.Gentle, hello.Rate = o.ReadOnly, o.ReadOnly, o.Rate
	return agent.Open(ctx, agent.Options{Name: name, Sessions: o.Sessions, Hello: hello}, start)
}

// both closes one thing and then the other.
type both [2]io.Closer

func (b both) Close() error { return errors.Join(b[0].Close(), b[1].Close()) }

// readOnly is a tree that refuses to be written, as an agent does that was told so.
type readOnly struct{ tree.Target }

func (r readOnly) refuse() error { return fmt.Errorf("%s: %w", r.Name(), agent.ErrReadOnly) }

func (r readOnly) Probe(context.Context) (tree.Keeps, error) { return tree.Keeps{}, r.refuse() }
func (r readOnly) Write(context.Context, io.Reader, func(tree.Written) error) error {
	return r.refuse()
}
func (r readOnly) Remove(context.Context, []tree.Path) error   { return r.refuse() }
func (r readOnly) Finish(context.Context, []tree.Member) error { return r.refuse() }
func (r readOnly) Sweep(context.Context) error                 { return r.refuse() }
