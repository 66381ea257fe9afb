package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"helm.sh/helm/v4/pkg/action"
	helmkube "helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/postrenderer"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/slipway-dev/slipway/internal/stamp"
)

// waitNot: Helm waits for its hooks alone. Pods are waited for by WaitReady, which says for which and why.
const waitNot = helmkube.HookOnlyStrategy

// hookTimeout bounds one hook of a chart.
const hookTimeout = 10 * time.Minute

// quiet keeps Helm from writing to standard error; what it does is told by this package.
func quiet(c *action.Configuration) { c.SetLogger(slog.DiscardHandler) }

// ownFields names this program, and not its file's name, as the manager of the fields that Helm applies. Helm has no other way to say so.
var ownFields = sync.OnceFunc(func() { helmkube.ManagedFieldsManager = fieldManager })

// helm makes an action configuration whose requests end with ctx. Helm's actions take a context for their waiting alone: one that is given
// up goes on in the background. Here they are run to their end, which comes quickly when every request fails.
func (c *Cluster) helm(ctx context.Context, namespace string) (*action.Configuration, error) {
	ownFields()
	conf := rest.CopyConfig(c.config)
	conf.Wrap(func(next http.RoundTripper) http.RoundTripper { return bound(ctx, next) })
	cfg := action.NewConfiguration(quiet)
	if err := cfg.Init(&getter{conf: conf, namespace: namespace}, namespace, "secret"); err != nil {
		return nil, fmt.Errorf("helm: %w", err)
	}
	return cfg, nil
}

// bound ends requests with a context that isn't the request's own: Helm makes them with a background context.
func bound(ctx context.Context, next http.RoundTripper) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		both, cancel := context.WithCancelCause(r.Context())
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		done := func() { stop(); cancel(nil) }
		res, err := next.RoundTrip(r.WithContext(both))
		if err != nil {
			done()
			return nil, err
		}
		res.Body = &closing{res.Body, done}
		return res, nil
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type closing struct {
	io.ReadCloser
	done func()
}

func (c *closing) Close() error {
	defer c.done()
	return c.ReadCloser.Close()
}

// getter is how Helm reaches the cluster: by this configuration and never by a kubeconfig file of the machine.
type getter struct {
	conf      *rest.Config
	namespace string
	once      sync.Once
	found     discovery.CachedDiscoveryInterface
	err       error
}

func (g *getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.conf), nil }

func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	g.once.Do(func() {
		d, err := discovery.NewDiscoveryClientForConfig(g.conf)
		g.found, g.err = memory.NewMemCacheClient(d), err
	})
	return g.found, g.err
}

func (g *getter) ToRESTMapper() (meta.RESTMapper, error) {
	d, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	return restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(d), d, nil), nil
}

func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(*api.NewConfig(), &clientcmd.ConfigOverrides{Context: api.Context{Namespace: g.namespace}})
}

// stamper puts the run's label on every object of a release, so that what is left of it can be found when Helm has forgotten it.
type stamper struct{ mark stamp.Stamp }

var _ postrenderer.PostRenderer = stamper{}

func (s stamper) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	docs, err := kio.ParseAll(in.String())
	if err != nil {
		return nil, fmt.Errorf("read rendered chart: %w", err)
	}
	for _, d := range docs {
		if err := d.PipeE(kyaml.SetLabel(stamp.RunLabel, s.mark.Run)); err != nil {
			return nil, fmt.Errorf("label rendered chart: %w", err)
		}
	}
	out, err := kio.StringAll(docs)
	if err != nil {
		return nil, fmt.Errorf("write rendered chart: %w", err)
	}
	return bytes.NewBufferString(out), nil
}
