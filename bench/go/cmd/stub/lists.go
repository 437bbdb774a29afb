package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A resource is what can be listed and watched.
type resource struct {
	kind, apiVersion string
	items            int
	item             func(out []byte, number int) []byte
	events           int
	event            func(out []byte, number int) []byte // the object alone
	eventType        func(number int) string
}

var kinds = map[string]string{
	"nodes": "Node", "pods": "Pod", "statefulsets": "StatefulSet", "jobs": "Job",
	"replicasets": "ReplicaSet", "priorityclasses": "PriorityClass", "namespaces": "Namespace",
	"podgroups": "PodGroup", "leaderworkersets": "LeaderWorkerSet", "events": "Event",
	"persistentvolumeclaims": "PersistentVolumeClaim", "persistentvolumes": "PersistentVolume",
	"storageclasses": "StorageClass", "csinodes": "CSINode", "csidrivers": "CSIDriver",
	"csistoragecapacities": "CSIStorageCapacity", "volumeattachments": "VolumeAttachment",
}

func (w *world) resource(path string) *resource {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	plural, version := parts[len(parts)-1], strings.Join(parts[1:len(parts)-1], "/")
	r := &resource{kind: kinds[plural], apiVersion: version}
	switch path {
	case "/api/v1/nodes":
		r.items, r.item = w.nodes, w.appendNode
	case "/api/v1/pods":
		r.items = w.pods
		r.item = func(out []byte, i int) []byte {
			return w.appendPod(out, pod{number: i, version: firstVersion + w.nodes + i})
		}
		r.events, r.event, r.eventType = w.modified+w.added, w.appendEvent, w.eventType
	case "/apis/apps/v1/statefulsets":
		if w.added > 0 {
			r.items, r.item = 1, w.appendGang
		}
	}
	if r.kind == "" {
		return nil
	}
	return r
}

func (w *world) eventType(i int) string {
	if i < w.modified {
		return "MODIFIED"
	}
	return "ADDED"
}

// appendEvent is the object of event i: first changes of listed pods, then pods of the gang.
func (w *world) appendEvent(out []byte, i int) []byte {
	version := w.listVersion() + 1 + i
	if i < w.modified {
		return w.appendPod(out, pod{number: i % max(w.pods, 1), version: version, event: i + 1})
	}
	return w.appendPod(out, pod{number: w.pods + i - w.modified, version: version, pending: true})
}

func (w *world) appendGang(out []byte, _ int) []byte {
	return fmt.Appendf(out, `{"metadata":{"name":%q,"namespace":%q,"uid":%q,"resourceVersion":"%d",`+
		`"generation":1,"creationTimestamp":"2026-11-20T08:15:29Z"},"spec":{"replicas":%d,`+
		`"podManagementPolicy":"Parallel","serviceName":%q,"selector":{"matchLabels":{"app":%q}},`+
		`"template":{"metadata":{"labels":{"app":%q}},"spec":{"schedulerName":%q}}},`+
		`"status":{"observedGeneration":1,"replicas":%d}}`,
		w.gangName, w.gangNamespace, w.gangUID(), firstVersion, w.added,
		w.gangName, w.gangName, w.gangName, w.schedulerName, w.added)
}

func (s *stub) list(answer http.ResponseWriter, r *resource, query url.Values) {
	limit, _ := strconv.Atoi(query.Get("limit"))
	first, _ := strconv.Atoi(query.Get("continue"))
	last := r.items
	if limit > 0 {
		last = min(last, first+limit)
	}
	answer.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(answer, 1<<16)
	fmt.Fprintf(out, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"%d"`,
		r.kind, r.apiVersion, s.world.listVersion())
	if last < r.items {
		fmt.Fprintf(out, `,"continue":"%d","remainingItemCount":%d`, last, r.items-last)
	}
	_, _ = out.WriteString(`},"items":[`)
	var item []byte
	for i := first; i < last; i++ {
		item = item[:0]
		if i > first {
			item = append(item, ',')
		}
		item = r.item(item, i)
		if _, err := out.Write(item); err != nil {
			return
		}
	}
	_, _ = out.WriteString("]}\n")
	_ = out.Flush()
}

// watch shows the items first if they are asked for, then the events that the client has not
// seen, as fast as it reads, then bookmarks.
func (s *stub) watch(answer http.ResponseWriter, request *http.Request, r *resource) {
	query := request.URL.Query()
	answer.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(answer, 1<<16)
	flush := func() { _ = out.Flush(); answer.(http.Flusher).Flush() }
	w := s.world
	if query.Get("sendInitialEvents") == "true" {
		s.write(out, r, r.items, func(int) string { return "ADDED" }, r.item)
		s.bookmark(out, r, w.listVersion(), `,"annotations":{"k8s.io/initial-events-end":"true"}`)
	}
	flush()
	seen := 0
	if version, err := strconv.Atoi(query.Get("resourceVersion")); err == nil {
		seen = min(max(version-w.listVersion(), 0), r.events)
	}
	if r.events > seen {
		s.wait(request)
		last := r.events - 1
		if s.lastAfter > 0 && last > seen {
			s.writeEvents(out, r, seen, last)
			flush()
			seen = last
			time.Sleep(s.lastAfter)
		}
		s.writeEvents(out, r, seen, r.events)
		flush()
		atomic.StoreInt64(&s.lastEvent, time.Now().UnixMicro())
	}
	ticks := time.NewTicker(s.bookmarks)
	defer ticks.Stop()
	for {
		s.bookmark(out, r, w.listVersion()+r.events, "")
		flush()
		select {
		case <-ticks.C:
		case <-request.Context().Done():
			return
		case <-s.stopping:
			return
		}
	}
}

func (s *stub) writeEvents(out *bufio.Writer, r *resource, from, to int) {
	s.write(out, r, to-from,
		func(i int) string { return r.eventType(from + i) },
		func(b []byte, i int) []byte { return r.event(b, from+i) })
}

// wait holds the events back until POST /stub/go, if the stub was told to.
func (s *stub) wait(request *http.Request) {
	if !s.hold {
		return
	}
	select {
	case <-s.release:
	case <-request.Context().Done():
	case <-s.stopping:
	}
}

func (s *stub) write(
	out *bufio.Writer, r *resource, count int, kind func(int) string,
	object func([]byte, int) []byte,
) {
	var line, item []byte
	head := fmt.Appendf(nil, `","object":{"kind":%q,"apiVersion":%q,`, r.kind, r.apiVersion)
	for i := range count {
		item = object(item[:0], i)
		line = append(append(append(line[:0], `{"type":"`...), kind(i)...), head...)
		line = append(append(line, item[1:]...), "}\n"...)
		if _, err := out.Write(line); err != nil {
			return
		}
	}
}

func (s *stub) bookmark(out *bufio.Writer, r *resource, version int, more string) {
	fmt.Fprintf(out, `{"type":"BOOKMARK","object":{"kind":%q,"apiVersion":%q,"metadata":`+
		`{"resourceVersion":"%d","creationTimestamp":null%s}}}`+"\n",
		r.kind, r.apiVersion, version, more)
}
