"""The package transformers is imported by one thread at a time, wherever a backend takes a name from it."""

from __future__ import annotations

import ast
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from backends import importing

FOLDER = Path(importing.__file__).parent


def unguarded(source: str) -> list[int]:
    """Return the lines of imports from transformers before which their block does not call `import_transformers`."""
    found = []
    for block in ast.walk(ast.parse(source)):
        body = getattr(block, "body", None)
        guarded = False
        for statement in body if isinstance(body, list) else []:
            guarded |= ast.unparse(statement) == "import_transformers()"
            name = statement.module if isinstance(statement, ast.ImportFrom) else ""
            if (name or "").partition(".")[0] == "transformers" and not guarded:
                found.append(statement.lineno)
    return found


def test_an_import_without_the_guard_is_found() -> None:
    assert unguarded("def f():\n    from transformers.utils import logging\n") == [2]
    assert unguarded("def f():\n    import_transformers()\n    from transformers import AutoModel\n") == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_each_import_of_a_backend_is_guarded(path: Path) -> None:
    assert unguarded(path.read_text(encoding="utf-8")) == []


def test_a_second_thread_waits_until_the_first_has_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    done = threading.Event()

    def second() -> None:
        importing.import_transformers()
        done.set()

    thread = threading.Thread(target=second)
    with importing._LOCK:
        thread.start()
        assert not done.wait(0.1)
    assert done.wait(5)
    thread.join()
