"""The tables. Alembic (migrations/) owns the schema; a test holds the two together.

Enumerations are stored as text and checked by the code that writes them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Sequence,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from guardian_core.storage.types import ExactDecimal, UtcDateTime

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

RowId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration form
        Decimal: ExactDecimal,
        datetime: UtcDateTime,
        UUID: Uuid,
        str: Text,
        dict[str, Any]: JSON,
        list[str]: JSON,
    }


class Account(Base):
    """One set of exchange keys. `name` is its word everywhere inside."""

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("user_id", "account_id"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(default="")
    uid: Mapped[str | None]
    user_id: Mapped[str] = mapped_column(default="")
    account_id: Mapped[str]
    venue: Mapped[str]
    environment: Mapped[str]
    spec: Mapped[dict[str, Any]]
    generation: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]


class Token(Base):
    """A webhook secret, hashed. `accounts` names those it may command; empty means all."""

    __tablename__ = "token"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    accounts: Mapped[list[str]]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Lease(Base):
    """Who may act for a name. `epoch` grows by one at each change of holder."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    url: Mapped[str] = mapped_column(default="")
    epoch: Mapped[int]
    until: Mapped[datetime]


class Lane(Base):
    """One (account, symbol). The claim is an engine's lease on working it."""

    __tablename__ = "lane"
    __table_args__ = (UniqueConstraint("account_name", "symbol"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    account_name: Mapped[str] = mapped_column(ForeignKey("account.name"))
    symbol: Mapped[str]
    claim_holder: Mapped[str | None]
    claim_epoch: Mapped[int] = mapped_column(default=0)
    claim_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    """A lane put back because the venue's answer was Unknown is tried again only then."""
    fills_until: Mapped[datetime | None]
    """Fill cursor: everything older has been ingested."""


class Webhook(Base):
    """An alert as received. `raw_payload` has the token blanked."""

    __tablename__ = "webhook"
    __table_args__ = (
        Index("ix_webhook_queue", "status", "lane_id", "received_at"),
        Index("ix_webhook_received_at", "received_at"),
        Index("ix_webhook_trace_id", "trace_id"),
        Index("ix_webhook_once", "lane_id", "indicateur_name", "action", "bar_time"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    trace_id: Mapped[str]
    received_at: Mapped[datetime]
    dedup_key: Mapped[str] = mapped_column(unique=True)
    lane_id: Mapped[int | None] = mapped_column(ForeignKey("lane.id"))
    account_name: Mapped[str | None]
    action: Mapped[str | None]
    user_id: Mapped[str | None]
    account_id: Mapped[str | None]
    symbol: Mapped[str | None]
    exchange: Mapped[str | None]
    interval: Mapped[str | None]
    bar_time: Mapped[datetime | None]
    bar_open: Mapped[Decimal | None]
    bar_high: Mapped[Decimal | None]
    bar_low: Mapped[Decimal | None]
    bar_close: Mapped[Decimal | None]
    prix: Mapped[Decimal | None]
    prix_sl: Mapped[str | None]
    """A decimal as text, or REMOVE; None where the alert leaves the leg alone."""
    prix_tp: Mapped[str | None]
    pour_cent: Mapped[Decimal | None]
    indicateur_name: Mapped[str] = mapped_column(default="")
    raw_payload: Mapped[str]
    status: Mapped[str]
    message: Mapped[str] = mapped_column(default="")
    order_body: Mapped[dict[str, Any] | None]
    webhook_state_id: Mapped[UUID | None]
    revision: Mapped[int | None]
    """The desire's revision that this webhook minted: set once, so a replay mints none."""
    processed_at: Mapped[datetime | None]
    seq: Mapped[int | None] = mapped_column(BigInteger, Sequence("webhook_seq"))
    """Order of insertion, for alerts of the same instant. Null on SQLite, which has its rowid."""


class WebhookState(Base):
    """One guarded position and its desire."""

    __tablename__ = "webhook_state"
    __table_args__ = (
        Index(
            "uq_webhook_state_live",
            "lane_id",
            unique=True,
            postgresql_where=text("status IN ('pending', 'open')"),
            sqlite_where=text("status IN ('pending', 'open')"),
        ),
        Index("ix_webhook_state_lane_id", "lane_id", "opened_at"),
        Index("ix_webhook_state_status", "status"),
        # What the Order Monitor looks at: states that just closed, and those without a result.
        Index("ix_webhook_state_closed_at", "lane_id", "closed_at"),
        Index(
            "ix_webhook_state_unsettled",
            "lane_id",
            postgresql_where=text("realized_pnl IS NULL"),
            sqlite_where=text("realized_pnl IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    lane_id: Mapped[int] = mapped_column(ForeignKey("lane.id"))
    user_id: Mapped[str] = mapped_column(default="")
    side: Mapped[str]
    quantity: Mapped[Decimal]
    entry_price: Mapped[Decimal | None]
    status: Mapped[str]
    current_sl: Mapped[Decimal | None]
    current_tp: Mapped[Decimal | None]
    target_quantity: Mapped[Decimal | None]
    target_reason: Mapped[str] = mapped_column(default="")
    revision: Mapped[int]
    revised_at: Mapped[datetime]
    sl_order_id: Mapped[str | None]
    tp_order_id: Mapped[str | None]
    desire_bar_time: Mapped[datetime | None]
    naked_since: Mapped[datetime | None]
    flat_seen_at: Mapped[datetime | None]
    repairs: Mapped[int] = mapped_column(default=0)
    source: Mapped[str]
    trace_id: Mapped[str]
    """Of the alert that last changed the desire: repairs are logged under it."""
    created_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    close_reason: Mapped[str] = mapped_column(default="")
    realized_pnl: Mapped[Decimal | None]
    pnl_incomplete: Mapped[bool] = mapped_column(default=False)


class Trade(Base):
    """One order of ours, or fills that no order of ours explains (source order_monitor)."""

    __tablename__ = "trade"
    __table_args__ = (
        UniqueConstraint("account_name", "client_order_id"),
        Index("ix_trade_state", "webhook_state_id", "role", "revision"),
        Index("ix_trade_exchange_order_id", "account_name", "exchange_order_id"),
        Index("ix_trade_child_order_id", "account_name", "child_order_id"),
        Index("ix_trade_status", "account_name", "status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    client_order_id: Mapped[str]
    webhook_state_id: Mapped[UUID | None] = mapped_column(ForeignKey("webhook_state.id"))
    account_name: Mapped[str]
    symbol: Mapped[str]
    source: Mapped[str]
    role: Mapped[str]
    type: Mapped[str]
    side: Mapped[str]
    status: Mapped[str]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    trigger_price: Mapped[Decimal | None]
    reduce_only: Mapped[bool] = mapped_column(default=False)
    contract_size: Mapped[Decimal] = mapped_column(default=Decimal(1))
    exchange_order_id: Mapped[str | None]
    child_order_id: Mapped[str | None]
    """The order that a triggered conditional order became."""
    pair_id: Mapped[str | None]
    filled_quantity: Mapped[Decimal] = mapped_column(default=Decimal(0))
    average_price: Mapped[Decimal | None]
    revision: Mapped[int]
    attempt: Mapped[int]
    trace_id: Mapped[str]
    reject_reason: Mapped[str | None]
    error: Mapped[str] = mapped_column(default="")
    pnl_average: Mapped[Decimal | None]
    pnl_fifo: Mapped[Decimal | None]
    created_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]


class Fill(Base):
    """One execution, as the venue reports it, ingested once."""

    __tablename__ = "fill"
    __table_args__ = (
        UniqueConstraint("account_name", "symbol", "venue_fill_id"),
        Index("ix_fill_trade_id", "trade_id"),
        Index("ix_fill_state", "webhook_state_id", "at"),
        Index("ix_fill_lane", "account_name", "symbol", "at"),
        # An account's daily loss.
        Index("ix_fill_account_at", "account_name", "at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_name: Mapped[str]
    symbol: Mapped[str]
    venue_fill_id: Mapped[str]
    venue_order_id: Mapped[str]
    trade_id: Mapped[UUID | None] = mapped_column(ForeignKey("trade.id"))
    webhook_state_id: Mapped[UUID | None]
    side: Mapped[str]
    price: Mapped[Decimal]
    quantity: Mapped[Decimal]
    fee: Mapped[Decimal]
    fee_currency: Mapped[str]
    fee_quote: Mapped[Decimal | None]
    fee_base: Mapped[Decimal] = mapped_column(default=Decimal(0))
    """The part of the fee that was taken out of the coins themselves (spot)."""
    at: Mapped[datetime]


class VenueListing(Base):
    """What an exchange lists: the gateway starts with it while the exchange is away."""

    __tablename__ = "venue_listing"

    venue: Mapped[str] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(primary_key=True)
    listings: Mapped[dict[str, Any]]
    stored_at: Mapped[datetime]


class FundingPayment(Base):
    """Paid (below 0) or received (above 0) for holding a derivative, in quote."""

    __tablename__ = "funding_payment"
    __table_args__ = (
        UniqueConstraint("account_name", "symbol", "venue_payment_id"),
        Index("ix_funding_payment_lane", "account_name", "symbol", "at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_name: Mapped[str]
    symbol: Mapped[str]
    venue_payment_id: Mapped[str]
    webhook_state_id: Mapped[UUID | None]
    amount: Mapped[Decimal]
    at: Mapped[datetime]


class Journal(Base):
    """One row per named log point and transition; none for a pass that found all well."""

    __tablename__ = "journal"
    __table_args__ = (
        Index("ix_journal_trace_id", "trace_id", "at"),
        Index("ix_journal_state", "webhook_state_id", "at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    component: Mapped[str]
    point: Mapped[str]
    trace_id: Mapped[str | None]
    webhook_id: Mapped[UUID | None]
    webhook_state_id: Mapped[UUID | None]
    trade_id: Mapped[UUID | None]
    account_name: Mapped[str | None]
    symbol: Mapped[str | None]
    detail: Mapped[str]


class Mirror(Base):
    """What a state and its TradingPosition last agreed on; no row where there is no cluster.

    `uid` is the object's; None until it is known. The base is what both said at
    `synced_revision`; NULL of a level: both had no such leg.
    """

    __tablename__ = "mirror"
    __table_args__ = (UniqueConstraint("namespace", "name"),)

    state_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_state.id"), primary_key=True)
    namespace: Mapped[str]
    name: Mapped[str]
    uid: Mapped[str | None]
    base_stop_loss: Mapped[Decimal | None]
    base_take_profit: Mapped[Decimal | None]
    synced_revision: Mapped[int]
    pinned: Mapped[bool] = mapped_column(default=False)
    """The object says levels: Pinned, so alerts leave the levels alone."""


class PaperRecord(Base):
    """The paper venue's own books, one JSON record each. No other component reads it."""

    __tablename__ = "paper_record"

    account_name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
