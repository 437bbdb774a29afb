package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// everyNode is the key of a refusal that needs no node.
const everyNode = "*"

// verdict is one refusal. Plugin is empty where kube-scheduler itself refuses, not a plugin.
type verdict struct {
	Plugin  string   `json:"plugin"`
	Code    string   `json:"code"`
	Reasons []string `json:"reasons"`
}

// output is one line.
type output struct {
	ID       json.RawMessage    `json:"id"`
	Verdicts map[string]verdict `json:"verdicts,omitzero"`
	Error    string             `json:"error,omitempty"`
}

func newVerdict(plugin string, status *fwk.Status) verdict {
	reasons := append([]string{}, status.Reasons()...)
	slices.Sort(reasons)
	return verdict{plugin, status.Code().String(), reasons}
}

// answer judges one line. After a panic the world must not be used again.
func (w *world) answer(line []byte) (text []byte, panicked bool) {
	in, err := parse(line)
	out := output{ID: in.ID}
	if out.ID == nil {
		out.ID = json.RawMessage("null")
	}
	if err == nil && in.Pod == nil {
		err = fmt.Errorf("there is no pod")
	}
	if err == nil {
		out.Verdicts, panicked, err = w.judgeSafely(in)
	}
	if err != nil {
		out.Verdicts, out.Error = nil, err.Error()
	}
	text, err = json.Marshal(out)
	if err != nil { // only an id that is no JSON, which parse would have refused
		text = []byte(`{"id":null,"error":"the id cannot be repeated"}`)
	}
	return append(text, '\n'), panicked
}

// judgeSafely is load, judge and unload, with panics as errors: in this goroutine by recover, in
// those of a plugin's search through the panic handler, which finds `panics` in the context.
func (w *world) judgeSafely(in *input) (verdicts map[string]verdict, panicked bool, err error) {
	seen := &panics{}
	defer func() {
		if problem := recover(); problem != nil {
			seen.add(problem)
		}
		if text := seen.first(); text != "" {
			verdicts, panicked, err = nil, true, fmt.Errorf("panic: %s", text)
		}
	}()
	if err = w.load(in); err == nil {
		verdicts = w.judge(context.WithValue(w.ctx, panicsKey{}, seen), in)
	}
	if problem := w.unload(); err == nil {
		err = problem
	}
	return verdicts, false, err
}

// gate is the refusal of a pod before it is queued, or nil.
func (w *world) gate(pod *v1.Pod) *verdict {
	for _, plugin := range w.framework.PreEnqueuePlugins() {
		if status := plugin.PreEnqueue(w.ctx, pod); !status.IsSuccess() {
			refusal := newVerdict(plugin.Name(), status)
			return &refusal
		}
	}
	return nil
}

// judge goes the way of kube-scheduler's findNodesThatFitPod, over all nodes: the search neither
// stops at enough feasible nodes nor begins with the pod's own nominated node, which changes no
// node's verdict.
func (w *world) judge(ctx context.Context, in *input) map[string]verdict {
	if refusal := w.gate(in.Pod); refusal != nil {
		return map[string]verdict{everyNode: *refusal}
	}
	if len(in.Nodes) == 0 {
		return map[string]verdict{everyNode: newVerdict(
			"", fwk.NewStatus(fwk.Unschedulable, "no nodes available to schedule pods"))}
	}
	state := framework.NewCycleState()
	result, status, narrowing := w.framework.RunPreFilterPlugins(ctx, state, in.Pod)
	narrowedBy := strings.Join(sets.List(narrowing), ",")
	if !status.IsSuccess() {
		plugin := status.Plugin()
		if plugin == "" { // the intersection of several plugins' nodes is empty
			plugin = narrowedBy
		}
		return map[string]verdict{everyNode: newVerdict(plugin, status)}
	}
	cutOff := newVerdict(narrowedBy, fwk.NewStatus(fwk.UnschedulableAndUnresolvable,
		fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sets.List(narrowing))))
	verdicts := map[string]verdict{}
	for _, node := range in.Nodes {
		if !result.AllNodes() && !result.NodeNames.Has(node.Name) {
			verdicts[node.Name] = cutOff
			continue
		}
		info, err := w.snapshot.Get(node.Name)
		if err != nil {
			panic(err) // load put it there
		}
		status := w.framework.RunFilterPluginsWithNominatedPods(ctx, state, in.Pod, info)
		switch {
		case status.IsSuccess():
		case status.IsRejected():
			verdicts[node.Name] = newVerdict(status.Plugin(), status)
		default:
			return map[string]verdict{everyNode: newVerdict(status.Plugin(), status)}
		}
	}
	return verdicts
}

type panicsKey struct{}

// panics collects what went wrong in the goroutines of one case.
type panics struct {
	lock sync.Mutex
	text string
}

func (p *panics) add(problem any) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.text == "" {
		p.text = fmt.Sprint(problem)
	}
}

func (p *panics) first() string {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.text
}

// catchPanics makes a panic inside a plugin's parallel search that of its case, not of the process.
func catchPanics() {
	utilruntime.ReallyCrash = false
	utilruntime.PanicHandlers = []func(context.Context, any){func(ctx context.Context, problem any) {
		if seen, ok := ctx.Value(panicsKey{}).(*panics); ok {
			seen.add(problem)
			return
		}
		fmt.Fprintf(os.Stderr, "oracle: panic outside a case: %v\n%s", problem, debug.Stack())
		os.Exit(1)
	}}
	utilruntime.ErrorHandlers = nil // they log, and they wait between two errors
}
