package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Workload names something that runs pods.
type Workload struct {
	Kind string // Deployment, StatefulSet, DaemonSet
	Name string
}

func (w Workload) String() string { return w.Kind + " " + w.Name }

// workloadState is how far a workload is from what was asked of it.
type workloadState struct {
	Workload
	missing     bool
	want, ready int64
	settled     bool // the controller has seen the last change, all pods are of it and ready, and none is left over
	blind       bool // a container of its pods has no readiness probe
	pod         string
	why         trouble // of the first pod that isn't ready
}

func (s workloadState) String() string {
	if s.missing {
		return s.Workload.String() + " isn't there"
	}
	out := fmt.Sprintf("%s %d/%d", s.Name, s.ready, s.want)
	if s.pod != "" {
		out += fmt.Sprintf(" (pod %s: %s)", s.pod, s.why)
	}
	return out
}

// WaitReady waits until every workload runs exactly the pods that were asked for, all ready, and none of before; one that was scaled to
// zero has no pod left, not even one that is ending. An error (ErrNotReady) names the pods and the reasons.
func (v Viewer) WaitReady(ctx context.Context, namespace string, all []Workload, tell Tell) error {
	began := time.Now()
	grave, steady := map[string]time.Time{}, time.Time{}
	for pause := time.Duration(0); ; {
		states, err := v.workloads(ctx, namespace, all)
		if err != nil {
			return err
		}
		var open []string
		var lost []string
		var want, ready int64
		needs := v.c.pace.steady
		for _, s := range states {
			want, ready = want+s.want, ready+min(s.ready, s.want)
			if s.blind {
				needs = v.c.pace.blind
			}
			if s.settled {
				delete(grave, s.Workload.String())
				continue
			}
			open = append(open, s.String())
			id := s.Workload.String()
			if grave[id] = v.c.pace.worsening(grave[id], s.why.grave); v.c.pace.lost(grave[id]) {
				lost = append(lost, s.String())
			}
		}
		if len(open) == 0 {
			if steady.IsZero() {
				steady = time.Now()
			}
			if time.Since(steady) >= needs {
				return nil
			}
			tell("all pods are ready; looking once more", ready, want)
			if err := sleep(ctx, v.c.pace.steady); err != nil {
				return fmt.Errorf("wait for pods: %w", err)
			}
			continue
		}
		steady = time.Time{}
		if len(lost) > 0 {
			return fmt.Errorf("%w for %s: %s", ErrNotReady, v.c.pace.patience, strings.Join(lost, "; "))
		}
		tell(fmt.Sprintf("waiting for pods: %s, %s", strings.Join(open, "; "), since(began)), ready, want)
		pause = v.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait for pods: %w: %s: %w", ErrNotReady, strings.Join(open, "; "), err)
		}
	}
}

// Ready looks once: the text says what isn't ready, and is empty when all is.
func (v Viewer) Ready(ctx context.Context, namespace string, all []Workload) (string, error) {
	states, err := v.workloads(ctx, namespace, all)
	var open []string
	for _, s := range states {
		if !s.settled {
			open = append(open, s.String())
		}
	}
	return strings.Join(open, "; "), err
}

