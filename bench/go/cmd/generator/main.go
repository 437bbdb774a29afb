// Command generator sends many small requests to an API server over HTTP/1.1 and says how fast it
// went: the raw ceiling beside which schedulers are measured, and a quick way to make objects.
//
//	generator -mode bind   one Binding per pod: -pods-file, -prefix and -count, or -pending
//	generator -mode send   one request per number: -method, -path and -body with {i} in them
//
// It prints one line of JSON.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"muster.dev/bench/usage"
)

type job struct {
	method, path string
	body         []byte
}

type options struct {
	server, ca, cert, key, token string
	namespace, prefix, podsFile  string
	nodePrefix                   string
	nodes, nodeWidth             int
	pending                      bool
	method, path, body           string
	from, count, inFlight        int
	retries                      int
	watch, uids                  bool
}

func main() {
	var o options
	mode := flag.String("mode", "bind", "bind or send")
	flag.StringVar(&o.server, "server", "", "https://host:port")
	flag.StringVar(&o.ca, "ca", "", "file with the server's CA")
	flag.StringVar(&o.cert, "cert", "", "file with the client certificate")
	flag.StringVar(&o.key, "key", "", "file with its key")
	flag.StringVar(&o.token, "token", "", "bearer token")
	flag.StringVar(&o.namespace, "namespace", "bench", "of the pods")
	flag.StringVar(&o.prefix, "prefix", "pod-", "pods are called PREFIX and a number")
	flag.StringVar(&o.podsFile, "pods-file", "", "lines of: namespace name uid node")
	flag.BoolVar(&o.pending, "pending", false, "bind the namespace's pods that have no node, in turn")
	flag.StringVar(&o.nodePrefix, "node-prefix", "node-", "nodes are called this and a number")
	flag.IntVar(&o.nodes, "nodes", 1, "pods go to this many nodes in turn")
	flag.IntVar(&o.nodeWidth, "node-width", 6, "digits of a node's number, with leading zeros")
	flag.StringVar(&o.method, "method", http.MethodPost, "send: method")
	flag.StringVar(&o.path, "path", "", "send: path; {i} = the number, {i:06} = with leading zeros")
	flag.StringVar(&o.body, "body", "", "send: file with the body, {i} in it as in the path")
	flag.IntVar(&o.from, "from", 0, "first number")
	flag.IntVar(&o.count, "count", 0, "how many")
	flag.IntVar(&o.inFlight, "c", 32, "requests in flight")
	flag.IntVar(&o.retries, "retries", 5, "tries after 429, 5xx or no answer")
	flag.BoolVar(&o.watch, "watch", false, "keep a watch on all pods open meanwhile")
	flag.BoolVar(&o.uids, "uids", true, "bind: send an invented UID where none is given")
	flag.Parse()
	if err := run(*mode, &o); err != nil {
		log.Fatal(err)
	}
}

func run(mode string, o *options) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	var jobs []job
	switch mode {
	case "bind":
		jobs, err = o.binds(client)
	case "send":
		jobs, err = o.sends()
	default:
		err = errors.New("-mode is bind or send")
	}
	if err != nil {
		return err
	}
	var watched atomic.Int64
	if o.watch {
		stop, err := o.watchPods(client, &watched)
		if err != nil {
			return err
		}
		defer stop()
	}
	before := usage.CPUSeconds()
	r := o.sendAll(client, jobs)
	r["cpu_s"] = usage.CPUSeconds() - before
	r["watched_bytes"] = watched.Load()
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (o *options) client() (*http.Client, error) {
	settings := &tls.Config{}
	if o.ca != "" {
		text, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New(o.ca + ": no certificate in it")
		}
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: settings, MaxIdleConnsPerHost: o.inFlight + 1,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 only
	}}, nil
}

func (o *options) request(method, path string, body []byte) *http.Request {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequest(method, o.server+path, reader)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if o.token != "" {
		request.Header.Set("Authorization", "Bearer "+o.token)
	}
	return request
}

// sendAll keeps o.inFlight requests under way until all jobs are done.
func (o *options) sendAll(client *http.Client, jobs []job) map[string]any {
	took := make([]time.Duration, len(jobs))
	codes := make([]int, len(jobs))
	var next atomic.Int64
	var workers sync.WaitGroup
	begin := time.Now()
	for range min(o.inFlight, len(jobs)) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				start := time.Now()
				codes[i] = o.try(client, jobs[i])
				took[i] = time.Since(start)
			}
		}()
	}
	workers.Wait()
	return summary(took, codes, time.Since(begin))
}

// try sends a job until it is answered otherwise than by 429, 5xx or silence.
func (o *options) try(client *http.Client, j job) int {
	code := 0
	for attempt := range o.retries + 1 {
		answer, err := client.Do(o.request(j.method, j.path, j.body))
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			code = answer.StatusCode
			if code != http.StatusTooManyRequests && code < 500 {
				return code
			}
		}
		time.Sleep(time.Duration(attempt+1) * 100 * time.Millisecond)
	}
	return code
}

func summary(took []time.Duration, codes []int, all time.Duration) map[string]any {
	slices.Sort(took)
	at := func(share float64) float64 {
		if len(took) == 0 {
			return 0
		}
		return took[int(share*float64(len(took)-1))].Seconds() * 1e3
	}
	counts := map[string]int{}
	good := 0
	for _, code := range codes {
		counts[strconv.Itoa(code)]++
		if code >= 200 && code < 300 {
			good++
		}
	}
	return map[string]any{
		"count": len(codes), "ok": good, "codes": counts, "seconds": all.Seconds(),
		"per_s":  float64(len(codes)) / all.Seconds(),
		"p50_ms": at(0.5), "p99_ms": at(0.99),
	}
}

// watchPods opens a watch from now on and throws away what it brings.
func (o *options) watchPods(client *http.Client, bytes *atomic.Int64) (func(), error) {
	answer, err := client.Do(o.request(http.MethodGet, "/api/v1/pods?watch=1&resourceVersion=0", nil))
	if err != nil {
		return nil, err
	}
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, err := answer.Body.Read(buffer)
			bytes.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	return func() { _ = answer.Body.Close() }, nil
}

func expand(text string, number int) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "{i")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		width := 0
		mark, rest, closed := strings.Cut(after, "}")
		if parsed, err := strconv.Atoi(strings.TrimPrefix(mark, ":")); closed && err == nil {
			width = parsed
		} else if mark != "" {
			out.WriteString("{i") // not ours
			text = after
			continue
		}
		out.WriteString(padded(number, width))
		text = rest
	}
}

func padded(number, width int) string {
	digits := strconv.Itoa(number)
	return strings.Repeat("0", max(0, width-len(digits))) + digits
}
