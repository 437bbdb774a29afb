package main

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// nominations is the nominator of a case. kube-scheduler's own lives in its queue and hands out
// copies of the queued pods by node, in order of arrival; so does this one.
type nominations struct {
	byNode map[string][]*framework.PodInfo
}

func (n *nominations) add(pod *v1.Pod) {
	if n.byNode == nil {
		n.byNode = map[string][]*framework.PodInfo{}
	}
	// Like the queue, which keeps what could be parsed: the API server does not check all terms.
	info, _ := framework.NewPodInfo(pod)
	node := pod.Status.NominatedNodeName
	n.byNode[node] = append(n.byNode[node], info)
}

func (n *nominations) clear() { n.byNode = nil }

// NominatedPodsForNode gives copies, as the caller adds them to a node of its own.
func (n *nominations) NominatedPodsForNode(node string) []fwk.PodInfo {
	held := n.byNode[node]
	if len(held) == 0 {
		return nil
	}
	copies := make([]fwk.PodInfo, len(held))
	for i, info := range held {
		copies[i] = info.DeepCopy()
	}
	return copies
}

// The rest of fwk.PodNominator is for binding and preemption, which no filter does.

func (*nominations) AddNominatedPod(klog.Logger, fwk.PodInfo, *fwk.NominatingInfo) {
	panic("a filter nominated a pod")
}

func (*nominations) DeleteNominatedPodIfExists(*v1.Pod) {
	panic("a filter deleted a nomination")
}

func (*nominations) UpdateNominatedPod(klog.Logger, *v1.Pod, fwk.PodInfo) {
	panic("a filter changed a nomination")
}
