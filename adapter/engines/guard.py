"""What an author's function may leave behind in its worker, to the harm of the functions after it: looked for after
each column, undone where that is possible, and named."""

from __future__ import annotations

import _thread
import builtins
import os
import signal
import sys
import time
from operator import is_
from types import ModuleType
from typing import Any

# Bound here, so that what an author's function puts in their place does not reach us.
_all, _map, _list, _len, _int, _open, _zip = all, map, list, len, int, open, zip
_trace, _profile = (sys.gettrace, sys.settrace), (sys.getprofile, sys.setprofile)
_count, _waitpid = _thread._count, os.waitpid

LEFT, MOST = 8, 64
"""Threads or children that a function may leave behind in one chunk, and all together in a worker; with more it is
replaced."""
_GONE = object()


class Guard:
    """Knows how things were when the worker had loaded its functions."""

    def __init__(self) -> None:
        self._modules: list[tuple[ModuleType, list[str], list[Any]]] = []
        for module in (builtins, time, signal, os):
            known = {name: value for name, value in vars(module).items() if name != "_"}
            self._modules.append((module, _list(known), _list(known.values())))
        self._tracing = _trace[0](), _profile[0]()
        self._first = {"threads": _count(), "child processes": _children()}
        self._running = dict(self._first)

    def mend(self) -> list[str]:
        """Put back what was replaced in `builtins`, `time`, `signal` and `os`; return the names."""
        changed = []
        for module, names, values in self._modules:
            now = module.__dict__
            if not _all(_map(is_, _map(now.get, names), values)):
                for name, value in _zip(names, values):
                    if now.get(name, _GONE) is not value:
                        now[name] = value
                        changed.append(f"{module.__name__}.{name}")
        if _trace[0]() is not self._tracing[0]:
            _trace[1](self._tracing[0])
            changed.append("sys.settrace")
        if _profile[0]() is not self._tracing[1]:
            _profile[1](self._tracing[1])
            changed.append("sys.setprofile")
        return changed

    def left_running(self) -> str:
        """Say what the last column left running, once that is too much to go on in this worker; nothing otherwise."""
        for what, now in (("threads", _count()), ("child processes", _children())):
            grown, self._running[what] = now - self._running[what], now
            if grown > LEFT or (grown > 0 and now > self._first[what] + MOST):
                return what
        return ""


def _children() -> int:
    """Number of children of this process that live; the others are let go. 0 where the system does not tell."""
    try:
        while _waitpid(-1, os.WNOHANG)[0]:
            pass
    except OSError:  # none, as nearly always
        return 0
    found = 0
    try:
        for thread in os.listdir("/proc/self/task"):
            with _open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                found += _len(file.read().split())
    except (OSError, ValueError):
        return found
    return found


def memory_held() -> int:
    """Return the bytes of data that this process holds, as its limit counts them; 0 where the system does not tell."""
    try:
        with _open("/proc/self/statm", encoding="ascii") as file:
            return _int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
