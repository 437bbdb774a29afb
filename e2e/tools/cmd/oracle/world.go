package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/dynamic-resource-allocation/deviceclass/extendedresourcecache"
	resourceslicetracker "k8s.io/dynamic-resource-allocation/resourceslice/tracker"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"
)

// world is one framework with everything that its plugins read. It is built once and filled anew
// for each case: the informers are never started, their indexers are written by hand, so a case
// costs no goroutine and no wait. One case at a time.
type world struct {
	ctx       context.Context
	close     context.CancelFunc
	framework framework.Framework
	snapshot  *sharedSnapshot
	nominated *nominations
	kinds     map[string]*kind
}

// kind is a kind of object that filters read, and where they read it.
type kind struct {
	fresh   func() metav1.Object
	indexer cache.Indexer
	// added and removed tell caches that live on events; nil where there are none.
	added, removed func(item any)
	// items of the case; sorted by name like a first list from the API server, because with two
	// DeviceClasses for one resource the order of arrival counts. The first `filled` are in place.
	items  []metav1.Object
	filled int
}

// sharedSnapshot lets one framework look at a new snapshot for each case.
type sharedSnapshot struct{ *internalcache.Snapshot }

// claimFeed stands for the ResourceClaim informer: it keeps the handlers of the assume cache.
type claimFeed struct{ cache.ResourceEventHandler }

func (f *claimFeed) AddEventHandler(
	handler cache.ResourceEventHandler,
) (cache.ResourceEventHandlerRegistration, error) {
	f.ResourceEventHandler = handler
	return nil, nil
}

// nowhere is the API server that is not there: filters only read caches.
type nowhere struct{}

func (nowhere) RoundTrip(request *http.Request) (*http.Response, error) {
	return nil, errors.New("a filter asked the API server: " + request.URL.Path)
}

// newWorld builds kube-scheduler's default profile. parallelism is that of searches inside plugins.
func newWorld(parallelism int) (*world, error) {
	client, err := kubernetes.NewForConfig(&rest.Config{Transport: nowhere{}})
	if err != nil {
		return nil, err
	}
	// A zero logger discards; without one in the context, plugins ask klog's global.
	ctx, stop := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	w := &world{
		ctx:       ctx,
		close:     stop,
		snapshot:  &sharedSnapshot{internalcache.NewEmptySnapshot()},
		nominated: &nominations{},
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	claims := &claimFeed{}
	devices, err := newDeviceManager(ctx, factory, claims)
	if err != nil {
		return nil, err
	}
	config, err := latest.Default()
	if err != nil {
		return nil, err
	}
	w.framework, err = frameworkruntime.NewFramework(
		ctx, plugins.NewInTreeRegistry(), &config.Profiles[0],
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithInformerFactory(factory),
		frameworkruntime.WithSnapshotSharedLister(w.snapshot),
		frameworkruntime.WithSharedDRAManager(devices),
		frameworkruntime.WithSharedCSIManager(
			nodevolumelimits.NewCSIManager(factory.Storage().V1().CSINodes().Lister())),
		frameworkruntime.WithPodNominator(w.nominated),
		frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()),
		frameworkruntime.WithPodsInPreBind(frameworkruntime.NewPodsInPreBindMap()),
		frameworkruntime.WithParallelism(parallelism),
	)
	if err != nil {
		return nil, err
	}
	w.kinds, err = newKinds(factory, claims, devices)
	return w, err
}

// newDeviceManager is what scheduler.New builds for DynamicResources.
func newDeviceManager(
	ctx context.Context, factory informers.SharedInformerFactory, claims *claimFeed,
) (fwk.SharedDRAManager, error) {
	tracker, err := resourceslicetracker.StartTracker(ctx, resourceslicetracker.Options{
		EnableConsumableCapacity: true,
		SliceInformer:            factory.Resource().V1().ResourceSlices(),
	})
	if err != nil {
		return nil, err
	}
	assumed := assumecache.NewAssumeCache(klog.FromContext(ctx), claims, "ResourceClaim", "", nil)
	return dynamicresources.NewDRAManager(ctx, assumed, tracker, factory), nil
}

