package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-dev/slipway/internal/lab/kubernetes/balancer"
	"github.com/slipway-dev/slipway/internal/lab/kubernetes/storage"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// startLimit bounds the start of a cluster on a busy computer, everything being built.
const startLimit = 3 * time.Minute

// cluster is one that runs.
type cluster struct {
	env  Env
	plan plan
	spec Spec
	ca   *authority
	dir  string
	log  *log.Logger

	logFile *os.File
	control *machine.Machine
	nodes   []*machine.Machine
	client  *kubernetes.Clientset

	cancel    context.CancelFunc // ends what follows
	tasks     sync.WaitGroup
	routes    *routes
	balancers *balancer.Balancer
	storage   *storage.Storage
}

func startCluster(ctx context.Context, env Env, at plan, spec Spec, p prepared, report progress.Func) (_ *cluster, err error) {
	ctx, cancelStart := context.WithTimeout(ctx, startLimit)
	defer cancelStart()
	c := &cluster{env: env, plan: at, spec: spec, dir: filepath.Join(env.Dir, spec.Name)}
	// What runs in the cluster outlives the request that starts it.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	defer func() {
		if err != nil {
			if kept := c.keepLogs(); kept != "" {
				err = fmt.Errorf("%w (its programs' logs are in %s)", err, kept)
			}
			err = errors.Join(err, c.stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := errors.Join(os.RemoveAll(c.dir), os.MkdirAll(c.logDir(), 0o700)); err != nil {
		return nil, err
	}
	if c.logFile, err = os.OpenFile(filepath.Join(c.logDir(), "cloud.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	c.log = log.New(c.logFile, "", log.LstdFlags|log.Lmicroseconds)
	if c.ca, err = newAuthority(spec.Name); err != nil {
		return nil, err
	}
	if c.client, err = c.connect(); err != nil {
		return nil, err
	}
	what := "cluster " + spec.Name + ": "
	whole := progress.Begin(report, "cluster "+spec.Name)
	whole.At("starting its machines", 0, 0)
	if err := c.startMachines(ctx, running, p); err != nil {
		return nil, err
	}
	if err := c.awaitAPI(ctx, what, report); err != nil {
		return nil, err
	}
	whole.At("installing what every cluster has", 0, 0)
	if err := c.install(ctx); err != nil {
		return nil, err
	}
	if err := c.startCloud(ctx); err != nil {
		return nil, err
	}
	if err := c.awaitNodes(ctx, what, report); err != nil {
		return nil, err
	}
	if err := c.awaitDNS(ctx, what, report); err != nil {
		return nil, err
	}
	whole.End()
	return c, nil
}

func (c *cluster) logDir() string { return filepath.Join(c.dir, "logs") }

// connect makes the lab's own client: cluster admin by certificate.
func (c *cluster) connect() (*kubernetes.Clientset, error) {
	who, err := c.ca.client("lab", "system:masters")
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + controlPlane{plan: c.plan}.server().String(), Dial: c.env.Network.DialContext, QPS: -1, UserAgent: "slipway-lab",
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.pem, CertData: who.Cert, KeyData: who.Key},
	})
}

// startMachines starts the control plane and the nodes side by side: kubelets try again until there is an API server.
func (c *cluster) startMachines(ctx, running context.Context, p prepared) error {
	c.nodes = make([]*machine.Machine, c.spec.Nodes)
	programs := machine.Bind{Source: p.programs.dir, Target: programDir + "/programs", ReadOnly: true}
	volumes := filepath.Join(c.dir, "volumes")
	if err := os.MkdirAll(volumes, 0o700); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		control := controlPlane{plan: c.plan, ca: c.ca, webhook: c.spec.Webhook}
		files, err := control.files()
		if err != nil {
			return err
		}
		c.control, err = c.startMachine(ctx, running, machine.Spec{
			Name: c.plan.controlPlaneName(), Lower: p.lower, Net: c.env.Network.Port(c.plan.controlPlaneName(), c.plan.controlPlane()),
			Files: append(append(files, programFiles()...), resolvConf(c.env.Resolver)),
			Binds: []machine.Bind{programs, storage.Bind(volumes)},
		}, control.tasks())
		return err
	})
	for i := range c.nodes {
		group.Go(func() error {
			var err error
			c.nodes[i], err = c.startNode(ctx, running, i, p, programs)
			return err
		})
	}
	return group.Wait()
}

func (c *cluster) startNode(ctx, running context.Context, index int, p prepared, programs machine.Bind) (*machine.Machine, error) {
	clamp, err := mayNotLowerScores()
	if err != nil {
		return nil, err
	}
	n := node{plan: c.plan, index: index, ca: c.ca, resolver: c.env.Resolver, clampOOM: clamp}
	files, err := n.files()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.dir, n.name())
	if err := p.images.Lay(filepath.Join(dir, "containerd")); err != nil {
		return nil, err
	}
	binds := []machine.Bind{programs, p.images.Bind(), {Source: filepath.Join(dir, "containerd"), Target: "/var/lib/containerd"}}
	shown, err := showKernelDefaults(filepath.Join(dir, "sysctl"))
	if err != nil {
		return nil, err
	}
	return c.startMachine(ctx, running, machine.Spec{
		Name: n.name(), Lower: p.lower, Net: c.env.Network.Port(n.name(), n.addr()), Cgroups: machine.Controllers,
		Devices: []machine.Device{machine.Kmsg()}, Sysctls: n.sysctls(), Volumes: []machine.Volume{{Path: "/var/lib/kubelet"}},
		Files: append(files, programFiles()...), Binds: append(binds, shown...),
	}, n.tasks())
}

