//go:build lab

package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// user is a person with a token at a cluster.
type user struct {
	t      *testing.T
	bench  *bench
	client *kubernetes.Clientset
	config *rest.Config
}

const space = "default"

// answer is a server that tells who asked: all that perl-base has is enough for it.
const answer = `use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 20, ReuseAddr => 1) or die;
while (my $c = $s->accept) { while (<$c>) { last if /^\r?\n$/ } my $n = $ENV{NODE}; my $p = $c->peerhost;
print $c "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n$n $p\n"; close $c }`

func (u user) pod(name, node string, change ...func(*corev1.Pod)) {
	u.t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64), NodeName: "",
		Containers: []corev1.Container{{Name: "main", Image: Tools.Name, Command: []string{"/usr/bin/perl", "-e", answer},
			Env: []corev1.EnvVar{{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}}}}}}
	if node != "" {
		p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	for _, f := range change {
		f(p)
	}
	if _, err := u.client.CoreV1().Pods(space).Create(u.t.Context(), p, metav1.CreateOptions{}); err != nil {
		u.t.Fatal(err)
	}
}

func labeled(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels[key] = value }
}

func withClaim(claim, at string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}})
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: claim, MountPath: at})
	}
}

// ready waits until pods are.
func (u user) ready(names ...string) {
	u.t.Helper()
	for _, name := range names {
		eventually(u.t, time.Minute, "pod "+name+" ready", func(ctx context.Context) (bool, string) {
			p, err := u.client.CoreV1().Pods(space).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return false, err.Error()
			}
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					return true, ""
				}
			}
			return false, fmt.Sprint(p.Status.Phase, " ", p.Status.ContainerStatuses, u.events(ctx, name))
		})
	}
}

// events are what the cluster says of an object.
func (u user) events(ctx context.Context, name string) string {
	list, err := u.client.CoreV1().Events(space).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range list.Items {
		fmt.Fprintf(&b, "\n%s %s: %s", e.Type, e.Reason, e.Message)
	}
	return b.String()
}

func (u user) address(pod string) string {
	u.t.Helper()
	p, err := u.client.CoreV1().Pods(space).Get(u.t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		u.t.Fatal(err)
	}
	return p.Status.PodIP
}

// exec runs a shell line in a pod and returns what it printed, both streams.
func (u user) exec(pod, line string) (string, error) {
	u.t.Helper()
	r := u.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(space).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"/bin/bash", "-c", line}, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	e, err := remotecommand.NewWebSocketExecutor(u.config, http.MethodGet, r.URL().String())
	if err != nil {
		u.t.Fatal(err)
	}
	var out, errors bytes.Buffer
	// The executor dials by itself, on the goroutine that calls it.
	err = u.bench.network.Do(func() error {
		return e.StreamWithContext(within(u.t, 30*time.Second), remotecommand.StreamOptions{Stdout: &out, Stderr: &errors})
	})
	return strings.TrimSpace(out.String() + errors.String()), err
}

func (u user) must(pod, line string) string {
	u.t.Helper()
	out, err := u.exec(pod, line)
	if err != nil {
		u.t.Fatalf("in %s: %s: %v: %s", pod, line, err, out)
	}
	return out
}

func (u user) delete(pods ...string) {
	u.t.Helper()
	for _, name := range pods {
		if err := u.client.CoreV1().Pods(space).Delete(u.t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			u.t.Fatal(err)
		}
	}
	for _, name := range pods {
		eventually(u.t, time.Minute, "pod "+name+" gone", func(ctx context.Context) (bool, string) {
			_, err := u.client.CoreV1().Pods(space).Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), u.events(ctx, name)
		})
	}
}

func (u user) claim(name, class, size string, mode corev1.PersistentVolumeAccessMode) {
	u.t.Helper()
	_, err := u.client.CoreV1().PersistentVolumeClaims(space).Create(u.t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{mode},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}}}, metav1.CreateOptions{})
	if err != nil {
		u.t.Fatal(err)
	}
}

// get asks over HTTP from the lab's network, outside the cluster.
func (u user) get(address string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: u.bench.network.DialContext, DisableKeepAlives: true}}
	r, err := client.Get("http://" + address)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	return strings.TrimSpace(string(raw)), err
}

