"""Open a dataset of many small samples to its first one, in a process of its own: time and anonymous memory.

``python -m benchmarks.opening '{"contender": "mlstac_", "source": …, "count": 1000000, …}'``. With ``warm``, the folder
of a small dataset, that one is opened first, so that every module is imported and the clock sees the opening alone;
without, the caller takes the time of the whole process.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.anonymous import Peak
from benchmarks.contenders import Batch, Case
from benchmarks.samples import KINDS, check_batch

KIND = "small"


def first_of(contender: Any, source: str, count: int, first: str) -> tuple[Iterator[Batch], Batch]:
    """Open a dataset, and take sample 0 or the first batch of a shuffled epoch; the iterator keeps it open."""
    case = Case(kind=KIND, count=count, source=source, batch=KINDS[KIND].batch, shuffle=first == "batch")
    batches = contender.take(case, [0]) if first == "sample" else contender.epoch(case)
    return batches, next(batches)


def open_dataset(task: dict[str, Any]) -> dict[str, float]:
    """Do one task.

    Parameters
    ----------
    task : dict
        ``contender``, ``source``, ``count``, ``first`` (``sample`` or ``batch``), ``warm`` (folder of 1,000 samples, or
        None), ``memory`` (watch it; such a run is not for its time).
    """
    contender = import_module(f"benchmarks.contenders.{task['contender']}")
    warm = first_of(contender, task["warm"], 1_000, task["first"]) if task.get("warm") else None
    peak = Peak() if task["memory"] else nullcontext()
    with peak:
        begun = time.perf_counter()
        batches, batch = first_of(contender, task["source"], task["count"], task["first"])
        seconds = time.perf_counter() - begun
    numbers = check_batch(KIND, batch[0].numpy(), np.asarray(batch[1]))
    assert numbers == [0] if task["first"] == "sample" else len(set(numbers)) == KINDS[KIND].batch
    del warm, batches
    return {"seconds": seconds} | ({"peak_mb": peak.mb} if isinstance(peak, Peak) else {})


if __name__ == "__main__":
    print("\n" + json.dumps(open_dataset(json.loads(sys.argv[1]))), flush=True)
    os._exit(0)  # some contenders leave threads behind that never end
