"""What `hitl init` writes: settings, a label config and a first labeling function. Never overwrites a file."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from adapter.errors import DataError, LabelError, SettingsError, nearest

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
IGNORED = ("/.hitl/", "config/secrets.env")


@dataclass(frozen=True)
class Wish:
    """What the project shall be. Empty values are chosen: name after the data file, field `text` or `image`.

    label_studio: address of a server that runs already; empty lets `hitl up` start one.
    """

    name: str = ""
    labels: Sequence[str] = ("yes", "no")
    field: str = ""
    data: Path | None = None
    id_column: str = ""
    multiple: bool = False
    label_studio: str = ""


@dataclass(frozen=True)
class Made:
    """Files that were written, files that were there and kept, and where secrets go."""

    project: str
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    secrets: Path


def scaffold(folder: Path, wish: Wish) -> Made:
    """Write what is missing under `folder`.

    Raises LabelError for unusable labels, DataError when the data or the field is not there, SettingsError for an
    unusable name; nothing is written then.
    """
    labels = _labels(wish.labels)
    name = _name(wish)
    field, image = _field(wish)
    config = folder / "config"
    module = name.replace("-", "_")
    data = Path(os.path.relpath(wish.data.resolve(), config.resolve())).as_posix() if wish.data else ""
    files = {
        config / "adapter.yaml": _adapter_yaml(wish),
        config / "projects" / f"{name}.yaml": _project_yaml(name, module, data, wish, image),
        config / "label_configs" / f"{module}.xml": _label_config(labels, field, image, wish.multiple),
        folder / "labeling_functions" / f"{module}.py": _functions(name, labels, field, image),
        config / "secrets.env": _SECRETS,
    }
    written, kept = [], []
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Private from its first moment: a secret that is readable for a second is no secret.
            mode = 0o600 if path.name == "secrets.env" else 0o666
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
                file.write(text)
            written.append(path)
        except FileExistsError:
            kept.append(path)
    ignore = folder / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    missing = [line for line in IGNORED if line not in lines]
    if missing:
        with ignore.open("a", encoding="utf-8") as file:
            file.write(("\n" if lines and lines[-1] else "") + "\n".join(missing) + "\n")
        written.append(ignore)
    else:
        kept.append(ignore)
    return Made(name, tuple(written), tuple(kept), config / "secrets.env")


def _labels(given: Sequence[str]) -> list[str]:
    labels = [label.strip() for label in given]
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if "" in labels or len(labels) < 2 or doubled:
        what = f"'{doubled[0]}' stands twice" if doubled else "at least two labels are needed, none of them empty"
        raise LabelError(what, where="--labels", remedy="Write them with commas, such as --labels spam,ham.")
    return labels


def _name(wish: Wish) -> str:
    name = (
        wish.name or re.sub(r"[^a-z0-9]+", "-", wish.data.stem.lower() if wish.data else "").strip("-") or "my-project"
    )
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise SettingsError(
            f"'{name}' cannot name a project", where="--name", remedy="Use a-z, 0-9, - and _, at most 63."
        )
    return name


def _field(wish: Wish) -> tuple[str, bool]:
    """Return the task field that people see, and whether it is an image."""
    if wish.data is None:
        return wish.field or "text", False
    if not wish.data.exists():
        raise DataError("there is no such file or folder", where=str(wish.data), remedy="Mend --data.")
    if wish.data.is_dir():
        endings = {path.suffix.lower() for path in wish.data.rglob("*") if path.is_file()}
        image = bool(endings & IMAGES)
        return wish.field or ("image" if image else "text"), image
    columns = _columns(wish.data)
    field = wish.field or ("text" if "text" in columns or len(columns) != 1 else columns[0])
    for column, option in ((field, "--field"), (wish.id_column, "--id-column")):
        if column and column not in columns:
            advice = f"Name one of its columns with {option}: {', '.join(columns)}."
            raise DataError(
                f"it has no column '{column}'", where=str(wish.data), remedy=_close(column, columns) + advice
            )
    return field, False


def _close(column: str, columns: Sequence[str]) -> str:
    hint = nearest(column, columns)
    return f"{hint} " if hint.startswith("Did you mean") else ""


def _columns(path: Path) -> list[str]:
    """Return the columns of a data file, from its beginning only."""
    try:
        ending = path.suffix.lower()
        if ending == ".parquet":
            import pyarrow.parquet

            return [str(name) for name in pyarrow.parquet.read_schema(path).names]
        with path.open(encoding="utf-8-sig", newline="") as file:
            if ending in {".jsonl", ".ndjson"}:
                first = json.loads(next((line for line in file if line.strip()), "{}"))
                return list(first) if isinstance(first, dict) else []
            if ending in {".csv", ".tsv"}:
                return next(csv.reader(file, delimiter="\t" if ending == ".tsv" else ","), [])
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"it cannot be read ({error})", where=str(path), remedy="Check its format and encoding."
        ) from error
    raise DataError(
        f"'{ending}' is no format that is read", where=str(path), remedy="Give CSV, JSONL, Parquet or a folder."
    )


def _adapter_yaml(wish: Wish) -> str:
    place = f"  url: {json.dumps(wish.label_studio)}\n" if wish.label_studio else ""
    embedded = "false" if wish.label_studio else "true"
    return f"""# Settings of the adapter. Keys that are not here have defaults. Relative paths start from this folder.
