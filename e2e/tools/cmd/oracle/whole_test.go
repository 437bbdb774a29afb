package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	"k8s.io/kubernetes/pkg/scheduler/profile"
)

var (
	casesFile = flag.String("cases", "", "cases to judge by the whole kube-scheduler too")
	most      = flag.Int("most", 200, "how many of them; ten a second")
)

func TestMain(m *testing.M) {
	flag.Parse()
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	metrics.Register()
	catchPanics()
	os.Exit(m.Run())
}

// The oracle fills caches by hand. Here kube-scheduler as it runs in a cluster, with its informers,
// cache, queue and nominator, judges the same cases; only the API server is a fake one.
//
//	go test ./cmd/oracle -run Whole -cases $PWD/cases.jsonl -most 2000 -timeout 20m
//
// Errors of scores are no difference: the oracle stops at the filters.
func TestWholeSchedulerAgrees(t *testing.T) {
	if *casesFile == "" {
		t.Skip("no -cases FILE")
	}
	file, err := os.Open(*casesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := mustWorld(1)
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<26)
	judged := 0
	for ; judged < *most && scanner.Scan(); judged++ {
		compare(t, w, bytes.Clone(scanner.Bytes()))
	}
	t.Logf("%d cases", judged)
}

// compare judges one case both ways. The pod's own nomination goes: SchedulePod would look no
// further than a nominated node that takes the pod.
func compare(t *testing.T, w *world, line []byte) {
	in, err := parse(line)
	if err != nil {
		t.Fatal(err)
	}
	in.Pod.Status.NominatedNodeName = ""
	if err := w.load(in); err != nil {
		t.Fatal(err)
	}
	gated := w.gate(in.Pod) != nil
	ours := w.judge(w.ctx, in)
	objects := apiObjects(w, in)
	if err := w.unload(); err != nil {
		t.Fatal(err)
	}
	if gated {
		return // SchedulePod begins after the queue
	}
	result, err := schedule(t, objects, in.Pod)
	var unfit *framework.FitError
	refusal, all := ours[everyNode]
	switch {
	case err == nil:
		if all || result.FeasibleNodes != len(in.Nodes)-len(ours) {
			t.Errorf("%s: %v, but %d nodes are feasible", in.ID, ours, result.FeasibleNodes)
		}
	case errors.As(err, &unfit):
		for _, node := range in.Nodes {
			want := refusal
			if !all {
				want = ours[node.Name]
			}
			status := unfit.Diagnosis.NodeToStatus.Get(node.Name)
			got := newVerdict(status.Plugin(), status)
			if got.Plugin == "" { // of nodes that PreFilter cuts off, the oracle names the plugin
				got.Plugin = want.Plugin
			}
			if !reflect.DeepEqual(want, got) {
				t.Errorf("%s: node %s: %v, but %v", in.ID, node.Name, want, got)
			}
		}
	case strings.Contains(err.Error(), "Score plugin"):
	case !all || refusal.Reasons[0] != err.Error():
		t.Errorf("%s: %v, but %v", in.ID, ours, err)
	}
}

// apiObjects is everything but the asking pod. The fake server knows no field selector, so pods
// that have ended are left out; kube-scheduler nominates pods of its own profiles alone.
func apiObjects(w *world, in *input) (objects []runtime.Object) {
	for _, node := range in.Nodes {
		objects = append(objects, node)
	}
	for _, pod := range in.Pods {
		if pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed {
			pod.Spec.SchedulerName = v1.DefaultSchedulerName
			objects = append(objects, pod)
		}
	}
	for _, k := range w.kinds {
		for _, item := range k.items {
			objects = append(objects, item.(runtime.Object))
		}
	}
	return objects
}

// schedule asks a kube-scheduler that has just started.
func schedule(
	t *testing.T, objects []runtime.Object, pod *v1.Pod,
) (scheduler.ScheduleResult, error) {
	ctx, stop := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	defer stop()
	client := fake.NewClientset(objects...)
	factory := scheduler.NewInformerFactory(client, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	sched, err := scheduler.New(
		ctx, client, factory, nil, profile.NewRecorderFactory(broadcaster))
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		t.Fatal(err)
	}
	running := sched.Profiles[v1.DefaultSchedulerName]
	snapshot := running.SnapshotSharedLister().(*internalcache.Snapshot)
	if err := sched.Cache.UpdateSnapshot(klog.Logger{}, snapshot); err != nil {
		t.Fatal(err)
	}
	info, _ := framework.NewPodInfo(pod) // as the queue does
	return sched.SchedulePod(
		ctx, running, framework.NewCycleState(), &framework.QueuedPodInfo{PodInfo: info})
}

// A panic is the error of its case; the next case finds a new world.
func TestPanicIsItsCasesError(t *testing.T) {
	broken := mustWorld(1)
	broken.kinds["Namespace"].indexer = nil
	line := `{"id":1,"nodes":[],"pod":{},"objects":[{"kind":"Namespace","metadata":{"name":"x"}}]}`
	var out strings.Builder
	err := stream(strings.NewReader(line+"\n"+line), &out, []*world{broken})
	lines := strings.Split(out.String(), "\n")
	if err != nil || !strings.Contains(lines[0], `"error":"panic: `) ||
		!strings.Contains(lines[1], "no nodes available") {
		t.Fatal(err, lines)
	}
}

// So is one in a goroutine of a plugin's search.
func TestPanicInASearchIsFound(t *testing.T) {
	w, seen := mustWorld(1), &panics{}
	ctx := context.WithValue(w.ctx, panicsKey{}, seen)
	w.framework.Parallelizer().Until(ctx, 1, func(int) { panic("boom") }, metrics.Filter)
	if seen.first() != "boom" {
		t.Fatal(seen.first())
	}
}
