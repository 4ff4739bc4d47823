"""`backends.llm:LLM`: a language model that answers over OpenAI's protocol, shown examples of people's labels.

It learns nothing: `fit` chooses the examples that go into the prompt, and `predict` asks. Every answer costs money and
seconds, so it says `costly = True`: only tasks that need an answer get one. What was answered is remembered by content
and never paid for twice. Its probabilities are a first word (see `adapter.llm.answers`) that calibration corrects.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.errors import BackendError, nearest
from adapter.llm import Answered, Asker, Down, Endpoint, LlmError, Prompt, Shot, checked_options, make_sheet, text_of
from adapter.llm.options import NAMES
from adapter.llm.sheet import Option, Sheet
from adapter.llm.shots import POOL, Nearest, choose
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.files import META, damaged
from backends.head import checked
from backends.options import need_fields, whole

NAME = "LLM"
FORMAT = 1
OWN = ("guideline", "guideline_file", "question", "shots", "similar", "seed")
KEPT = ("model", "samples", "temperature", "confidence", "max_chars", "max_tokens")
"""Options that decide an answer: a saved model keeps its own."""
MOST = 2000


class LLM:
    """A language model as a backend for labels.

    fields: task fields, joined, each after its name where there are several. model: its name at the endpoint.
    guideline: text, and guideline_file: a text file, that go into the prompt. question: instead of the label config's.
    shots: labelled examples in the prompt, balanced over labels; 0 for none. similar: take those most like each task
    (dearer: endpoints then cannot reuse the prompt's beginning). most: tasks that one model asks about in one process
    (a training, a served model), 2,000 if not set; rows beyond are NaN, and what is remembered does not count. seed: of
    the waits between attempts. The other options (budget, prices, rates, concurrency, samples, ...) are those of
    `adapter.llm.AskOptions`. label_config, labels, control, llm_url, llm_key, cache_folder come from the adapter; the
    key is in no file and no message.
    """

    costly = True

    def __init__(
        self,
        fields: Sequence[str],
        *,
        model: str = "",
        guideline: str = "",
        guideline_file: str = "",
        question: str = "",
        shots: int = 8,
        similar: bool = False,
        most: int = MOST,
        seed: int = 0,
        llm_url: str = "",
        llm_key: str = "",
        label_config: str = "",
        labels: Sequence[str] = (),
        control: str = "",
        cache_folder: str = "",
        **options: Any,
    ) -> None:
        for name in options:
            if name not in NAMES:
                raise BackendError(
                    f"'{name}' is no option of {NAME}", where="backend.options", remedy=nearest(name, (*NAMES, *OWN))
                )
        self.fields = need_fields(NAME, fields)
        self.options = checked_options({"model": model, "most": most, **options}, NAME)
        for name, value in (("guideline", guideline), ("guideline_file", guideline_file), ("question", question)):
            if not isinstance(value, str):
                raise BackendError(f"option '{name}' is {value!r:.60}", where=NAME, remedy="Give text.")
        self.guideline, self.guideline_file, self.question = guideline, guideline_file, question
        self.shots = whole(NAME, "shots", shots, 0, 64)
        self.similar = bool(similar)
        self.seed = whole(NAME, "seed", seed, 0, 2**31)
        # A closure, so that no attribute shows the key.
        self._endpoint: Callable[[], Endpoint] = lambda: Endpoint(str(llm_url), str(llm_key))
        self._config, self._control = str(label_config), str(control)
        self._labels = tuple(labels)
        self._folder = Path(cache_folder) if cache_folder else None
        self._prompt: Prompt | None = None
        self._pool: list[Shot] = []
        self._nearest: Nearest | None = None
        self._asker: Asker | None = None
        self._lock = threading.Lock()

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Choose the examples that are shown; see `adapter.ports.Backend`. Asks nothing. Raises BackendError also where
        no endpoint is set."""
        self._endpoint()
        texts = [text_of(example, self.fields) for example in examples]
        readable = np.asarray([text is not None for text in texts], bool)
        goal, mass, rows = checked(examples, targets, weights, readable, f"text in {list(self.fields)}")
        k = goal.shape[1]
        share = (mass @ goal) / mass.sum()
        if ((share < 1e-6) | (share > 1 - 1e-6)).all() if multiple else int((share > 1e-6).sum()) < 2:
            raise BackendError(
                "all examples have the same label", where="fit", remedy="Label tasks until there are two labels."
            )
        labels = self._labels or tuple(f"label {number + 1}" for number in range(k))
        if len(labels) != k:
            raise BackendError(f"there are {len(labels)} labels and targets for {k}", where="fit", remedy="Give both.")
        sheet = make_sheet(
            labels, config=self._config, control=self._control, question=self.question, multiple=multiple
        )
        most = POOL if self.similar else self.shots
        cut = [(texts[row] or "")[: self.options.max_chars] for row in rows]
        shown = choose(cut, goal.astype(np.float32), multiple=multiple, most=most if self.shots else 0, seed=seed)
        self._become(Prompt(sheet, self._guideline(), self.options.max_chars), shown)

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where there is no text, the answer could not be had or names no label,
        or `most` or the budget is used up. Raises BackendError where nothing at all could be answered because the
        endpoint is down or refuses us."""
        asker = self._asking()
        assert self._prompt is not None
        texts = [text_of(example, self.fields) for example in examples]
        out = np.full((len(examples), len(self._prompt.sheet.options)), np.nan, np.float32)
        failed: list[LlmError] = []
        answered = False
        for row, outcome in enumerate(asker.ask(texts, self._shown)):
            if isinstance(outcome, Answered):
                answered = True
                values = np.asarray(outcome.probabilities)
                out[row] = values if self._prompt.sheet.multiple else values / values.sum()
            elif outcome is not None:
                failed.append(outcome)
        if failed:
            down = next((error for error in failed if isinstance(error, Down)), None)
            if down is not None and not answered:
                raise down
            import structlog

            structlog.get_logger("llm").warning("llm_unanswered", tasks=len(failed), of=len(texts), why=str(failed[0]))
        return out

    def embed(self, examples: Sequence[JsonObject]) -> None:
        """Return None: a chat has no vectors."""

    def save(self, folder: Path) -> None:
        """Write prompt, labels and examples: everything but the endpoint and its key."""
        if self._prompt is None:
            raise _untrained()
        sheet = self._prompt.sheet
        about = {
            "format": FORMAT,
            "backend": NAME,
            "options": [[option.key, option.label, option.words] for option in sheet.options],
            "question": sheet.question,
            "multiple": sheet.multiple,
            "guideline": self._prompt.guideline,
            "pool": [[shot.text, list(shot.labels)] for shot in self._pool],
            "shots": self.shots,
            "similar": self.similar,
            "ask": {name: getattr(self.options, name) for name in KEPT},
        }
        (folder / META).write_text(json.dumps(about, separators=(",", ":")), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError on damaged or foreign files. Needs no endpoint."""
        try:
            about = json.loads((folder / META).read_text(encoding="utf-8"))
            if about.get("backend") != NAME or about.get("format") != FORMAT:
                raise ValueError("these files are another backend's, or of another format")
            options = tuple(Option(str(key), str(label), str(words)) for key, label, words in about["options"])
            sheet = Sheet(options, str(about["question"]), bool(about["multiple"]))
            pool = [Shot(str(text), tuple(int(label) for label in labels)) for text, labels in about["pool"]]
            if len(options) < 1 or any(not 0 <= label < len(options) for shot in pool for label in shot.labels):
                raise ValueError("an example has a label that is not listed")
            if not sheet.multiple and any(len(shot.labels) != 1 for shot in pool):
                raise ValueError("an example has several labels")
            kept = {name: about["ask"][name] for name in KEPT}
            self.options = checked_options({**dataclasses.asdict(self.options), **kept}, NAME)
            self.shots, self.similar = whole(NAME, "shots", about["shots"], 0, 64), bool(about["similar"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BackendError) as error:
            raise damaged(folder, NAME, f"{type(error).__name__}: {error}") from error
        self._become(Prompt(sheet, str(about["guideline"]), self.options.max_chars), pool)

    def _become(self, prompt: Prompt, pool: list[Shot]) -> None:
        with self._lock:
            self._prompt, self._pool, self._asker = prompt, pool, None
            self._nearest = Nearest(pool) if self.similar else None

    def _asking(self) -> Asker:
        with self._lock:
            if self._prompt is None:
                raise _untrained()
            if self._asker is None:
                self._asker = Asker(self._endpoint(), self._prompt, self.options, self._folder, seed=self.seed)
            return self._asker

    def _shown(self, text: str) -> Sequence[Shot]:
        return self._pool[: self.shots] if self._nearest is None else self._nearest.of(text, self.shots)

    def _guideline(self) -> str:
        if not self.guideline_file:
            return self.guideline
        try:
            read = Path(self.guideline_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BackendError(
                f"the guideline cannot be read ({type(error).__name__})",
                where=self.guideline_file,
                remedy="Name a UTF-8 text file, by its whole path or from where `hitl` is started.",
            ) from error
        return "\n\n".join(filter(None, (self.guideline, read)))


def _untrained() -> BackendError:
    return BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
