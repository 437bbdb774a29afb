package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

type binding struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		UID       string `json:"uid"`
	} `json:"metadata"`
	Target struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"target"`
}

// faults are the shares of binds that end otherwise than well.
type faults struct {
	tooMany, unavailable, reset, lost float64
}

// bind answers a POST of a Binding as the API server does, but for etcd.
func (s *stub) bind(answer http.ResponseWriter, request *http.Request) {
	namespace, name := request.PathValue("namespace"), request.PathValue("name")
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	var b binding
	if err := json.Unmarshal(text, &b); err != nil {
		refuse(answer, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	if b.Metadata.Name != name || (b.Metadata.Namespace != "" && b.Metadata.Namespace != namespace) {
		refuse(answer, http.StatusBadRequest, "BadRequest",
			"name in URL does not match name in Binding object")
		return
	}
	if b.Target.Name == "" || (b.Target.Kind != "" && b.Target.Kind != "Node") {
		refuse(answer, http.StatusInternalServerError, "", "target.name: Required value")
		return
	}
	atomic.CompareAndSwapInt64(&s.firstBind, 0, time.Now().UnixMicro())
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	if s.atFault(answer) {
		return
	}
	if !s.record(namespace+"/"+name, b.Target.Name, answer) {
		return
	}
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(answer,
		`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}`+"\n")
}

// record counts the bind; with -remember it answers 409 for a pod that is bound already.
func (s *stub) record(pod, node string, answer http.ResponseWriter) bool {
	if s.remember {
		if before, bound := s.bound.LoadOrStore(pod, node); bound {
			short := pod[strings.IndexByte(pod, '/')+1:]
			refuse(answer, http.StatusConflict, "Conflict", fmt.Sprintf(
				`Operation cannot be fulfilled on pods/binding %q: pod %s is already assigned to node %q`,
				short, short, before))
			return false
		}
	}
	atomic.AddInt64(&s.binds, 1)
	atomic.StoreInt64(&s.lastBind, time.Now().UnixMicro())
	return true
}

func (s *stub) atFault(answer http.ResponseWriter) bool {
	f := s.faults
	dice := rand.Float64()
	switch {
	case dice < f.tooMany:
		answer.Header().Set("Retry-After", "1")
		refuse(answer, http.StatusTooManyRequests, "TooManyRequests", "too many requests")
	case dice < f.tooMany+f.unavailable:
		refuse(answer, http.StatusServiceUnavailable, "ServiceUnavailable", "etcd is away")
	case dice < f.tooMany+f.unavailable+f.reset:
		panic(http.ErrAbortHandler) // the connection is closed without an answer
	case dice < f.tooMany+f.unavailable+f.reset+f.lost:
		<-s.stopping // no answer, ever
	default:
		return false
	}
	return true
}

func refuse(answer http.ResponseWriter, code int, reason, message string) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(code)
	_ = json.NewEncoder(answer).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": message, "reason": reason, "code": code,
	})
}
