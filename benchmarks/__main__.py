"""Run the benchmarks: `python -m benchmarks [NAME ...]`, all of them without a name. Peers are taken from addresses
in the environment (see each module); a benchmark without its peer says so and measures ours alone."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "pull",
    "push",
    "webhook",
    "predict",
    "agreement",
    "functions_declared",
    "functions_python",
    "functions_dask",
    "label_model",
    "embedding",
    "ranking",
    "rerank",
    "alignment",
    "llm",
    "warm_start",
)


def main() -> int:
    """Run each benchmark in a process of its own, so that none warms the next; return the number that failed."""
    names = sys.argv[1:] or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}")
        return 2
    return sum(
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0 for name in names
    )


if __name__ == "__main__":
    sys.exit(main())
