package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/slipway-dev/slipway/internal/stamp"
)

// hold is what every change in a namespace begins with. The namespace carries the highest fence of the processes that have changed anything
// in it: a process with a lower one is refused with stamp.ErrFenced, and the first change of one with a higher one puts its own there. The
// objects' own labels don't suffice: they have the fence of whoever made them, which those who come after leave as it is.
//
// A namespace that isn't there, or isn't this run's, says nothing: what is in it says for itself whose it is.
func (m Maker) hold(ctx context.Context, namespace string) error {
	for {
		got, err := again(ctx, m.c, func() (*corev1.Namespace, error) {
			return m.c.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look at the fence of namespace %s: %w", namespace, err)
		}
		if m.mark.Check(got.Labels) != nil {
			return nil
		}
		if err := m.mark.Admit(got.Labels); err != nil {
			return fmt.Errorf("namespace %s: %w", namespace, err)
		}
		if got.DeletionTimestamp != nil || !m.mark.Raises(got.Labels) {
			return nil
		}
		labels := m.mark.Labels()
		labels[stamp.StepLabel] = got.Labels[stamp.StepLabel] // the namespace is still the work of the step that made it
		// With the version that was looked at: of two processes that raise it at once, one has to look again.
		ac := corev1ac.Namespace(namespace).WithResourceVersion(got.ResourceVersion).WithLabels(labels)
		_, err = again(ctx, m.c, func() (*corev1.Namespace, error) {
			return m.c.client.CoreV1().Namespaces().Apply(ctx, ac, applyOptions())
		})
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("put this process's fence on namespace %s: %w", namespace, err)
		}
	}
}
