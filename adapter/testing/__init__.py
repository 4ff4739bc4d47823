"""Label Studio in memory, for your tests and for simulations: `MemoryPlatform` and `MemoryDesk`.

They pass the same contract suite as the real server (`tests/contract/test_platform_contract.py`), so what they do is
what Label Studio Community 1.23 does: order of serving, overlap, task locks, predictions dropped in silence. Nothing is
random but by `seed`, time comes from `now`, and all calls are thread-safe.

    platform = MemoryPlatform()
    project = platform.create_project("demo", CONFIG)
    platform.import_tasks(project.id, [NewTask("a", {"text": "hello"})])
    ann = platform.desk(project.id, "ann")
    ann.submit(ann.next_task().task_id, result, lead_time=2.0)
"""

from __future__ import annotations

from adapter.testing.platform import MemoryPlatform
from adapter.testing.server import MemoryDesk

__all__ = ["MemoryDesk", "MemoryPlatform"]
