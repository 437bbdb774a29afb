// hollow-kubelet runs the kubelet's own code over a fake container runtime, as kubemark does: what
// it admits and refuses is what a real node would. Two things differ from kubemark's command: it
// opens no port (kubemark serves the kubelet's debug API to every network, without asking who is
// there), and the size of the machine can be chosen.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	"go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	remote "k8s.io/cri-client/pkg"
	fakeremote "k8s.io/cri-client/pkg/fake"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
	utilflag "k8s.io/kubernetes/pkg/util/flag"
)

// machine is kubemark's fake machine with a size of our own.
type machine struct {
	cadvisortest.Fake
	cores  int
	memory uint64
}

func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	info, err := m.Fake.MachineInfo()
	if err != nil {
		return nil, err
	}
	info.NumCores = m.cores
	info.MemoryCapacity = m.memory
	return info, nil
}

// pairs reads "a=1,b=2".
func pairs(text string) (map[string]string, error) {
	result := map[string]string{}
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		key, value, found := strings.Cut(item, "=")
		if !found {
			return nil, fmt.Errorf("%q is not key=value", item)
		}
		result[key] = value
	}
	return result, nil
}

type options struct {
	name, kubeconfig, root, labels, devices, memory string
	cores, pods                                     int
	taints                                          []v1.Taint
}

func run(ctx context.Context, o options) error {
	labels, err := pairs(o.labels)
	if err != nil {
		return fmt.Errorf("--labels: %w", err)
	}
	devices, err := pairs(o.devices)
	if err != nil {
		return fmt.Errorf("--devices: %w", err)
	}
	memory, err := resource.ParseQuantity(o.memory)
	if err != nil {
		return fmt.Errorf("--memory: %w", err)
	}
	extended := v1.ResourceList{}
	for name, count := range devices {
		quantity, err := resource.ParseQuantity(count)
		if err != nil {
			return fmt.Errorf("--devices: %w", err)
		}
		extended[v1.ResourceName(name)] = quantity
	}

	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.UserAgent = "hollow-kubelet"
	config.QPS = -1
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}

	endpoint := "unix://" + filepath.Join(o.root, "cri.sock")
	runtime := fakeremote.NewFakeRemoteRuntime()
	if err := runtime.Start(endpoint); err != nil {
		return err
	}
	defer runtime.Stop()
	service, err := remote.NewRemoteRuntimeService(ctx, endpoint, 15*time.Second, noop.NewTracerProvider(), false)
	if err != nil {
		return err
	}

	flags, kubelet := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		NodeName:           o.name,
		MaxPods:            o.pods,
		NodeLabels:         labels,
		RegisterWithTaints: o.taints,
	})
	// kubemark's choice lies under /tmp and stays there.
	if err := os.RemoveAll(flags.RootDirectory); err != nil {
		return err
	}
	flags.RootDirectory = filepath.Join(o.root, "kubelet")
	kubelet.StaticPodPath = filepath.Join(o.root, "static-pods")
	kubelet.PodLogsDir = filepath.Join(o.root, "pod-logs")
	for _, directory := range []string{flags.RootDirectory, kubelet.StaticPodPath, kubelet.PodLogsDir} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return err
		}
	}
	kubelet.EnableServer = false
	kubelet.ReadOnlyPort = 0
	// A pod's phase is worked out again at each sync; 10 s is long in a test.
	kubelet.SyncFrequency.Duration = time.Second
	node := &machine{cores: o.cores, memory: uint64(memory.Value())}
	node.NodeName = o.name
	kubemark.NewHollowKubelet(
		flags, kubelet, client, client, node, runtime.ImageService, service,
		cm.NewStubContainerManagerWithDevicePluginResource(extended),
	).Run(ctx)
	return nil
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", "", "name of the node")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "credentials of system:node:NAME")
	flag.StringVar(&o.root, "root", "", "empty directory for its files, not deep in the tree: sockets live there")
	flag.StringVar(&o.labels, "labels", "", "labels of the node: key=value,...")
	flag.Var(utilflag.RegisterWithTaintsVar{Value: &o.taints}, "taints", "taints of the node: key=value:effect,...")
	flag.StringVar(&o.devices, "devices", "", "devices of the node: resource=count,...")
	flag.StringVar(&o.memory, "memory", "256Gi", "memory of the node")
	flag.IntVar(&o.cores, "cores", 32, "CPUs of the node")
	flag.IntVar(&o.pods, "pods", 110, "pods that the node takes")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The kubelet blocks for ever; nothing here is worth an orderly end.
	context.AfterFunc(ctx, func() { os.Exit(0) })
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "hollow-kubelet:", err)
		os.Exit(1)
	}
}
