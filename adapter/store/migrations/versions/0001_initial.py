"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "hitl_events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("platform_id", NUMBER, nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hitl_events")),
        sa.UniqueConstraint("digest", name=op.f("uq_hitl_events_digest")),
    )
    op.create_index(
        "ix_hitl_events_waiting",
        "hitl_events",
        ["id"],
        unique=False,
        sqlite_where=sa.text("handled = 0"),
        postgresql_where=sa.text("NOT handled"),
    )
    op.create_table(
        "hitl_leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hitl_leases")),
    )
    op.create_table(
        "hitl_projects",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("platform_id", NUMBER, nullable=True),
        sa.Column("label_config_digest", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("basis", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hitl_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_hitl_projects_name")),
    )
    op.create_table(
        "hitl_audit",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_audit_project_id")),
        sa.PrimaryKeyConstraint("project_id", "number", name=op.f("pk_hitl_audit")),
    )
    op.create_table(
        "hitl_columns",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("lo", NUMBER, autoincrement=False, nullable=False),
        sa.Column("hi", NUMBER, autoincrement=False, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_columns_project_id")),
        sa.PrimaryKeyConstraint(
            "project_id", "what", "control", "source", "version", "lo", "hi", name=op.f("pk_hitl_columns")
        ),
    )
    op.create_index("ix_hitl_columns_uri", "hitl_columns", ["uri"], unique=False)
    op.create_table(
        "hitl_faults",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_faults_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hitl_faults")),
    )
    op.create_index("ix_hitl_faults_project_id", "hitl_faults", ["project_id", "id"], unique=False)
    op.create_table(
        "hitl_models",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("data_digest", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_models_project_id")),
        sa.PrimaryKeyConstraint("project_id", "version", name=op.f("pk_hitl_models")),
    )
    op.create_index(
        "ix_hitl_models_current",
        "hitl_models",
        ["project_id"],
        unique=True,
        sqlite_where=sa.text("state = 'current'"),
        postgresql_where=sa.text("state = 'current'"),
    )
    op.create_table(
        "hitl_notes",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_notes_project_id")),
        sa.PrimaryKeyConstraint("project_id", "key", name=op.f("pk_hitl_notes")),
    )
    op.create_table(
        "hitl_rankings",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("place", NUMBER, autoincrement=False, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("priority", NUMBER, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("overlap", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_rankings_project_id")),
        sa.PrimaryKeyConstraint("project_id", "place", name=op.f("pk_hitl_rankings")),
    )
    op.create_table(
        "hitl_runs",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_runs_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hitl_runs")),
    )
    op.create_index("ix_hitl_runs_stage", "hitl_runs", ["project_id", "stage", "id"], unique=False)
    op.create_table(
        "hitl_strays",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("platform_task_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("annotation_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_strays_project_id")),
        sa.PrimaryKeyConstraint("project_id", "platform_task_id", "annotation_id", name=op.f("pk_hitl_strays")),
    )
    op.create_table(
        "hitl_tasks",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("duplicate_of", NUMBER, nullable=True),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("subgroup", sa.Text(), nullable=False),
        sa.Column("line", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_tasks_project_id")),
        sa.PrimaryKeyConstraint("project_id", "seq", name=op.f("pk_hitl_tasks")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_hitl_tasks_project_id_id")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_hitl_tasks_content",
        "hitl_tasks",
        ["project_id", "content"],
        unique=True,
        sqlite_where=sa.text("duplicate_of IS NULL"),
        postgresql_where=sa.text("duplicate_of IS NULL"),
    )
    op.create_table(
        "hitl_annotations",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_time", sa.Double(), nullable=True),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("ground_truth", sa.Boolean(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["hitl_tasks.project_id", "hitl_tasks.id"],
            name=op.f("fk_hitl_annotations_project_id_task_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_annotations_project_id")),
        sa.PrimaryKeyConstraint("project_id", "task_id", "id", name=op.f("pk_hitl_annotations")),
    )
    op.create_table(
        "hitl_consensus",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("probabilities", sa.Text(), nullable=False),
        sa.Column("support", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["hitl_tasks.project_id", "hitl_tasks.id"],
            name=op.f("fk_hitl_consensus_project_id_task_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_consensus_project_id")),
        sa.PrimaryKeyConstraint("project_id", "task_id", "control", name=op.f("pk_hitl_consensus")),
    )
    op.create_table(
        "hitl_flags",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["hitl_tasks.project_id", "hitl_tasks.id"],
            name=op.f("fk_hitl_flags_project_id_task_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_flags_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hitl_flags")),
        sa.UniqueConstraint("project_id", "task_id", "control", "reason", "about", name="uq_hitl_flags_doubt"),
    )
    op.create_table(
        "hitl_placements",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("platform_id", NUMBER, nullable=True),
        sa.Column("priority", NUMBER, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("overlap", NUMBER, nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("intended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["hitl_tasks.project_id", "hitl_tasks.id"],
            name=op.f("fk_hitl_placements_project_id_task_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_placements_project_id")),
        sa.PrimaryKeyConstraint("project_id", "task_id", name=op.f("pk_hitl_placements")),
    )
    op.create_index(
        "ix_hitl_placements_platform_id",
        "hitl_placements",
        ["project_id", "platform_id"],
        unique=True,
        sqlite_where=sa.text("gone = 0"),
        postgresql_where=sa.text("NOT gone"),
    )
    op.create_table(
        "hitl_predictions",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("landed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["hitl_tasks.project_id", "hitl_tasks.id"],
            name=op.f("fk_hitl_predictions_project_id_task_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["hitl_projects.id"], name=op.f("fk_hitl_predictions_project_id")),
        sa.PrimaryKeyConstraint("project_id", "version", "task_id", name=op.f("pk_hitl_predictions")),
    )


def downgrade() -> None:
    """Undo the change."""
    op.drop_table("hitl_predictions")
    op.drop_index(
        "ix_hitl_placements_platform_id",
        table_name="hitl_placements",
        sqlite_where=sa.text("gone = 0"),
        postgresql_where=sa.text("NOT gone"),
    )
    op.drop_table("hitl_placements")
    op.drop_table("hitl_flags")
    op.drop_table("hitl_consensus")
    op.drop_table("hitl_annotations")
    op.drop_index(
        "ix_hitl_tasks_content",
        table_name="hitl_tasks",
        sqlite_where=sa.text("duplicate_of IS NULL"),
        postgresql_where=sa.text("duplicate_of IS NULL"),
    )
    op.drop_table("hitl_tasks")
    op.drop_table("hitl_strays")
    op.drop_index("ix_hitl_runs_stage", table_name="hitl_runs")
    op.drop_table("hitl_runs")
    op.drop_table("hitl_rankings")
    op.drop_table("hitl_notes")
    op.drop_index(
        "ix_hitl_models_current",
        table_name="hitl_models",
        sqlite_where=sa.text("state = 'current'"),
        postgresql_where=sa.text("state = 'current'"),
    )
    op.drop_table("hitl_models")
    op.drop_index("ix_hitl_faults_project_id", table_name="hitl_faults")
    op.drop_table("hitl_faults")
    op.drop_index("ix_hitl_columns_uri", table_name="hitl_columns")
    op.drop_table("hitl_columns")
    op.drop_table("hitl_audit")
    op.drop_table("hitl_projects")
    op.drop_table("hitl_leases")
    op.drop_index(
        "ix_hitl_events_waiting",
        table_name="hitl_events",
        sqlite_where=sa.text("handled = 0"),
        postgresql_where=sa.text("NOT handled"),
    )
    op.drop_table("hitl_events")
