"""The official ML backend server with the same scikit-learn model, for `benchmarks.predict --peer`.

It runs in an environment of its own that has label-studio-ml, gunicorn and scikit-learn, in this repository's folder:

    gunicorn --workers 1 --threads 8 --bind 127.0.0.1:9095 benchmarks.peer:app

The model is fitted once, when the process starts: the official examples do it per request, which would flatter ours.
"""

from __future__ import annotations

from typing import Any

from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase

from benchmarks.same_model import LABELS, fitted, texts

TRAINING, SEED = 1_000, 7

_pipeline = fitted(*texts(TRAINING, SEED))


class Peer(LabelStudioMLBase):
    """Predicts with the pipeline of the process."""

    def predict(self, tasks: list[dict[str, Any]], context: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return one prediction a task."""
        rows = _pipeline.predict_proba([task["data"]["text"] for task in tasks])
        return [
            {
                "result": [
                    {
                        "from_name": "label",
                        "to_name": "text",
                        "type": "choices",
                        "value": {"choices": [LABELS[int(row.argmax())]]},
                    }
                ],
                "score": float(row.max()),
                "model_version": "peer-1",
            }
            for row in rows
        ]


app = init_app(model_class=Peer)
