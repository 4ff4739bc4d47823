"""The migrations make exactly the tables of the code, run once, and refuse a store from the future."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from adapter.errors import SchemaMismatch, StoreError
from adapter.store import NewRow, Store
from adapter.store.migrate import _config
from adapter.store.schema import VERSION_TABLE, metadata
from adapter.vocabulary import Consensus


def test_the_migrated_database_is_what_the_code_expects(store: Store) -> None:
    with store._database.read() as conn:
        context = MigrationContext.configure(conn, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        names = set(sa.inspect(conn).get_table_names())
    assert names == {*metadata.tables, VERSION_TABLE}
    assert all(name.startswith("hitl_") for name in names)


def test_migrating_again_keeps_what_is_there(store: Store) -> None:
    store.tasks.add("p", [NewRow("a", {}, "c")], blind=lambda _: False)
    store.migrate()
    assert store.tasks.count("p") == 1


def test_a_store_of_a_newer_version_is_refused_and_left_alone(store: Store) -> None:
    with store._database.write() as conn:
        conn.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match=r"'9999'.*newer.*Use the newer version"):
        store.migrate()
    assert store.projects.get("p") is not None


def test_a_store_without_tables_says_how_to_get_them(empty_url: str) -> None:
    with Store(empty_url) as store, pytest.raises(StoreError, match="no tables yet"):
        store.projects.all()


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    with Store(empty_url) as store:
        with store._database.write() as conn:  # a table in the way of the last one
            conn.execute(sa.text("CREATE TABLE hitl_annotations (x INTEGER)"))
        with pytest.raises(StoreError):
            store.migrate()
        with store._database.read() as conn:
            assert sa.inspect(conn).get_table_names() == ["hitl_annotations"]


def test_the_migrations_can_be_undone(store: Store) -> None:
    with store._database.write() as conn:
        config = _config()
        config.attributes["connection"] = conn
        command.downgrade(config, "base")
    with store._database.read() as conn:
        assert sa.inspect(conn).get_table_names() == [VERSION_TABLE]


def test_an_older_store_keeps_its_data_when_it_is_brought_up(store: Store) -> None:
    store.tasks.add("p", [NewRow("a", {}, "c")], blind=lambda _: False)
    store.consensus.replace("p", [Consensus("a", "spam", ("ham",), 0.9, (0.9, 0.1), {"ann": ("ham",)})])
    with store._database.write() as conn:
        config = _config()
        config.attributes["connection"] = conn
        command.downgrade(config, "0001")
    with store._database.read() as conn:
        assert "hitl_gold" not in sa.inspect(conn).get_table_names()
    store.migrate()
    (row,) = store.consensus.all("p")
    assert (row.value, row.probabilities, row.support) == (["ham"], (0.9, 0.1), {"ann": ["ham"]})
    assert (row.method, row.proposal, row.why) == ("", None, "")
    assert not store.gold.all("p")
    assert not store.reviews.all("p")
    assert not store.routed.of("p")
