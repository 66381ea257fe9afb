package kube

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/slipway-dev/slipway/internal/secret"
)

// ErrExists: an object of that name is there and isn't this run's. It is left as it is; choose another name, or delete it by hand.
var ErrExists = errors.New("the name is taken")

// Namespace is a namespace as it is seen now.
type Namespace struct {
	Name   string
	Labels map[string]string
	Ending string // why it isn't gone yet, while it is being deleted; "" when it isn't
}

// Namespace says what is there under a name; false when nothing is.
func (v Viewer) Namespace(ctx context.Context, name string) (Namespace, bool, error) {
	got, err := again(ctx, v.c, func() (*corev1.Namespace, error) {
		return v.c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return Namespace{}, false, nil
	}
	if err != nil {
		return Namespace{}, false, fmt.Errorf("look at namespace %s: %w", name, err)
	}
	n := Namespace{Name: name, Labels: got.Labels}
	if got.DeletionTimestamp != nil {
		n.Ending = "its content is being deleted"
		for _, c := range got.Status.Conditions {
			if c.Status == corev1.ConditionTrue && (c.Type == corev1.NamespaceContentRemaining || c.Type == corev1.NamespaceFinalizersRemaining || c.Type == corev1.NamespaceDeletionContentFailure) {
				n.Ending = c.Message
			}
		}
	}
	return n, true, nil
}

// ApplyNamespace makes a namespace with this run's stamp. One that is there and isn't this run's is ErrExists.
func (m Maker) ApplyNamespace(ctx context.Context, name string) error {
	n, there, err := m.c.View().Namespace(ctx, name)
	if err != nil {
		return err
	}
	if there {
		if err := m.mark.Admit(n.Labels); err != nil {
			return fmt.Errorf("make namespace %s: %w: %w", name, ErrExists, err)
		}
		if n.Ending != "" {
			return fmt.Errorf("make namespace %s: it is being deleted: %s", name, n.Ending)
		}
	}
	_, err = again(ctx, m.c, func() (*corev1.Namespace, error) {
		return m.c.client.CoreV1().Namespaces().Apply(ctx, corev1ac.Namespace(name).WithLabels(m.mark.Labels()), applyOptions())
	})
	if err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}

// DeleteNamespace returns when the namespace and all in it are gone. Absent is fine; another's is stamp.ErrForeign.
func (m Maker) DeleteNamespace(ctx context.Context, name string, tell Tell) error {
	if err := m.hold(ctx, name); err != nil {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	asked, began := false, time.Now()
	for pause := time.Duration(0); ; {
		n, there, err := m.c.View().Namespace(ctx, name)
		if err != nil || !there {
			return err
		}
		if err := m.mark.Check(n.Labels); err != nil {
			return fmt.Errorf("delete namespace %s: %w", name, err)
		}
		if n.Ending == "" && !asked {
			_, err := again(ctx, m.c, func() (struct{}, error) {
				return struct{}{}, m.c.client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
			})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("delete namespace %s: %w", name, err)
			}
			asked = true
		}
		tell("waiting until namespace "+name+" is gone: "+since(began)+" "+n.Ending, 0, 0)
		pause = m.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait until namespace %s is gone (%s): %w", name, n.Ending, err)
		}
	}
}

// Secret is a Secret to be made. Its values go to the API server and nowhere else.
type Secret struct {
	Namespace, Name string
	Type            string // "kubernetes.io/tls"; "" is "Opaque"
	Items           []Item
}

func (s Secret) kind() corev1.SecretType {
	if s.Type == "" {
		return corev1.SecretTypeOpaque
	}
	return corev1.SecretType(s.Type)
}

// Item is one key of a Secret.
type Item struct {
	Key   string
	Value secret.String
}

// SecretState is what a look at a Secret tells. Its values stay in the cluster.
type SecretState struct {
	Labels map[string]string
	Same   bool // it holds exactly the keys and values that were asked for
}

