package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

//go:embed pod.json
var podText string

//go:embed pod_status.json
var podStatusText string

//go:embed node.json
var nodeText string

// A template is an object's text without white space, cut at its {{places}}; "{{!place}}" stands
// for a whole value, with its quotes.
type template struct {
	pieces []string
	places []string
}

func compact(text string) string {
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		panic(err) // the text is part of this program
	}
	return out.String()
}

var wholeValue = regexp.MustCompile(`"\{\{!([a-z-]+)\}\}"`)

func newTemplate(text string) template {
	t := template{}
	rest := wholeValue.ReplaceAllString(compact(text), "{{$1}}")
	for {
		before, after, found := strings.Cut(rest, "{{")
		t.pieces = append(t.pieces, before)
		if !found {
			return t
		}
		place, tail, _ := strings.Cut(after, "}}")
		t.places = append(t.places, place)
		rest = tail
	}
}

func (t template) appendTo(out []byte, value func(out []byte, place string) []byte) []byte {
	for i, place := range t.places {
		out = append(out, t.pieces[i]...)
		out = value(out, place)
	}
	return append(out, t.pieces[len(t.places)]...)
}

var (
	podTemplate  = newTemplate(podText)
	podStatus    = compact(podStatusText)
	nodeTemplate = newTemplate(nodeText)
)

// The world is what the stub shows: nodes and pods by number, always the same for the same flags.
type world struct {
	nodes, pods     int // in the list
	modified, added int // events after the list
	spineSize       int
	leafSize        int
	schedulerName   string
	gangNamespace   string
	gangName        string
}

const firstVersion = 100_000

// listVersion is the resourceVersion of the list; event k (from 0) has listVersion+1+k.
func (w *world) listVersion() int { return firstVersion + w.nodes + w.pods }

func appendPadded(out []byte, number, width int) []byte {
	digits := strconv.Itoa(number)
	for i := len(digits); i < width; i++ {
		out = append(out, '0')
	}
	return append(out, digits...)
}

func appendUID(out []byte, kind byte, number int) []byte {
	out = append(out, kind)
	out = appendPadded(out, number, 7)
	return append(out, "-5c1e-4a2b-9d3f-0a1b2c3d4e5f"...)
}

func (w *world) appendNode(out []byte, number int) []byte {
	return nodeTemplate.appendTo(out, func(out []byte, place string) []byte {
		switch place {
		case "name":
			return appendPadded(append(out, "node-"...), number, 6)
		case "uid":
			return appendUID(out, 'a', number)
		case "version":
			return strconv.AppendInt(out, int64(firstVersion+number), 10)
		case "spine":
			return appendPadded(append(out, "spine-"...), number/w.spineSize, 4)
		case "leaf":
			return appendPadded(append(out, "leaf-"...), number/w.leafSize, 5)
		case "address":
			return fmt.Appendf(out, "10.%d.%d.%d", number>>16&255, number>>8&255, number&255)
		}
		panic("node.json: unknown place " + place)
	})
}

// A pod is one line of the list, or of the events: `event` counts how often it has changed.
type pod struct {
	number  int
	version int
	event   int
	pending bool
}

func (w *world) appendPod(out []byte, p pod) []byte {
	return podTemplate.appendTo(out, func(out []byte, place string) []byte {
		switch place {
		case "namespace":
			return append(out, w.namespaceOf(p)...)
		case "name":
			return w.appendName(out, p)
		case "owner":
			return w.appendOwner(out, p)
		case "index":
			return strconv.AppendInt(out, int64(w.indexOf(p)), 10)
		case "uid":
			return appendUID(out, 'b', p.number)
		case "owner-uid":
			return appendUID(out, 'c', w.ownerOf(p))
		case "version":
			return strconv.AppendInt(out, int64(p.version), 10)
		case "scheduler":
			return append(out, w.schedulerName...)
		case "node":
			return w.appendNodeOf(out, p)
		case "status":
			if p.pending {
				return append(out, `{"phase":"Pending","qosClass":"Guaranteed"}`...)
			}
			return append(out, podStatus...)
		case "event":
			return strconv.AppendInt(out, int64(p.event), 10)
		}
		panic("pod.json: unknown place " + place)
	})
}

const setSize = 100 // bound pods belong to StatefulSets of this many

func (w *world) gangUID() string { return string(appendUID(nil, 'c', 9_999_999)) }

func (w *world) ownerOf(p pod) int {
	if p.pending {
		return 9_999_999
	}
	return p.number / setSize
}

func (w *world) indexOf(p pod) int {
	if p.pending {
		return p.number - w.pods
	}
	return p.number % setSize
}

func (w *world) namespaceOf(p pod) string {
	if p.pending {
		return w.gangNamespace
	}
	return "team-" + strconv.Itoa(p.number/setSize%50)
}

func (w *world) appendOwner(out []byte, p pod) []byte {
	if p.pending {
		return append(out, w.gangName...)
	}
	return appendPadded(append(out, "set-"...), p.number/setSize, 6)
}

func (w *world) appendName(out []byte, p pod) []byte {
	out = append(w.appendOwner(out, p), '-')
	return strconv.AppendInt(out, int64(w.indexOf(p)), 10)
}

// appendNodeOf writes the whole value of nodeName; what is pending has none.
func (w *world) appendNodeOf(out []byte, p pod) []byte {
	if p.pending || w.nodes == 0 {
		return append(out, "null"...)
	}
	return append(appendPadded(append(out, `"node-`...), p.number%w.nodes, 6), '"')
}
