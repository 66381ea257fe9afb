package storage

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// newTest makes a storage that does nothing by itself and sees the objects.
func newTest(t *testing.T, objects ...runtime.Object) (*Storage, *fake.Clientset, *record.FakeRecorder) {
	t.Helper()
	client, events := fake.NewClientset(objects...), record.NewFakeRecorder(20)
	index := func() cache.Indexer { return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}) }
	claims, pvs, classes, attached := index(), index(), index(), index()
	for _, o := range objects {
		var err error
		switch o.(type) {
		case *corev1.PersistentVolumeClaim:
			err = claims.Add(o)
		case *corev1.PersistentVolume:
			err = pvs.Add(o)
		case *storagev1.StorageClass:
			err = classes.Add(o)
		case *storagev1.VolumeAttachment:
			err = attached.Add(o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &Storage{config: Config{Client: client, Log: log.New(io.Discard, "", 0), Nodes: []Node{{Name: "n1"}, {Name: "n2"}}}, events: events,
		claims: corelisters.NewPersistentVolumeClaimLister(claims), pvs: corelisters.NewPersistentVolumeLister(pvs),
		classes: storagelisters.NewStorageClassLister(classes), attached: storagelisters.NewVolumeAttachmentLister(attached),
		volumes: &volumes{dir: t.TempDir(), loops: map[string]*attachment{}}}
	return s, client, events
}

func class(d driver) *storagev1.StorageClass {
	reclaim := corev1.PersistentVolumeReclaimDelete
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: d.class}, Provisioner: d.name, ReclaimPolicy: &reclaim, VolumeBindingMode: &d.binding}
}

func pendingClaim(d driver, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data", UID: "77-aa", Annotations: map[string]string{wantsProvisioner: d.name}},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &d.class, AccessModes: d.modes[:1],
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100M")}}}}
	for _, f := range change {
		f(c)
	}
	return c
}

