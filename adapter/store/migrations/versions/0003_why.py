"""Why a task stands where it does in the ranking, in words for the data lead."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("hitl_rankings", sa.Column("why", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Undo the change."""
    op.drop_column("hitl_rankings", "why")
