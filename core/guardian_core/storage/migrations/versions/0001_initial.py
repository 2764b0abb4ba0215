"""The tables as they first were."""

import sqlalchemy as sa
from alembic import op

from guardian_core.storage.types import ExactDecimal, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_context().dialect.supports_sequences:
        op.execute(sa.schema.CreateSequence(sa.Sequence("webhook_seq")))
    op.create_table(
        "account",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account")),
        sa.UniqueConstraint("user_id", "account_id", name=op.f("uq_account_user_id_account_id")),
    )
    op.create_table(
        "funding_payment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("venue_payment_id", sa.Text(), nullable=False),
        sa.Column("webhook_state_id", sa.Uuid(), nullable=True),
        sa.Column("amount", ExactDecimal(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_funding_payment")),
        sa.UniqueConstraint(
            "account_name",
            "symbol",
            "venue_payment_id",
            name=op.f("uq_funding_payment_account_name_symbol_venue_payment_id"),
        ),
    )
    op.create_index(
        "ix_funding_payment_lane", "funding_payment", ["account_name", "symbol", "at"], unique=False
    )
    op.create_table(
        "journal",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("point", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=True),
        sa.Column("webhook_id", sa.Uuid(), nullable=True),
        sa.Column("webhook_state_id", sa.Uuid(), nullable=True),
        sa.Column("trade_id", sa.Uuid(), nullable=True),
        sa.Column("account_name", sa.Text(), nullable=True),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    op.create_index("ix_journal_state", "journal", ["webhook_state_id", "at"], unique=False)
    op.create_index("ix_journal_trace_id", "journal", ["trace_id", "at"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "paper_record",
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("account_name", "kind", "key", name=op.f("pk_paper_record")),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("accounts", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_token_sha256")),
    )
    op.create_table(
        "lane",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("claim_holder", sa.Text(), nullable=True),
        sa.Column("claim_epoch", sa.Integer(), nullable=False),
        sa.Column("claim_until", UtcDateTime(), nullable=True),
        sa.Column("not_before", UtcDateTime(), nullable=True),
        sa.Column("fills_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_name"], ["account.name"], name=op.f("fk_lane_account_name")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lane")),
        sa.UniqueConstraint("account_name", "symbol", name=op.f("uq_lane_account_name_symbol")),
    )
    op.create_table(
        "webhook",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("lane_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("account_name", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("exchange", sa.Text(), nullable=True),
        sa.Column("interval", sa.Text(), nullable=True),
        sa.Column("bar_time", UtcDateTime(), nullable=True),
        sa.Column("bar_open", ExactDecimal(), nullable=True),
        sa.Column("bar_high", ExactDecimal(), nullable=True),
        sa.Column("bar_low", ExactDecimal(), nullable=True),
        sa.Column("bar_close", ExactDecimal(), nullable=True),
        sa.Column("prix", ExactDecimal(), nullable=True),
        sa.Column("prix_sl", sa.Text(), nullable=True),
        sa.Column("prix_tp", sa.Text(), nullable=True),
        sa.Column("pour_cent", ExactDecimal(), nullable=True),
        sa.Column("indicateur_name", sa.Text(), nullable=False),
        sa.Column("raw_payload", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("order_body", sa.JSON(), nullable=True),
        sa.Column("webhook_state_id", sa.Uuid(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("processed_at", UtcDateTime(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["lane_id"], ["lane.id"], name=op.f("fk_webhook_lane_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_webhook_dedup_key")),
    )
    op.create_index(
        "ix_webhook_once",
        "webhook",
        ["lane_id", "indicateur_name", "action", "bar_time"],
        unique=False,
    )
    op.create_index(
        "ix_webhook_queue", "webhook", ["status", "lane_id", "received_at"], unique=False
    )
    op.create_index("ix_webhook_received_at", "webhook", ["received_at"], unique=False)
    op.create_index("ix_webhook_trace_id", "webhook", ["trace_id"], unique=False)
    op.create_table(
        "webhook_state",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lane_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("entry_price", ExactDecimal(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("current_sl", ExactDecimal(), nullable=True),
        sa.Column("current_tp", ExactDecimal(), nullable=True),
        sa.Column("target_quantity", ExactDecimal(), nullable=True),
        sa.Column("target_reason", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("revised_at", UtcDateTime(), nullable=False),
        sa.Column("sl_order_id", sa.Text(), nullable=True),
        sa.Column("tp_order_id", sa.Text(), nullable=True),
        sa.Column("desire_bar_time", UtcDateTime(), nullable=True),
        sa.Column("naked_since", UtcDateTime(), nullable=True),
        sa.Column("flat_seen_at", UtcDateTime(), nullable=True),
        sa.Column("repairs", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("close_reason", sa.Text(), nullable=False),
        sa.Column("realized_pnl", ExactDecimal(), nullable=True),
        sa.Column("pnl_incomplete", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["lane_id"], ["lane.id"], name=op.f("fk_webhook_state_lane_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_state")),
    )
    op.create_index(
        "ix_webhook_state_closed_at", "webhook_state", ["lane_id", "closed_at"], unique=False
    )
    op.create_index(
        "ix_webhook_state_lane_id", "webhook_state", ["lane_id", "opened_at"], unique=False
    )
    op.create_index("ix_webhook_state_status", "webhook_state", ["status"], unique=False)
    op.create_index(
        "ix_webhook_state_unsettled",
        "webhook_state",
        ["lane_id"],
        unique=False,
        postgresql_where=sa.text("realized_pnl IS NULL"),
        sqlite_where=sa.text("realized_pnl IS NULL"),
    )
    op.create_index(
        "uq_webhook_state_live",
        "webhook_state",
        ["lane_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('pending', 'open')"),
        sqlite_where=sa.text("status IN ('pending', 'open')"),
    )
    op.create_table(
        "trade",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("webhook_state_id", sa.Uuid(), nullable=True),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("price", ExactDecimal(), nullable=True),
        sa.Column("trigger_price", ExactDecimal(), nullable=True),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("contract_size", ExactDecimal(), nullable=False),
        sa.Column("exchange_order_id", sa.Text(), nullable=True),
        sa.Column("child_order_id", sa.Text(), nullable=True),
        sa.Column("pair_id", sa.Text(), nullable=True),
        sa.Column("filled_quantity", ExactDecimal(), nullable=False),
        sa.Column("average_price", ExactDecimal(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("reject_reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("pnl_average", ExactDecimal(), nullable=True),
        sa.Column("pnl_fifo", ExactDecimal(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_state_id"], ["webhook_state.id"], name=op.f("fk_trade_webhook_state_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trade")),
        sa.UniqueConstraint(
            "account_name", "client_order_id", name=op.f("uq_trade_account_name_client_order_id")
        ),
    )
    op.create_index(
        "ix_trade_exchange_order_id", "trade", ["account_name", "exchange_order_id"], unique=False
    )
    op.create_index(
        "ix_trade_state", "trade", ["webhook_state_id", "role", "revision"], unique=False
    )
    op.create_index("ix_trade_status", "trade", ["account_name", "status"], unique=False)
    op.create_index(
        "ix_trade_child_order_id", "trade", ["account_name", "child_order_id"], unique=False
    )
    op.create_table(
        "fill",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("venue_fill_id", sa.Text(), nullable=False),
        sa.Column("venue_order_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=True),
        sa.Column("webhook_state_id", sa.Uuid(), nullable=True),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("price", ExactDecimal(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("fee", ExactDecimal(), nullable=False),
        sa.Column("fee_currency", sa.Text(), nullable=False),
        sa.Column("fee_quote", ExactDecimal(), nullable=True),
        sa.Column("fee_base", ExactDecimal(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["trade_id"], ["trade.id"], name=op.f("fk_fill_trade_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fill")),
        sa.UniqueConstraint(
            "account_name",
            "symbol",
            "venue_fill_id",
            name=op.f("uq_fill_account_name_symbol_venue_fill_id"),
        ),
    )
    op.create_index("ix_fill_lane", "fill", ["account_name", "symbol", "at"], unique=False)
    op.create_index("ix_fill_trade_id", "fill", ["trade_id"], unique=False)
    op.create_index("ix_fill_state", "fill", ["webhook_state_id", "at"], unique=False)
