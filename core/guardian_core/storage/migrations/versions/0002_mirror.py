"""What a state and its TradingPosition last agreed on."""

import sqlalchemy as sa
from alembic import op

from guardian_core.storage.types import ExactDecimal

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mirror",
        sa.Column("state_id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=True),
        sa.Column("base_stop_loss", ExactDecimal(), nullable=True),
        sa.Column("base_take_profit", ExactDecimal(), nullable=True),
        sa.Column("synced_revision", sa.Integer(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["state_id"], ["webhook_state.id"], name=op.f("fk_mirror_state_id")
        ),
        sa.PrimaryKeyConstraint("state_id", name=op.f("pk_mirror")),
        sa.UniqueConstraint("namespace", "name", name=op.f("uq_mirror_namespace_name")),
    )
