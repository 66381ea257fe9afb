// Package kube speaks with a Kubernetes cluster: objects by server-side apply under the field manager "slipway", pods and commands in
// them, readiness that names the pod and the reason, and Helm releases. A Viewer has no method that changes anything; a Maker is bound to
// a run's stamp, puts it on what it makes, and changes or deletes nothing that doesn't carry it. The package imports no engine, no step
// and no Google client.
package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/oauth2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/internal/stamp"
)

// fieldManager owns the fields that are applied here; see https://kubernetes.io/docs/reference/using-api/server-side-apply/.
const fieldManager = "slipway"

// Tell takes progress: what is waited for, and how far it is (total 0: not known).
type Tell func(what string, done, total int64)

// Access is how a cluster's API server is reached.
type Access struct {
	Endpoint  string // address, and port where it isn't 443, without scheme
	CA        string // PEM
	Tokens    oauth2.TokenSource
	UserAgent string
}

// Cluster is a connection to an API server. It is safe for concurrent use.
type Cluster struct {
	config *rest.Config
	client kubernetes.Interface
	pace   pace
}

// pace says how often is asked and for how long trouble is borne.
type pace struct {
	first, most time.Duration // the wait between two looks grows from first to most
	trouble     time.Duration // a request that fails in a passing way is sent again for so long
	stranger    time.Duration // one whose token is refused, for so long: an API server that can't ask who the token is refuses it too
	steady      time.Duration // what is ready must still be so after this: a program that crashes at its start is ready for a moment
	blind       time.Duration // steady, where a container has no readiness probe: it counts as ready from its start until its end is noticed
	patience    time.Duration // a pod may stay in a state that seldom ends well (no image, crashes) for so long
}

var realPace = pace{first: 100 * time.Millisecond, most: 2 * time.Second, trouble: 2 * time.Minute, stranger: 10 * time.Second, steady: time.Second, blind: 5 * time.Second, patience: 3 * time.Minute}

// Connect makes the clients and dials nothing.
func Connect(a Access) (*Cluster, error) {
	if a.Endpoint == "" || a.CA == "" || a.Tokens == nil {
		return nil, errors.New("kubernetes: endpoint, certificate authority or token source is missing")
	}
	conf := &rest.Config{
		Host:            "https://" + a.Endpoint,
		TLSClientConfig: rest.TLSClientConfig{CAData: []byte(a.CA)},
		UserAgent:       a.UserAgent,
		QPS:             50, Burst: 100, // a release has some 60 objects; the default of 5 a second makes each look take seconds
		WrapTransport: func(next http.RoundTripper) http.RoundTripper { return bearer{a.Tokens, next} },
	}
	return connect(conf)
}

// ConnectByFile is Connect by a kubeconfig file, as kubectl reads it, in one of its contexts. An empty file is $KUBECONFIG or ~/.kube/config, an
// empty context the file's current one.
func ConnectByFile(file, inContext, userAgent string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	conf, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: inContext}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	conf.UserAgent = userAgent
	conf.QPS, conf.Burst = 50, 100 // as above
	return connect(conf)
}

func connect(conf *rest.Config) (*Cluster, error) {
	silence()
	client, err := kubernetes.NewForConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client for %s: %w", conf.Host, err)
	}
	return &Cluster{config: conf, client: client, pace: realPace}, nil
}

// silence keeps client-go from writing to standard error behind the terminal's back: what fails is an error here, and is said there.
var silence = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// bearer puts a token on each request, websocket and SPDY upgrades included.
type bearer struct {
	tokens oauth2.TokenSource
	next   http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	tok, err := b.tokens.Token()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	tok.SetAuthHeader(r)
	return b.next.RoundTrip(r)
}

// Viewer looks.
type Viewer struct{ c *Cluster }

// View opens a looker.
func (c *Cluster) View() Viewer { return Viewer{c} }

// Maker makes, and deletes what carries its stamp.
type Maker struct {
	c    *Cluster
	mark stamp.Stamp
}

// Make opens a maker for a run's step.
func (c *Cluster) Make(mark stamp.Stamp) Maker { return Maker{c, mark} }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p pace) next(d time.Duration) time.Duration {
	if d == 0 {
		return p.first
	}
	return min(d*3/2, p.most)
}

// passing tells whether a request may be sent again: the server or the way to it was in trouble. Every request here may be: applies,
// deletions by UID and looks mean the same the second time.
func passing(err error) bool {
	if err == nil {
		return false
	}
	if apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) {
		return true
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return false
	}
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err) || utilnet.IsTimeout(err)
}

// again sends a request until it is answered or refused, for at most pace.trouble.
func again[T any](ctx context.Context, c *Cluster, ask func() (T, error)) (T, error) {
	began := time.Now()
	var refused time.Time // the token, first
	for wait := c.pace.next(0); ; wait = c.pace.next(wait) {
		v, err := ask()
		if err != nil && ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		switch {
		case apierrors.IsUnauthorized(err):
			if refused.IsZero() {
				refused = time.Now()
			}
			if time.Since(refused) > c.pace.stranger {
				return v, err
			}
		case !passing(err), time.Since(began) > c.pace.trouble:
			return v, err
		}
		if err := sleep(ctx, wait); err != nil {
			return v, err
		}
	}
}

func since(began time.Time) string { return fmt.Sprintf("%d s", int(time.Since(began).Seconds())) }
