"""The tables. Every name starts with `hitl_`, so that the store may share a database with others.

The migrations in `migrations/versions` make exactly these; a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

from adapter.store.schema import boolean, json, metadata, moment, number, of_project, of_task, real, text, words

projects = sa.Table(
    "hitl_projects",
    metadata,
    number("id", primary_key=True),
    text("name", unique=True),
    number("platform_id", nullable=True),
    text("label_config_digest"),
    text("mark", nullable=True),
    moment("created_at"),
    text("basis", nullable=True),
)

notes = sa.Table("hitl_notes", metadata, of_project(primary=True), text("key", primary_key=True), json("value"))

tasks = sa.Table(
    "hitl_tasks",
    metadata,
    of_project(primary=True),
    number("seq", primary_key=True, autoincrement=False),
    text("id"),
    json("data"),
    text("content"),
    number("duplicate_of", nullable=True),
    boolean("blind"),
    json("subgroup"),
    number("line"),
    sa.UniqueConstraint("project_id", "id"),
    # Only first ones are looked up by content, so only they are indexed.
    sa.Index(
        "ix_hitl_tasks_content",
        "project_id",
        "content",
        unique=True,
        sqlite_where=sa.text("duplicate_of IS NULL"),
        postgresql_where=sa.text("duplicate_of IS NULL"),
    ),
    sqlite_with_rowid=False,
)

placements = sa.Table(
    "hitl_placements",
    metadata,
    of_project(primary=True),
    text("task_id", primary_key=True),
    number("platform_id", nullable=True),
    number("priority"),
    words("reason"),
    number("overlap"),
    boolean("blind"),
    moment("intended_at"),
    moment("placed_at", nullable=True),
    boolean("gone"),
    boolean("done"),
    of_task(),
    sa.Index(
        "ix_hitl_placements_platform_id",
        "project_id",
        "platform_id",
        unique=True,
        sqlite_where=sa.text("gone = 0"),
        postgresql_where=sa.text("NOT gone"),
    ),
)

predictions = sa.Table(
    "hitl_predictions",
    metadata,
    of_project(primary=True),
    text("version", primary_key=True),
    text("task_id", primary_key=True),
    boolean("landed"),
    of_task(),
)

people = sa.Table(
    "hitl_annotations",
    metadata,
    of_project(primary=True),
    text("task_id", primary_key=True),
    number("id", primary_key=True, autoincrement=False),
    words("annotator"),
    json("values"),
    json("result"),
    moment("created_at"),
    moment("updated_at"),
    real("lead_time", nullable=True),
    boolean("cancelled"),
    boolean("ground_truth"),
    words("shown", nullable=True),
    moment("deleted_at", nullable=True),
    of_task(),
)

strays = sa.Table(
    "hitl_strays",
    metadata,
    of_project(primary=True),
    number("platform_task_id", primary_key=True, autoincrement=False),
    number("annotation_id", primary_key=True, autoincrement=False),
    json("raw"),
    words("why"),
    moment("seen_at"),
)

consensus = sa.Table(
    "hitl_consensus",
    metadata,
    of_project(primary=True),
    text("task_id", primary_key=True),
    text("control", primary_key=True),
    json("value", nullable=True),
    real("confidence"),
    json("probabilities"),
    json("support"),
    words("method", server_default=""),
    json("proposal", nullable=True),
    words("why", server_default=""),
    of_task(),
)

gold = sa.Table(
    "hitl_gold",
    metadata,
    of_project(primary=True),
    text("task_id", primary_key=True),
    text("control", primary_key=True),
    json("value"),
    text("origin"),
    words("by"),
    moment("at"),
    of_task(),
)

reviews = sa.Table(
    "hitl_reviews",
    metadata,
    of_project(primary=True),
    number("annotation", primary_key=True, autoincrement=False),
    text("control", primary_key=True),
    text("task_id"),
    words("reviewer"),
    text("decision"),
    json("proposed", nullable=True),
    json("value", nullable=True),
    words("why"),
    moment("at"),
    real("lead_time", nullable=True),
    number("place", nullable=True),
    moment("withdrawn_at", nullable=True),
    of_task(),
    sa.Index("ix_hitl_reviews_task_id", "project_id", "task_id"),
)

routed = sa.Table(
    "hitl_routed",
    metadata,
    of_project(primary=True),
    text("task_id", primary_key=True),
    text("annotator", primary_key=True),
    words("why"),
    moment("at"),
    boolean("done"),
    of_task(),
    sa.Index("ix_hitl_routed_annotator", "project_id", "annotator"),
)

flags = sa.Table(
    "hitl_flags",
    metadata,
    number("id", primary_key=True),
    of_project(),
    text("task_id"),
    text("control"),
    text("reason"),
    text("about"),
    real("score"),
    json("evidence"),
    moment("resolved_at", nullable=True),
    words("resolution"),
    sa.UniqueConstraint("project_id", "task_id", "control", "reason", "about", name="uq_hitl_flags_doubt"),
    of_task(),
)

rankings = sa.Table(
    "hitl_rankings",
    metadata,
    of_project(primary=True),
    number("place", primary_key=True, autoincrement=False),
    text("task_id"),
    number("seq"),
    number("priority"),
    words("reason"),
    real("score"),
    boolean("blind"),
    number("overlap"),
    words("why", server_default=""),
)

models = sa.Table(
    "hitl_models",
    metadata,
    of_project(primary=True),
    text("version", primary_key=True),
    number("number"),
    text("backend"),
    text("state"),
    json("metrics"),
    text("data_digest"),
    text("uri"),
    moment("created_at"),
    text("parent", nullable=True),
    json("verdict"),
    sa.Index(
        "ix_hitl_models_current",
        "project_id",
        unique=True,
        sqlite_where=sa.text("state = 'current'"),
        postgresql_where=sa.text("state = 'current'"),
    ),
)

columns = sa.Table(
    "hitl_columns",
    metadata,
    of_project(primary=True),
    text("what", primary_key=True),
    text("control", primary_key=True),
    text("source", primary_key=True),
    text("version", primary_key=True),
    number("lo", primary_key=True, autoincrement=False),
    number("hi", primary_key=True, autoincrement=False),
    text("uri"),
    text("digest"),
    sa.Index("ix_hitl_columns_uri", "uri"),
)

events = sa.Table(
    "hitl_events",
    metadata,
    number("id", primary_key=True),
    number("platform_id", nullable=True),
    words("action"),
    text("digest", unique=True),
    json("payload"),
    moment("received_at"),
    boolean("handled"),
    sa.Index(
        "ix_hitl_events_waiting",
        "id",
        sqlite_where=sa.text("handled = 0"),
        postgresql_where=sa.text("NOT handled"),
    ),
)

leases = sa.Table(
    "hitl_leases",
    metadata,
    text("name", primary_key=True),
    text("holder"),
    moment("expires_at"),
)

faults = sa.Table(
    "hitl_faults",
    metadata,
    number("id", primary_key=True),
    of_project(),
    words("source"),
    words("version"),
    words("place"),
    words("task_id", nullable=True),
    words("message"),
    moment("at"),
    sa.Index("ix_hitl_faults_project_id", "project_id", "id"),
)

audit = sa.Table(
    "hitl_audit",
    metadata,
    of_project(primary=True),
    number("number", primary_key=True, autoincrement=False),
    words("who"),
    words("what"),
    text("detail"),
    text("at"),
    text("digest"),
)

runs = sa.Table(
    "hitl_runs",
    metadata,
    number("id", primary_key=True),
    of_project(),
    text("stage"),
    moment("started_at"),
    real("seconds"),
    json("report"),
    words("error", nullable=True),
    sa.Index("ix_hitl_runs_stage", "project_id", "stage", "id"),
)
