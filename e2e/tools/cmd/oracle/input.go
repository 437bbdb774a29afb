package main

import (
	"encoding/json"
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// input is one case. Keys are case-sensitive, as on the API server.
type input struct {
	ID      json.RawMessage   `json:"id"`
	Nodes   []*v1.Node        `json:"nodes"`
	Pods    []*v1.Pod         `json:"pods"`
	Objects []json.RawMessage `json:"objects"`
	Pod     *v1.Pod           `json:"pod"`
	// Queue is read by -bench alone: the pods to find nodes for.
	Queue []*v1.Pod `json:"queue"`
}

// parse reads a case. Where only the rest is bad, the returned input still has the id.
func parse(line []byte) (*input, error) {
	in := &input{}
	if err := utiljson.Unmarshal(line, in); err != nil {
		named := &struct {
			ID json.RawMessage `json:"id"`
		}{}
		_ = utiljson.Unmarshal(line, named) // the first error says enough
		return &input{ID: named.ID}, fmt.Errorf("cannot be read: %w", err)
	}
	for i, node := range in.Nodes {
		if node == nil || node.Name == "" {
			return in, fmt.Errorf("nodes[%d] has no name", i)
		}
	}
	for i, pod := range in.Pods {
		if pod == nil || pod.Name == "" {
			return in, fmt.Errorf("pods[%d] has no name", i)
		}
	}
	for i, pod := range in.Queue {
		if pod == nil {
			return in, fmt.Errorf("queue[%d] is null", i)
		}
	}
	if in.Pod == nil && len(in.Queue) == 0 {
		return in, errors.New("there is no pod")
	}
	return in, nil
}

// object is one of input.Objects, decoded.
type object struct {
	kind *kind
	item metav1.Object
}

// decode reads an object by its kind; the group is not looked at, no kind is in two.
func (w *world) decode(raw json.RawMessage) (object, error) {
	var head metav1.TypeMeta
	if err := utiljson.Unmarshal(raw, &head); err != nil {
		return object{}, err
	}
	k := w.kinds[head.Kind]
	if k == nil {
		return object{}, fmt.Errorf("kind %q is none that a default filter reads", head.Kind)
	}
	item := k.fresh()
	if err := utiljson.Unmarshal(raw, item); err != nil {
		return object{}, fmt.Errorf("%s: %w", head.Kind, err)
	}
	return object{k, item}, nil
}
