package kube

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/internal/treecopy"
)

// Mover is a pod that mounts a claim, and does nothing but wait for commands: with them, files are written into the claim and looked at there.
type Mover struct {
	Namespace string
	Claim     string
	Image     string // with GNU's tar, find, xargs and coreutils
}

// Name is the pod's.
func (m Mover) Name() string { return "slipway-mover-" + m.Claim }

// MoverRoot is where the claim is mounted in the pod.
const MoverRoot = "/volume"

// moverScratch bounds what a mover's /tmp takes of the node's disk: the file agent is put there, as long as it takes to start it.
const moverScratch = "64Mi"

// moverRights are all that root in the pod has: to give files away to any owner (CHOWN), to set modes and times of what it gave away
// (FOWNER), to write into directories that belong to others (DAC_OVERRIDE), and to keep set-id bits in that (FSETID). They are within what the
// Pod Security Standard "baseline" allows.
var moverRights = []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"}

func (m Mover) pod() *corev1.Pod {
	no, yes, root, now := false, true, int64(0), int64(0)
	scratch := resource.MustParse(moverScratch)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name(), Labels: map[string]string{"app.kubernetes.io/name": "slipway-mover"}},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever, // one that ended is made anew by whoever needs it
			TerminationGracePeriodSeconds: &now,                      // it has nothing to finish: what it was cut off in is done again
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			SecurityContext:               &corev1.PodSecurityContext{RunAsUser: &root, RunAsGroup: &root, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name:    "mover",
				Image:   m.Image,
				Command: []string{"sleep", "infinity"},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
				},
				SecurityContext: &corev1.SecurityContext{ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: moverRights}},
				VolumeMounts: []corev1.VolumeMount{{Name: "claim", MountPath: MoverRoot}, {Name: "scratch", MountPath: "/tmp"}},
			}},
			Volumes: []corev1.Volume{
				{Name: "claim", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: m.Claim}}},
				{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &scratch}}},
			},
		},
	}
}

// run runs a command in the pod, in package treecopy's terms.
func (m Mover) run(c *Cluster) treecopy.Run {
	return func(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
		err := c.Exec(ctx, ExecRequest{Namespace: m.Namespace, Pod: m.Name(), Container: "mover", Command: argv, Stdin: in, Stdout: out})
		var exit *ExitError
		switch {
		case errors.As(err, &exit):
			return &treecopy.Failed{What: "pod " + exit.Pod + ": " + tool(argv), Status: exit.Code, Stderr: exit.Stderr}
		case errors.Is(err, ErrLost):
			return fmt.Errorf("%w: %w", treecopy.ErrLost, err)
		}
		return err
	}
}

// tool is the program that a command runs, behind env and its settings.
func tool(argv []string) string {
	for _, a := range argv[1:] {
		if argv[0] == "env" && a[0] != '-' && a != "LC_ALL=C" {
			return a
		}
	}
	return argv[0]
}

// MoverView looks at a claim through its mover. It has no method that changes anything.
type MoverView struct {
	v     Viewer
	mover Mover
	tree  treecopy.View
}

// Mover is the view of a mover, whether it is there or not.
func (v Viewer) Mover(m Mover) MoverView {
	return MoverView{v, m, treecopy.Look(m.run(v.c), MoverRoot)}
}

// Claim is what is seen of the mover's claim.
func (v MoverView) Claim(ctx context.Context) (ClaimState, bool, error) {
	return v.v.Claim(ctx, v.mover.Namespace, v.mover.Claim)
}

// Stands says whether run's mover is there and ready for commands. Another run's isn't.
func (v MoverView) Stands(ctx context.Context, run string) (bool, error) {
	p, there, err := v.v.pod(ctx, v.mover.Namespace, v.mover.Name())
	if err != nil || !there || (stamp.Stamp{Run: run}).Check(p.Labels) != nil {
		return false, err
	}
	return podTrouble(p).reason == "", nil
}

// List, Hash and Tar are treecopy.View's.
func (v MoverView) List(ctx context.Context, out io.Writer) error { return v.tree.List(ctx, out) }

// Hash is treecopy.View's.
func (v MoverView) Hash(ctx context.Context, names io.Reader, out io.Writer) error {
	return v.tree.Hash(ctx, names, out)
}

// Tar is treecopy.View's.
func (v MoverView) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	return v.tree.Tar(ctx, names, out)
}

// Free is treecopy.View's.
func (v MoverView) Free(ctx context.Context) (treecopy.Space, error) { return v.tree.Free(ctx) }

// MoverHand fills a claim through its mover.
type MoverHand struct {
	MoverView
	m    Maker
	tree treecopy.Hand
}

// Mover is the hand on a mover of the Maker's run.
func (m Maker) Mover(mv Mover) MoverHand {
	return MoverHand{m.c.View().Mover(mv), m, treecopy.Fill(mv.run(m.c), MoverRoot)}
}

// Start makes the pod, and returns when it is ready; one of this run's that is there already is used.
func (h MoverHand) Start(ctx context.Context, tell Tell) error {
	return h.m.ApplyPod(ctx, h.mover.pod(), tell)
}

// Stop returns when the pod, and with it every command in it, is gone. Absent is fine.
func (h MoverHand) Stop(ctx context.Context, tell Tell) error {
	return h.m.DeletePod(ctx, h.mover.Namespace, h.mover.Name(), tell)
}

// Exec runs a command in the pod. Errors are Cluster.Exec's.
func (h MoverHand) Exec(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
	return h.m.c.Exec(ctx, ExecRequest{Namespace: h.mover.Namespace, Pod: h.mover.Name(), Container: "mover", Command: argv, Stdin: in, Stdout: out})
}

// Extract is treecopy.Hand's.
func (h MoverHand) Extract(ctx context.Context, in io.Reader) error {
	if err := h.m.hold(ctx, h.mover.Namespace); err != nil {
		return fmt.Errorf("write through pod %s/%s: %w", h.mover.Namespace, h.mover.Name(), err)
	}
	return h.tree.Extract(ctx, in)
}

// Sync is treecopy.Hand's.
func (h MoverHand) Sync(ctx context.Context) error { return h.tree.Sync(ctx) }
