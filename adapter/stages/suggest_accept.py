"""Accept: write a suggestion into the author's file as readable code. The file still loads, or stays as it was."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import tokenize
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from adapter.core.suggest.code import appended, bound_names, declaration, imported
from adapter.errors import FunctionsError, LabelError, nearest
from adapter.labeling import control_of, discover
from adapter.loading import sources
from adapter.stages.context import Project
from adapter.stages.reports import Report
from adapter.stages.suggest import GROUPS, Suggestion, kept

NEW_FILE = "suggested.py"
"""Where suggestions go in a folder with several modules."""


@dataclass(frozen=True, slots=True)
class AcceptReport(Report):
    """function: its name. file: it was written into. line: where it begins there. code: what was written. created:
    the file is new."""

    suggestion: str
    function: str
    file: str
    line: int
    code: str
    created: bool


def accept(project: Project, name: str, *, function: str = "", label: str = "", by: str = "") -> AcceptReport:
    """Write the suggestion `name` into the project's file of labeling functions, as `function` (its own name if left
    out). label: what it votes, needed for groups without a proposal.

    Raises DataError for an unknown suggestion, LabelError for an unknown or missing label, FunctionsError when the name
    is taken or no Python name, there is no file to write to, or the file would not import; then nothing was changed.
    """
    suggestion = kept(project, name)
    chosen = _label(project, suggestion, label)
    spec = project.settings.labeling_functions
    before = {one.name for one in project.functions()}
    file = _file(project)
    original = file.read_bytes() if file.exists() else None
    source, encoding = (
        _decoded(original, file) if original is not None else (_HEAD.format(project=project.name), "utf-8")
    )
    called = function or name
    _check_name(called, before | bound_names(source), file)
    needed = "labeling_function" if suggestion.call == "python" else suggestion.call
    source, made_by = imported(source, needed)
    several = len(project.learned) > 1
    code = declaration(
        called,
        suggestion.call,
        [chosen, *suggestion.args[1:]],
        suggestion.options,
        comment_of(suggestion),
        control=suggestion.control if several else "",
        made_by=made_by,
    )
    whole = appended(source, code)
    try:
        raw = whole.encode(encoding)
    except UnicodeEncodeError as error:
        raise FunctionsError(
            f"its encoding, {encoding}, cannot write this suggestion", where=str(file), remedy="Save the file as UTF-8."
        ) from error
    _replace(file, raw, original)
    try:
        found = discover(spec or str(file))
        names = {one.name for one in found}
        if called not in names or not before <= names:
            raise FunctionsError("what was written is not found as a labeling function", where=str(file))
        control_of(next(one for one in found if one.name == called), project.space)
    except BaseException as error:  # Ctrl-C too: the author's file comes first
        _restore(file, raw, original)
        if isinstance(error, FunctionsError):
            raise FunctionsError(
                f"with '{called}' in it the file does not load, so it was left as it was: {error.what}",
                where=error.where or str(file),
                remedy=error.remedy,
            ) from error
        raise
    line = whole[: len(whole) - len(code.replace("\n", "\r\n" if "\r\n" in whole else "\n"))].count("\n") + 1
    detail = {"suggestion": name, "function": called, "file": str(file)}
    project.store.audit.append(project.name, by or "command line", "suggestion accepted", detail, project.now())
    return AcceptReport(name, called, str(file), line, code, original is None)


_HEAD = '''"""Labeling functions of the project {project}: each gets a task's data and returns a label or None."""

'''


def comment_of(suggestion: Suggestion) -> str:
    """Return one line on how a suggestion was found and how good it was by then."""
    if suggestion.kind == GROUPS:
        return f"found: words of {suggestion.newly:,} tasks that no function covered"
    if not suggestion.checked:
        return f"found: right on {suggestion.found_right} of {suggestion.found} labels that suggested it, on no other"
    share = suggestion.held / suggestion.checked
    labels = "1 label" if suggestion.checked == 1 else f"{suggestion.checked} labels"
    return f"found: precision {share:.2f} ({suggestion.lower:.2f} to {suggestion.upper:.2f}) on {labels}"


def _label(project: Project, suggestion: Suggestion, label: str) -> str:
    labels = project.space.control(suggestion.control).labels
    if label and label not in labels:
        raise LabelError(
            f"'{label}' is no label of '{suggestion.control}'", where="--label", remedy=nearest(label, labels)
        )
    if label and suggestion.label and label != suggestion.label and suggestion.kind != GROUPS:
        raise LabelError(
            f"'{suggestion.name}' tells '{suggestion.label}', not '{label}'",
            where="--label",
            remedy="Leave --label out.",
        )
    chosen = label or suggestion.label
    if not chosen:
        raise LabelError(
            f"nobody has labelled enough of '{suggestion.name}' to say what it is",
            remedy=f"Look at its examples, then add --label with one of: {', '.join(labels)}.",
        )
    return chosen


def _check_name(name: str, taken: set[str], file: Path) -> None:
    if not name.isidentifier() or name.startswith("__"):
        raise FunctionsError(
            f"'{name}' cannot name a function in Python", where="--as", remedy="Use letters, digits and _."
        )
    if name in taken:
        raise FunctionsError(
            f"there is something called '{name}' already", where=str(file), remedy="Choose another name with --as."
        )


def _file(project: Project) -> Path:
    """The file that suggestions of this project are written into; it may not be there yet."""
    spec = project.settings.labeling_functions
    if spec == "none":
        raise FunctionsError(
            f"project '{project.name}' wants no labeling functions (`labeling_functions: none`)",
            where="labeling_functions",
            remedy="Name a file there, such as ../labeling_functions/mine.py, or take the line out.",
        )
    if not spec:
        return project.config.parent / "labeling_functions" / f"{project.name.replace('-', '_')}.py"
    path = Path(spec).expanduser()
    if not path.exists():
        local = Path(*spec.split("."))
        path = next((one for one in (local.with_name(local.name + ".py"), local) if one.exists()), path)
    if not path.exists():
        modules = sorted({one.module for one in project.functions() if one.module})
        if len(modules) != 1:
            raise FunctionsError(
                f"'{spec}' is an installed module, which is not written into",
                where="labeling_functions",
                remedy="Name a file or folder of your own in the project's settings.",
            )
        path = Path(modules[0])
    if path.is_dir():
        modules = [str(file) for file in sources(path) if file.name != "__init__.py"]
        path = Path(modules[0]) if len(modules) == 1 else path / NEW_FILE
    return path.resolve()


def _decoded(raw: bytes, file: Path) -> tuple[str, str]:
    """The text of a Python file as it is, line ends too, and its encoding."""
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(raw).readline)
        return raw.decode(encoding), encoding
    except (SyntaxError, UnicodeDecodeError) as error:
        raise FunctionsError(f"it cannot be read ({error})", where=str(file), remedy="Save it as UTF-8.") from error


def _replace(file: Path, raw: bytes, before: bytes | None) -> None:
    """Put the new content in place in one step. Raises FunctionsError when the file is not what was read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        if before is None:
            os.chmod(name, 0o666 & ~_umask())
        else:
            shutil.copymode(file, name)
        now = file.read_bytes() if file.exists() else None
        if now != before:
            raise FunctionsError(
                "the file was changed while it was being written", where=str(file), remedy="Run the same command again."
            )
        os.replace(name, file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _restore(file: Path, written: bytes, before: bytes | None) -> None:
    """Take back what was written, unless somebody has edited the file since."""
    if not file.exists() or file.read_bytes() != written:
        return
    if before is None:
        file.unlink()
    else:
        _replace(file, before, written)
