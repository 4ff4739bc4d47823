"""The child process that calls an author's labeling functions; started by `adapter.engines.process`, imports little.

Votes, confidences and the place of the call in progress are written straight into memory shared with the parent, so
that a killed or dead worker loses nothing but the call it died in. What it tells its parent is plain JSON, one message
a line: an author's code can write there too, and nothing that it writes may be run.
"""

from __future__ import annotations

import contextlib
import gc
import json
import mmap
import os
import resource
import signal
from multiprocessing.connection import Connection
from typing import Any

from adapter.engines.calls import Caller, Replace
from adapter.errors import FunctionsError

_dumps, _write, _leave = json.dumps, os.write, os._exit


def main(inbox: int, outbox: int, memory_fd: int, memory_mb: int, cells: int) -> None:
    """Serve the parent until it closes the pipe: `load` orders, then chunks of rows."""

    def tell(*message: Any) -> None:
        line = b"\n" + _dumps(message).encode() + b"\n"  # a line of its own, whatever an author's code has written
        while line:
            line = line[_write(outbox, line) :]

    reader = Connection(inbox, writable=False)
    limit = memory_mb * 1024 * 1024
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where the parent runs in a shell's background
    memory = mmap.mmap(memory_fd, 0)
    if hasattr(mmap, "MADV_DONTFORK"):  # a fork by an author's function must never go on in our loop: it would vote too
        memory.madvise(mmap.MADV_DONTFORK)
    gc.freeze()  # what is loaded so far is not looked through again and again
    caller: Caller | None = None
    with contextlib.suppress(EOFError, OSError, Replace):
        while True:
            message = reader.recv()
            if message[0] == "load":
                try:
                    caller = Caller(message[1], memory, cells, limit, tell)
                    tell("loaded")
                except FunctionsError as error:
                    tell("refused", error.what, error.where, error.remedy)
            elif caller is not None:
                tell("done", caller.chunk(reader.recv_bytes(), message[1]))
    _leave(0)  # at once: an author's threads and exit handlers have no say
