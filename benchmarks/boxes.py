"""Consensus of five noisy copies of real boxes (BCCD blood cells), and whether each injected error is found.

The copies are made from the gold boxes by the noise that `NOISE` states, go through Label Studio's result JSON into the
kind of rectangles, and are consolidated there. The noise is ours, so the figures say how the consensus bears such
noise, not how well any people label.

python -m benchmarks.boxes DATA_FOLDER [--seed 0] [--images 364]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from defusedxml.ElementTree import parse

from adapter.core.matching import match
from adapter.core.region_doubts import doubts, matched, usual_overlap
from adapter.kinds import kind_for_tag
from adapter.kinds.base import Given, Region, Tag
from adapter.kinds.rectangles import Rectangles
from adapter.vocabulary import Control
from benchmarks.measure import save

LABELS = ("RBC", "WBC", "Platelets")
ERRORS = ("missed", "invented", "wrong class", "moved")
_SMALLEST = 1.0  # pixels; some gold boxes have no area


@dataclass(frozen=True)
class Noise:
    """How one annotator errs. jitter: standard deviation of each edge, as a share of the box's side. missed, wrong,
    moved: share of boxes left out, given another class, shifted by 30 to 50 % of their size in a random direction.
    invented: boxes drawn at random places, with the size of another box, as a share of the boxes there are."""

    jitter: float
    missed: float
    invented: float
    wrong: float
    moved: float


NOISE = {
    "careful": Noise(0.02, 0.03, 0.02, 0.02, 0.02),
    "usual 1": Noise(0.03, 0.10, 0.05, 0.05, 0.05),
    "usual 2": Noise(0.03, 0.10, 0.05, 0.05, 0.05),
    "hasty": Noise(0.05, 0.25, 0.05, 0.10, 0.10),
    "eager": Noise(0.04, 0.05, 0.30, 0.10, 0.05),
}


@dataclass
class Image:
    """boxes: gold (n, 4), left, top, right, bottom in pixels. labels: (n,) indices."""

    name: str
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray


@dataclass
class Copy:
    """One person's boxes of one image. errors: region id to its errors. missed: indices of the gold boxes left out.
    origin: region id to the gold box, -1 for an invented one."""

    result: list[dict[str, Any]]
    errors: dict[str, set[str]] = field(default_factory=dict)
    missed: set[int] = field(default_factory=set)
    origin: dict[str, int] = field(default_factory=dict)


def images(folder: Path, most: int) -> list[Image]:
    """Read the gold boxes: clipped to the image, those under a pixel left out."""
    found = []
    for file in sorted((folder / "bccd_boxes" / "BCCD" / "Annotations").glob("*.xml"))[:most]:
        root = parse(file).getroot()
        size = [int(root.findtext(f"size/{key}") or 0) for key in ("width", "height")]
        rows, labels = [], []
        for thing in root.iter("object"):
            row = [float(thing.findtext(f"bndbox/{key}") or 0) for key in ("xmin", "ymin", "xmax", "ymax")]
            row = np.clip(row, 0, [*size, *size]).tolist()
            if min(row[2] - row[0], row[3] - row[1]) >= _SMALLEST:
                rows.append(row)
                labels.append(LABELS.index(thing.findtext("name") or ""))
        found.append(Image(file.stem, *size, np.array(rows).reshape(-1, 4), np.array(labels, int)))
    return found


def item(number: int, box: np.ndarray, label: int, image: Image) -> dict[str, Any]:
    """Return a result item of Label Studio."""
    left, top, right, bottom = (box / np.array([image.width, image.height] * 2) * 100).tolist()
    return {
        "id": f"r{number}",
        "from_name": "cell",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {
            "x": left,
            "y": top,
            "width": right - left,
            "height": bottom - top,
            "rotation": 0,
            "rectanglelabels": [LABELS[label]],
        },
    }


def noisy(image: Image, noise: Noise, rng: np.random.Generator) -> Copy:
    """Return one person's copy of an image's boxes."""
    copy = Copy([])
    frame = np.array([image.width, image.height] * 2, float)
    for index, (gold, right_label) in enumerate(zip(image.boxes, image.labels, strict=True)):
        if rng.random() < noise.missed:
            copy.missed.add(index)
            continue
        size = gold[2:] - gold[:2]
        box = gold + rng.normal(0, noise.jitter, 4) * np.tile(size, 2)
        errors, label = set(), int(right_label)
        if rng.random() < noise.moved:
            angle = rng.random() * 2 * np.pi
            box = box + np.tile(rng.uniform(0.3, 0.5) * size * [np.cos(angle), np.sin(angle)], 2)
            errors.add("moved")
        if rng.random() < noise.wrong:
            label = int((label + rng.integers(1, len(LABELS))) % len(LABELS))
            errors.add("wrong class")
        _add(copy, np.clip(box, 0, frame), label, image, errors, index)
    for _ in range(rng.poisson(noise.invented * len(image.boxes)) if len(image.boxes) else 0):
        model = image.boxes[rng.integers(len(image.boxes))]
        size = model[2:] - model[:2]
        start = rng.random(2) * (frame[:2] - size)
        _add(copy, np.concatenate([start, start + size]), int(rng.integers(len(LABELS))), image, {"invented"}, -1)
    return copy


def _add(copy: Copy, box: np.ndarray, label: int, image: Image, errors: set[str], gold: int) -> None:
    if min(box[2] - box[0], box[3] - box[1]) < _SMALLEST:
        copy.missed.update({gold} - {-1})
        return
    number = len(copy.result)
    copy.result.append(item(number, box, label, image))
    copy.errors[f"r{number}"], copy.origin[f"r{number}"] = errors, gold


def measure(folder: Path, *, seed: int = 0, most: int = 364) -> dict[str, Any]:
    """Make the copies, consolidate them, compare; return all figures."""
    kind = kind_for_tag("RectangleLabels")
    assert isinstance(kind, Rectangles)
    control = kind.control(
        Tag(
            "RectangleLabels",
            {"name": "cell", "toName": "image"},
            tuple(Tag("Label", {"value": label}) for label in LABELS),
            {"image": Tag("Image", {"name": "image", "value": "$image"})},
        )
    )
    rng = np.random.default_rng(seed)
    all_images = images(folder, most)
    copies = {image.name: {who: noisy(image, noise, rng) for who, noise in NOISE.items()} for image in all_images}
    gold = {
        image.name: kind.read(
            control,
            [
                item(n, box, int(label), image)
                for n, (box, label) in enumerate(zip(image.boxes, image.labels, strict=True))
            ],
        )
        for image in all_images
    }
    votes = {
        name: {who: kind.read(control, copy.result) for who, copy in by_person.items()}
        for name, by_person in copies.items()
    }
    lossless = all(
        _plain(kind.write(control, value)) == _plain(copies[name][who].result)
        for name, by_person in votes.items()
        for who, value in by_person.items()
    )
    started = time.perf_counter()
    together = kind.consensus(control, votes, Given(seed=seed))
    seconds = time.perf_counter() - started
    merged = {name: together.merged[name] for name in votes}
    values = {name: one.value if one.value is not None else (one.proposal or ()) for name, one in merged.items()}
    naive = {name: majority_of_three(kind, control, list(by_person.values())) for name, by_person in votes.items()}
    return {
        "images": len(all_images),
        "gold_boxes": sum(len(image.boxes) for image in all_images),
        "seed": seed,
        "noise": {who: vars(noise) for who, noise in NOISE.items()},
        "lossless_round_trip": lossless,
        "consensus_seconds": round(seconds, 2),
        "for_adjudication": sum(one.value is None for one in merged.values()),
        "against_gold": {
            "consensus": against(kind, values, gold),
            "naive majority of three": against(kind, naive, gold),
            **{f"copy '{who}'": against(kind, {n: v[who] for n, v in votes.items()}, gold) for who in NOISE},
        },
        "skill": {who: round(together.skill[who].accuracy, 3) for who in NOISE},
        "errors_found": errors_found(kind, copies, votes, values, all_images, gold),
    }


def majority_of_three(kind: Rectangles, control: Control, drawn: Sequence[Sequence[Region]]) -> tuple[Region, ...]:
    """The plain way: put each box to the first cluster whose first box it overlaps by half, keep the clusters of three
    people or more, take the mean box and the commonest label."""
    groups: list[list[Region]] = []
    for value in drawn:
        for region in value:
            home = next((group for group in groups if kind.overlap(group[0], region) >= 0.5), None)
            if home is None:
                groups.append([region])
            else:
                home.append(region)
    kept = []
    for group in (group for group in groups if len(group) >= 3):
        mean = {key: float(np.mean([r["value"][key] for r in group])) for key in ("x", "y", "width", "height")}
        label = Counter(r["labels"][0] for r in group).most_common(1)[0][0]
        kept.append({"labels": [label], "value": mean})
    return tuple(kind.canonical(control, kept))


def against(kind: Rectangles, values: Mapping[str, Sequence[Region]], gold: Mapping[str, Sequence[Region]]) -> Any:
    """F1, precision and recall at an intersection over union of .5 with the right label; mean IoU of the matched, and
    over all of either side with the unmatched at 0."""
    right, ious, drawn, there = 0, [], 0, 0
    for name, truth in gold.items():
        value = values[name]
        table = kind.overlaps(value, truth)
        same = np.array([[a["labels"] == b["labels"] for b in truth] for a in value]).reshape(table.shape)
        pairs = match(np.where(same, table, 0.0), 0.5)
        right += len(pairs)
        ious += [float(table[i, j]) for i, j in pairs]
        drawn, there = drawn + len(value), there + len(truth)
    return {
        "f1": round(2 * right / (drawn + there), 4),
        "precision": round(right / max(drawn, 1), 4),
        "recall": round(right / there, 4),
        "mean_iou": round(float(np.mean(ious)), 4),
        "mean_iou_unmatched_0": round(sum(ious) / (drawn + there - right), 4),
    }


def errors_found(
    kind: Rectangles,
    copies: Mapping[str, Mapping[str, Copy]],
    votes: Mapping[str, Mapping[str, Sequence[Region]]],
    values: Mapping[str, Sequence[Region]],
    all_images: Sequence[Image],
    gold: Mapping[str, Sequence[Region]],
) -> Any:
    """Precision and recall of the doubts for each injected error, by what is right in gold.

    A doubt of a mark is right if that very mark carries the error; one of a missed thing if the region of the
    consensus lies on a gold box that this person left out.
    """
    usual = usual_overlap(
        [
            reached
            for name, by_person in votes.items()
            for value in by_person.values()
            for reached in matched(kind.overlaps(value, values[name]), _labels(value), _labels(values[name]))
        ]
    )
    raised: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    injected: Counter[str] = Counter()
    for image in all_images:
        consensus, truth = values[image.name], gold[image.name]
        # gold regions keep the number of their box in their id
        stands = {i: int(truth[j]["id"][1:]) for i, j in match(kind.overlaps(consensus, truth), 0.5)}
        for who, copy in copies[image.name].items():
            value = votes[image.name][who]
            injected["missed"] += len(copy.missed)
            for errors in copy.errors.values():
                injected.update(errors)
            for doubt in doubts(
                kind.overlaps(value, consensus),
                _labels(value),
                _labels(consensus),
                there=[region.get("score", 1.0) for region in consensus],
                usual=usual,
            ):
                raised[doubt.kind] += 1
                if doubt.kind == "missed":
                    assert doubt.theirs is not None
                    hit["missed"] += stands.get(doubt.theirs) in copy.missed
                else:
                    assert doubt.mine is not None
                    hit[doubt.kind] += doubt.kind in copy.errors[value[doubt.mine]["id"]]
    return {
        "moved_below_overlap": round(usual, 3),
        **{
            error: {
                "injected": injected[error],
                "raised": raised[error],
                "precision": round(hit[error] / max(raised[error], 1), 4),
                "recall": round(hit[error] / max(injected[error], 1), 4),
            }
            for error in ERRORS
        },
    }


def _labels(value: Sequence[Region]) -> list[list[str]]:
    return [region["labels"] for region in value]


def _plain(result: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(result, key=lambda one: str(one["id"]))


def main() -> None:
    """Measure and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--images", type=int, default=364)
    args = options.parse_args()
    print(save("boxes", measure(args.data, seed=args.seed, most=args.images)).read_text())


if __name__ == "__main__":
    main()
