"""`python -m adapter.training <folder>`: the child process of a training."""

from __future__ import annotations

import sys
from pathlib import Path

from adapter.training.child import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
