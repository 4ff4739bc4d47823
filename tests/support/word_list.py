"""A region backend that is quick to train: it remembers the words that people marked, and finds them again."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from adapter.errors import BackendError, ModelError


class WordList:
    """Finds a marked word wherever it stands. A word's score is the share of its occurrences that people marked."""

    answers: ClassVar[Any] = "regions"

    def __init__(self, fields: Sequence[str], *, shift: int = 0) -> None:
        self.field, self.shift = fields[0], shift
        self.words: dict[str, tuple[str, float]] | None = None

    def fit(
        self,
        examples: Sequence[Any],
        regions: Sequence[Sequence[Any]],
        *,
        labels: Sequence[str],
        weights: Any,
        seed: int,
    ) -> None:
        marked: dict[str, Counter[str]] = defaultdict(Counter)
        seen: Counter[str] = Counter()
        for example, drawn in zip(examples, regions, strict=True):
            text = str(example.get(self.field, ""))
            seen.update(text.split())
            for region in drawn:
                word = text[region["value"]["start"] : region["value"]["end"]].strip()
                marked[word][region["labels"][0]] += 1
        if not marked:
            raise BackendError("nothing is marked", where="fit", remedy="Mark something.")
        self.words = {
            word: (said.most_common(1)[0][0], min(1.0, said.total() / max(seen[word], 1)))
            for word, said in marked.items()
        }

    def predict(self, examples: Sequence[Any]) -> list[list[Any] | None]:
        assert self.words is not None
        out: list[list[Any] | None] = []
        for example in examples:
            text = example.get(self.field)
            if not isinstance(text, str):
                out.append(None)
                continue
            found = []
            for word in dict.fromkeys(text.split()):
                if word in self.words:
                    start = text.index(word) + self.shift
                    value = {"start": start, "end": start + len(word)}
                    label, score = self.words[word]
                    found.append({"labels": [label], "value": value, "score": score})
            out.append(found)
        return out

    def embed(self, examples: Sequence[Any]) -> Any:
        return None

    def save(self, folder: Path) -> None:
        (folder / "words.json").write_text(json.dumps(self.words))

    def load(self, folder: Path) -> None:
        try:
            self.words = {word: tuple(said) for word, said in json.loads((folder / "words.json").read_text()).items()}
        except (OSError, ValueError) as error:
            raise ModelError("no words", where=str(folder)) from error

    def suggest(self, example: Any, drawn: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        (found,) = self.predict([example])
        return [] if found is None else found
