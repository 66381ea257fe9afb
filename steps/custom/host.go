package custom

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/remote"
)

// Host runs commands on a host, over SSH.
type Host struct {
	actor remote.Actor
	name  string
}

// OnHost is a host that actor reaches.
func OnHost(actor remote.Actor, name string) Host { return Host{actor, name} }

// Do runs a command there. When ctx ends it is told to end: SIGTERM, then SIGKILL. When the connection is lost it may go on
// running.
func (h Host) Do(ctx context.Context, c Command) (int, error) {
	argv, in, err := c.piped()
	if err != nil {
		return 0, err
	}
	err = h.actor.Run(ctx, h.name, remote.Cmd{Argv: argv, Stdin: in, Stdout: c.Out, Stderr: c.Out})
	var exit *remote.ExitError
	if errors.As(err, &exit) && exit.Signal == "" {
		return exit.Status, nil
	}
	return 0, err
}

// Pods is a cluster that this run made.
type Pods interface {
	// ReadyPod is the name of the first pod, by name, that has the label and is ready.
	ReadyPod(ctx context.Context, namespace, label string) (string, error)
	Exec(ctx context.Context, r kube.ExecRequest) error
}

// Pod runs commands in a pod: each in the first that is ready at that moment.
type Pod struct {
	pods                        Pods
	namespace, label, container string
}

// InPod is a pod with a label (KEY=VALUE); container is "" where it has only one.
func InPod(pods Pods, namespace, label, container string) Pod {
	return Pod{pods, namespace, label, container}
}

// Do runs a command there. When ctx ends or the connection is lost it may go on running: Kubernetes has no way to end it.
func (p Pod) Do(ctx context.Context, c Command) (int, error) {
	argv, in, err := c.piped()
	if err != nil {
		return 0, err
	}
	name, err := p.pods.ReadyPod(ctx, p.namespace, p.label)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(c.Out, "[in pod %s/%s]\n", p.namespace, name)
	err = p.pods.Exec(ctx, kube.ExecRequest{Namespace: p.namespace, Pod: name, Container: p.container, Command: argv, Stdin: in, Stdout: c.Out, Stderr: c.Out})
	var exit *kube.ExitError
	if errors.As(err, &exit) {
		return exit.Code, nil
	}
	return 0, err
}
