package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// timing is what -bench prints. Seconds is the sum of Each: PreFilter and Filter of each pod of
// the case's queue (or of its one pod) over the same snapshot; nothing is bound in between.
type timing struct {
	Nodes    int       `json:"nodes"`
	Pods     int       `json:"pods"`
	Queue    int       `json:"queue"`
	Loading  float64   `json:"loading_seconds"`
	Seconds  float64   `json:"seconds"`
	Each     []float64 `json:"each_seconds"`
	Feasible []int     `json:"feasible"`
}

// bench reads one case, fills the world with it and times the search for each pod.
func bench(in io.Reader, out io.Writer, w *world, adaptive bool) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	started := time.Now()
	c, err := parse(data)
	if err != nil {
		return err
	}
	if err := w.load(c); err != nil {
		return err
	}
	queue := c.Queue
	if len(queue) == 0 {
		queue = []*v1.Pod{c.Pod}
	}
	result := timing{
		Nodes: len(c.Nodes), Pods: len(c.Pods), Queue: len(queue),
		Loading: time.Since(started).Seconds(),
	}
	enough := len(c.Nodes)
	if adaptive {
		enough = enoughNodes(enough)
	}
	for _, pod := range queue {
		started := time.Now()
		feasible, err := w.search(pod, enough)
		spent := time.Since(started).Seconds()
		if err != nil {
			return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		result.Each = append(result.Each, spent)
		result.Feasible = append(result.Feasible, feasible)
		result.Seconds += spent
	}
	return json.NewEncoder(out).Encode(result)
}

// enoughNodes is Scheduler.numFeasibleNodesToFind with percentageOfNodesToScore left at 0.
func enoughNodes(all int) int {
	if all < 100 {
		return all
	}
	return max(100, all*max(5, 50-all/125)/100)
}

// search is findNodesThatPassFilters: how many nodes take the pod, of at most `enough`.
func (w *world) search(pod *v1.Pod, enough int) (int, error) {
	seen := &panics{}
	ctx, cancel := context.WithCancel(context.WithValue(w.ctx, panicsKey{}, seen))
	defer cancel()
	state := framework.NewCycleState()
	result, status, _ := w.framework.RunPreFilterPlugins(ctx, state, pod)
	if status.IsRejected() {
		return 0, nil
	}
	if !status.IsSuccess() {
		return 0, status.AsError()
	}
	nodes, err := w.candidates(result)
	if err != nil {
		return 0, err
	}
	var feasible atomic.Int64
	check := func(i int) {
		status := w.framework.RunFilterPluginsWithNominatedPods(ctx, state, pod, nodes[i])
		if status.Code() == fwk.Error {
			seen.add(status.AsError())
		}
		if status.IsSuccess() && feasible.Add(1) > int64(enough) {
			cancel()
		}
	}
	w.framework.Parallelizer().Until(ctx, len(nodes), check, metrics.Filter)
	if text := seen.first(); text != "" {
		return 0, errors.New(text)
	}
	return min(int(feasible.Load()), enough), nil
}

// candidates are the nodes that PreFilter leaves.
func (w *world) candidates(result *fwk.PreFilterResult) ([]fwk.NodeInfo, error) {
	if result.AllNodes() {
		return w.snapshot.List()
	}
	var nodes []fwk.NodeInfo
	for name := range result.NodeNames {
		if info, err := w.snapshot.Get(name); err == nil {
			nodes = append(nodes, info)
		}
	}
	return nodes, nil
}
