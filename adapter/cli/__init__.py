"""The command line: a command per verb, thin. `main` is the console script `hitl`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. Errors that a user can mend end in one sentence on stderr, never in a traceback."""
    from adapter.cli.root import app
    from adapter.errors import HitlError

    given = list(arguments) if arguments is not None else sys.argv[1:]
    try:
        app(given, prog_name="hitl")
    except HitlError as error:
        sys.stderr.write(f"hitl: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("hitl: interrupted; what was done so far is kept, and the same command goes on from there.\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away: nothing is wrong
        sys.exit(141)
    except Exception as error:
        from adapter.cli.crash import report_crash

        sys.stderr.write(report_crash(error))
        sys.exit(70)


__all__ = ["main"]
