"""Text that people write: `<TextArea>` of Label Studio; transcripts, answers, captions, corrections.

The canonical value is a tuple of strings, as many as the person submitted, never empty. Texts are compared after
Unicode normalisation (NFC) with runs of white space made one; they are kept as they were written.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from adapter.core.people import PRIOR_ACCURACY, PRIOR_STRENGTH, Skill
from adapter.core.rover import MOST_WORDS, compose
from adapter.errors import LabelConfigError, LabelError
from adapter.kinds.base import Given, Measure, Merged, Tag, Together, Unit
from adapter.vocabulary import Control, JsonObject, Value

LONGEST = 1_000_000
"""Characters of one text; longer ones are refused."""
ALIKE = 0.5
"""Word similarity from which two texts are versions of one text, so that their words can be voted on (ROVER). Below it
they are different answers, and the one that is nearest to the others stands (medoid)."""
METHODS = ("auto", "medoid", "rover")


class Text:
    """The kind of `<TextArea>`."""

    name = "text"
    tags = ("TextArea",)
    methods = METHODS

    def control(self, tag: Tag) -> Control:
        """Parse `<TextArea>`. Raises LabelConfigError when `maxSubmissions` is no number."""
        name, to_name = tag.attributes.get("name", ""), tag.attributes.get("toName", "")
        most = tag.attributes.get("maxSubmissions", "").strip()
        if most and not most.isdigit():
            raise LabelConfigError(
                f"maxSubmissions='{most}' is no whole number",
                where=f"<TextArea name='{name}'>",
                remedy="Write maxSubmissions='1', or leave it out.",
            )
        shown = tag.objects[to_name] if to_name in tag.objects else next(iter(tag.objects.values()))
        return Control(
            name=name,
            kind=self.name,
            to_name=to_name,
            object_tag=shown.name,
            field=(shown.attributes.get("valueList") or shown.attributes.get("value", "")).removeprefix("$"),
            multiple=most != "1",
            required=tag.attributes.get("required", "").lower() == "true",
            tag=tag.name,
            options={"most": int(most)} if most else {},
        )

    def canonical(self, control: Control, value: object) -> Value:
        """Return a tuple of texts from one text or several. Raises LabelError for none, too many, or what is no
        text."""
        texts = list(value) if isinstance(value, list | tuple) else [value]
        most = control.options.get("most")
        for text in texts:
            if not isinstance(text, str):
                raise LabelError(f"'{control.name}' takes text, got a {type(text).__name__}", remedy="Give a string.")
            if len(text) > LONGEST:
                raise LabelError(
                    f"a text of '{control.name}' has {len(text):,} characters",
                    remedy=f"At most {LONGEST:,} are taken; split it.",
                )
        if not texts:
            raise LabelError(f"'{control.name}' got no text", remedy="Leave the control out where nothing was written.")
        if most and len(texts) > most:
            raise LabelError(
                f"'{control.name}' takes at most {most} texts, got {len(texts)}",
                remedy="Raise maxSubmissions in the label config, or give fewer.",
            )
        return tuple(texts)

    def value_of(self, control: Control, item: Mapping[str, object]) -> Value:
        """Return the value in an item's `value`. Raises LabelError."""
        texts = item.get("text")
        if not isinstance(texts, str | list | tuple):
            raise LabelError(
                f"an item of '{control.name}' holds no text",
                remedy="Open the annotation in Label Studio and submit it again.",
            )
        return self.canonical(control, texts)

    def item(self, control: Control, value: Value) -> dict[str, object]:
        """Return Label Studio's `value` object for a value."""
        return {"text": list(self.canonical(control, value))}

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return the texts in an annotation's result; None where nothing was written. Raises LabelError."""
        texts: list[str] = []
        for item in result:
            if isinstance(item, Mapping) and item.get("from_name") == control.name:
                value = item.get("value")
                if not isinstance(value, Mapping):
                    raise LabelError(f"an item of '{control.name}' has no value", remedy="Submit the annotation again.")
                if value.get("text") not in ([], ""):
                    texts += self.value_of(control, value)
        return self.canonical(control, texts) if texts else None

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return one result item with the texts."""
        return [
            {
                "from_name": control.name,
                "to_name": control.to_name.split(",")[0].strip(),
                "type": "textarea",
                "value": self.item(control, value),
            }
        ]

    def measure(self, control: Control) -> Measure:
        """Return how texts are compared: by edits."""
        return Measure(
            "own",
            "edit_similarity",
            "edit similarity: 1 - Levenshtein distance in characters over the longer length, white space and Unicode "
            "normalised; beside it the same in words, and the share of equal texts",
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return the Levenshtein distance of the texts, in characters, over the longer length: 0 to 1."""
        from rapidfuzz.distance import Levenshtein

        return float(Levenshtein.normalized_distance(_plain(a), _plain(b)))

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return `edit_similarity`, `word_similarity` (1 - word error rate over the longer text), `exact` and
        `score`."""
        alike = 1.0 - self.distance(control, a, b)
        return {
            "edit_similarity": (alike, 1.0),
            "word_similarity": (_alike(_plain(a).split(), _plain(b).split()), 1.0),
            "exact": (float(_plain(a) == _plain(b)), 1.0),
            "score": (alike, 1.0),
        }

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return nothing: texts have no codes, alpha needs the kind's own distance."""
        return []

    def of_label(self, control: Control, value: Value, label: str) -> Value:
        """Return the value: texts have no labels."""
        return value

    def doubt(self, control: Control, value: Value) -> float:
        """Return 0: texts carry no scores."""
        return 0.0

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two texts differ."""
        if _plain(a) == _plain(b):
            return "no difference"
        alike = 1.0 - self.distance(control, a, b)
        return f"'{_short(_plain(a))}' against '{_short(_plain(b))}' ({alike:.0%} alike)"

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate texts: equal ones stand; three or more versions of one text are voted word by word (ROVER);
        different answers leave the one nearest to the others (the medoid).

        Two texts that differ, and answers of which no two are alike, have no consensus: a person decides. An
        annotator's skill is the mean similarity of what that person wrote with what the others of the task wrote (or
        with gold), shrunk to the prior of `core.people`. certainty: the skill-weighted mean similarity of the votes
        with the consensus, for equal texts the chance that not all are wrong.
        """
        skill = _skills(votes, given.gold)
        method = given.method if given.method in METHODS else "auto"
        merged = {}
        for task_id in sorted(votes):
            if task_id in given.gold:
                merged[task_id] = Merged(self.canonical(control, given.gold[task_id]), 1.0, 1.0)
            else:
                merged[task_id] = _merged(votes[task_id], {who: s.accuracy for who, s in skill.items()}, method)
        return Together(merged, skill, method if method != "auto" else "rover or medoid")


