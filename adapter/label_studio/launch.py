"""The embedded server's own program: Label Studio, bound to one port, tied to the life of the process that started it.

Run by path in a process of its own (`EmbeddedServer` does); it imports nothing of the adapter. Arguments: data folder,
host, port. Everything else comes in LABEL_STUDIO_* variables. It ends when its standard input closes, so it ends
together with its parent, however that dies.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

FOLDER_BUSY = 75
"""Exit code when another server runs on the same data folder."""
PATIENCE_S = 8.0
"""How long the lock is waited for: a server whose parent was killed takes a moment to end, its children too."""


def end_with_parent() -> None:
    """Wait for standard input to close, then end politely, then at once."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(5)
    os._exit(1)


def hold_folder(folder: Path) -> object:
    """Take the data folder's lock for the life of this process; exit when another server has it."""
    file = (folder / "lock").open("a")
    try:
        import fcntl
    except ImportError:  # no advisory locks on Windows: the port is then the only guard
        return file
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            print(f"another Label Studio runs on the data folder {folder}", file=sys.stderr, flush=True)
            sys.exit(FOLDER_BUSY)
        return file


def tune_sqlite(connection: Any, **_: object) -> None:
    """Let readers and a writer work side by side (write-ahead log), and let a second writer wait, not fail."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=wal")
            cursor.execute("PRAGMA busy_timeout=30000")


def main(folder: Path, host: str, port: str) -> None:
    """Serve until told to end."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    lock = hold_folder(folder)
    from django.db.backends.signals import connection_created  # type: ignore[import-untyped, unused-ignore]
    from label_studio import server  # type: ignore[import-not-found, import-untyped, unused-ignore]

    connection_created.connect(tune_sqlite, weak=False)
    serve = server._app_run

    def run(**where: Any) -> None:
        # A line for each request would fill the log twice over, and some addresses hold invitation tokens.
        # A filter, since Django configures its loggers once more when it begins to serve.
        logging.getLogger("django.server").addFilter(lambda record: record.levelno >= logging.ERROR)
        serve(**where)

    server._app_run = run
    # By itself it moves on to the next free port, where nobody would look for it.
    server._get_free_port = lambda wanted, debug: wanted
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.argv = ["label-studio", "start", "--no-browser", "--internal-host", host, "--port", port]
    server.main()
    del lock


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
