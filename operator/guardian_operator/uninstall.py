"""Before the chart is uninstalled: `python -m guardian_operator.uninstall DEPLOYMENT…`.

Stops those Deployments (whoever would put a finalizer back), then takes ours off every
TradingPosition of the namespace. Nothing is released or closed: the orders stay on the exchange,
the rows in the database, and a new release on the same database guards on.
"""

import sys
import time
from collections.abc import Sequence

from guardian_core.clock import SystemClock
from guardian_core.cluster.api import NotFound
from guardian_core.cluster.objects import KOPF_FINALIZER
from guardian_core.cluster.resources import FINALIZER, GROUP, POSITIONS, VERSION
from guardian_core.domain.errors import ConfigurationError, Conflict, GuardianError, Unavailable
from guardian_core.settings import load_settings
from guardian_operator.errand import ApiServer, Body

STOPPED_WITHIN_S = 60.0
POLL_S = 1.0
ATTEMPTS = 3

OURS = frozenset({FINALIZER, KOPF_FINALIZER})


class Namespace:
    """One namespace's positions and Deployments, for this errand only."""

    def __init__(self, name: str, api: ApiServer) -> None:
        self._api = api
        self._deployments = f"/apis/apps/v1/namespaces/{name}/deployments"
        self._positions = f"/apis/{GROUP}/{VERSION}/namespaces/{name}/{POSITIONS}"

    def stop(self, deployment: str) -> None:
        """Asks for no replica."""
        self._api.patch(f"{self._deployments}/{deployment}/scale", {"spec": {"replicas": 0}})

    def is_stopped(self, deployment: str) -> bool:
        status = self._api.get(f"{self._deployments}/{deployment}").get("status", {})
        return not status.get("replicas")

    def finalized(self) -> list[Body]:
        """The positions that carry a finalizer of ours."""
        try:
            found = self._api.get(self._positions)["items"]
        except NotFound:
            return []  # The definition is gone, and the positions with it.
        return [each for each in found if OURS & set(_finalizers(each))]

    def strip(self, position: Body) -> None:
        """Takes ours off and leaves others'. What changed or went meanwhile, the next look sees."""
        metadata = position["metadata"]
        kept = [each for each in _finalizers(position) if each not in OURS]
        patch = {"metadata": {"finalizers": kept, "resourceVersion": metadata["resourceVersion"]}}
        try:
            self._api.patch(f"{self._positions}/{metadata['name']}", patch)
        except (NotFound, Conflict):
            return


def _finalizers(position: Body) -> list[str]:
    found: list[str] = position["metadata"].get("finalizers") or []
    return found


def strip_all(namespace: Namespace, deployments: Sequence[str]) -> int:
    """Returns how many positions it freed. Raises Unavailable when some are not free."""
    for deployment in deployments:
        namespace.stop(deployment)
    _wait_stopped(namespace, deployments)
    freed: set[str] = set()
    for _ in range(ATTEMPTS):
        left = namespace.finalized()
        if not left:
            return len(freed)
        for position in left:
            namespace.strip(position)
            freed.add(position["metadata"]["name"])
    if namespace.finalized():
        raise Unavailable("finalizers come back: somebody else's operator looks after them")
    return len(freed)


def _wait_stopped(namespace: Namespace, deployments: Sequence[str]) -> None:
    """Until no replica is left, or long enough: a pod that hangs holds no uninstalling up."""
    clock = SystemClock()
    until_s = clock.monotonic() + STOPPED_WITHIN_S
    while not all(namespace.is_stopped(each) for each in deployments):
        if clock.monotonic() > until_s:
            sys.stderr.write("some pods are still ending; going on\n")
            return
        time.sleep(POLL_S)  # noqa: TID251 - a process of its own, outside of any event loop


def main(deployments: Sequence[str]) -> int:
    try:
        name = load_settings().cluster_namespace
        if not name:
            raise ConfigurationError("GUARDIAN_CLUSTER_NAMESPACE is not set")
        print(f"{strip_all(Namespace(name, ApiServer()), deployments)} positions are free")
    except GuardianError as error:
        sys.stderr.write(f"uninstall: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
