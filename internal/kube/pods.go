package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// ErrNotReady: a workload or a pod doesn't become ready. The text names the pod and the reason.
var ErrNotReady = errors.New("not ready")

// specNote is the annotation with the hash of the specification that a pod was made from.
const specNote = "slipway-spec"

// trouble is why a pod isn't ready, in the cluster's words.
type trouble struct {
	reason string // ImagePullBackOff, CrashLoopBackOff, Unschedulable, ContainerCreating; "" when it is ready
	words  string
	grave  bool // it seldom passes by itself
}

func (t trouble) String() string {
	if t.words == "" {
		return t.reason
	}
	return t.reason + ": " + t.words
}

func podTrouble(p *corev1.Pod) trouble {
	if p.DeletionTimestamp != nil {
		return trouble{reason: "Terminating"}
	}
	if p.Status.Phase == corev1.PodFailed {
		return trouble{p.Status.Reason + " Failed", p.Status.Message + terminated(p.Status.ContainerStatuses), true}
	}
	for _, c := range append(append([]corev1.ContainerStatus(nil), p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...) {
		if w := c.State.Waiting; w != nil && w.Reason != "PodInitializing" {
			t := trouble{reason: w.Reason, words: oneLine(w.Message)}
			switch w.Reason {
			case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
				t.grave = true
			case "CrashLoopBackOff":
				t.grave = true
				if c.LastTerminationState.Terminated != nil {
					t.words = restarts(p, c)
				}
			}
			return t
		}
		if end := c.State.Terminated; end != nil && end.ExitCode != 0 {
			c.LastTerminationState.Terminated = end
			return trouble{"Ended", restarts(p, c), true}
		}
		// Without a probe, a program that crashes is ready from each start until its end.
		if run := c.State.Running; run != nil && c.RestartCount > 0 && time.Since(run.StartedAt.Time) < calm {
			return trouble{"Restarted", restarts(p, c), true}
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return trouble{reason: c.Reason, words: oneLine(c.Message)}
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return trouble{}
		}
		if c.Type == corev1.PodReady && c.Reason != "" {
			return trouble{reason: c.Reason, words: oneLine(c.Message)}
		}
	}
	return trouble{reason: string(p.Status.Phase)}
}

// calm is how long a container that was restarted must run until its pod is believed to be ready.
const calm = 10 * time.Second

func restarts(p *corev1.Pod, c corev1.ContainerStatus) string {
	how := "an unknown status"
	if last := c.LastTerminationState.Terminated; last != nil {
		how = fmt.Sprintf("exit status %d (%s) %s", last.ExitCode, last.Reason, oneLine(last.Message))
	}
	return fmt.Sprintf("container %s ended %d times, last with %s; see: kubectl logs -n %s %s -c %s --previous", c.Name, c.RestartCount, how, p.Namespace, p.Name, c.Name)
}

func terminated(all []corev1.ContainerStatus) string {
	for _, c := range all {
		if t := c.State.Terminated; t != nil {
			return fmt.Sprintf(" (container %s: exit status %d %s)", c.Name, t.ExitCode, t.Reason)
		}
	}
	return ""
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = s[:300] + " …"
	}
	return s
}

// explain adds what a pod's status doesn't say of a pod that hangs before its containers start: a mount that fails is only in its events.
func (v Viewer) explain(ctx context.Context, p *corev1.Pod, t trouble) (trouble, error) {
	if t.reason != "ContainerCreating" && t.reason != "Pending" && t.words != "" {
		return t, nil
	}
	words, err := v.events(ctx, p.Namespace, "Pod", p.Name)
	if err == nil && len(words) > 0 {
		t.words = strings.TrimSpace(t.words + " " + words[0])
	}
	return t, err
}

