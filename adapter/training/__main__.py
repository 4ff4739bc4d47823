"""`python -m adapter.training <folder>`: the child process of a training."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from adapter.training.child import main

if __name__ == "__main__":
    told = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.readline()
    sys.exit(main(Path(sys.argv[1]), json.loads(told or "{}")))
