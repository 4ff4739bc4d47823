"""Data Manager views of the fake platform: what they show, in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapter.testing.state import TaskState


@dataclass
class ViewState:
    """A view of one data field. word: the text that the field must hold, whatever the capitals; empty: any text, and
    then the greatest text comes first. order: the data field whose numbers order the tasks, those without one last."""

    id: int
    field: str
    word: str = ""
    order: str = ""

    def shows(self, task: TaskState) -> bool:
        """Whether a task passes the filter."""
        said = task.data.get(self.field)
        if said in (None, ""):
            return False
        return not self.word or self.word.lower() in str(said).lower()

    def sorted(self, tasks: Iterable[TaskState]) -> list[TaskState]:
        """Return the tasks that the view shows, in its order."""
        shown = [task for task in tasks if self.shows(task)]
        if not self.order:
            return sorted(shown, key=lambda task: str(task.data[self.field]), reverse=True)
        return sorted(shown, key=lambda task: (*_number(task.data.get(self.order)), task.id))


def _number(value: object) -> tuple[bool, float]:
    try:
        return (False, float(str(value)))
    except ValueError:
        return (True, 0.0)