// Secret compares the Secret that is there with one that is wanted; false when nothing is there.
func (v Viewer) Secret(ctx context.Context, want Secret) (SecretState, bool, error) {
	got, err := again(ctx, v.c, func() (*corev1.Secret, error) {
		return v.c.client.CoreV1().Secrets(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return SecretState{}, false, nil
	}
	if err != nil {
		return SecretState{}, false, fmt.Errorf("look at secret %s/%s: %w", want.Namespace, want.Name, err)
	}
	s := SecretState{Labels: got.Labels, Same: got.Type == want.kind() && len(got.Data) == len(want.Items)}
	for _, i := range want.Items {
		have, ok := got.Data[i.Key]
		if !ok || subtle.ConstantTimeCompare(have, []byte(i.Value.Reveal())) != 1 {
			s.Same = false
		}
	}
	return s, true, nil
}

// ApplySecret makes a Secret with this run's stamp, or makes it hold what is wanted. One that isn't this run's is ErrExists.
func (m Maker) ApplySecret(ctx context.Context, s Secret) error {
	name := s.Namespace + "/" + s.Name
	if err := m.hold(ctx, s.Namespace); err != nil {
		return fmt.Errorf("make secret %s: %w", name, err)
	}
	state, there, err := m.c.View().Secret(ctx, s)
	if err != nil {
		return err
	}
	if there {
		if err := m.mark.Check(state.Labels); err != nil {
			return fmt.Errorf("make secret %s: %w: %w", name, ErrExists, err)
		}
		if state.Same {
			return nil
		}
	}
	data := map[string][]byte{}
	var values []secret.String
	for _, i := range s.Items {
		data[i.Key] = []byte(i.Value.Reveal())
		values = append(values, i.Value)
	}
	ac := corev1ac.Secret(s.Name, s.Namespace).WithLabels(m.mark.Labels()).WithType(s.kind()).WithData(data)
	_, err = again(ctx, m.c, func() (*corev1.Secret, error) {
		return m.c.client.CoreV1().Secrets(s.Namespace).Apply(ctx, ac, applyOptions())
	})
	if err != nil {
		return secret.Redact(fmt.Errorf("make secret %s: %w", name, err), values...)
	}
	return nil
}

// DeleteSecret deletes a Secret of this run. Absent is fine; another's is stamp.ErrForeign.
func (m Maker) DeleteSecret(ctx context.Context, namespace, name string) error {
	if err := m.hold(ctx, namespace); err != nil {
		return fmt.Errorf("delete secret %s/%s: %w", namespace, name, err)
	}
	state, there, err := m.c.View().Secret(ctx, Secret{Namespace: namespace, Name: name})
	if err != nil || !there {
		return err
	}
	if err := m.mark.Check(state.Labels); err != nil {
		return fmt.Errorf("delete secret %s/%s: %w", namespace, name, err)
	}
	_, err = again(ctx, m.c, func() (struct{}, error) {
		return struct{}{}, m.c.client.CoreV1().Secrets(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete secret %s/%s: %w", namespace, name, err)
	}
	return nil
}

func applyOptions() metav1.ApplyOptions {
	return metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
}

// events are the last words of the cluster on an object, newest first, each once.
func (v Viewer) events(ctx context.Context, namespace, kind, name string) ([]string, error) {
	got, err := again(ctx, v.c, func() (*corev1.EventList, error) {
		return v.c.client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + name})
	})
	if err != nil {
		return nil, fmt.Errorf("look at the events of %s %s/%s: %w", kind, namespace, name, err)
	}
	slices.SortStableFunc(got.Items, func(a, b corev1.Event) int { return eventTime(b).Compare(eventTime(a)) })
	var out []string
	for _, e := range got.Items {
		if s := e.Reason + ": " + strings.Join(strings.Fields(e.Message), " "); e.Type == corev1.EventTypeWarning && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

func eventTime(e corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
