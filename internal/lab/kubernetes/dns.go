package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-dev/slipway/internal/lab/image"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

const (
	dnsName      = "kube-dns" // GKE's name of the Service
	dnsNamespace = metav1.NamespaceSystem
	dnsReplicas  = 2
)

// dnsImage is the cluster's name server: one static program.
func dnsImage(p Programs) image.Image {
	return image.Image{Name: image.Registry + "/lab/coredns:1", Programs: []image.Program{{Source: p.DNS(), Target: "/coredns"}},
		Entrypoint: []string{"/coredns"}, User: "65532:65532"}
}

// corefile: the cluster's names from the API server, all others from the lab's resolver. Answers are kept shorter than CoreDNS's usual 30 s, because rehearsals
// flip names.
func corefile() string {
	return `.:53 {
    errors
    health
    ready
    kubernetes ` + clusterDomain + ` in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    forward . /etc/resolv.conf
    cache 5
    loadbalance
}
`
}

func (c *cluster) installDNS(ctx context.Context) error {
	labels := map[string]string{"k8s-app": dnsName}
	meta := metav1.ObjectMeta{Name: dnsName, Namespace: dnsNamespace, Labels: labels}
	core, rbac, create := c.client.CoreV1(), c.client.RbacV1(), metav1.CreateOptions{}
	_, e1 := core.ServiceAccounts(dnsNamespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, create)
	_, e2 := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "system:" + dnsName + "-lab"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"endpoints", "services", "pods", "namespaces"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
	}}, create)
	_, e3 := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "system:" + dnsName + "-lab"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:" + dnsName + "-lab"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: dnsName, Namespace: dnsNamespace}}}, create)
	_, e4 := core.ConfigMaps(dnsNamespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"Corefile": corefile()}}, create)
	_, e5 := core.Services(dnsNamespace).Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: c.plan.dns().String(), Selector: labels,
		Ports: []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP}}}}, create)
	_, e6 := c.client.AppsV1().Deployments(dnsNamespace).Create(ctx, dnsDeployment(meta), create)
	if err := errors.Join(e1, e2, e3, e4, e5, e6); err != nil {
		return fmt.Errorf("install the cluster's name server: %w", err)
	}
	return nil
}

func dnsDeployment(meta metav1.ObjectMeta) *appsv1.Deployment {
	replicas, no, yes := int32(dnsReplicas), false, true
	probe := func(path string, port int) *corev1.Probe {
		return &corev1.Probe{PeriodSeconds: 5, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt(port)}}}
	}
	ready := probe("/ready", 8181)
	ready.PeriodSeconds = 1
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: meta.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels}, Spec: corev1.PodSpec{
			ServiceAccountName: dnsName, DNSPolicy: corev1.DNSDefault, PriorityClassName: "system-cluster-critical",
			TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelHostname,
				WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: meta.Labels}}},
			Containers: []corev1.Container{{
				Name: "coredns", Image: image.Registry + "/lab/coredns:1", ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"-conf", "/etc/coredns/Corefile"},
				Resources:      corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("30Mi")}},
				ReadinessProbe: ready, LivenessProbe: probe("/health", 8080),
				VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/coredns", ReadOnly: true}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_BIND_SERVICE"}}},
			}},
			Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: dnsName}}}}},
		}},
	}}
}

// awaitDNS waits until the name server answers on every replica.
func (c *cluster) awaitDNS(ctx context.Context, what string, report progress.Func) error {
	return progress.Wait(ctx, report, what+"name server", dnsReplicas, 100*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		d, err := c.client.AppsV1().Deployments(dnsNamespace).Get(ctx, dnsName, metav1.GetOptions{})
		if err != nil {
			return 0, "", err
		}
		if d.Status.ReadyReplicas == dnsReplicas {
			return dnsReplicas, "", nil
		}
		note, err := c.podNote(ctx, "k8s-app="+dnsName)
		return int64(d.Status.ReadyReplicas), note, err
	})
}

// podNote says why the first of the pods that are not ready isn't.
func (c *cluster) podNote(ctx context.Context, selector string) (string, error) {
	pods, err := c.client.CoreV1().Pods(dnsNamespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return "", err
	}
	for _, p := range pods.Items {
		for _, condition := range p.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Status != corev1.ConditionTrue {
				return p.Name + ": " + condition.Message, nil
			}
		}
		for _, s := range p.Status.ContainerStatuses {
			switch {
			case s.State.Waiting != nil:
				return p.Name + ": " + strings.TrimSpace(s.State.Waiting.Reason+" "+s.State.Waiting.Message), nil
			case s.State.Terminated != nil:
				return fmt.Sprintf("%s: ended with %d", p.Name, s.State.Terminated.ExitCode), nil
			case !s.Ready:
				return p.Name + ": not ready yet", nil
			}
		}
	}
	return "its pods are made", nil
}
