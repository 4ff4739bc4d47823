"""Gold tasks, reviews, routing, and how a consensus was made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the change."""
    op.add_column("hitl_consensus", sa.Column("method", sa.Text(), server_default="", nullable=False))
    op.add_column("hitl_consensus", sa.Column("proposal", sa.Text(), nullable=True))
    op.add_column("hitl_consensus", sa.Column("why", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "hitl_gold",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *_keys("hitl_gold", "task_id", "control"),
    )
    op.create_table(
        "hitl_reviews",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("annotation", NUMBER, autoincrement=False, nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("proposed", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_time", sa.Double(), nullable=True),
        sa.Column("place", NUMBER, nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        *_keys("hitl_reviews", "annotation", "control"),
    )
    op.create_index("ix_hitl_reviews_task_id", "hitl_reviews", ["project_id", "task_id"], unique=False)
    op.create_table(
        "hitl_routed",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        *_keys("hitl_routed", "task_id", "annotator"),
    )
    op.create_index("ix_hitl_routed_annotator", "hitl_routed", ["project_id", "annotator"], unique=False)


def downgrade() -> None:
    """Undo the change."""
    op.drop_index("ix_hitl_routed_annotator", table_name="hitl_routed")
    op.drop_table("hitl_routed")
    op.drop_index("ix_hitl_reviews_task_id", table_name="hitl_reviews")
    op.drop_table("hitl_reviews")
    op.drop_table("hitl_gold")
    op.drop_column("hitl_consensus", "why")
    op.drop_column("hitl_consensus", "proposal")
    op.drop_column("hitl_consensus", "method")


def _keys(table: str, *primary: str) -> tuple[sa.Constraint, ...]:
    """A row's task and project must exist; its key within the project."""
    return (
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["hitl_tasks.project_id", "hitl_tasks.id"],
            name=op.f(f"fk_{table}_project_id_task_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f(f"fk_{table}_project_id")),
        sa.PrimaryKeyConstraint("project_id", *primary, name=op.f(f"pk_{table}")),
    )
