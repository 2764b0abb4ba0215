"""The cluster's keys: an authority, certificates for servers and clients, and kubeconfigs."""

import json
import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


class Keys:
    """A folder of keys. A subject is written as openssl does: /O=group/CN=user."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self._folder = folder
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", "-x509", "-days", "30", *_KEY, *usage, *self._files("ca"), "/CN=node")
        self._openssl("genpkey", "-algorithm", "RSA", "-out", "accounts.key")

    @property
    def authority(self) -> Path:
        return self._folder / "ca.crt"

    def key(self, name: str) -> Path:
        return self._folder / f"{name}.key"

    def certificate(self, name: str) -> Path:
        return self._folder / f"{name}.crt"

    def make(self, name: str, subject: str, *addresses: str) -> None:
        """A key and its certificate, for a client and, at these addresses (DNS:… or IP:…), for a
        server."""
        extensions = ["-addext", "basicConstraints=critical,CA:FALSE"]
        if addresses:
            extensions += ["-addext", f"subjectAltName={','.join(addresses)}"]
        signer = ("-x509", "-days", "30", "-CA", "ca.crt", "-CAkey", "ca.key")
        self._openssl("req", *signer, *_KEY, *extensions, *self._files(name), subject)

    def kubeconfig(self, name: str, subject: str, url: str) -> Path:
        """The kubeconfig of a new user."""
        self.make(name, subject)
        cluster = {"server": url, "certificate-authority": str(self.authority)}
        user = {
            "client-certificate": str(self.certificate(name)),
            "client-key": str(self.key(name)),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "node",
            "clusters": [{"name": "node", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "node", "context": {"cluster": "node", "user": name}}],
        }
        path = self._folder / f"{name}.kubeconfig"
        path.write_text(json.dumps(content))
        return path

    @staticmethod
    def _files(name: str) -> tuple[str, ...]:
        return ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj")

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
