"""`import adapter` is fast and light; so is the composition root with all its stages."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "snorkel", "transformers", "cleanlab", "sklearn", "pandas", "label_studio", "label_studio_sdk")
STAGES = (
    "attach",
    "consolidate",
    "flag",
    "ingest",
    "models",
    "pull",
    "push",
    "rank",
    "setup",
    "status",
    "train",
    "vote",
)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_adapter_takes_less_than_half_a_second() -> None:
    # Measured inside the interpreter, so that its own start does not count; the best of five, so that a busy machine
    # does not decide.
    code = "import time; t = time.perf_counter(); import adapter; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(times) < 0.5


@pytest.mark.parametrize(
    "statement",
    ["import adapter", "from adapter.app import App", *(f"import adapter.stages.{stage}" for stage in STAGES)],
)
def test_nothing_heavy_is_loaded_by_importing(statement: str) -> None:
    assert not loaded_by(statement) & set(HEAVY)