def _merged(by_person: Mapping[str, Value], skill: Mapping[str, float], method: str) -> Merged:
    people = sorted(by_person, key=lambda who: (-skill[who], who))
    plain = {who: _plain(by_person[who]) for who in people}
    first = by_person[people[0]]
    if len(set(plain.values())) == 1:
        sure = 1.0 - float(np.prod([1.0 - min(skill[who], 0.999) for who in people]))
        return Merged(first, sure, sure)
    words = {who: plain[who].split() for who in people}
    alike = {frozenset(pair): _alike(words[pair[0]], words[pair[1]]) for pair in itertools.combinations(people, 2)}
    if len(people) == 2:
        likeness = alike[frozenset(people)]
        return Merged(None, 0.0, 0.0, proposal=first, why=f"two texts differ ({likeness:.0%} of the words alike)")
    nearness = {
        who: sum(skill[other] * alike[frozenset((who, other))] for other in people if other != who) for who in people
    }
    medoid = max(people, key=lambda who: (nearness[who], skill[who]))
    if max(alike.values()) < ALIKE:
        return Merged(None, 0.0, 0.0, proposal=by_person[medoid], why="no two of the texts are alike")
    same = [who for who in people if plain[who] == plain[medoid]]
    versions = float(np.mean(list(alike.values()))) >= ALIKE and max(map(len, words.values())) <= MOST_WORDS
    single = all(len(value) == 1 for value in by_person.values())
    value = by_person[medoid]
    if method == "rover" or (method == "auto" and versions and single and len(same) * 2 <= len(people)):
        best_first = sorted(people, key=lambda who: (-nearness[who], -skill[who], who))
        value = (" ".join(compose([words[who] for who in best_first], [skill[who] for who in best_first]).words),)
    total = sum(skill[who] for who in people)
    chosen = _plain(value).split()
    certainty = sum(skill[who] * _alike(words[who], chosen) for who in people) / total
    backing = sum(skill[who] for who in people if plain[who] == _plain(value)) / total
    return Merged(value, backing, certainty)


def _skills(votes: Mapping[str, Mapping[str, Value]], gold: Mapping[str, Value]) -> dict[str, Skill]:
    from scipy.special import betaincinv

    scores: dict[str, list[float]] = {who: [] for by_person in votes.values() for who in by_person}
    for task_id in sorted(votes):
        words = {who: _plain(value).split() for who, value in votes[task_id].items()}
        if task_id in gold:
            truth = _plain(gold[task_id] if not isinstance(gold[task_id], str) else (gold[task_id],)).split()
            for who, said in words.items():
                scores[who].append(_alike(said, truth))
        elif len(words) > 1:
            for who, said in words.items():
                scores[who].append(float(np.median([_alike(said, other) for w, other in words.items() if w != who])))
    found = {}
    for who, values in scores.items():
        a = PRIOR_ACCURACY * PRIOR_STRENGTH + sum(values)
        b = (1 - PRIOR_ACCURACY) * PRIOR_STRENGTH + len(values) - sum(values)
        lower, upper = (float(betaincinv(a, b, q)) for q in (0.025, 0.975))
        found[who] = Skill(a / (a + b), lower, upper, len(values))
    return found


def _alike(a: Sequence[str], b: Sequence[str]) -> float:
    """Return 1 - Levenshtein distance in words over the longer length; 1 for two empty texts."""
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(a, b))


def _plain(value: Sequence[str]) -> str:
    return " ".join(unicodedata.normalize("NFC", "\n".join(value)).split())


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


KIND = Text()
