"""What stands between a model, or Label Studio's label config, and a pre-label; and how a failure is put into words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from adapter.errors import HitlError
from adapter.kinds import learned
from adapter.label_studio.payloads import PredictTask
from adapter.ports import Floats
from adapter.stages.interactive import Suggest
from adapter.vocabulary import JsonObject, LabelSpace

MOST_CONFIGS = 32


def require_probabilities(space: LabelSpace, probabilities: Mapping[str, Floats], n: int) -> None:
    """Refuse what no backend may return, before it becomes a wrong pre-label. Raises ValueError."""
    for control in learned(space):
        answer = probabilities.get(control.name)
        shape = (n, len(control.labels))
        if answer is None:
            continue
        if np.shape(answer) != shape:
            raise ValueError(f"the model returned shape {np.shape(answer)} for '{control.name}', expected {shape}")
        if np.isinf(answer).any() or (answer < -1e-6).any() or (answer > 1 + 1e-6).any():
            raise ValueError(f"the model returned numbers outside 0..1 for '{control.name}'")


class Configs:
    """Label configs as Label Studio sent them, each compared with ours once. For one thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], str] = {}

    def differ(self, space: LabelSpace, config: str) -> str:
        """Return how Label Studio's label config differs from ours, empty if it does not: what is valid is its say."""
        if not config or config == space.config:
            return ""
        key = (space.digest, hashlib.sha256(config.encode()).digest())
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_CONFIGS:
                self._known.clear()
            known = self._known[key] = _difference(space, config)
        return known


def _difference(space: LabelSpace, config: str) -> str:
    from adapter.label_studio.label_config import parse_label_config

    try:
        served = parse_label_config(config)
    except HitlError as error:
        return f"Label Studio's label config cannot be served: {error}"
    except Exception as error:  # XML from outside: whatever the parser stumbles over, it is not ours
        return f"Label Studio's label config cannot be read ({type(error).__name__})"

    def essence(of: LabelSpace) -> set[tuple[str, str, str, bool, frozenset[str]]]:
        return {(c.name, c.kind, c.to_name, c.multiple, frozenset(c.labels)) for c in of.controls}

    if essence(served) == essence(space):
        return ""
    return "Label Studio's label config has other controls or labels than ours. Give both the same one."


def forgiving(suggest: Suggest, tell: Callable[[str], None]) -> Suggest:
    """Return `suggest`, which tells a failure and suggests nothing then: what needs no model is answered all the
    same."""

    def ask(control: str, example: JsonObject, drawn: Sequence[JsonObject]) -> list[JsonObject] | None:
        try:
            return suggest(control, example, drawn)
        except Exception as error:  # a user's own code
            tell(f"the model suggests nothing: {sentence(error)}")
            return None

    return ask


def sentence(error: Exception) -> str:
    """Return an error as one sentence."""
    return str(error) if isinstance(error, HitlError) else f"{type(error).__name__}: {error}"


def shown(task: PredictTask) -> str | None:
    """Return a task's name in a fault: our key, or Label Studio's id."""
    if task.key is not None:
        return task.key
    return None if task.platform_id is None else f"ls-{task.platform_id}"
