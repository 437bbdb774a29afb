// oracle says what kube-scheduler's default filters would say. It links kube-scheduler's own
// packages (framework and plugins of the version in go.mod, default profile, default gates) and
// reads one case a line:
//
//	{"id": any, "nodes": [Node], "pods": [Pod], "objects": [see world.go], "pod": Pod}
//
// For each it prints one line, in the order of the input:
//
//	{"id": any, "verdicts": {"node-1": {"plugin": "...", "code": "...", "reasons": ["..."]}}}
//
// A node that every filter lets pass is left out. A refusal that needs no node (PreEnqueue,
// PreFilter, no nodes at all) stands under "*" alone, and so does an error of a filter, because it
// ends kube-scheduler's whole attempt. Codes are Unschedulable, UnschedulableAndUnresolvable and
// Error. Reasons are sorted: kube-scheduler counts them, and some come in Go's map order.
//
// A case that cannot be judged (bad JSON, an unknown kind, a panic) gives
// {"id": any, "error": "..."}; the lines after it are not affected.
//
// Objects are taken as the API server stores them: nothing is defaulted, validated or merged. What
// world.load says of pods is all that happens to them before the filters see them.
//
// With -bench it times the filters over one big case instead; see bench.go.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework/parallelize"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// job is one line on its way to its answer.
type job struct {
	line   []byte
	answer chan []byte
}

// stream answers each line of in on out, in order, one worker a world. A few lines a worker are
// under way at a time, whatever the length of the input.
func stream(in io.Reader, out io.Writer, worlds []*world) error {
	jobs := make(chan job)
	order := make(chan job, 8*len(worlds))
	for _, w := range worlds {
		go work(w, jobs)
	}
	var readError error // written before order is closed, read after
	go func() {
		defer close(order)
		defer close(jobs)
		readError = readLines(in, func(line []byte) {
			next := job{line, make(chan []byte, 1)}
			order <- next
			jobs <- next
		})
	}()
	writer := bufio.NewWriterSize(out, 1<<20)
	for next := range order {
		if _, err := writer.Write(<-next.answer); err != nil {
			return err
		}
		if len(order) == 0 { // whoever sends one case and waits gets its answer
			if err := writer.Flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(readError, writer.Flush())
}

// work answers jobs until there are no more.
func work(w *world, jobs <-chan job) {
	for next := range jobs {
		answer, panicked := w.answer(next.line)
		if panicked { // a lock may be held and an index half filled
			w.close()
			w = mustWorld(1)
		}
		next.answer <- answer
	}
}

// readLines calls each with every line that is not blank; the last needs no line end.
func readLines(in io.Reader, each func([]byte)) error {
	reader := bufio.NewReaderSize(in, 1<<20)
	for {
		line, err := reader.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			each(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func mustWorld(parallelism int) *world {
	w, err := newWorld(parallelism)
	if err != nil {
		fail(err)
	}
	return w
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "oracle:", err)
	os.Exit(1)
}

func main() {
	timed := flag.Bool("bench", false, "time the filters over the one case on stdin")
	adaptive := flag.Bool("adaptive", false,
		"with -bench: stop a pod's search at as many feasible nodes as kube-scheduler does")
	parallelism := flag.Int("parallelism", parallelize.DefaultParallelism,
		"with -bench: goroutines a pod's search is spread over")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "cases judged at a time")
	flag.Parse()
	if flag.NArg() > 0 || *workers < 1 || *parallelism < 1 {
		flag.Usage()
		os.Exit(2)
	}
	klog.LogToStderr(false) // a line per odd object would drown what matters
	klog.SetOutput(io.Discard)
	metrics.Register()
	catchPanics()
	if *timed {
		if err := bench(os.Stdin, os.Stdout, mustWorld(*parallelism), *adaptive); err != nil {
			fail(err)
		}
		return
	}
	debug.SetGCPercent(400) // cases are short-lived; memory stays small
	worlds := make([]*world, *workers)
	for i := range worlds {
		worlds[i] = mustWorld(1)
	}
	if err := stream(os.Stdin, os.Stdout, worlds); err != nil {
		fail(err)
	}
}
