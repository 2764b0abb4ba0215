"""A whole Kubernetes cluster of one node, in namespaces of its own, as children of this process.

Network, mounts and processes are the node's own, so that ending its first process ends all of it:
nothing stays but empty control groups, which `stop` removes. Needs root.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.node.cgroups import make_cgroups, remove_cgroups
from tests.cluster.node.configuration import (
    API_IP,
    API_URL,
    HOST_IP,
    NAME,
    NODE_IP,
    POD_CIDR,
    SERVICE_CIDR,
    Layout,
    write_containerd,
    write_kubelet,
    write_proxy,
)
from tests.cluster.node.pki import Keys
from tests.cluster.node.programs import kube_program, node_program
from tests.support.server_process import ServerProcess
from tests.support.wait import eventually

_START_WITHIN_S = 120.0
_END_WITHIN_S = 20.0
_CALL_WITHIN_S = 120.0
_LOADED_WITHIN_S = 300.0


class CommandFailed(AssertionError):
    """A command ended with an error; the text is what it printed."""


class Node:
    """Starts with `start`. Pods and services can be reached from here by their own addresses."""

    def __init__(self, folder: Path) -> None:
        self._layout = Layout(folder)
        self._processes: list[ServerProcess] = []
        self._first: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once the node is ready for pods."""
        _cut_cable()
        remove_cgroups()
        self._layout.make()
        self.keys = Keys(self._layout.root / "keys")
        self.kubeconfig = self.keys.kubeconfig("admin", "/O=system:masters/CN=admin", API_URL)
        make_cgroups()
        self._start_first()
        self._lay_cable()
        self._run("containerd", "containerd", f"--config={write_containerd(self._layout)}")
        self._start_control_plane()
        self._start_kubelet()
        self._start_proxy()
        eventually(self._is_ready, within_s=_START_WITHIN_S, what="the node to be ready")

    def stop(self) -> None:
        """Ends everything at once, as a power cut would, and removes what is left."""
        if self._first is not None:
            self._first.kill()
            self._first.wait(_END_WITHIN_S)
        for process in self._processes:
            process.kill()
        _cut_cable()
        eventually(remove_cgroups, within_s=_END_WITHIN_S, what="the node's processes to end")

    @property
    def volumes(self) -> Path:
        """A folder of the node's, for persistent volumes."""
        return self._layout.volumes

    def load(self, archives: Iterable[Path]) -> None:
        """Brings images into the node."""
        for archive in archives:
            self._ctr("images", "import", str(archive))

    def tag(self, image: str, name: str) -> None:
        """Gives an image of the node's a second name."""
        self._ctr("images", "tag", "--force", image, name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed."""
        cache = self._layout.root / "kubectl"
        options = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={cache}"]
        return run([str(kube_program("kubectl")), *options, *arguments], stdin=stdin)

    def helm(self, *arguments: str) -> str:
        """What helm printed."""
        command = [str(kube_program("helm")), f"--kubeconfig={self.kubeconfig}", *arguments]
        return run(command, within_s=_LOADED_WITHIN_S)

    def log_tail(self, name: str, lines: int = 20) -> str:
        """The end of what one of its programs printed."""
        path = self._layout.log / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _start_first(self) -> None:
        """The process that holds the namespaces: once it ends, the kernel ends all in them."""
        mounts = [
            f"mkdir -p {place}; mount --bind {own} {place}"
            for place, own in self._layout.private().items()
        ]
        script = [
            "mount --make-rshared /",
            *mounts,
            "ip link set lo up",
            "sysctl -qw net.ipv4.ip_forward=1",
            f"exec {node_program('pause')}",
        ]
        spaces = ("--mount", "--propagation=private", "--net", "--pid", "--fork", "--mount-proc")
        # A killed pytest can stop nothing any more, so the kernel is asked to.
        outlives_nobody = ("setpriv", "--pdeathsig=KILL", "unshare", *spaces, "--kill-child")
        with (self._layout.log / "first.log").open("wb") as log:
            self._first = subprocess.Popen(
                [*outlives_nobody, "sh", "-euc", "\n".join(script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._is_held, what="the node's namespaces")

    def _is_held(self) -> bool:
        assert self._first is not None
        assert self._first.poll() is None, self.log_tail("first")
        found = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text()
        if not found.strip():
            return False
        self._inside = ("nsenter", f"--target={found.strip()}", "--mount", "--net", "--pid")
        self._pid = found.strip()
        return Path(f"/proc/{self._pid}/comm").read_text().strip() == "pause"

    def _lay_cable(self) -> None:
        """Between the machine and the node; pods and services lie behind the node."""
        cable = ("link", "add", NAME, "type", "veth", "peer", "name", "eth0", "netns", self._pid)
        _ip(*cable)
        _ip("addr", "add", f"{HOST_IP}/30", "dev", NAME)
        _ip("link", "set", NAME, "up")
        for arguments in (
            ("addr", "add", f"{NODE_IP}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", HOST_IP),
        ):
            run([*self._inside, "ip", *arguments])
        for cidr in (POD_CIDR, SERVICE_CIDR):
            _ip("route", "replace", cidr, "via", NODE_IP)

    def _start_control_plane(self) -> None:
        keys = self.keys
        names = [f"DNS:kubernetes{rest}" for rest in ("", ".default", ".default.svc")]
        keys.make("apiserver", "/CN=kube-apiserver", *names, f"IP:{NODE_IP}", f"IP:{API_IP}")
        keys.make("apiserver-to-kubelet", "/O=system:masters/CN=kube-apiserver")
        data = self._layout.root / "etcd"
        self._run("etcd", str(kube_program("etcd")), f"--data-dir={data}", "--unsafe-no-fsync")
        self._component(
            "kube-apiserver",
            str(kube_program("kube-apiserver")),
            {
                "etcd-servers": "http://127.0.0.1:2379",
                "secure-port": "6443",
                "advertise-address": NODE_IP,
                "allow-privileged": "true",
                "service-cluster-ip-range": SERVICE_CIDR,
                "authorization-mode": "Node,RBAC",
                "anonymous-auth": "false",
                "enable-admission-plugins": "NodeRestriction",
                "client-ca-file": str(keys.authority),
                "tls-cert-file": str(keys.certificate("apiserver")),
                "tls-private-key-file": str(keys.key("apiserver")),
                "kubelet-client-certificate": str(keys.certificate("apiserver-to-kubelet")),
                "kubelet-client-key": str(keys.key("apiserver-to-kubelet")),
                "kubelet-certificate-authority": str(keys.authority),
                "kubelet-preferred-address-types": "InternalIP",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": str(keys.key("accounts")),
                "service-account-signing-key-file": str(keys.key("accounts")),
            },
        )
        eventually(self._api_answers, within_s=_START_WITHIN_S, what="the API server")
        manager = {
            "service-account-private-key-file": str(keys.key("accounts")),
            "root-ca-file": str(keys.authority),
            "use-service-account-credentials": "true",
        }
        for name, more in (("kube-controller-manager", manager), ("kube-scheduler", {})):
            kubeconfig = str(keys.kubeconfig(name, f"/CN=system:{name}", API_URL))
            options = {
                "kubeconfig": kubeconfig,
                "authentication-kubeconfig": kubeconfig,
                "authorization-kubeconfig": kubeconfig,
                "bind-address": "127.0.0.1",
                "leader-elect": "false",
            }
            self._component(name, str(node_program(name)), options | more)

    def _start_kubelet(self) -> None:
        keys, subject = self.keys, f"/O=system:nodes/CN=system:node:{NAME}"
        keys.make("kubelet-server", subject, f"DNS:{NAME}", f"IP:{NODE_IP}")
        certificate, key = keys.certificate("kubelet-server"), keys.key("kubelet-server")
        options = {
            "config": str(write_kubelet(self._layout, keys.authority, certificate, key)),
            "kubeconfig": str(keys.kubeconfig("kubelet", subject, API_URL)),
            "hostname-override": NAME,
            "node-ip": NODE_IP,
        }
        self._component("kubelet", str(node_program("kubelet")), options)

    def _start_proxy(self) -> None:
        kubeconfig = self.keys.kubeconfig("kube-proxy", "/CN=system:kube-proxy", API_URL)
        options = {"config": str(write_proxy(self._layout, kubeconfig))}
        self._component("kube-proxy", str(node_program("kube-proxy")), options)

    def _api_answers(self) -> bool:
        return self.kubectl("get", "--raw", "/readyz") == "ok"

    def _is_ready(self) -> bool:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self.kubectl("get", "node", NAME, "-o", path) == "True"

    def _component(self, name: str, program: str, options: dict[str, str]) -> None:
        self._run(name, program, *(f"--{option}={value}" for option, value in options.items()))

    def _run(self, name: str, *command: str) -> None:
        """Starts a program of the node's, which writes to the log of this name."""
        process = ServerProcess([*self._inside, *command], self._layout.log / f"{name}.log")
        process.start()
        self._processes.append(process)

    def _ctr(self, *arguments: str) -> None:
        place = ("--address", str(self._layout.containerd_socket), "--namespace", "k8s.io")
        run([*self._inside, "ctr", *place, *arguments], within_s=_LOADED_WITHIN_S)


@contextmanager
def running_node() -> Iterator[Node]:
    """A started node, ended and removed at the end."""
    # Not in memory, where /tmp may be: it holds the images.
    with tempfile.TemporaryDirectory(prefix="guardian-node-", dir="/var/tmp") as folder:
        node = Node(Path(folder))
        try:
            node.start()
            yield node
        finally:
            node.stop()
            # Read-only folders of images are in the way of an ordinary removal.
            shutil.rmtree(folder, ignore_errors=True)


def run(
    command: Sequence[str], *, stdin: str | None = None, within_s: float = _CALL_WITHIN_S
) -> str:
    """What the command printed. Raises CommandFailed with what it complained of."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, timeout=within_s
    )
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def _ip(*arguments: str) -> None:
    run(["ip", *arguments])


def _cut_cable() -> None:
    """It would go with the node's network, which lasts until its last connections are forgotten."""
    with suppress(CommandFailed):
        _ip("link", "del", NAME)
