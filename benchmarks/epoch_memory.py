"""Peak of anonymous memory over an epoch of ``ds.batches``, above the imports, beside the bound that holds for it.

``python -m benchmarks.epoch_memory '{"source": …, "kind": "chips", "shuffle": true, "in_flight": 256000000}'``. The
consumer is slower than the reader, so that everything that may be read ahead is. The bound: batch x prefetch, and the
bytes in flight, and 100 MB.
"""

import json
import sys
import time
from typing import Any

import torch  # noqa: F401  # imported before memory is looked at

import mlstac
import mlstac.loading
from benchmarks.anonymous import Peak
from benchmarks.samples import KINDS

PREFETCH = 2
REST = 100_000_000
THINK_S = 0.004
"""What the consumer takes for a batch."""


def run_epoch(task: dict[str, Any]) -> dict[str, float]:
    """Read an epoch and drop every batch.

    Parameters
    ----------
    task : dict
        ``source``, ``kind``, ``shuffle``, ``in_flight`` (bytes).

    Returns
    -------
    dict
        ``peak_mb``; ``bound_mb``.
    """
    spec = KINDS[task["kind"]]
    seen = []
    with Peak() as peak:
        dataset = mlstac.load(task["source"], framework="torch")
        options = {"shuffle": task["shuffle"], "prefetch": PREFETCH, "max_in_flight_bytes": task["in_flight"]}
        for batch in dataset.batches(spec.batch, **options):
            head = batch["image"].reshape(len(batch["image"]), -1)[:, :2].long()
            seen += (head[:, 0] + (head[:, 1] << 12)).tolist()
            time.sleep(THINK_S)
    assert sorted(seen) == list(range(len(dataset))), f"{len(seen)} samples came, {len(set(seen))} distinct"
    bound = spec.batch * spec.sample_bytes * PREFETCH + task["in_flight"] + REST
    return {"peak_mb": peak.mb, "bound_mb": bound / 1e6}


if __name__ == "__main__":
    print("\n" + json.dumps(run_epoch(json.loads(sys.argv[1]))), flush=True)
