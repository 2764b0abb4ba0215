"""What the node's programs are told: addresses, and the files they read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

NAME = "guardian-node"
"""Of the node, of its control group, of its end of the cable."""
HOST_IP, NODE_IP = "10.199.37.1", "10.199.37.2"
POD_CIDR, SERVICE_CIDR = "10.244.0.0/24", "10.96.0.0/16"
API_IP, DNS_IP = "10.96.0.1", "10.96.0.10"
API_URL = f"https://{NODE_IP}:6443"
PAUSE_IMAGE = "localhost/guardian-node/pause:1"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one node, all below one."""

    root: Path

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def volumes(self) -> Path:
        """What outlives a pod: the folders of persistent volumes."""
        return self.root / "volumes"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "containerd.sock"

    def private(self) -> dict[Path, Path]:
        """Folders whose place is fixed by the programs, and what the node has there instead."""
        places = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/containerd")
        return {
            Path(place): self.root / place.strip("/").replace("/", "-")
            for place in (*places, "/run/netns")
        }

    def make(self) -> None:
        folders = [self.log, self.volumes, self.root / "containerd", self.root / "cni"]
        for folder in [*folders, *self.private().values()]:
            folder.mkdir(parents=True)


def write_containerd(layout: Layout) -> Path:
    """Containerd's file. Debian 12 has version 1.6, which reads this shape; so do later ones."""
    plugins = Path("/usr/lib/cni")
    if not plugins.is_dir():
        plugins = Path("/opt/cni/bin")
    runtime = "io.containerd.runc.v2"
    path = layout.root / "containerd.toml"
    path.write_text(f"""\
version = 2
root = "{layout.root}/containerd"
state = "{layout.root}/containerd-state"
[grpc]
address = "{layout.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
disable_apparmor = true
# Without the capability to lower it, runc would fail to start any pod's first process.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{_write_network(layout)}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "{runtime}"
""")
    return path


def write_kubelet(layout: Layout, authority: Path, certificate: Path, key: Path) -> Path:
    # Pods need no names from outside, and the machine's resolver may be out of their reach.
    resolver = layout.root / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    return _write(
        layout.root / "kubelet.yaml",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{NAME}",
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "clusterDNS": [DNS_IP],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolver),
            "podLogsDir": str(layout.log / "pods"),
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            # The disk is the whole machine's: how full it is says nothing about the cluster.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
        },
    )


def write_proxy(layout: Layout, kubeconfig: Path) -> Path:
    return _write(
        layout.root / "kube-proxy.yaml",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": POD_CIDR,
            "hostnameOverride": NAME,
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            # These limits belong to the whole machine.
            "conntrack": {"maxPerCore": 0, "min": 0},
        },
    )


def _write_network(layout: Layout) -> Path:
    """Pods on one bridge; ports of the node handed on to them. Returns the folder."""
    ranges = {"ranges": [[{"subnet": POD_CIDR}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "dataDir": str(layout.root / "addresses"), **ranges},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    content = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}
    folder = layout.root / "cni"
    (folder / "pods.conflist").write_text(json.dumps(content))
    return folder


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path
