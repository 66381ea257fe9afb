package storage

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// toolsDir is where the machine Config.Tools sees Config.Dir.
const toolsDir = "/volumes"

// Config is what the storage of one cluster needs.
type Config struct {
	Client kubernetes.Interface // as cluster admin
	Dir    string               // keeps the volumes, on a file system that has sparse files; made if missing
	Tools  *machine.Machine     // formats: has mkfs.ext4, and Bind in it
	Nodes  []Node
	Log    *log.Logger
}

// Bind shows the volumes' directory to the machine that formats them.
func Bind(dir string) machine.Bind { return machine.Bind{Source: dir, Target: toolsDir} }

// Storage is the storage of one cluster, while it runs.
type Storage struct {
	config    Config
	volumes   *volumes
	events    record.EventRecorder
	queue     workqueue.TypedRateLimitingInterface[item]
	claims    corelisters.PersistentVolumeClaimLister
	pvs       corelisters.PersistentVolumeLister
	classes   storagelisters.StorageClassLister
	attached  storagelisters.VolumeAttachmentLister
	stop      context.CancelFunc
	running   sync.WaitGroup
	once      sync.Once
	broadcast record.EventBroadcaster
	informers informers.SharedInformerFactory

	mu    sync.Mutex
	taken map[string]bool // "driver node": the kubelet took the driver
	known chan struct{}   // closed when all did
}

// kind is what an item of the queue names.
type kind int

const (
	claim kind = iota
	volume
	volumeAttachment
)

// item names an object that is to be looked at.
type item struct {
	kind kind
	key  string // namespace/name or name
}

// Start serves the drivers on every node and begins to look after claims. Stop ends it.
func Start(ctx context.Context, config Config) (*Storage, error) {
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, err
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[item](100*time.Millisecond, 5*time.Second)
	s := &Storage{config: config, queue: workqueue.NewTypedRateLimitingQueue(limiter), taken: map[string]bool{}, known: make(chan struct{}),
		volumes: &volumes{dir: config.Dir, tools: config.Tools, loops: map[string]*attachment{}}}
	// What runs outlives the request that started it.
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.broadcast = record.NewBroadcaster(record.WithContext(ctx))
	s.broadcast.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: config.Client.CoreV1().Events("")})
	s.events = s.broadcast.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "lab-storage"})
	if err := s.watch(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	for _, n := range config.Nodes {
		for _, d := range []driver{disks, shares} {
			server := &nodeServer{driver: d, node: n, volumes: s.volumes}
			s.running.Go(func() {
				if err := server.serve(ctx, func() { s.took(d, n) }); err != nil {
					config.Log.Print(err)
				}
			})
		}
	}
	for range 4 {
		s.running.Go(func() { s.work(ctx) })
	}
	return s, nil
}

// watch fills the queue with what changes.
func (s *Storage) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(s.config.Client, 0)
	s.informers = factory
	core, store := factory.Core().V1(), factory.Storage().V1()
	s.claims, s.pvs = core.PersistentVolumeClaims().Lister(), core.PersistentVolumes().Lister()
	s.classes, s.attached = store.StorageClasses().Lister(), store.VolumeAttachments().Lister()
	classes := store.StorageClasses().Informer()
	for k, informer := range map[kind]cache.SharedIndexInformer{claim: core.PersistentVolumeClaims().Informer(),
		volume: core.PersistentVolumes().Informer(), volumeAttachment: store.VolumeAttachments().Informer()} {
		add := func(obj any) {
			if key, err := cache.MetaNamespaceKeyFunc(obj); err == nil { // all three kinds have names
				s.queue.Add(item{k, key})
			}
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, now any) { add(now) }}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	context.AfterFunc(ctx, s.queue.ShutDown)
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if !cache.WaitForCacheSync(wait.Done(), classes.HasSynced, core.PersistentVolumes().Informer().HasSynced) {
		return fmt.Errorf("storage: the API server does not list volumes: %w", wait.Err())
	}
	return nil
}

func (s *Storage) work(ctx context.Context) {
	for {
		it, shutdown := s.queue.Get()
		if shutdown {
			return
		}
		if err := s.look(ctx, it); err != nil {
			s.config.Log.Printf("storage: %s: %v: trying again", it.key, err)
			s.queue.AddRateLimited(it)
		} else {
			s.queue.Forget(it)
		}
		s.queue.Done(it)
	}
}

// look does what one object needs. An error is tried again.
func (s *Storage) look(ctx context.Context, it item) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	switch it.kind {
	case claim:
		return s.provision(ctx, it.key)
	case volume:
		return s.reclaim(ctx, it.key)
	default:
		return s.attachOrDetach(ctx, it.key)
	}
}

func (s *Storage) driver(name string) (driver, bool) {
	switch name {
	case disks.name:
		return disks, true
	case shares.name:
		return shares, true
	}
	return driver{}, false
}

func (s *Storage) node(name string) (Node, error) {
	var names []string
	for _, n := range s.config.Nodes {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return Node{}, fmt.Errorf("no node %q among %s", name, strings.Join(names, ", "))
}

func (s *Storage) took(d driver, n Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := d.name + " " + n.Name
	if s.taken[key] {
		return
	}
	if s.taken[key] = true; len(s.taken) == 2*len(s.config.Nodes) {
		close(s.known)
	}
}

// Known is closed when every node's kubelet has taken both drivers: from then on volumes can be mounted everywhere.
func (s *Storage) Known() <-chan struct{} { return s.known }

// Stop stops looking after claims and answering kubelets. What is mounted stays.
func (s *Storage) Stop() {
	s.stop()
	if s.informers != nil {
		s.informers.Shutdown()
	}
	s.running.Wait()
	s.once.Do(s.broadcast.Shutdown)
}

// Release lets go of the volumes' devices, after Stop. The nodes' machines must have ended: what they have mounted keeps a device. The files stay, for
// whoever removes the directory.
func (s *Storage) Release() error { return s.volumes.closeAll() }
