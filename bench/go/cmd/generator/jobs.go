package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// sends is one job per number.
func (o *options) sends() ([]job, error) {
	var body string
	if o.body != "" {
		text, err := os.ReadFile(o.body)
		if err != nil {
			return nil, err
		}
		body = string(text)
	}
	jobs := make([]job, 0, o.count)
	for i := o.from; i < o.from+o.count; i++ {
		j := job{method: o.method, path: expand(o.path, i)}
		if body != "" {
			j.body = []byte(expand(body, i))
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// binds is one Binding per pod: of a file, of the server's pending pods, or of a range of names.
func (o *options) binds(client *http.Client) ([]job, error) {
	switch {
	case o.podsFile != "":
		return o.fromFile()
	case o.pending:
		return o.fromServer(client)
	}
	jobs := make([]job, 0, o.count)
	for i := o.from; i < o.from+o.count; i++ {
		uid := ""
		if o.uids {
			uid = fmt.Sprintf("b%07d-5c1e-4a2b-9d3f-0a1b2c3d4e5f", i)
		}
		jobs = append(jobs, binding(o.namespace, fmt.Sprint(o.prefix, i), uid, o.node(i)))
	}
	return jobs, nil
}

func (o *options) node(i int) string { return o.nodePrefix + padded(i%o.nodes, o.nodeWidth) }

func (o *options) fromFile() ([]job, error) {
	file, err := os.Open(o.podsFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var jobs []job
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		parts := strings.Fields(lines.Text())
		if len(parts) != 4 {
			return nil, fmt.Errorf("%s:%d: not `namespace name uid node`", o.podsFile, len(jobs)+1)
		}
		jobs = append(jobs, binding(parts[0], parts[1], parts[2], parts[3]))
	}
	return jobs, lines.Err()
}

func (o *options) fromServer(client *http.Client) ([]job, error) {
	var jobs []job
	next := ""
	for {
		query := url.Values{"limit": {"500"}, "fieldSelector": {"spec.nodeName="}}
		if next != "" {
			query.Set("continue", next)
		}
		path := "/api/v1/namespaces/" + o.namespace + "/pods?" + query.Encode()
		answer, err := client.Do(o.request(http.MethodGet, path, nil))
		if err != nil {
			return nil, err
		}
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []struct {
				Metadata struct {
					Name string `json:"name"`
					UID  string `json:"uid"`
				} `json:"metadata"`
			} `json:"items"`
		}
		err = json.NewDecoder(answer.Body).Decode(&page)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s %v", path, answer.Status, err)
		}
		for _, item := range page.Items {
			node := o.node(o.from + len(jobs))
			jobs = append(jobs, binding(o.namespace, item.Metadata.Name, item.Metadata.UID, node))
		}
		if next = page.Metadata.Continue; next == "" {
			return jobs, nil
		}
	}
}

func binding(namespace, name, uid, node string) job {
	metadata := map[string]any{
		"name": name, "namespace": namespace,
		"annotations": map[string]string{
			"muster.dev/placed-gang":   namespace + "/StatefulSet/bench",
			"muster.dev/placed-rank":   "0",
			"muster.dev/placed-domain": "spine-0000/leaf-00000",
		},
	}
	if uid != "" {
		metadata["uid"] = uid
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Binding", "metadata": metadata,
		"target": map[string]string{"apiVersion": "v1", "kind": "Node", "name": node},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/binding", namespace, name)
	return job{method: http.MethodPost, path: path, body: body}
}