// have makes the volume's file, which a machine would format.
func have(t *testing.T, s *Storage, id string) string {
	t.Helper()
	file, err := s.volumes.file(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestProvisions(t *testing.T) {
	s, client, _ := newTest(t, class(shares), pendingClaim(shares))
	have(t, s, "pvc-77-aa")
	for range 2 { // the second finds the first's
		if err := s.provision(t.Context(), "shop/data"); err != nil {
			t.Fatal(err)
		}
	}
	pv, err := client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-77-aa", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	size := pv.Spec.Capacity[corev1.ResourceStorage]
	if size.Value() != 96<<20 || pv.Spec.CSI.Driver != shares.name || pv.Spec.ClaimRef.UID != "77-aa" || pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete ||
		!slices.Contains(pv.Finalizers, dataFinalizer) {
		t.Errorf("volume of %s: %+v", size.String(), pv)
	}
}

func TestProvisionsNot(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	now := metav1.Now()
	for name, c := range map[string]struct {
		claim *corev1.PersistentVolumeClaim
		class *storagev1.StorageClass
		event string
	}{
		"no node decided":  {pendingClaim(disks), class(disks), ""},
		"another's":        {pendingClaim(shares, func(c *corev1.PersistentVolumeClaim) { c.Annotations[wantsProvisioner] = "pd.csi.storage.gke.io" }), class(shares), ""},
		"has a volume":     {pendingClaim(shares, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv" }), class(shares), ""},
		"is being deleted": {pendingClaim(shares, func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp, c.Finalizers = &now, []string{"x"} }), class(shares), ""},
		"a device":         {pendingClaim(shares, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block }), class(shares), "not devices"},
		"a disk for several": {pendingClaim(disks, func(c *corev1.PersistentVolumeClaim) {
			c.Annotations[selectedNode] = "n1"
			c.Spec.AccessModes = shares.modes
		}), class(disks), "ReadWriteMany"},
	} {
		s, client, events := newTest(t, c.class, c.claim)
		if err := s.provision(t.Context(), "shop/data"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := client.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
			t.Errorf("%s: made %v, %v", name, list.Items, err)
		}
		said := ""
		select {
		case said = <-events.Events:
		default:
		}
		if c.event == "" && said != "" || !strings.Contains(said, c.event) {
			t.Errorf("%s: said %q", name, said)
		}
	}
}

func released(change ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	pv := newVolume(shares, class(shares), pendingClaim(shares))
	pv.UID, pv.Status.Phase = "88", corev1.VolumeReleased
	for _, f := range change {
		f(pv)
	}
	return pv
}

func TestReclaims(t *testing.T) {
	s, client, _ := newTest(t, released())
	file := have(t, s, "pvc-77-aa")
	s.volumes.loops["pvc-77-aa"] = &attachment{nodes: map[string]bool{"n1": true}}
	if err := s.reclaim(t.Context(), "pvc-77-aa"); !errors.Is(err, errElsewhere) {
		t.Errorf("while a node has it: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("while a node has it: %v", err)
	}
	delete(s.volumes.loops, "pvc-77-aa")
	if err := s.reclaim(t.Context(), "pvc-77-aa"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
	if pv, err := client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-77-aa", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the object is still there: %+v, %v", pv, err)
	}
}

func TestReclaimsNot(t *testing.T) {
	for name, pv := range map[string]*corev1.PersistentVolume{
		"bound": released(func(p *corev1.PersistentVolume) { p.Status.Phase = corev1.VolumeBound }),
		"retained": released(func(p *corev1.PersistentVolume) {
			p.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}),
		"another's": released(func(p *corev1.PersistentVolume) { p.Annotations[provisionedBy] = "pd.csi.storage.gke.io" }),
	} {
		s, client, _ := newTest(t, pv)
		file := have(t, s, "pvc-77-aa")
		if err := s.reclaim(t.Context(), "pvc-77-aa"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, gone := os.Stat(file)
		if _, err := client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-77-aa", metav1.GetOptions{}); err != nil || gone != nil {
			t.Errorf("%s: %v, %v", name, err, gone)
		}
	}
}

// TestAttachesToOneNode: the second node is refused, and the cluster is told why.
func TestAttachesToOneNode(t *testing.T) {
	pv := newVolume(disks, class(disks), pendingClaim(disks))
	va := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "va"}, Spec: storagev1.VolumeAttachmentSpec{Attacher: disks.name, NodeName: "n2",
		Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &pv.Name}}}
	s, client, _ := newTest(t, pv, va)
	have(t, s, pv.Name)
	s.volumes.loops[pv.Name] = &attachment{nodes: map[string]bool{"n1": true}}
	if err := s.attachOrDetach(t.Context(), "va"); !errors.Is(err, errElsewhere) {
		t.Errorf("attached: %v", err)
	}
	got, err := client.StorageV1().VolumeAttachments().Get(t.Context(), "va", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.Attached || got.Status.AttachError == nil || !strings.Contains(got.Status.AttachError.Message, "n1") {
		t.Errorf("status %+v", got.Status)
	}
}

func TestVolumeIDs(t *testing.T) {
	v := volumes{dir: "/volumes"}
	for _, id := range []string{"", "../etc/passwd", "a/b", "a.b"} {
		if got, err := v.file(id); err == nil {
			t.Errorf("%q gives %s", id, got)
		}
	}
	if got, err := v.file("pvc-77-aa"); err != nil || got != filepath.Join("/volumes", "pvc-77-aa.ext4") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRoundSize(t *testing.T) {
	for request, want := range map[int64]int64{0: minSize, 1: minSize, 20 << 20: 20 << 20, 20<<20 + 1: 21 << 20} {
		if got := roundSize(request); got != want {
			t.Errorf("%d gives %d, want %d", request, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		code codes.Code
	}{{nil, codes.OK}, {errElsewhere, codes.FailedPrecondition}, {errNoVolume, codes.NotFound}, {context.DeadlineExceeded, codes.DeadlineExceeded}, {os.ErrPermission, codes.Internal}} {
		if got := status.Code(asStatus(c.err)); got != c.code {
			t.Errorf("%v gives %v, want %v", c.err, got, c.code)
		}
	}
}

func TestStageRefusesDevices(t *testing.T) {
	n := &nodeServer{driver: disks}
	_, err := n.NodeStageVolume(t.Context(), &csi.NodeStageVolumeRequest{VolumeId: "a", VolumeCapability: &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
}
