"""What exchanges list, kept for a start without them; and an index for an account's daily loss."""

import sqlalchemy as sa
from alembic import op

from guardian_core.storage.types import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "venue_listing",
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("listings", sa.JSON(), nullable=False),
        sa.Column("stored_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "environment", name=op.f("pk_venue_listing")),
    )
    with op.batch_alter_table("fill", schema=None) as batch_op:
        batch_op.create_index("ix_fill_account_at", ["account_name", "at"], unique=False)
