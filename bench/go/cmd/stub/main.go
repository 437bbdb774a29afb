// Command stub is a small stand-in for an API server: it takes bindings and shows nodes and pods.
//
// It prints one line of JSON when it is ready and one when it has stopped.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"muster.dev/bench/usage"
)

type stub struct {
	world                          *world
	faults                         faults
	delay, bookmarks, lastAfter    time.Duration
	remember, hold                 bool
	bound                          sync.Map
	binds, writes, reads           int64
	firstBind, lastBind, lastEvent int64
	release, stopping              chan struct{}
	once                           sync.Once
}

func main() {
	s := &stub{world: &world{}, release: make(chan struct{}), stopping: make(chan struct{})}
	w := s.world
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 = any")
	dir := flag.String("dir", "", "where ca.crt, client.crt, client.key and kubeconfig are written")
	h2 := flag.Bool("h2", false, "offer HTTP/2")
	flag.IntVar(&w.nodes, "nodes", 0, "nodes in the list")
	flag.IntVar(&w.pods, "pods", 0, "bound pods in the list")
	flag.IntVar(&w.modified, "modified", 0, "MODIFIED events of pods after the list")
	flag.IntVar(&w.added, "added", 0, "ADDED events after those: pods of one StatefulSet of this size")
	flag.IntVar(&w.spineSize, "spine-size", 250, "nodes in a spine (label network.example.com/spine)")
	flag.IntVar(&w.leafSize, "leaf-size", 25, "nodes in a leaf (label network.example.com/leaf)")
	flag.StringVar(&w.schedulerName, "scheduler-name", "muster", "schedulerName of all pods")
	flag.StringVar(&w.gangNamespace, "gang-namespace", "bench", "namespace of the StatefulSet")
	flag.StringVar(&w.gangName, "gang-name", "train", "name of the StatefulSet")
	flag.BoolVar(&s.hold, "hold", false, "hold the events back until POST /stub/go")
	flag.DurationVar(&s.lastAfter, "last-after", 0, "pause before the last of the events")
	flag.DurationVar(&s.bookmarks, "bookmarks", 60*time.Second, "time between bookmarks")
	flag.DurationVar(&s.delay, "delay", 0, "before a bind is answered")
	flag.BoolVar(&s.remember, "remember", false, "answer 409 for a pod that is bound already")
	flag.Float64Var(&s.faults.tooMany, "rate-429", 0, "share of binds answered 429")
	flag.Float64Var(&s.faults.unavailable, "rate-503", 0, "share of binds answered 503")
	flag.Float64Var(&s.faults.reset, "rate-reset", 0, "share of binds whose connection is closed")
	flag.Float64Var(&s.faults.lost, "rate-lost", 0, "share of binds never answered")
	flag.Parse()
	if err := s.serve(*port, *dir, *h2); err != nil {
		log.Fatal(err)
	}
}

func (s *stub) serve(port int, dir string, h2 bool) error {
	if dir == "" {
		made, err := os.MkdirTemp("", "stub-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	pair, clients, err := writeCertificates(dir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	address := listener.Addr().(*net.TCPAddr)
	url := fmt.Sprintf("https://127.0.0.1:%d", address.Port)
	if err := writeKubeconfig(dir, url); err != nil {
		return err
	}
	server := &http.Server{
		Handler: s.handler(), ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{pair},
			ClientCAs:    clients, ClientAuth: tls.VerifyClientCertIfGiven,
		},
	}
	if !h2 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() { <-stop; close(s.stopping); _ = server.Close() }()
	emit(map[string]any{
		"server": url, "port": address.Port, "pid": os.Getpid(),
		"ca": filepath.Join(dir, "ca.crt"), "kubeconfig": filepath.Join(dir, "kubeconfig"),
	})
	if err := server.ServeTLS(listener, "", ""); err != http.ErrServerClosed {
		return err
	}
	emit(s.stats())
	return nil
}

func emit(value any) { _ = json.NewEncoder(os.Stdout).Encode(value) }

func (s *stub) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods/{name}/binding", s.bind)
	mux.HandleFunc("GET /stub/stats", func(answer http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(answer).Encode(s.stats())
	})
	mux.HandleFunc("POST /stub/go", func(http.ResponseWriter, *http.Request) {
		s.once.Do(func() { close(s.release) })
	})
	mux.HandleFunc("GET /version", func(answer http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(answer, `{"major":"1","minor":"36","gitVersion":"v1.36.3"}`)
	})
	mux.HandleFunc("GET /apis", func(answer http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(answer, `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`)
	})
	mux.HandleFunc("GET /", s.get)
	mux.HandleFunc("/", s.accept)
	return mux
}

// get lists or watches a collection; nothing else can be read here.
func (s *stub) get(answer http.ResponseWriter, request *http.Request) {
	atomic.AddInt64(&s.reads, 1)
	path, query := request.URL.Path, request.URL.Query()
	r := s.world.resource(path)
	switch {
	case r == nil || !strings.HasPrefix(path, "/api"):
		refuse(answer, http.StatusNotFound, "NotFound", "the server could not find the resource")
	case query.Get("watch") == "1" || query.Get("watch") == "true":
		s.watch(answer, request, r)
	default:
		s.list(answer, r, query)
	}
}

// accept takes any other write (events, conditions) and says the object is as it was sent.
func (s *stub) accept(answer http.ResponseWriter, request *http.Request) {
	atomic.AddInt64(&s.writes, 1)
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	answer.Header().Set("Content-Type", "application/json")
	if request.Method == http.MethodPost {
		answer.WriteHeader(http.StatusCreated)
	}
	_, _ = answer.Write(text)
}

// stats: times are microseconds since the epoch, 0 = never.
func (s *stub) stats() map[string]any {
	return map[string]any{
		"cpu_s": usage.CPUSeconds(), "binds": atomic.LoadInt64(&s.binds),
		"writes": atomic.LoadInt64(&s.writes), "reads": atomic.LoadInt64(&s.reads),
		"first_bind_us": atomic.LoadInt64(&s.firstBind), "last_bind_us": atomic.LoadInt64(&s.lastBind),
		"last_event_us": atomic.LoadInt64(&s.lastEvent),
	}
}
