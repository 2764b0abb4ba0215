"""Whether a request came from one of TradingView's addresses: counted and told, or refused.

Addresses can only be trusted as far as the proxies before us: each of them appends the address that
it was called from to X-Forwarded-For, so with `hops` of them the client's is the `hops`-th from the
right. What stands further left may have been written by anybody.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from loguru import logger

from guardian_core.domain.errors import ConfigurationError
from guardian_core.settings import Settings, SourceCheck
from guardian_receiver.metrics import ReceiverMetrics

Scope = MutableMapping[str, Any]

KNOWN_MAX = 1_024
"""Addresses whose verdict is remembered, and of which the log has told."""


def parse_sources(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Raises ConfigurationError for what is neither an address nor a CIDR."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"GUARDIAN_RECEIVER_SOURCES: {error}; use addresses or CIDRs, separated by commas"
        ) from None


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What to look for. `hops`: how many proxies before us add to X-Forwarded-For."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    hops: int = 0
    enforced: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "SourceRules | None":
        """None where nobody is to look, which then costs nothing."""
        check = settings.receiver_source_check
        if check is SourceCheck.OFF:
            return None
        networks = parse_sources(settings.receiver_sources)
        return cls(networks, settings.receiver_trusted_hops, check is SourceCheck.ENFORCE)


class Sources:
    def __init__(self, rules: SourceRules, metrics: ReceiverMetrics) -> None:
        self._enforces = rules.enforced
        self._networks = rules.networks
        self._hops = rules.hops
        self._metrics = metrics
        self._verdicts: dict[str, bool] = {}

    def refuses(self, scope: Scope) -> bool:
        """Looks at a request's source; whether the request is to be refused for it."""
        address = client_address(scope, self._hops)
        known = self._verdicts.get(address)
        if known is None:
            known = self._judge(address)
        if known:
            self._metrics.sources["tradingview"].inc()
            return False
        self._metrics.sources["other"].inc()
        return self._enforces

    def _judge(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
            mapped = getattr(parsed, "ipv4_mapped", None)
            known = any((mapped or parsed) in network for network in self._networks)
        except ValueError:
            known = False
        if len(self._verdicts) >= KNOWN_MAX:
            self._verdicts.clear()
        self._verdicts[address] = known
        if not known:
            # Once an address: whoever knocks a thousand times fills no log.
            logger.warning(
                "a request came from {}, which is none of TradingView's addresses{}",
                address[:64] or "nowhere",
                ": refused" if self._enforces else "",
            )
        return known


def client_address(scope: Scope, hops: int) -> str:
    """Where the request came from, as the nearest trusted proxy saw it. Empty when unknown."""
    if hops:
        told = b",".join(value for name, value in scope["headers"] if name == _FORWARDED)
        addresses = told.split(b",")
        if told and len(addresses) >= hops:
            return _bare(addresses[-hops].decode("latin-1").strip())
    client = scope.get("client")
    return str(client[0]) if client else ""


_FORWARDED = b"x-forwarded-for"


def _bare(address: str) -> str:
    """Without the port and the brackets that some proxies add."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