// startMachine starts a machine and its programs.
func (c *cluster) startMachine(ctx, running context.Context, spec machine.Spec, tasks []task) (*machine.Machine, error) {
	spec.Argv = machine.Idle()
	if m := c.env.Launcher.Machine(spec.Name); m != nil {
		return nil, fmt.Errorf("machine %s runs already", spec.Name)
	}
	// What a machine of the name had written belonged to another cluster.
	if err := os.RemoveAll(c.env.Launcher.Dir(spec.Name)); err != nil {
		return nil, err
	}
	m, err := c.env.Launcher.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		s := supervisor{machine: m, task: t, log: c.log, output: filepath.Join(c.logDir(), spec.Name+"-"+t.name+".log")}
		c.tasks.Go(func() { s.run(running) })
	}
	return m, nil
}

// startCloud starts what a cloud does around the cluster.
func (c *cluster) startCloud(ctx context.Context) error {
	var forStorage []storage.Node
	var forBalancers []balancer.Node
	for i, m := range c.nodes {
		forStorage = append(forStorage, storage.Node{Name: m.Name(), Machine: m, Kubelet: m.VolumeDirs()[0]})
		forBalancers = append(forBalancers, balancer.Node{Name: m.Name(), Addr: c.plan.node(i), Running: m.Running, NetNS: m.NetNS})
	}
	var err error
	c.storage, err = storage.Start(ctx, storage.Config{Client: c.client, Dir: filepath.Join(c.dir, "volumes"), Tools: c.control, Nodes: forStorage, Log: c.log})
	if err != nil {
		return err
	}
	if c.routes, err = startRoutes(ctx, c); err != nil {
		return err
	}
	c.balancers, err = balancer.Start(ctx, balancer.Config{Client: c.client, Network: c.env.Network, Pool: c.plan.balancers(), Nodes: forBalancers,
		ProxyHealth: proxyHealthPort, Log: c.log})
	return err
}

// awaitAPI waits until the API server says that it is ready.
func (c *cluster) awaitAPI(ctx context.Context, what string, report progress.Func) error {
	return progress.Wait(ctx, report, what+"control plane", 1, 50*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		if !c.control.Running() {
			return 0, "", fmt.Errorf("machine %s has ended", c.control.Name())
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		raw, err := c.client.RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(ctx)
		if err == nil {
			return 1, "", nil
		}
		if waits := readyWhere(string(raw)); waits != "" {
			return 0, "waiting for " + waits, nil
		}
		return 0, "no answer yet", nil
	})
}

// awaitNodes waits until each node is Ready, reachable by its pods' addresses, and has taken the storage drivers.
func (c *cluster) awaitNodes(ctx context.Context, what string, report progress.Func) error {
	err := progress.Wait(ctx, report, what+"nodes ready", int64(len(c.nodes)), 100*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, "", err
		}
		var ready int64
		note := "not all have registered"
		for _, n := range list.Items {
			for _, condition := range n.Status.Conditions {
				switch {
				case condition.Type != corev1.NodeReady:
				case condition.Status == corev1.ConditionTrue && c.routes.has(n.Name):
					ready++
				default:
					note = n.Name + ": " + condition.Message
				}
			}
		}
		return ready, note, nil
	})
	if err != nil {
		return err
	}
	select {
	case <-c.storage.Known():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the nodes don't take the storage drivers: %w", ctx.Err())
	}
}

// stop ends everything of the cluster and deletes it. It can be called again after an error, and on a cluster that was half made.
func (c *cluster) stop(ctx context.Context) error {
	var errs []error
	if c.balancers != nil {
		c.balancers.Close()
	}
	if c.storage != nil {
		c.storage.Stop()
	}
	if c.routes != nil {
		errs = append(errs, c.routes.close(ctx))
	}
	c.cancel()
	for _, m := range append(c.nodes, c.control) {
		if m != nil {
			errs = append(errs, m.Remove(ctx))
		}
	}
	c.tasks.Wait()
	if c.storage != nil {
		errs = append(errs, c.storage.Release())
	}
	if c.logFile != nil {
		errs = append(errs, c.logFile.Close())
		c.logFile = nil
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(c.dir)
}

// keepLogs moves a failed cluster's logs out of the way of its clean-up: beside the clusters' directory, one set.
func (c *cluster) keepLogs() string {
	kept := filepath.Clean(c.env.Dir) + "-failed-logs"
	if os.RemoveAll(kept) != nil || os.Rename(c.logDir(), kept) != nil {
		return ""
	}
	return kept
}
