"""A caller's own key for a video, so that asking twice queues it once.

The column is nullable and the previous release never reads it: an expansion only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("videos", sa.Column("request_key", sa.Text))
    # Concurrently: writing to the table goes on while the index is built.
    with op.get_context().autocommit_block():
        op.create_index(
            "videos_request_key",
            "videos",
            ["request_key"],
            unique=True,
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("videos_request_key", "videos")
    op.drop_column("videos", "request_key")
