"""Why a language model gave no answer about a task: errors that name the task, what was wrong and what to do."""

from __future__ import annotations

from adapter.errors import BackendError


class LlmError(BackendError):
    """No answer about one task; the others are not touched by it."""


class Unusable(LlmError):
    """The model answered, and the answer names no label."""


class Spent(LlmError):
    """The budget does not allow another call."""


class Down(LlmError):
    """The endpoint is down, or refuses us altogether: no other task would be answered now either.

    lasting: whether waiting does not help (a wrong key, an unknown model)."""

    lasting = False


class Refused(Down):
    """The endpoint refuses the key, the model or the account, or our own books cannot be kept: nothing is asked."""

    lasting = True


class NotConfigured(Refused):
    """There is no endpoint to ask."""
