"""Calls of the chart's one-off Jobs to the API server. Plain JSON: they must work with a server
that is newer than the client's models.
"""

import json
from typing import Any

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from guardian_core.cluster.api import NotFound, load_configuration
from guardian_core.domain.errors import ConfigurationError, Conflict, Unavailable

TIMEOUT_S = 10.0
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"

Body = dict[str, Any]


class ApiServer:
    """Reached as `guardian_core.cluster.api` reaches it."""

    def __init__(self, configuration: client.Configuration | None = None) -> None:
        self._client = client.ApiClient(configuration or load_configuration())

    def get(self, path: str) -> Body:
        """Raises NotFound, ConfigurationError when it is refused, Unavailable otherwise."""
        return self._call("GET", path)

    def patch(self, path: str, body: Body, content_type: str = MERGE, **query: str) -> Body:
        """Also raises Conflict when the object changed since."""
        return self._call("PATCH", path, body, content_type, **query)

    def _call(
        self, method: str, path: str, body: Body | None = None, content_type: str = "", **query: Any
    ) -> Body:
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            request = self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=TIMEOUT_S)
            text: bytes = answer.read()  # type: ignore[no-untyped-call]
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            why = getattr(error, "reason", None) or type(error).__name__
            raise Unavailable(f"the cluster's API server is away: {why}") from None
        if 200 <= answer.status < 300:
            parsed: Body = json.loads(text)
            return parsed
        raise _error(answer.status, text)


def _error(status: int, text: bytes) -> Exception:
    try:
        message = str(json.loads(text)["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        message = f"status {status}"
    if status == 404:
        return NotFound(message)
    if status == 409:
        return Conflict("api_conflict", message)
    if status == 429 or status >= 500:
        return Unavailable(f"the cluster's API server answers {status}: {message}")
    return ConfigurationError(message)
