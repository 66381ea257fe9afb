package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReadyPod is the name of the first pod, by name, that has the label (KEY=VALUE, or another selector of Kubernetes) and is
// ready. None is ErrNotReady, with how many there are and what the first lacks.
func (c *Cluster) ReadyPod(ctx context.Context, namespace, label string) (string, error) {
	list, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: label})
	if err != nil {
		return "", fmt.Errorf("look for pods %s in namespace %s: %w", label, namespace, err)
	}
	return readyPod(list.Items, namespace, label)
}

func readyPod(pods []corev1.Pod, namespace, label string) (name string, err error) {
	first := trouble{reason: "there is none"}
	for i := range pods { // the server lists them by name
		p := &pods[i]
		t := podTrouble(p)
		if t.reason == "" && p.Status.Phase == corev1.PodRunning {
			return p.Name, nil
		}
		if i == 0 {
			first = t
			first.words = p.Name + " " + t.words
		}
	}
	return "", fmt.Errorf("pods %s in namespace %s: %w: none of %d: %s", label, namespace, ErrNotReady, len(pods), first)
}
