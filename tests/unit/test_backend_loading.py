"""Backends by name: wrong paths are advised on, a user's own file lies beside the settings, columns are named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter.backend_loading import build, load_factory, looked_at
from adapter.errors import BackendError, DataError
from adapter.stages.ingest import ingest

OWN = """
from adapter.backend_kit import TwoMethods


class Even(TwoMethods):
    def fit(self, examples, targets, *, weights, multiple, seed):
        self.learned = {}

    def predict(self, examples):
        import numpy as np

        return np.full((len(examples), 2), 0.5, np.float32)
"""


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("embedding", "backends.embedding:Embedding"),
        ("TokenSpans", "backends.token_spans:TokenSpans"),
        ("backends.llm", "backends.llm:LLM"),
        ("nothing", "backends.linear:Linear"),
        ("", "backends.linear:Linear"),
    ],
)
def test_a_path_without_a_factory_is_told_the_one_that_was_meant(path: str, meant: str) -> None:
    with pytest.raises(BackendError) as caught:
        load_factory(path, where="backend.path")
    assert meant in caught.value.remedy


def test_a_module_that_is_not_there_gets_the_nearest_name() -> None:
    with pytest.raises(BackendError) as caught:
        load_factory("backends.embeding:Embedding")
    assert "Did you mean 'backends.embedding'?" in caught.value.remedy


def test_what_a_module_lacks_is_not_taken_for_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BackendError) as caught:
        load_factory("needs_more:Mine")
    assert "a_library_that_nobody_has" in caught.value.what
    assert "Did you mean" not in caught.value.remedy
    assert "Install what it imports" in caught.value.remedy


def test_a_file_of_ones_own_lies_beside_the_settings(make_world: Callable[..., Any]) -> None:
    from adapter.app import App

    world = make_world(functions=False)
    folder = Path(world.project.config)
    (folder / "even_file.py").write_text(OWN)
    app = App(world.app.settings)
    try:
        for path in ("even_file.py:Even", "even_file:Even"):
            backend: Any = build(path, ("text",), {})
            backend.fit([{}], np.ones((1, 2), np.float32), weights=np.ones(1), multiple=False, seed=0)
            assert backend.predict([{}, {}]).shape == (2, 2)
    finally:
        app.close()
        sys.path.remove(str(folder))
        sys.modules.pop("even_file", None)


def test_fields_are_what_the_page_shows_unless_the_options_name_others() -> None:
    assert looked_at(("text",), {}) == ("text",)
    assert looked_at(("text",), {"fields": ["age", "hours"]}) == ("age", "hours")
    backend: Any = build("backends.tabular:Tabular", ("age",), {"fields": ["age", "hours"]})
    assert backend.fields == ("age", "hours")


@pytest.mark.parametrize("named", ["age", [], [1], [""], None, {"age": 1}])
def test_fields_that_are_no_list_of_columns_are_refused(named: Any) -> None:
    with pytest.raises(BackendError, match="option 'fields'"):
        looked_at(("text",), {"fields": named})


@pytest.mark.parametrize(
    ("fields", "exclude", "what"),
    [(["lenght"], [], "no column 'lenght'"), (["author"], ["author"], "'author' is excluded")],
)
def test_ingest_refuses_columns_that_the_model_cannot_have(
    make_world: Callable[..., Any], tmp_path: Path, fields: list[str], exclude: list[str], what: str
) -> None:
    (tmp_path / "rows.csv").write_text("text,author,length\nhello,ann,5\n")
    world = make_world(
        functions=False,
        data={"path": str(tmp_path / "rows.csv"), "exclude": exclude},
        backend={"path": "backends.tabular:Tabular", "options": {"fields": fields}},
    )
    with pytest.raises(DataError, match=what):
        ingest(world.project)
