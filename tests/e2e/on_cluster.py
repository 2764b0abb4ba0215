"""The cluster form: the services beside a real API server, with the rights that the chart gives.

Accounts come as ExchangeAccounts, and each service that may talk to the API server does so with a
token of its own ServiceAccount. What is not here is what runs pods: see `make test-cluster`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from guardian_core.accounts import AccountSpec
from guardian_core.cluster.resources import GROUP, VERSION
from guardian_core.storage.schema import Account
from tests.e2e.installation import Installation, services
from tests.support.chart import CHART, NAME, RELEASE, helm
from tests.support.kube import KubeServer
from tests.support.server_process import ServerProcess, free_port
from tests.support.wait import eventually

FORM = "cluster"
TALK_TO_THE_API = ("engine", "operator")


def cluster(
    home: Path,
    database_url: str,
    redis_url: str,
    kube: KubeServer,
    namespace: str,
    accounts: Mapping[str, AccountSpec],
) -> Installation:
    """Not started yet; its accounts are applied as custom resources."""
    where = ("--namespace", namespace, "--kubeconfig", str(kube.kubeconfig))
    installed = helm("install", RELEASE, str(CHART), *where)
    assert installed.returncode == 0, installed.stderr
    for name, spec in accounts.items():
        apply_account(kube, namespace, name, spec)
    more = {
        part: {
            "GUARDIAN_CLUSTER_NAMESPACE": namespace,
            "KUBECONFIG": str(
                kube.kubeconfig_for(kube.token_for(namespace, f"{NAME}-{part}"), namespace)
            ),
        }
        for part in TALK_TO_THE_API
    }
    return services(home, database_url, redis_url, {}, form=FORM, more=more)


def apply_account(kube: KubeServer, namespace: str, name: str, spec: AccountSpec) -> None:
    kube.create(
        f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/exchangeaccounts",
        {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "ExchangeAccount",
            "metadata": {"name": name},
            "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    )


def accounts_imported(house: Installation, count: int, within_s: float = 60.0) -> None:
    """Waits until the operator has put the ExchangeAccounts into the database."""

    def there() -> bool:
        return house.read(lambda s: s.scalar(select(func.count()).select_from(Account))) == count

    eventually(there, within_s=within_s, what=f"{count} accounts in the database")


def positions(kube: KubeServer, namespace: str, account: str) -> list[dict[str, Any]]:
    """The account's TradingPositions, as the API server stores them."""
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/tradingpositions"
    answer = kube.request("GET", path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return [item for item in found if item["spec"]["accountRef"] == account]


@dataclass(frozen=True, slots=True)
class Standby:
    """A second process of a part, not started yet."""

    house: Installation
    process: ServerProcess
    url: str

    def is_ready(self) -> bool:
        try:
            return self.house.http.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False


def standby(house: Installation, part: str, **settings: str) -> Standby:
    """One more of the same installation, on a port of its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {f"{part.upper()}_PORT": str(port)}
    if part == "gateway":
        own["GATEWAY_ADVERTISE_URL"] = url
    return Standby(house, house.another(part, **own, **settings), url)