func (v Viewer) workloads(ctx context.Context, namespace string, all []Workload) ([]workloadState, error) {
	pods, err := again(ctx, v.c, func() (*corev1.PodList, error) {
		return v.c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	})
	if err != nil {
		return nil, fmt.Errorf("look at the pods of namespace %s: %w", namespace, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	var out []workloadState
	for _, w := range all {
		s, sel, err := v.workload(ctx, namespace, w)
		if err != nil {
			return nil, err
		}
		if !s.missing {
			if err := v.blame(ctx, &s, sel, pods.Items); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// blame finds the pod that keeps a workload from being settled.
func (v Viewer) blame(ctx context.Context, s *workloadState, sel labels.Selector, pods []corev1.Pod) error {
	left := int64(0)
	for i := range pods {
		p := &pods[i]
		if !sel.Matches(labels.Set(p.Labels)) || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		left++
		s.blind = s.blind || slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.ReadinessProbe == nil })
		t := podTrouble(p)
		if t.reason == "" || s.pod != "" && (s.why.grave || !t.grave) {
			continue
		}
		var err error
		if t, err = v.explain(ctx, p, t); err != nil {
			return err
		}
		s.pod, s.why = p.Name, t
	}
	if s.settled && left != s.want {
		s.settled = false
	}
	if s.settled {
		s.pod, s.why = "", trouble{}
	}
	return nil
}

func (v Viewer) workload(ctx context.Context, namespace string, w Workload) (workloadState, labels.Selector, error) {
	s := workloadState{Workload: w}
	apps := v.c.client.AppsV1()
	var sel *metav1.LabelSelector
	var err error
	switch w.Kind {
	case "Deployment":
		var d *appsv1.Deployment
		if d, err = again(ctx, v.c, func() (*appsv1.Deployment, error) {
			return apps.Deployments(namespace).Get(ctx, w.Name, metav1.GetOptions{})
		}); err == nil {
			sel, s.want, s.ready = d.Spec.Selector, replicas(d.Spec.Replicas), int64(d.Status.ReadyReplicas)
			st := d.Status
			s.settled = st.ObservedGeneration >= d.Generation && int64(st.Replicas) == s.want && int64(st.UpdatedReplicas) == s.want &&
				s.ready == s.want && int64(st.AvailableReplicas) == s.want
			for _, c := range st.Conditions {
				if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
					s.pod, s.why = "(none)", trouble{c.Reason, oneLine(c.Message), true}
				}
			}
		}
	case "StatefulSet":
		var d *appsv1.StatefulSet
		if d, err = again(ctx, v.c, func() (*appsv1.StatefulSet, error) {
			return apps.StatefulSets(namespace).Get(ctx, w.Name, metav1.GetOptions{})
		}); err == nil {
			sel, s.want, s.ready = d.Spec.Selector, replicas(d.Spec.Replicas), int64(d.Status.ReadyReplicas)
			st := d.Status
			s.settled = st.ObservedGeneration >= d.Generation && int64(st.Replicas) == s.want && s.ready == s.want && st.CurrentRevision == st.UpdateRevision
		}
	case "DaemonSet":
		var d *appsv1.DaemonSet
		if d, err = again(ctx, v.c, func() (*appsv1.DaemonSet, error) {
			return apps.DaemonSets(namespace).Get(ctx, w.Name, metav1.GetOptions{})
		}); err == nil {
			st := d.Status
			sel, s.want, s.ready = d.Spec.Selector, int64(st.DesiredNumberScheduled), int64(st.NumberReady)
			s.settled = st.ObservedGeneration >= d.Generation && s.ready == s.want && int64(st.UpdatedNumberScheduled) == s.want && st.NumberMisscheduled == 0
		}
	default:
		return s, nil, fmt.Errorf("%s: not a kind of workload that is waited for", w)
	}
	if apierrors.IsNotFound(err) {
		s.missing = true
		return s, nil, nil
	}
	if err != nil {
		return s, nil, fmt.Errorf("look at %s in namespace %s: %w", w, namespace, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(sel)
	if err != nil {
		return s, nil, fmt.Errorf("%s in namespace %s: its selector: %w", w, namespace, err)
	}
	return s, selector, nil
}

func replicas(n *int32) int64 {
	if n == nil {
		return 1
	}
	return int64(*n)
}

// WaitAddress waits for the address of a Service of type LoadBalancer.
func (v Viewer) WaitAddress(ctx context.Context, namespace, service string, tell Tell) (string, error) {
	began := time.Now()
	for pause := time.Duration(0); ; {
		at, err := v.Address(ctx, namespace, service)
		if err != nil || at != "" {
			return at, err
		}
		words, err := v.events(ctx, namespace, "Service", service)
		if err != nil {
			return "", err
		}
		why := strings.Join(words[:min(len(words), 1)], "")
		tell(fmt.Sprintf("waiting for the LoadBalancer address of service %s/%s: %s %s", namespace, service, since(began), why), 0, 0)
		pause = v.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return "", fmt.Errorf("wait for the LoadBalancer address of service %s/%s: %s: %w", namespace, service, why, err)
		}
	}
}

// Address is a LoadBalancer's address; "" while it has none.
func (v Viewer) Address(ctx context.Context, namespace, service string) (string, error) {
	s, err := again(ctx, v.c, func() (*corev1.Service, error) {
		return v.c.client.CoreV1().Services(namespace).Get(ctx, service, metav1.GetOptions{})
	})
	if err != nil {
		return "", fmt.Errorf("look at service %s/%s: %w", namespace, service, err)
	}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return "", fmt.Errorf("service %s/%s is of type %s, not LoadBalancer", namespace, service, s.Spec.Type)
	}
	for _, i := range s.Status.LoadBalancer.Ingress {
		if i.IP != "" {
			return i.IP, nil
		}
		if i.Hostname != "" {
			return i.Hostname, nil
		}
	}
	return "", nil
}

// WaitReady is the Viewer's, for what was just made.
func (m Maker) WaitReady(ctx context.Context, namespace string, all []Workload, tell Tell) error {
	return m.c.View().WaitReady(ctx, namespace, all, tell)
}

// WaitAddress is the Viewer's, for what was just made.
func (m Maker) WaitAddress(ctx context.Context, namespace, service string, tell Tell) (string, error) {
	return m.c.View().WaitAddress(ctx, namespace, service, tell)
}
