"""crowd-kit's methods on votes from a file, for `benchmarks.crowd --peer`; runs in an environment that has crowd-kit.

python -m benchmarks.crowd_peer VOTES.npz METHOD ...   (arrays task, annotator, label; prints JSON: method to labels)
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd

SEED = 7


def models() -> dict[str, Any]:
    """Return crowd-kit's aggregators by the names of the table, with its own defaults and the tutorial's 100 rounds."""
    from crowdkit.aggregation import GLAD, MACE, DawidSkene, MajorityVote, OneCoinDawidSkene

    return {
        "majority": MajorityVote(),
        "dawid-skene": DawidSkene(n_iter=100),
        "one-coin": OneCoinDawidSkene(n_iter=100),
        "mace": MACE(n_iter=50, n_restarts=10, random_state=SEED),
        "glad": GLAD(),
    }


def main() -> None:
    """Fit the named methods and print their labels and seconds."""
    arrays = np.load(sys.argv[1])
    frame = pd.DataFrame({"task": arrays["task"], "worker": arrays["annotator"], "label": arrays["label"]})
    # one vote of a person on a task: crowd-kit's models are not written for more
    frame = frame.drop_duplicates(["task", "worker"])
    out: dict[str, Any] = {}
    for name in sys.argv[2:]:
        start = time.perf_counter()
        try:
            found = models()[name].fit_predict(frame)
        except Exception as error:  # a peer's failure is a result of the comparison
            out[name] = {"failed": f"{type(error).__name__}: {error}"}
            continue
        labels = found.reindex(range(int(frame.task.max()) + 1)).fillna(-1).astype(int).tolist()
        out[name] = {"labels": labels, "seconds": round(time.perf_counter() - start, 2)}
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
