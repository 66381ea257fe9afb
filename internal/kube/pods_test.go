package kube

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func conditions(c ...corev1.PodCondition) []corev1.PodCondition { return c }

func TestPodTrouble(t *testing.T) {
	crash := waiting("CrashLoopBackOff", "back-off 10s restarting")
	crash.RestartCount = 4
	crash.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", Message: "no\ndatabase"}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	now := metav1.Now()
	ended := func(code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "c", RestartCount: 1, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}}
	}
	again := func(since time.Duration) corev1.ContainerStatus {
		c := crash
		c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(time.Now().Add(-since))}}
		return c
	}
	for name, c := range map[string]struct {
		pod   corev1.Pod
		want  string
		grave bool
	}{
		"ready": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: conditions(ready)}}, "", false},
		"image": {corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("ImagePullBackOff", "Back-off pulling image \"x\"")}}},
			`ImagePullBackOff: Back-off pulling image "x"`, true},
		"init image": {corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{waiting("ErrImagePull", "no such host")},
			ContainerStatuses: []corev1.ContainerStatus{waiting("PodInitializing", "")}}}, "ErrImagePull: no such host", true},
		"crash": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{crash}}},
			"CrashLoopBackOff: container c ended 4 times, last with exit status 3 (Error) no database; see: kubectl logs -n n p -c c --previous", true},
		"crashes, and runs for a moment": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Status: corev1.PodStatus{Conditions: conditions(ready), ContainerStatuses: []corev1.ContainerStatus{again(time.Second)}}},
			"Restarted: container c ended 4 times, last with exit status 3 (Error) no database; see: kubectl logs -n n p -c c --previous", true},
		"crashed, and has run since": {corev1.Pod{Status: corev1.PodStatus{Conditions: conditions(ready), ContainerStatuses: []corev1.ContainerStatus{again(time.Hour)}}}, "", false},
		"between two starts": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended(3)}}},
			"Ended: container c ended 1 times, last with exit status 3 (Error) ; see: kubectl logs -n n p -c c --previous", true},
		"an init container that is done": {corev1.Pod{Status: corev1.PodStatus{Conditions: conditions(ready), InitContainerStatuses: []corev1.ContainerStatus{ended(0)}}}, "", false},
		"creating":                       {corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("ContainerCreating", "")}}}, "ContainerCreating", false},
		"unscheduled": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: conditions(corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: "Unschedulable", Message: "0/2 nodes are available"})}}, "Unschedulable: 0/2 nodes are available", false},
		"not ready": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: conditions(corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse,
			Reason: "ContainersNotReady", Message: "containers with unready status: [c]"})}}, "ContainersNotReady: containers with unready status: [c]", false},
		"failed":  {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on memory"}}, "Evicted Failed: The node was low on memory", true},
		"ending":  {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: conditions(ready)}}, "Terminating", false},
		"pending": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}, "Pending", false},
	} {
		if got := podTrouble(&c.pod); got.String() != c.want || got.grave != c.grave {
			t.Errorf("%s: %q (grave %v), want %q (%v)", name, got, got.grave, c.want, c.grave)
		}
	}
}

// What is grave is borne for a while, and the clock starts anew when it passes.
func TestPatience(t *testing.T) {
	p := pace{patience: 10 * time.Millisecond}
	since := p.worsening(time.Time{}, true)
	if p.lost(since) {
		t.Error("lost at once")
	}
	time.Sleep(15 * time.Millisecond)
	if since = p.worsening(since, true); !p.lost(since) {
		t.Error("borne for ever")
	}
	if since = p.worsening(since, false); p.lost(since) || !since.IsZero() {
		t.Error("still lost after it passed")
	}
}

func TestClaimState(t *testing.T) {
	want := Claim{Class: "rwx", Mode: "ReadWriteMany", Size: "50Gi"}
	for name, c := range map[string]struct {
		have Claim
		want string
	}{
		"same":          {want, ""},
		"another word":  {Claim{Class: "rwx", Mode: "ReadWriteMany", Size: "51200Mi"}, ""},
		"larger":        {Claim{Class: "rwx", Mode: "ReadWriteMany", Size: "1Ti"}, ""},
		"smaller":       {Claim{Class: "rwx", Mode: "ReadWriteMany", Size: "49Gi"}, "size 49Gi, not 50Gi"},
		"other":         {Claim{Class: "std", Mode: "ReadWriteOnce", Size: "50Gi"}, "class std, not rwx, mode ReadWriteOnce, not ReadWriteMany"},
		"unknown sizes": {Claim{Class: "rwx", Mode: "ReadWriteMany"}, "size , not 50Gi"},
	} {
		if got := (ClaimState{Claim: c.have}).Differs(want); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if d := (ClaimState{Claim: want}).Differs(Claim{Mode: "ReadWriteMany", Size: "1Gi"}); d != "" {
		t.Errorf("the default class: %q", d)
	}
	for s, ready := range map[*ClaimState]bool{
		{Phase: "Bound"}: true, {Phase: "Bound", Ending: true}: false, {Phase: "Pending"}: false, {Phase: "Pending", Lazy: true}: true, {Phase: "Lost", Lazy: true}: false,
	} {
		if s.Ready() != ready {
			t.Errorf("%+v ready: %v", *s, !ready)
		}
	}
}

func TestTail(t *testing.T) {
	var l tail
	for range 1000 {
		_, _ = l.Write([]byte("0123456789"))
	}
	_, _ = l.Write([]byte("the end"))
	if s := l.String(); len(s) != 2<<10 || !strings.HasSuffix(s, "the end") {
		t.Errorf("%d bytes, %q", len(s), s[len(s)-20:])
	}
	if got := (&ExitError{Pod: "n/p", Command: "tar", Code: 2, Stderr: " no space \n"}).Error(); got != "tar in pod n/p: exit status 2: no space" {
		t.Error(got)
	}
}