func (u user) service(name, app string, change func(*corev1.ServiceSpec)) {
	u.t.Helper()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Selector: map[string]string{"group": app},
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt(8080)}}}}
	if change != nil {
		change(&s.Spec)
	}
	if _, err := u.client.CoreV1().Services(space).Create(u.t.Context(), s, metav1.CreateOptions{}); err != nil {
		u.t.Fatal(err)
	}
}

// balanced waits for a Service's address.
func (u user) balanced(name string) string {
	u.t.Helper()
	address := ""
	eventually(u.t, 15*time.Second, "address of "+name, func(ctx context.Context) (bool, string) {
		s, err := u.client.CoreV1().Services(space).Get(ctx, name, metav1.GetOptions{})
		if err != nil || len(s.Status.LoadBalancer.Ingress) == 0 {
			return false, fmt.Sprint(err)
		}
		address = s.Status.LoadBalancer.Ingress[0].IP
		return true, ""
	})
	return address
}

// host starts a machine that is not of the cluster, at an address of the old hosts, and has it answer like the pods.
func (b *bench) host(t *testing.T, name, addr string) *machine.Machine {
	t.Helper()
	lower, err := b.roots.Ensure(t.Context(), *Tools.Layer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.launcher.Start(t.Context(), machine.Spec{Name: name, Lower: lower, Argv: machine.Idle(), Net: b.network.Port(name, mustAddr(addr))})
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Start(t.Context(), machine.Cmd{Argv: []string{"perl", "-e", answer}, Env: []string{"NODE=" + name}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	t.Cleanup(func() {
		if err := m.Remove(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return m
}

func TestCluster(t *testing.T) {
	b := newBench(t)
	if err := b.env.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := leftovers(t)
	sysctls := readSysctls(t)
	begin := time.Now()
	ep, err := b.clusters.Start(within(t, 2*time.Minute), Spec{Name: "slipway-20261123-010203-7f3a", Nodes: 2, Webhook: b.webhook}, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cluster ready after %v", time.Since(begin).Round(time.Millisecond))
	client, config := b.connect(t, ep, goodToken)
	u := user{t: t, bench: b, client: client, config: config}

	t.Run("identity", func(t *testing.T) { testIdentity(t, b, ep) })
	u.pod("one", "k1-node1", labeled("group", "web"))
	u.pod("two", "k1-node2", labeled("group", "web"))
	u.ready("one", "two")
	t.Run("network", func(t *testing.T) { testNetwork(with(u, t)) })
	t.Run("load balancer", func(t *testing.T) { testLoadBalancer(with(u, t)) })
	t.Run("disk", func(t *testing.T) { testDisk(with(u, t)) })
	t.Run("share", func(t *testing.T) { testShare(with(u, t)) })
	t.Run("image", func(t *testing.T) { testWrongImage(with(u, t)) })
	t.Run("second cluster", func(t *testing.T) { testSecond(t, b) })
	t.Run("resources", func(t *testing.T) { logMemory(t, b) })
	t.Run("lost node", func(t *testing.T) { testLostNode(with(u, t)) })

	if now := readSysctls(t); now != sysctls {
		t.Errorf("the cluster changed settings of this computer:\n%s\nwere\n%s", now, sysctls)
	}
	begin = time.Now()
	if err := b.clusters.Stop(within(t, time.Minute), "slipway-20261123-010203-7f3a"); err != nil {
		t.Fatal(err)
	}
	t.Logf("cluster gone after %v", time.Since(begin).Round(time.Millisecond))
	if after := leftovers(t); after != before {
		t.Errorf("left behind:\n%s\nbefore there was\n%s", after, before)
	}
	if err := b.clusters.Stop(t.Context(), "slipway-20261123-010203-7f3a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("stopping it again: %v", err)
	}
}

func with(u user, t *testing.T) user {
	u.t = t
	return u
}

func testIdentity(t *testing.T, b *bench, ep Endpoint) {
	for _, c := range []struct {
		name, token string
		refused     func(error) bool
	}{
		{"unknown token", "ya29.wrong", apierrors.IsUnauthorized},
		{"no token", "", apierrors.IsForbidden},
		{"token without the role", viewerToken, apierrors.IsForbidden},
	} {
		client, _ := b.connect(t, ep, c.token)
		if _, err := client.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); !c.refused(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	other, err := newAuthority("other")
	if err != nil {
		t.Fatal(err)
	}
	client, _ := b.connect(t, Endpoint{Host: ep.Host, CA: other.pem}, goodToken)
	if _, err := client.Discovery().ServerVersion(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another CA: %v", err)
	}
	client, _ = b.connect(t, ep, goodToken)
	version, err := client.Discovery().ServerVersion()
	if err != nil || version.GitVersion != Version {
		t.Errorf("version %v, %v", version, err)
	}
}

func testNetwork(u user) {
	b := u.bench
	host := b.host(u.t, "oldhost", "10.77.0.31")
	curl := "curl -sS --max-time 5 http://"
	u.service("web", "web", nil)
	// From pod to pod over nodes, each seen with its own address.
	if got, want := u.must("one", curl+u.address("two")+":8080"), "k1-node2 "+u.address("one"); got != want {
		u.t.Errorf("pod to pod: %q, want %q", got, want)
	}
	if got, want := u.must("two", curl+"10.77.0.31:8080"), "oldhost "+u.address("two"); got != want {
		u.t.Errorf("pod to host: %q, want %q", got, want)
	}
	out, err := host.Output(u.t.Context(), "curl", "-sS", "--max-time", "5", "http://"+u.address("one")+":8080")
	if got, want := strings.TrimSpace(string(out)), "k1-node1 10.77.0.31"; err != nil || got != want {
		u.t.Errorf("host to pod: %q, want %q (%v)", got, want, err)
	}
	// By name through kube-proxy, to both nodes' pods. kube-proxy takes a moment to hear of a Service.
	eventually(u.t, 10*time.Second, "the Service answers", func(context.Context) (bool, string) {
		out, err := u.exec("one", curl+"web.default.svc.cluster.local")
		return err == nil, out
	})
	seen := map[string]bool{}
	for range 40 {
		node, _, _ := strings.Cut(u.must("one", curl+"web.default.svc.cluster.local"), " ")
		seen[node] = true
	}
	if len(seen) != 2 {
		u.t.Errorf("the Service led to %v", seen)
	}
	if got := u.must("two", curl+"web"); !strings.HasPrefix(got, "k1-node") {
		u.t.Errorf("by short name: %q", got)
	}
	if out, err := u.exec("one", "getent hosts nothing.default.svc.cluster.local"); err == nil {
		u.t.Errorf("a name that isn't there: %q", out)
	}
}

func testLoadBalancer(u user) {
	host := u.bench.host(u.t, "visitor", "10.77.0.21")
	ask := func(address string) string {
		out, err := host.Output(u.t.Context(), "curl", "-sS", "--max-time", "3", "http://"+address)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(out))
	}
	u.pod("three", "k1-node2", labeled("group", "local"))
	u.ready("three")
	u.service("any", "web", func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeLoadBalancer })
	u.service("local", "local", func(s *corev1.ServiceSpec) {
		s.Type, s.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
	})
	anyAt, localAt := u.balanced("any"), u.balanced("local")
	if anyAt == localAt {
		u.t.Fatalf("one address for two Services: %s", anyAt)
	}
	seen := map[string]bool{}
	eventually(u.t, 20*time.Second, "both pods answer at the load balancer's address", func(context.Context) (bool, string) {
		got, err := u.get(anyAt)
		node, _, _ := strings.Cut(got, " ")
		if err == nil {
			seen[node] = true
		}
		return len(seen) == 2, fmt.Sprint(seen, err)
	})
	if got := ask(anyAt); !strings.HasPrefix(got, "k1-node") {
		u.t.Errorf("from a host: %q", got)
	}
	eventually(u.t, 20*time.Second, "the one node with a pod answers, and sees who asks", func(context.Context) (bool, string) {
		got := ask(localAt)
		return got == "k1-node2 10.77.0.21", got
	})
	// The only pod moves: so does the address.
	u.delete("three")
	u.pod("three", "k1-node1", labeled("group", "local"))
	u.ready("three")
	eventually(u.t, 20*time.Second, "the address is at the other node", func(context.Context) (bool, string) {
		got := ask(localAt)
		return got == "k1-node1 10.77.0.21", got
	})
	u.delete("three")
	for _, name := range []string{"any", "local"} {
		if err := u.client.CoreV1().Services(space).Delete(u.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			u.t.Fatal(err)
		}
		eventually(u.t, 15*time.Second, "Service "+name+" gone", func(ctx context.Context) (bool, string) {
			_, err := u.client.CoreV1().Services(space).Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), fmt.Sprint(err)
		})
	}
	// A node's kube-proxy hears of it last, and until then serves whoever still sends to the node.
	for _, address := range []string{anyAt, localAt} {
		eventually(u.t, 15*time.Second, address+" answers no more", func(context.Context) (bool, string) {
			got, err := u.get(address)
			return err != nil, got
		})
	}
}

func testDisk(u user) {
	u.claim("disk", "standard-rwo", "64Mi", corev1.ReadWriteOnce)
	u.pod("writer", "k1-node1", withClaim("disk", "/data"), func(p *corev1.Pod) {
		group := int64(10001)
		p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	})
	u.ready("writer")
	file := u.volumeFile("disk")
	u.must("writer", "echo kept > /data/file && setfacl -m u:33:rw /data/file && setfattr -n user.who -v me /data/file")
	if got := u.must("writer", "stat -c '%g %a' /data; getfacl -cpn /data/file | grep user:33; cd /data; getfattr --only-values -n user.who file"); got != "10001 2775\nuser:33:rw-\nme" {
		u.t.Errorf("group, ACL and attribute: %q", got)
	}
	// Full is full, at the size asked for.
	out, err := u.exec("writer", "dd if=/dev/zero of=/data/big bs=1M count=100")
	if err == nil || !strings.Contains(out, "No space left on device") {
		u.t.Errorf("100 MiB into 64: %v: %s", err, out)
	}
	if got := u.must("writer", "stat -c %s /data/big"); len(got) != len("50000000") {
		u.t.Errorf("the full volume took %s bytes", got)
	}
	u.must("writer", "rm /data/big")
	// A second node is refused.
	u.pod("thief", "k1-node2", withClaim("disk", "/data"))
	eventually(u.t, 30*time.Second, "the second node is refused", func(ctx context.Context) (bool, string) {
		said := u.events(ctx, "thief")
		return strings.Contains(said, "FailedAttachVolume") && strings.Contains(said, "already used by pod(s) writer"), said
	})
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/dev/disk-%s", u.bench.launcher.Machine("k1-node2").Pid(), strings.TrimSuffix(file, ".ext4"))); err == nil {
		u.t.Error("the second node has the device")
	}
	// It gets the disk when the first lets go, with all that is on it.
	u.delete("writer")
	u.ready("thief")
	if got := u.must("thief", "cat /data/file"); got != "kept" {
		u.t.Errorf("on the second node: %q", got)
	}
	u.delete("thief")
	u.release("disk", file)
	u.claim("wrong", "standard-rwo", "64Mi", corev1.ReadWriteMany)
	u.pod("wrong", "", withClaim("wrong", "/data"))
	eventually(u.t, 20*time.Second, "a disk for many is refused", func(ctx context.Context) (bool, string) {
		said := u.events(ctx, "wrong")
		return strings.Contains(said, "ProvisioningFailed") && strings.Contains(said, "ReadWriteMany"), said
	})
	u.delete("wrong")
	if err := u.client.CoreV1().PersistentVolumeClaims(space).Delete(u.t.Context(), "wrong", metav1.DeleteOptions{}); err != nil {
		u.t.Fatal(err)
	}
}

func testShare(u user) {
	u.claim("share", "standard-rwx", "1Ti", corev1.ReadWriteMany)
	eventually(u.t, 20*time.Second, "bound at once", func(ctx context.Context) (bool, string) {
		c, err := u.client.CoreV1().PersistentVolumeClaims(space).Get(ctx, "share", metav1.GetOptions{})
		return err == nil && c.Status.Phase == corev1.ClaimBound, u.events(ctx, "share")
	})
	u.pod("left", "k1-node1", withClaim("share", "/data"))
	u.pod("right", "k1-node2", withClaim("share", "/data"))
	u.ready("left", "right")
	u.must("left", "echo hello > /data/file; chown 33:33 /data/file; setfacl -m u:1:r /data/file")
	if got := u.must("right", "cat /data/file; stat -c %u /data/file; getfacl -cpn /data/file | grep user:1; echo more >> /data/file"); got != "hello\n33\nuser:1:r--" {
		u.t.Errorf("seen from the other node: %q", got)
	}
	if got := u.must("left", "cat /data/file; df -h --output=size /data | tail -1"); !strings.HasPrefix(got, "hello\nmore\n") || !strings.HasSuffix(got, "1007G") && !strings.HasSuffix(got, "1008G") {
		u.t.Errorf("seen from the first node: %q", got)
	}
	file := u.volumeFile("share")
	u.delete("left", "right")
	u.release("share", file)
}

// volumeFile is the file of a claim's volume.
func (u user) volumeFile(claim string) string {
	u.t.Helper()
	c, err := u.client.CoreV1().PersistentVolumeClaims(space).Get(u.t.Context(), claim, metav1.GetOptions{})
	if err != nil {
		u.t.Fatal(err)
	}
	return c.Spec.VolumeName + ".ext4"
}

// release deletes a claim and waits until its volume and what was on it are gone.
func (u user) release(claim, file string) {
	u.t.Helper()
	at := u.bench.dir + "/clusters/slipway-20261123-010203-7f3a/volumes/" + file
	if _, err := os.Stat(at); err != nil {
		u.t.Fatalf("while the claim is there: %v", err)
	}
	if err := u.client.CoreV1().PersistentVolumeClaims(space).Delete(u.t.Context(), claim, metav1.DeleteOptions{}); err != nil {
		u.t.Fatal(err)
	}
	eventually(u.t, 30*time.Second, "volume of "+claim+" gone", func(ctx context.Context) (bool, string) {
		_, err := u.client.CoreV1().PersistentVolumes().Get(ctx, strings.TrimSuffix(file, ".ext4"), metav1.GetOptions{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
	if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) {
		u.t.Errorf("the data of a deleted claim is still there: %v", err)
	}
}

func testWrongImage(u user) {
	u.pod("nothere", "", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "registry.lab/shop/nothere:1" })
	eventually(u.t, 30*time.Second, "a wrong image is an error", func(ctx context.Context) (bool, string) {
		p, err := u.client.CoreV1().Pods(space).Get(ctx, "nothere", metav1.GetOptions{})
		if err != nil || len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Waiting == nil {
			return false, fmt.Sprint(err)
		}
		reason := p.Status.ContainerStatuses[0].State.Waiting.Reason
		return reason == "ErrImagePull" || reason == "ImagePullBackOff", reason
	})
	u.delete("nothere")
}

func testSecond(t *testing.T, b *bench) {
	begin := time.Now()
	ep, err := b.clusters.Start(within(t, 2*time.Minute), Spec{Name: "second", Nodes: 1, Webhook: b.webhook}, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("second cluster ready after %v", time.Since(begin).Round(time.Millisecond))
	if _, err := b.clusters.Start(t.Context(), Spec{Name: "second", Nodes: 1}, progress.Discard); !errors.Is(err, ErrExists) {
		t.Errorf("the same name again: %v", err)
	}
	client, config := b.connect(t, ep, goodToken)
	u := user{t: t, bench: b, client: client, config: config}
	u.pod("one", "", labeled("group", "web"))
	u.ready("one")
	u.service("web", "web", func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeLoadBalancer })
	at := u.balanced("web")
	if !strings.HasPrefix(at, "10.77.3.3") {
		t.Errorf("address %s is not of the second cluster's range", at)
	}
	eventually(t, 15*time.Second, "answers", func(context.Context) (bool, string) {
		got, err := u.get(at)
		return strings.HasPrefix(got, "k2-node1"), fmt.Sprint(got, err)
	})
	if err := b.clusters.Stop(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
}

func testLostNode(u user) {
	u.service("any", "web", func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeLoadBalancer })
	at := u.balanced("any")
	holder := func() string {
		for _, name := range []string{"k1-node1", "k1-node2"} {
			m := u.bench.launcher.Machine(name)
			if m == nil {
				continue
			}
			if out, err := m.Output(u.t.Context(), "ip", "-o", "addr"); err == nil && strings.Contains(string(out), at+"/") {
				return name
			}
		}
		return ""
	}
	var lost string
	eventually(u.t, 10*time.Second, "a node has the address", func(context.Context) (bool, string) { lost = holder(); return lost != "", "" })
	if err := u.bench.launcher.Machine(lost).Kill(u.t.Context()); err != nil {
		u.t.Fatal(err)
	}
	eventually(u.t, 20*time.Second, "the other node answers for the address", func(context.Context) (bool, string) {
		now := holder()
		got, err := u.get(at)
		return now != "" && now != lost && strings.HasPrefix(got, now), fmt.Sprint(now, got, err)
	})
	eventually(u.t, 90*time.Second, "the cluster knows that the node is lost", func(ctx context.Context) (bool, string) {
		n, err := u.client.CoreV1().Nodes().Get(ctx, lost, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status != corev1.ConditionTrue, string(c.Status)
			}
		}
		return false, "no condition"
	})
}