// ApplyPod makes a pod with this run's stamp and waits until it is ready. The same pod again is a no-op; a pod of this run's with
// another specification, or one that has ended, is replaced; another's is ErrExists. A pod that doesn't become ready is ErrNotReady with
// the reason.
func (m Maker) ApplyPod(ctx context.Context, pod *corev1.Pod, tell Tell) error {
	name := pod.Namespace + "/" + pod.Name
	raw, err := json.Marshal(pod.Spec)
	if err != nil {
		return fmt.Errorf("make pod %s: %w", name, err)
	}
	sum := sha256.Sum256(raw)
	hash := hex.EncodeToString(sum[:16])
	if err := m.hold(ctx, pod.Namespace); err != nil {
		return fmt.Errorf("make pod %s: %w", name, err)
	}
	have, there, err := m.c.View().pod(ctx, pod.Namespace, pod.Name)
	if err != nil {
		return err
	}
	if there {
		if err := m.mark.Check(have.Labels); err != nil {
			return fmt.Errorf("make pod %s: %w: %w", name, ErrExists, err)
		}
		ended := have.Status.Phase == corev1.PodFailed || have.Status.Phase == corev1.PodSucceeded || have.DeletionTimestamp != nil
		if ended || have.Annotations[specNote] != hash {
			if err := m.DeletePod(ctx, pod.Namespace, pod.Name, tell); err != nil {
				return err
			}
			there = false
		}
	}
	if !there {
		want := pod.DeepCopy()
		want.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		want.Labels = merged(want.Labels, m.mark.Labels())
		want.Annotations = merged(want.Annotations, map[string]string{specNote: hash})
		if err := m.apply(ctx, want); err != nil {
			return fmt.Errorf("make pod %s: %w", name, err)
		}
	}
	return m.podReady(ctx, pod.Namespace, pod.Name, tell)
}

func (m Maker) apply(ctx context.Context, pod *corev1.Pod) error {
	doc, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return err
	}
	delete(doc, "status")
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = again(ctx, m.c, func() (*corev1.Pod, error) {
		return m.c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.ApplyPatchType, raw, applyOptions().ToPatchOptions())
	})
	return err
}

func merged(a, b map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

func (v Viewer) pod(ctx context.Context, namespace, name string) (*corev1.Pod, bool, error) {
	got, err := again(ctx, v.c, func() (*corev1.Pod, error) {
		return v.c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look at pod %s/%s: %w", namespace, name, err)
	}
	return got, true, nil
}

func (m Maker) podReady(ctx context.Context, namespace, name string, tell Tell) error {
	began, grave, ready := time.Now(), time.Time{}, time.Time{}
	for pause := time.Duration(0); ; {
		p, there, err := m.c.View().pod(ctx, namespace, name)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("pod %s/%s: it was there, and now it isn't: %w", namespace, name, ErrNotReady)
		}
		t := podTrouble(p)
		if t.reason == "" {
			if ready.IsZero() {
				ready = time.Now()
			}
			if time.Since(ready) >= m.c.pace.steady {
				return nil
			}
			if err := sleep(ctx, m.c.pace.steady); err != nil {
				return fmt.Errorf("wait for pod %s/%s: %w", namespace, name, err)
			}
			continue
		}
		ready = time.Time{}
		if t, err = m.c.View().explain(ctx, p, t); err != nil {
			return err
		}
		if grave = m.c.pace.worsening(grave, t.grave); m.c.pace.lost(grave) || p.Status.Phase == corev1.PodFailed {
			return fmt.Errorf("pod %s/%s: %w: %s", namespace, name, ErrNotReady, t)
		}
		tell(fmt.Sprintf("waiting for pod %s/%s: %s, %s", namespace, name, t, since(began)), 0, 1)
		pause = m.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait for pod %s/%s: %w: %s: %w", namespace, name, ErrNotReady, t, err)
		}
	}
}

// worsening keeps since when a state has been grave without a break; lost says that it has been so for too long.
func (p pace) worsening(since time.Time, grave bool) time.Time {
	if !grave {
		return time.Time{}
	}
	if since.IsZero() {
		return time.Now()
	}
	return since
}

func (p pace) lost(since time.Time) bool { return !since.IsZero() && time.Since(since) > p.patience }

// DeletePod returns when the pod is gone. Absent is fine; another's is stamp.ErrForeign.
func (m Maker) DeletePod(ctx context.Context, namespace, name string, tell Tell) error {
	if err := m.hold(ctx, namespace); err != nil {
		return fmt.Errorf("delete pod %s/%s: %w", namespace, name, err)
	}
	began, asked := time.Now(), types.UID("")
	for pause := time.Duration(0); ; {
		p, there, err := m.c.View().pod(ctx, namespace, name)
		if err != nil || !there {
			return err
		}
		if err := m.mark.Check(p.Labels); err != nil {
			return fmt.Errorf("delete pod %s/%s: %w", namespace, name, err)
		}
		if asked != p.UID {
			_, err := again(ctx, m.c, func() (struct{}, error) {
				return struct{}{}, m.c.client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))})
			})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return fmt.Errorf("delete pod %s/%s: %w", namespace, name, err)
			}
			asked = p.UID
		}
		tell(fmt.Sprintf("waiting until pod %s/%s is gone: %s", namespace, name, since(began)), 0, 0)
		pause = m.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait until pod %s/%s is gone: %w", namespace, name, err)
		}
	}
}
