"""`llm`: a language model's word as a vote, with a skill that is measured on the blind sample like any other source's.

It is the one labeling function that no worker process runs. Where functions run they may be anybody's code, so the
workers know neither the endpoint's address nor its key: the adapter itself asks, for whole blocks of rows, and puts the
answers beside the other functions' votes (`adapter.engines.asked`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from adapter.errors import BackendError, FunctionsError, nearest
from adapter.labeling.declared.common import (
    Common,
    Place,
    checked_confidence,
    checked_field,
    make,
    place,
    shortened,
    vote,
)
from adapter.labeling.function import Answer, Declared, LabelingFunction
from adapter.vocabulary import JsonObject

if TYPE_CHECKING:
    from adapter.llm import Asker, Clock
    from adapter.vocabulary import Control

MOST_SHOTS = 64
_LONGEST_SHOT = 4000
Said: TypeAlias = "Answer | FunctionsError"
"""A vote, or why there is none."""


@dataclass(frozen=True, slots=True)
class LlmRule:
    """Votes the label that a language model names. shots: (text, label) pairs. options: of `adapter.llm.AskOptions`, as
    JSON text, so that they cannot change. at_least: confidence below which it abstains. digest: of all of it."""

    fields: tuple[str, ...]
    guideline: str
    question: str
    shots: tuple[tuple[str, str], ...]
    options: str
    at_least: float
    may_abstain: bool
    digest: str

    def __call__(self, data: JsonObject) -> Answer:
        """Raises FunctionsError: no row is asked about by itself."""
        raise FunctionsError(
            "a language model is asked by the adapter, which alone knows the endpoint and its key",
            remedy="`hitl vote` and `hitl lf test` ask, once `llm.url` is set; others do not, as it costs money.",
        )

    def asker(
        self, control: Control, config: str, url: str, key: str, cache_folder: Path | None, clock: Clock | None = None
    ) -> Asker:
        """Return what asks for this function. config: the label config's XML. Raises FunctionsError without an
        endpoint, and for an example whose label the control lacks."""
        from adapter.llm import Asker, Endpoint, Prompt, checked_options, make_sheet

        for _, label in self.shots:
            if label not in control.labels:
                raise FunctionsError(
                    f"llm: the example label '{label}' is not a label of '{control.name}'",
                    remedy=nearest(label, control.labels),
                )
        options = checked_options(json.loads(self.options), "llm")
        sheet = make_sheet(
            control.labels,
            config=config,
            control=control.name,
            question=self.question,
            may_abstain=self.may_abstain,
        )
        try:
            endpoint = Endpoint(url, key)
        except BackendError as error:
            raise FunctionsError(error.what, where=error.where, remedy=error.remedy) from None
        prompt = Prompt(sheet, self.guideline, options.max_chars)
        return Asker(endpoint, prompt, options, cache_folder, quota=f"{self.digest[:32]}", clock=clock)

    def votes(self, asker: Asker, rows: Sequence[JsonObject], labels: Sequence[str]) -> tuple[list[Said], str]:
        """Return one vote for each row, or why there is none; and, where the endpoint is down or refuses us, why. Rows
        without text, beyond `most`, or of which the model is too unsure, abstain."""
        from adapter.llm import Answered, Down, Shot, text_of

        shown = tuple(Shot(text, (labels.index(label),)) for text, label in self.shots)
        outcomes = asker.ask([text_of(row, self.fields) for row in rows], lambda text: shown)
        said: list[Said] = []
        down = ""
        for outcome in outcomes:
            if isinstance(outcome, Answered):
                sure = max(outcome.probabilities)
                best = outcome.probabilities.index(sure)
                said.append(None if outcome.unsure > sure or sure < self.at_least else vote(labels[best], sure))
            elif outcome is None:
                said.append(None)
            else:
                said.append(FunctionsError(outcome.what, where=outcome.where, remedy=outcome.remedy))
                down = str(outcome) if isinstance(outcome, Down) else down
        return said, down


def llm(
    model: str,
    *,
    field: str | Sequence[str] = "text",
    guideline: str = "",
    guideline_file: str = "",
    question: str = "",
    shots: Sequence[tuple[str | JsonObject, str]] = (),
    at_least: float = 0.0,
    may_abstain: bool = True,
    most: int = 1000,
    name: str = "",
    control: str | None = None,
    examples: Sequence[Any] = (),
    doc: str = "",
    **options: Any,
) -> LabelingFunction:
    """Vote the label that the language model `model` names, at the endpoint that the settings name (`llm.url`).

    field: what it reads of a task, one or several. guideline: text, or guideline_file: a file beside yours. question:
    instead of the label config's. shots: worked examples, (text or data, label) pairs of your own; never take them from
    tasks of the blind sample, on which its skill is measured. at_least: confidence below which it abstains.
    may_abstain: it may say that it cannot tell. most: tasks that it votes on at all, the first ones of the pool.
    options: see `adapter.llm.AskOptions`, such as budget=2.0 with price_input and price_output of a million tokens.
    Answers are remembered by content: to go on after `most` or the budget, raise them; only what is new is paid for.
    name, control, examples, doc: `declared.common.make`. A task whose answer cannot be had or names no label is a
    fault. Its version is that of all of this, not of what the endpoint makes of the model's name. Raises FunctionsError
    when an option is wrong.
    """
    at = place()
    from adapter.llm import checked_options

    seen = (field,) if isinstance(field, str) else tuple(field)
    for one in seen or ("",):
        checked_field("llm", one, at)
    try:
        checked = checked_options({"model": model, "most": most, **options}, "llm")
    except BackendError as error:
        raise FunctionsError(f"llm: {error.what}", where=str(at), remedy=error.remedy) from None
    for option, value in (("guideline", guideline), ("guideline_file", guideline_file), ("question", question)):
        if not isinstance(value, str):
            raise FunctionsError(f"llm: {option}={value!r:.60} is not text", where=str(at))
    text = "\n\n".join(filter(None, (guideline, _file(guideline_file, at))))
    pairs = _pairs(shots, seen, at)
    least = checked_confidence("llm", at_least, at) or 0.0
    given = {key: value for key, value in dataclasses.asdict(checked).items() if key not in _SPEED}
    if checked.run_budget is not None:  # what it left out is asked about when it is raised, as with `budget` and `most`
        given["run_budget"] = checked.run_budget
    spec: dict[str, Any] = {
        "kind": "llm", "fields": list(seen), "guideline": text, "question": question, "shots": [list(p) for p in pairs],
        "at_least": least, "may_abstain": bool(may_abstain), "options": given,
    }  # fmt: skip
    from adapter.llm.cache import digest_of

    told = json.dumps(dataclasses.asdict(checked), sort_keys=True)
    rule = LlmRule(seen, text, question, pairs, told, least, bool(may_abstain), digest_of(spec))
    words = f"{model} reads {', '.join(seen)}" + (f", sure from {least:g}" if least else "")
    declared = Declared("llm", "", seen, spec, shortened(words))
    return make(declared, rule, Common(name, control, examples, None, doc), at)


_SPEED = frozenset({"concurrency", "attempts", "timeout_s", "requests_per_minute", "tokens_per_minute", "run_budget"})
"""Options that change no vote, and so no version."""


def _file(name: str, at: Place) -> str:
    if not name:
        return ""
    path = at.folder / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FunctionsError(
            f"llm: the guideline cannot be read ({type(error).__name__})",
            where=str(path),
            remedy="Name a UTF-8 text file beside your labeling functions.",
        ) from error


def _pairs(shots: object, fields: Sequence[str], at: Place) -> tuple[tuple[str, str], ...]:
    """The author's worked examples as text and label, checked."""
    from adapter.llm import text_of

    remedy = 'Write shots=[("win a prize", "spam"), ({"text": "see you"}, "ham")].'
    if isinstance(shots, str | bytes | Mapping) or not isinstance(shots, Sequence):
        raise FunctionsError("llm: the shots are not a list", where=str(at), remedy=remedy)
    if len(shots) > MOST_SHOTS:
        raise FunctionsError(
            f"llm: {len(shots)} shots are paid for with every task", where=str(at), remedy=f"Give at most {MOST_SHOTS}."
        )
    found = []
    for number, pair in enumerate(shots, 1):
        right = isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[1], str) and bool(pair[1])
        text = None
        if right:
            text = pair[0] if isinstance(pair[0], str) else text_of(pair[0], fields) if _is_data(pair[0]) else None
        if not text:
            raise FunctionsError(
                f"llm: shot {number} is not a pair of a text, or a task's data, and a label",
                where=str(at),
                remedy=remedy,
            )
        found.append((text[:_LONGEST_SHOT], pair[1]))
    return tuple(found)


def _is_data(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
