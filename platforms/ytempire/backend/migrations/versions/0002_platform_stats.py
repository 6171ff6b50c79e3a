"""A row of platform figures per scheduled count, for the overview page."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "platform_stats",
        sa.Column("counted_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("users", sa.Integer, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("videos_ready", sa.Integer, nullable=False),
        sa.Column("videos_failed", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Numeric(18, 9), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("platform_stats")