// newKinds lists every kind that a default filter reads.
func newKinds(
	factory informers.SharedInformerFactory, claims *claimFeed, devices fwk.SharedDRAManager,
) (map[string]*kind, error) {
	resolver, ok := devices.DeviceClassResolver().(*extendedresourcecache.ExtendedResourceCache)
	if !ok {
		return nil, fmt.Errorf("a DeviceClassResolver is %T", devices.DeviceClassResolver())
	}
	core, storage := factory.Core().V1(), factory.Storage().V1()
	resource := factory.Resource().V1()
	return map[string]*kind{
		"Namespace": of[v1.Namespace](core.Namespaces().Informer()),
		"PersistentVolume": of[v1.PersistentVolume](
			core.PersistentVolumes().Informer()),
		"PersistentVolumeClaim": of[v1.PersistentVolumeClaim](
			core.PersistentVolumeClaims().Informer()),
		"StorageClass": of[storagev1.StorageClass](storage.StorageClasses().Informer()),
		"CSINode":      of[storagev1.CSINode](storage.CSINodes().Informer()),
		"CSIDriver":    of[storagev1.CSIDriver](storage.CSIDrivers().Informer()),
		"CSIStorageCapacity": of[storagev1.CSIStorageCapacity](
			storage.CSIStorageCapacities().Informer()),
		"VolumeAttachment": of[storagev1.VolumeAttachment](
			storage.VolumeAttachments().Informer()),
		"ResourceSlice": of[resourcev1.ResourceSlice](resource.ResourceSlices().Informer()),
		"DeviceClass": of[resourcev1.DeviceClass](resource.DeviceClasses().Informer()).telling(
			resolver),
		"ResourceClaim": of[resourcev1.ResourceClaim](resource.ResourceClaims().Informer()).telling(
			claims),
	}, nil
}

// of makes a kind whose objects are of type T.
func of[T any, P interface {
	*T
	metav1.Object
}](informer cache.SharedIndexInformer) *kind {
	return &kind{
		fresh:   func() metav1.Object { return P(new(T)) },
		indexer: informer.GetIndexer(),
	}
}

// telling makes the kind send events to a handler.
func (k *kind) telling(handler cache.ResourceEventHandler) *kind {
	k.added = func(item any) { handler.OnAdd(item, true) }
	k.removed = handler.OnDelete
	return k
}

// load fills the world with a case. Pods that have ended (Succeeded, Failed) are left out, as by
// kube-scheduler's field selector. A pod with spec.nodeName counts on its node, terminating or not;
// on a node that is not there it counts nowhere. One without that names
// status.nominatedNodeName is nominated; whose scheduler's it is is not asked. Other pods wait.
func (w *world) load(in *input) error {
	names := make(map[string]bool, len(in.Nodes))
	for _, node := range in.Nodes {
		if names[node.Name] {
			return fmt.Errorf("two nodes are named %q", node.Name)
		}
		names[node.Name] = true
	}
	for i, raw := range in.Objects {
		next, err := w.decode(raw)
		if err != nil {
			return fmt.Errorf("objects[%d]: %w", i, err)
		}
		next.kind.items = append(next.kind.items, next.item)
	}
	for name, k := range w.kinds {
		if err := k.fill(); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	bound := make([]*v1.Pod, 0, len(in.Pods))
	for _, pod := range in.Pods {
		switch {
		case pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed:
		case names[pod.Spec.NodeName]:
			bound = append(bound, pod)
		case pod.Spec.NodeName == "" && pod.Status.NominatedNodeName != "":
			if w.gate(pod) == nil { // a gated pod never reaches kube-scheduler's nominator
				w.nominated.add(pod)
			}
		}
	}
	w.snapshot.Snapshot = internalcache.NewSnapshot(bound, in.Nodes)
	return nil
}

// fill writes the kind's objects to its indexer.
func (k *kind) fill() error {
	slices.SortStableFunc(k.items, func(a, b metav1.Object) int {
		return cmp.Or(
			cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	for i, item := range k.items {
		if i > 0 && item.GetName() == k.items[i-1].GetName() &&
			item.GetNamespace() == k.items[i-1].GetNamespace() {
			return fmt.Errorf("%s/%s comes twice", item.GetNamespace(), item.GetName())
		}
		if err := k.indexer.Add(item); err != nil {
			return err
		}
		if k.added != nil {
			k.added(item)
		}
		k.filled++
	}
	return nil
}

// unload empties the world. It copes with a load that stopped half way.
func (w *world) unload() error {
	for _, k := range w.kinds {
		for _, item := range k.items[:k.filled] {
			if err := k.indexer.Delete(item); err != nil {
				return err
			}
			if k.removed != nil {
				k.removed(item)
			}
		}
		k.items, k.filled = nil, 0
	}
	w.nominated.clear()
	w.snapshot.Snapshot = internalcache.NewEmptySnapshot()
	return nil
}