# Any key can come from the environment instead, such as HITL_WEB__PORT for web.port.

# The data folder: store, models, logs.
home: ../.hitl

label_studio:
{place}  # true: `hitl up` starts a Label Studio of its own. false: yours, at `url`; put its token into secrets.env.
  embedded: {embedded}

web:
  # Where Label Studio and browsers reach us.
  host: 127.0.0.1
  port: 9090
"""


def _project_yaml(name: str, module: str, data: str, wish: Wish, image: bool) -> str:
    backend, others = "backends.linear:Linear", "learns in seconds; backends.embedding:Embedding reads sentences."
    if image:
        backend, others = "backends.image:Image", "is a small network; backends.pixels:Pixels is for digits and signs."
    path = json.dumps(data, ensure_ascii=False)
    return f"""# The project {name}. Relative paths start from the folder of adapter.yaml.
label_config: label_configs/{module}.xml
labeling_functions: ../labeling_functions/{module}.py

data:
  # CSV, JSONL, Parquet, a folder of files, or label-studio:<project id>.
  path: {path}
  # Column with a stable id. Empty: the id is made of the content.
  id_column: {json.dumps(wish.id_column, ensure_ascii=False)}
  # Columns that the adapter must never see, such as a known label.
  exclude: []

backend:
  # {backend} {others}
  path: {backend}

window:
  # Tasks that are open in Label Studio at one time.
  size: 200
  low_water: 100
  # Human decisions after which nothing more is pushed. Empty: no limit.
  budget:
"""


def _label_config(labels: Sequence[str], field: str, image: bool, multiple: bool) -> str:
    tag = "Image" if image else "Text"
    choice = "multiple" if multiple else "single"
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in labels)
    value = quoteattr(f"${field}")
    return f"""<View>
  <{tag} name="content" value={value}/>
  <Choices name="label" toName="content" choice="{choice}" required="true" showInline="true">
{choices}
  </Choices>
</View>
"""


def _functions(name: str, labels: Sequence[str], field: str, image: bool) -> str:
    label, place = json.dumps(labels[0], ensure_ascii=False), json.dumps(field, ensure_ascii=False)
    word = json.dumps(labels[0].lower(), ensure_ascii=False)
    if image:
        # A label as short as "1" stands in the middle of many a file's name.
        what, how = "The file's name or folder says the label.", ", whole_words=False" if len(labels[0]) > 2 else ""
        yes, no = json.dumps(f"hitl-file:{labels[0].lower()}/0.png", ensure_ascii=False), '"..."'
        rule = "An example that abstains on every image. Replace it by what you know."
        body, examples = "return None", f"({{{place}: {no}}}, None)"
    else:
        what, how = "The text names the label.", ""
        yes, no = word, '"..."'
        rule = "An example: the text begins with the label. Replace it by what you know."
        body = f"return {label} if str(data[{place}]).lower().startswith({word}) else None"
        examples = f"({{{place}: {yes}}}, {label}), ({{{place}: {no}}}, None)"
    return f'''"""Labeling functions of the project {name}: each looks at one task's data and says a label, or nothing.

`hitl lf test` holds them to the examples beside them, `hitl vote` runs them, `hitl lf report` says what each is worth.
"""

from adapter.labeling import keywords, labeling_function

# Declared by a call: no code, and fast on a million tasks. See also regex, lookup, column, nearest, model_output.
named = keywords(
    {label},
    [{word}],
    field={place}{how},
    doc="{what}",
    examples=[({{{place}: {yes}}}, {label}), ({{{place}: {no}}}, None)],
)


# Written as code: whatever Python can find out about one task.
@labeling_function(examples=[{examples}])
def example(data):
    """{rule}"""
    {body}
'''


_SECRETS = """# Secrets of the adapter, as NAME=value. Readable by its owner only; never commit it.
# HITL_LABEL_STUDIO_TOKEN=
"""
