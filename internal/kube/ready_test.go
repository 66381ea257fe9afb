package kube

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestWaitReadyOfACrash: a container without a readiness probe counts as ready until its end is noticed, here 3 s after its start. It is waited for longer than one
// whose probe has answered.
func TestWaitReadyOfACrash(t *testing.T) {
	for _, c := range []struct {
		name  string
		probe *corev1.Probe
		takes time.Duration // until it is called ready; 0: never
	}{{"no probe", nil, 0}, {"a probe", &corev1.Probe{}, time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, one := t.Context(), int32(1)
				labels := map[string]string{"app": "web"}
				d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}},
					Status: appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}}
				p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", ReadinessProbe: c.probe}}},
					Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
						ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
				client := fake.NewClientset(d, p)
				time.AfterFunc(3*time.Second, func() {
					d, p := d.DeepCopy(), p.DeepCopy()
					d.Status.ReadyReplicas, d.Status.AvailableReplicas = 0, 0
					p.Status.Conditions[0].Status = corev1.ConditionFalse
					p.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "web", RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
						LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}}
					_, err := client.AppsV1().Deployments("shop").Update(ctx, d, metav1.UpdateOptions{})
					_, perr := client.CoreV1().Pods("shop").Update(ctx, p, metav1.UpdateOptions{})
					if err := errors.Join(err, perr); err != nil {
						t.Error(err)
					}
				})
				began, pace := time.Now(), realPace
				pace.patience = 10 * time.Second
				err := Viewer{&Cluster{client: client, pace: pace}}.WaitReady(ctx, "shop", []Workload{{"Deployment", "web"}}, func(string, int64, int64) {})
				took := time.Since(began)
				if c.takes == 0 && !errors.Is(err, ErrNotReady) || c.takes > 0 && (err != nil || took != c.takes) {
					t.Errorf("after %s: %v", took, err)
				}
				time.Sleep(4 * time.Second) // the crash comes in any case
			})
		})
	}
}
