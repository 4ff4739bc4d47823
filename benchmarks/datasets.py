"""Turns public data sets, where the machine has them, into the CSV and label config that `hitl simulate` takes.

python -m benchmarks.datasets ag_news DATA_FOLDER OUT_FOLDER
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

AG_NEWS = ("World", "Sports", "Business", "Sci/Tech")


def label_config(labels: tuple[str, ...]) -> str:
    """Return a label config with one text and these labels."""
    choices = "\n".join(f'    <Choice value="{label}"/>' for label in labels)
    return (
        '<View>\n  <Text name="text" value="$text"/>\n'
        f'  <Choices name="label" toName="text" choice="single">\n{choices}\n  </Choices>\n</View>\n'
    )


def ag_news(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (text, label) of ag_news/test.csv: class 1 to 4, title, description, no header."""
    with (folder / "ag_news" / "test.csv").open(newline="", encoding="utf-8") as file:
        for number, title, description in csv.reader(file):
            yield f"{title}. {description}", AG_NEWS[int(number) - 1]


def youtube_spam(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (text, label) of youtube_spam/youtube_clean.csv: label 1 is spam."""
    with (folder / "youtube_spam" / "youtube_clean.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["text"], "spam" if row["label"] == "1" else "ham"


SETS: dict[str, tuple[Callable[[Path], Iterator[tuple[str, str]]], tuple[str, ...]]] = {
    "ag_news": (ag_news, AG_NEWS),
    "youtube_spam": (youtube_spam, ("spam", "ham")),
}


def write(name: str, folder: Path, out: Path) -> tuple[Path, Path]:
    """Write `<name>.csv` (columns text, label) and `<name>.xml` into `out`; return both paths."""
    rows, labels = SETS[name]
    out.mkdir(parents=True, exist_ok=True)
    data, config = out / f"{name}.csv", out / f"{name}.xml"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows(folder))
    config.write_text(label_config(labels), encoding="utf-8")
    return data, config


if __name__ == "__main__":
    for path in write(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])):
        print(path)
