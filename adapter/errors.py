"""The error tree. Every error says what was wrong, where, and what to do next.

    HitlError
    ├── SettingsError            a key, type or range in a settings file or the environment
    ├── LabelConfigError         Label Studio's XML does not parse
    │   └── UnsupportedControl   it parses, but holds a control that we do not serve
    ├── LabelError               a label outside the label config
    ├── DataError                input data that cannot be read at all (single bad rows go to the rejects file instead)
    ├── FunctionsError           a labeling functions module that does not import or declares nonsense
    ├── EngineError              the cluster that labeling functions shall run on
    ├── BackendError             a model backend that cannot be loaded, fitted or asked
    ├── ModelError               a model version that does not exist, or whose files do not match its digest
    ├── StoreError               the store cannot be read or written
    │   ├── DiskFull             no space left; nothing was half-written
    │   └── SchemaMismatch       the store belongs to another version of the adapter
    ├── LeaseLost                another process took over the work
    └── PlatformError            Label Studio
        ├── PlatformUnreachable  down, refused connection, time-out
        ├── PlatformRefused      the token or the permission
        ├── PlatformNotFound     the project, task or view is gone
        └── PlatformRejected     it answered that our request is wrong, or accepted fewer items than were sent

The command line prints `str(error)` and exits with `error.exit_code`; it never shows a traceback for these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HitlError(Exception):
    """Base of all errors that a user can mend.

    what: one clause, what was wrong. where: file and line, key, task id or address. remedy: one sentence, what to do.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        head = head.rstrip(".")
        return f"{head}. {self.remedy}" if self.remedy else f"{head}."


class SettingsError(HitlError):
    """A key, type or range in a settings file or the environment is wrong: mend the named key in the named file."""

    exit_code = 2


class LabelConfigError(HitlError):
    """The label config does not parse: open it in Label Studio's labeling interface editor, which shows the place."""

    exit_code = 2


class UnsupportedControl(LabelConfigError):
    """The label config holds a control that is not served yet: remove it, or keep it in a project of its own."""


class LabelError(HitlError):
    """A label is not listed in the label config: correct the label, or add it to the config."""

    exit_code = 2


class DataError(HitlError):
    """Input data cannot be read: check path, format and columns."""

    exit_code = 2


class FunctionsError(HitlError):
    """A labeling functions module cannot be used: run it with plain Python and mend what it reports."""

    exit_code = 2


class EngineError(HitlError):
    """The cluster that runs labeling functions is not there or gave up: start it, or set `engine.kind: local`."""

    exit_code = 3


class BackendError(HitlError):
    """A model backend cannot be loaded, fitted or asked: check its dotted path and options."""


class ModelError(HitlError):
    """A model version is unknown or its files are not what they were: list the versions with `hitl model list`."""


class StoreError(HitlError):
    """The store cannot be read or written: check its URL and permissions with `hitl doctor`."""


class DiskFull(StoreError):
    """No space is left; nothing was half-written: free space and run the same command again."""


class SchemaMismatch(StoreError):
    """The store belongs to another version of the adapter: use that version, or let this one migrate a copy."""


class LeaseLost(HitlError):
    """Another process holds the lease now: stop this one; its work goes on there."""


class PlatformError(HitlError):
    """Label Studio did not do what was asked."""

    exit_code = 3


class PlatformUnreachable(PlatformError):
    """Label Studio is down or the address is wrong: start it, or mend `label_studio.url`; the loop goes on by
    itself."""


class PlatformRefused(PlatformError):
    """Label Studio refuses the token or lacks a permission: set HITL_LABEL_STUDIO_TOKEN to a valid token."""


class PlatformNotFound(PlatformError):
    """The project, task or view is gone in Label Studio: nothing in our store was lost; attach or create a project."""


class PlatformRejected(PlatformError):
    """Label Studio rejected a request, or accepted fewer items than were sent: the message names them."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return advice that names the valid word nearest to `word`, or lists the valid ones when none is near."""
    words = sorted(valid)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Valid: {', '.join(words)}." if words else ""
