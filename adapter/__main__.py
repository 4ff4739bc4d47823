"""`python -m adapter` is `hitl`."""

from __future__ import annotations

from adapter.cli import main

if __name__ == "__main__":
    main()
