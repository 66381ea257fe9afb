package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

// ErrLost: the stream to a command in a pod broke before its exit status came. Whether the command has ended, and how, is not known, and
// it may go on running. Look at what it was to do, and try again.
var ErrLost = errors.New("the connection to the pod was lost before the command's exit status came")

// ExitError is a command in a pod that ran and failed.
type ExitError struct {
	Pod     string // namespace/name
	Command string // its first word: arguments may be long
	Code    int
	Stderr  string // its last 2 KiB
}

func (e *ExitError) Error() string {
	s := fmt.Sprintf("%s in pod %s: exit status %d", e.Command, e.Pod, e.Code)
	if t := strings.TrimSpace(e.Stderr); t != "" {
		s += ": " + t
	}
	return s
}

// ExecRequest is one command in a running container. Its words go to the container as they are; there is no shell.
type ExecRequest struct {
	Namespace, Pod, Container string
	Command                   []string
	Stdin                     io.Reader // nil: none
	Stdout, Stderr            io.Writer // nil: thrown away, but for the end of stderr, which an ExitError shows
}

// Exec runs a command and returns when it has ended and its output has been written. Errors: *ExitError for an exit status that isn't 0;
// ErrLost; the API server's refusal. WebSocket is tried first and SPDY where the server refuses the upgrade. When ctx ends the
// connection is closed; the command itself may go on, since Kubernetes has no way to end it.
func (c *Cluster) Exec(ctx context.Context, r ExecRequest) error {
	pod := r.Namespace + "/" + r.Pod
	if len(r.Command) == 0 {
		return fmt.Errorf("exec in pod %s: no command", pod)
	}
	url := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(r.Namespace).Name(r.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: r.Container, Command: r.Command, Stdin: r.Stdin != nil, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	ws, err := remotecommand.NewWebSocketExecutor(c.config, "GET", url.String())
	if err != nil {
		return fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.config, "POST", url)
	if err != nil {
		return fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	either, err := remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	last := &tail{}
	opts := remotecommand.StreamOptions{Stdin: r.Stdin, Stdout: r.Stdout, Stderr: last}
	if r.Stdout == nil {
		opts.Stdout = io.Discard
	}
	if r.Stderr != nil {
		opts.Stderr = io.MultiWriter(r.Stderr, last)
	}
	err = either.StreamWithContext(ctx, opts)
	var code exec.CodeExitError
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("exec %s in pod %s: %w", r.Command[0], pod, context.Cause(ctx))
	case errors.As(err, &code):
		return &ExitError{Pod: pod, Command: r.Command[0], Code: code.Code, Stderr: last.String()}
	case errors.As(err, &status), httpstream.IsUpgradeFailure(err), notStarted(err):
		return fmt.Errorf("exec %s in pod %s: %w", r.Command[0], pod, err)
	}
	return fmt.Errorf("exec %s in pod %s: %w: %w", r.Command[0], pod, ErrLost, err)
}

// notStarted: the answer is the kubelet's or the container runtime's that no such command began. client-go gives it as text alone.
func notStarted(err error) bool {
	for _, s := range []string{"unable to upgrade connection", "failed to exec in container", "container not found"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

// tail keeps the last 2 KiB of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 2 << 10
	t.b = append(t.b, p...)
	if len(t.b) > most {
		t.b = append(t.b[:0], t.b[len(t.b)-most:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
