package kube

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReadyPod(t *testing.T) {
	pod := func(name string, phase corev1.PodPhase, ready bool) corev1.Pod {
		is := corev1.ConditionFalse
		if ready {
			is = corev1.ConditionTrue
		}
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{Phase: phase,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: is, Reason: "ContainersNotReady"}}}}
	}
	leaving := pod("web-0", corev1.PodRunning, true)
	leaving.DeletionTimestamp = &metav1.Time{}
	for _, x := range []struct {
		pods []corev1.Pod
		name string
		says string
	}{
		{[]corev1.Pod{leaving, pod("web-1", corev1.PodRunning, false), pod("web-2", corev1.PodSucceeded, true), pod("web-3", corev1.PodRunning, true), pod("web-4", corev1.PodRunning, true)}, "web-3", ""},
		{[]corev1.Pod{leaving, pod("web-1", corev1.PodRunning, false)}, "", "pods app=web in namespace shop: not ready: none of 2: Terminating: web-0"},
		{nil, "", "none of 0: there is none"},
	} {
		name, err := readyPod(x.pods, "shop", "app=web")
		if name != x.name || (err == nil) != (x.says == "") || err != nil && (!errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), x.says)) {
			t.Errorf("%q %v", name, err)
		}
	}
}
