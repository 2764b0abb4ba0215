// Kubernetes is what a node and its control plane run beside the API server, in one program: kubelet,
// kube-proxy, kube-scheduler and kube-controller-manager. The name that it is called by says which of
// them it is, so four links to it make four commands.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	var command *cobra.Command
	switch name := filepath.Base(os.Args[0]); name {
	case "kubelet":
		command = kubelet.NewKubeletCommand(context.Background())
	case "kube-proxy":
		command = proxy.NewProxyCommand()
	case "kube-scheduler":
		command = scheduler.NewSchedulerCommand()
	case "kube-controller-manager":
		command = manager.NewControllerManagerCommand()
	default:
		fmt.Fprintf(os.Stderr, "%s: call this program by a Kubernetes component's name\n", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(command))
}
