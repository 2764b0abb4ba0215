"""The ValidatingAdmissionPolicy on a real API server: which deletions it refuses, and which not."""

from typing import Any

import httpx
import pytest

from guardian_core.cluster.resources import API_VERSION
from tests.helm.conftest import Release
from tests.support.wait import eventually

MERGE = {"Content-Type": "application/merge-patch+json"}


class Positions:
    """The TradingPositions of a guarded namespace."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.path = f"/apis/{API_VERSION}/namespaces/{release.namespace}/tradingpositions"

    def make(self, name: str, quantity: str | None, **spec: Any) -> None:
        """A position of this size, as the operator has told it in the status."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "TradingPosition",
            "metadata": {"name": name},
            "spec": {"accountRef": "main", "symbol": "BTCUSDT", "side": "long"} | spec,
        }
        server = self.release.server
        server.create(self.path, body)
        if quantity is not None:
            status = {"status": {"quantity": quantity}}
            path = f"{self.path}/{name}/status"
            assert server.request("PATCH", path, status, headers=MERGE).status_code == 200

    def delete(self, name: str, **options: Any) -> httpx.Response:
        return self.release.server.request("DELETE", f"{self.path}/{name}", **options)

    def names(self) -> set[str]:
        found = self.release.server.request("GET", self.path).json()["items"]
        return {each["metadata"]["name"] for each in found}


def guarded(release: Release) -> Positions:
    """Once the policy counts: the API server reads a new one a moment later."""
    made = Positions(release)
    made.make("canary", "1")
    path = f"{made.path}/canary?dryRun=All"

    def refused() -> bool:
        return release.server.request("DELETE", path).status_code == 403

    eventually(refused, within_s=30, what="the policy to count")
    return made


@pytest.fixture(scope="module")
def positions(shared_release: Release) -> Positions:
    """Those of one namespace for all these tests, each with names of its own."""
    return guarded(shared_release)


def test_an_open_position_under_keep_cannot_be_deleted(positions: Positions) -> None:
    positions.make("open", "0.5")
    refused = positions.delete("open")
    assert refused.status_code == 403
    message = refused.json()["message"]
    for word in ("open is open (0.5)", "Keep", "Release", "Close", "allow-deletion=true"):
        assert word in message
    assert "open" in positions.names()


@pytest.mark.parametrize("quantity", ["0.00000001", "-2", "1000000"])
def test_every_size_but_none_is_open(positions: Positions, quantity: str) -> None:
    positions.make(f"some{quantity.strip('-')}", quantity)
    assert positions.delete(f"some{quantity.strip('-')}").status_code == 403


@pytest.mark.parametrize("quantity", [None, "0", "0.000", "-0"])
def test_a_flat_or_unknown_position_can_be_deleted(
    positions: Positions, quantity: str | None
) -> None:
    positions.make("flat", quantity)
    assert positions.delete("flat").status_code == 200


@pytest.mark.parametrize("policy", ["Release", "Close"])
def test_another_deletion_policy_lets_it_go(positions: Positions, policy: str) -> None:
    positions.make("chosen", "0.5", deletionPolicy=policy)
    assert positions.delete("chosen").status_code == 200


def test_the_annotation_lets_it_go(positions: Positions) -> None:
    positions.make("marked", "0.5")
    server, where = positions.release.server, ("-n", positions.release.namespace)
    annotate = ("annotate", "tpos", "marked", *where)
    server.kubectl(*annotate, "guardian.trading/allow-deletion=maybe")
    assert positions.delete("marked").status_code == 403
    server.kubectl(*annotate, "--overwrite", "guardian.trading/allow-deletion=true")
    assert positions.delete("marked").status_code == 200


def test_the_operator_itself_may(positions: Positions) -> None:
    positions.make("its-own", "0.5")
    token = positions.release.token_of("operator")
    assert positions.delete("its-own", token=token).status_code == 200


def test_deleting_all_takes_only_what_may_go(positions: Positions) -> None:
    positions.make("open-too", "0.5")
    positions.make("flat", "0")
    answer = positions.release.server.request("DELETE", positions.path)
    assert answer.status_code == 403
    left = positions.names()
    assert {"open-too", "canary"} <= left


def test_the_namespace_can_go_with_all_in_it(release: Release) -> None:
    positions = guarded(release)
    positions.make("open", "0.5")
    server, name = positions.release.server, positions.release.namespace
    server.kubectl("delete", "namespace", name, "--wait=false")

    def deleted() -> bool:
        return positions.delete("open").status_code == 200

    # What the namespace's controller does in a whole cluster.
    eventually(deleted, within_s=30, what="the namespace's end to be known")


def test_another_namespace_is_not_guarded(positions: Positions) -> None:
    server = positions.release.server
    elsewhere = Positions(Release(server, server.fresh_namespace(), ""))
    elsewhere.make("open", "0.5")
    assert elsewhere.delete("open").status_code == 200
