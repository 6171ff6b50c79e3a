"""Users, channels, videos and what each video cost."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOW = sa.text("now()")
NEW_ID = sa.text("gen_random_uuid()")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=NEW_ID),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False, server_default="creator"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.CheckConstraint("role in ('admin', 'creator')", name="users_role"),
        sa.CheckConstraint("email = lower(email)", name="users_email_lower"),
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=NEW_ID),
        sa.Column("owner_id", sa.Uuid, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.UniqueConstraint("owner_id", "name", name="channels_owner_name"),
    )
    op.create_table(
        "videos",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=NEW_ID),
        sa.Column(
            "channel_id",
            sa.Uuid,
            sa.ForeignKey("channels.id", ondelete="cascade"),
            nullable=False,
        ),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False, server_default="3"),
        sa.Column("requested_by", sa.Text, nullable=False, server_default="user"),
        sa.Column("status", sa.Text, nullable=False, server_default="queued"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error", sa.Text),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("render_seconds", sa.Float),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "status in ('queued', 'rendering', 'ready', 'failed')", name="videos_status"
        ),
    )
    op.create_index("videos_channel_queued", "videos", ["channel_id", "queued_at"])
    op.create_index(
        "videos_unfinished",
        "videos",
        ["queued_at"],
        postgresql_where=sa.text("status in ('queued', 'rendering')"),
    )
    op.create_table(
        "cost_items",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column(
            "video_id", sa.Uuid, sa.ForeignKey("videos.id", ondelete="cascade"), nullable=False
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("quantity", sa.Numeric(18, 6), nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("unit_price_usd", sa.Numeric(18, 9), nullable=False),
        sa.Column("amount_usd", sa.Numeric(18, 9), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
    )
    op.create_index("cost_items_video", "cost_items", ["video_id"])


def downgrade() -> None:
    for table in ("cost_items", "videos", "channels", "users"):
        op.drop_table(table)
