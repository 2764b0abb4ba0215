"""The cluster's API server, from inside the event loop: bounded threads, short limits, own errors.

It is reached by the pod's service account (the client reads the token again once a minute, so a
rotated one counts), or by KUBECONFIG outside of a pod. Nothing here retries: whoever calls knows
whether a second try is worth it.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from guardian_core.cluster.resources import FIELD_MANAGER, GROUP, VERSION
from guardian_core.domain.errors import (
    CallerError,
    ConfigurationError,
    Conflict,
    GuardianError,
    Unavailable,
)

TIMEOUT_S: Final = 2.0
THREADS: Final = 4
_GIVEN_UP_AFTER_S: Final = 2 * TIMEOUT_S
"""Looking up a name cannot be cut short, so a call's thread may outlive its caller's patience."""

_MERGE: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_PAGE: Final = 500

Body = dict[str, Any]


class NotFound(GuardianError):
    """The object is not there, or its kind is not installed."""


def load_configuration() -> client.Configuration:
    """How to reach the API server. Raises ConfigurationError when nothing says it."""
    found = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        try:
            config.load_kube_config(client_configuration=found)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError, TypeError) as error:
            raise ConfigurationError(
                f"no way to the cluster's API server: not in a pod, and KUBECONFIG is not usable"
                f" ({error})"
            ) from None
    found.retries = urllib3.Retry(0, redirect=0)
    return found


class ClusterApi:
    """The two kinds of `guardian.trading`, and Events, in one namespace.

    Every call raises Unavailable when the server does not answer in time, is overloaded or broken,
    or does not let us; Conflict for an old resourceVersion, or for a name that is taken; NotFound;
    CallerError when the schema refuses the object.
    """

    def __init__(self, namespace: str, configuration: client.Configuration | None = None) -> None:
        self.namespace = namespace
        self._client = client.ApiClient(configuration or load_configuration())
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cluster-api")

    async def get(self, plural: str, name: str) -> Body:
        return await self._call("GET", self._path(plural, name))

    async def all_of(self, plural: str) -> list[Body]:
        """All of them, as the server's cache has them, in pages."""
        found: list[Body] = []
        query = {"limit": str(_PAGE)}
        while True:
            page = await self._call("GET", self._path(plural), query)
            found += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return found
            query = {"limit": str(_PAGE), "continue": token}

    async def create(self, plural: str, body: Body) -> Body:
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("POST", self._path(plural), query, body, _JSON)

    async def merge(self, plural: str, name: str, body: Body) -> Body:
        """A JSON merge patch, in the name of our field manager: what it sets is ours from now on,
        whoever said it before. With a resourceVersion in its metadata, Conflict when the object
        changed since. (Server-side apply could not remove a level that somebody else set.)"""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", self._path(plural, name), query, body, _MERGE)

    async def patch_status(self, plural: str, name: str, status: Body) -> Body:
        """Replaces the named fields of the status; None removes one."""
        query = {"fieldManager": FIELD_MANAGER}
        path = f"{self._path(plural, name)}/status"
        return await self._call("PATCH", path, query, {"status": status}, _MERGE)

    async def delete(self, plural: str, name: str, uid: str) -> None:
        """Deletes that very object, no later one of its name."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        await self._call("DELETE", self._path(plural, name), None, body, _JSON)

    async def create_event(self, body: Body) -> Body:
        path = f"/api/v1/namespaces/{self.namespace}/events"
        return await self._call("POST", path, {"fieldManager": FIELD_MANAGER}, body, _JSON)

    async def close(self) -> None:
        """Waits for no call that is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.rest_client.close()

    def _path(self, plural: str, name: str = "") -> str:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}" if name else path

    async def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Body | None = None,
        content_type: str = "",
    ) -> Body:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_GIVEN_UP_AFTER_S):
                return await loop.run_in_executor(
                    self._threads, self._send, method, path, query, body, content_type
                )
        except TimeoutError:
            raise Unavailable("the cluster's API server does not answer") from None

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: Body | None,
        content_type: str,
    ) -> Body:
        headers = {"Accept": _JSON} | ({"Content-Type": content_type} if content_type else {})
        try:
            request = self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=TIMEOUT_S)
            text: bytes = answer.read()  # type: ignore[no-untyped-call]
        except ApiException as error:
            # The client's own word for a request that got no answer; status 0.
            raise Unavailable(f"the cluster's API server is away: {error.reason}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            kind = type(error).__name__
            raise Unavailable(f"the cluster's API server is away: {kind}") from None
        if 200 <= answer.status < 300:
            return json.loads(text) if text else {}
        raise _error(answer.status, text)


def _error(status: int, text: bytes) -> GuardianError:
    message = _message(text) or f"status {status}"
    if status == 404:
        return NotFound(message)
    if status == 409:
        return Conflict("api_conflict", message)
    if status in (400, 422):
        return CallerError("object", message)
    return Unavailable(f"the cluster's API server refuses ({status}): {message}")


def _message(text: bytes) -> str:
    try:
        found = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(found)[:1000]
