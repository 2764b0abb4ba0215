"""Every setting of an installation: `GUARDIAN_…` variables, read here and nowhere else.

A group per part, each field with a description: docs/settings.md is generated from them. Secrets
are not shown by `repr`.
"""

import difflib
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from guardian_core.domain.errors import CallerError, ConfigurationError
from guardian_core.domain.orders import check_installation
from guardian_core.logs import LogFormat

PREFIX = "GUARDIAN_"
Port = Annotated[int, Field(ge=0, le=65535)]

TRADINGVIEW_ADDRESSES = "52.89.214.238,34.212.75.30,54.218.53.128,52.32.178.7"
"""As TradingView's help publishes them (solution 43000529348). IPv4 only."""


class SourceCheck(StrEnum):
    """What becomes of a webhook request from an address that is not TradingView's."""

    OFF = "off"
    REPORT = "report"
    ENFORCE = "enforce"


def _sqlite_under_home(others: dict[str, Any]) -> str:
    return f"sqlite:///{others['home'] / 'guardian.db'}"


class Settings(BaseSettings):
    """What an installation chooses. Frozen: a change needs a restart."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    # The installation
    home: Path = Field(
        default=Path("~/.guardian"),
        validate_default=True,
        description="Folder of everything kept on one machine: database, exchange keys.",
    )
    installation: str = Field(
        default="guardn",
        description="Six lower-case letters or digits, part of every client order id. It must "
        "outlive the database, and differ between installations that share an exchange account.",
    )
    database_url: str = Field(
        default_factory=_sqlite_under_home,
        repr=False,
        description="SQLAlchemy URL, sqlite:///… or postgresql+psycopg2://…; by default "
        "guardian.db in the home folder.",
    )
    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="redis://… for wake-ups between processes; unset, they stay in this process.",
    )

    # Logs
    log_format: LogFormat = Field(
        default=LogFormat.TEXT,
        description="text for people, json (one object a line) for log collectors.",
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(TRACE|DEBUG|INFO|SUCCESS|WARNING|ERROR|CRITICAL)$",
        description="The lowest level that is written.",
    )

    # Receiver
    receiver_host: str = Field(
        default="127.0.0.1", description="Address the receiver listens on; 0.0.0.0 for all."
    )
    receiver_port: Port = Field(
        default=8888, description="Port the receiver listens on; 0 takes a free one."
    )
    receiver_queue_size: int = Field(
        default=5_000,
        ge=1,
        le=100_000,
        description="Alerts that may wait for the database; beyond it the answer is 503.",
    )
    receiver_source_check: SourceCheck = Field(
        default=SourceCheck.OFF,
        description="Requests from elsewhere than GUARDIAN_RECEIVER_SOURCES: off (nobody looks), "
        "report (counted and logged), enforce (refused with 403).",
    )
    receiver_sources: str = Field(
        default=TRADINGVIEW_ADDRESSES,
        description="Addresses or CIDRs, separated by commas; by default those that TradingView "
        "publishes.",
    )
    receiver_trusted_hops: int = Field(
        default=0,
        ge=0,
        le=10,
        description="How many proxies before the receiver add to X-Forwarded-For; 0: the address "
        "that connects is the client's.",
    )

    # Command line
    webhook_token: SecretStr | None = Field(
        default=None, description="Webhook token that `guardian webhook send` sends."
    )

    # Gateway
    gateway_host: str = Field(
        default="127.0.0.1", description="Address the gateway listens on; 0.0.0.0 for all."
    )
    gateway_port: Port = Field(default=8889, description="Port the gateway listens on.")
    gateway_url: str | None = Field(
        default=None,
        description="Where engine and operator find the gateway; unset, it is in this process.",
    )
    gateway_token: SecretStr | None = Field(
        default=None,
        description="Bearer token that the gateway asks for and its clients send.",
    )
    gateway_advertise_url: str | None = Field(
        default=None,
        description="Where other processes reach this very gateway: its lease's row says it. "
        "Unset, this machine's address and the gateway's port.",
    )

    keys_folder: Path | None = Field(
        default=None,
        description="Folder with a folder per account that holds its exchange keys (api-key, "
        "api-secret, passphrase), such as mounted Secrets; unset, accounts in the home folder.",
    )

    # Cluster
    cluster_namespace: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Kubernetes namespace of the custom resources that engine and operator keep in "
        "step with the database; unset, there are none. The API server is reached by the pod's "
        "service account, outside of a pod by KUBECONFIG.",
    )

    # Engine and operator
    engine_host: str = Field(
        default="127.0.0.1", description="Address of the engine's health and metrics."
    )
    engine_port: Port = Field(default=8890, description="Port of the engine's health and metrics.")
    operator_host: str = Field(
        default="127.0.0.1", description="Address of the operator's health and metrics."
    )
    operator_port: Port = Field(
        default=8891, description="Port of the operator's health and metrics."
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("installation")
    @classmethod
    def _usable(cls, installation: str) -> str:
        try:
            return check_installation(installation)
        except CallerError as error:
            raise ValueError(f"{error.problem}: {error.fix}") from None


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment; `overrides` (the command line's) win over it.

    Raises ConfigurationError that names each wrong variable. A variable nobody reads is wrong
    too: a mistyped GUARDIAN_DATABASE_URL must not start on an empty database.
    """
    _refuse_unknown(os.environ)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        # Without the input: it may hold a password.
        problems = [_problem(details["loc"], details["msg"]) for details in error.errors()]
        raise ConfigurationError("; ".join(problems)) from None


def _problem(location: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + "_".join(str(part) for part in location).upper()
    hint = ""
    if re.fullmatch(r"tcp://.*", os.environ.get(name, "")):
        hint = " (set by Kubernetes for a Service of that name: enableServiceLinks: false)"
    return f"{name}: {message}{hint}"


_SERVICE_LINK = re.compile(r".*_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?)")


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known or _SERVICE_LINK.fullmatch(name):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else "see docs/settings.md"
        raise ConfigurationError(f"{name} is not a setting: {hint}")
