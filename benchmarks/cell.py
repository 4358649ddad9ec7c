"""One cell of a table, in a process of its own: ``python -m benchmarks.cell '{"contender": "mlstac", …}'``.

The answer is one line of JSON. The clock starts after the imports and before anything is opened, and stops with the
last batch; every batch's samples are told by their numbers while it runs, and with ``"check": true`` compared byte
for byte (such a run is not for its time).
"""

import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import Batch, Case
from benchmarks.samples import KINDS, check_batch


def run_cell(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task.

    Parameters
    ----------
    task : dict
        ``contender``, ``mode`` (``epoch``, ``take`` or ``write``), the fields of `Case`, ``check``, ``numbers`` (take).

    Returns
    -------
    dict
        ``samples``, ``seconds``, ``first_s`` (to the first batch), ``anon_mb`` (peak of anonymous memory, above the
        imports, with child processes), ``spread`` (mean distance of two samples of a batch over that of a uniform
        shuffle: 1 is a full shuffle).
    """
    contender = import_module(f"benchmarks.contenders.{task['contender']}")
    case = Case(**{name: task[name] for name in Case._fields if name in task})
    before = _anonymous_mb()
    start = time.perf_counter()
    if task["mode"] == "write":
        Path(case.source).mkdir(parents=True, exist_ok=True)
        contender.write(Path(case.source), case.kind, case.count)
        seconds = time.perf_counter() - start
        return {"samples": case.count, "seconds": seconds, "peak_mb": _peak_mb()}
    numbers = task.get("numbers")
    batches = contender.epoch(case) if numbers is None else contender.take(case, numbers)
    seen: list[int] = []
    first, peak, distances = 0.0, 0.0, []
    for step, batch in enumerate(batches):
        if not seen:
            first = time.perf_counter() - start
        got = check_batch(case.kind, *_arrays(batch)) if task.get("check") else _numbers(batch)
        seen += got
        if step % 16 == 0:
            peak = max(peak, _anonymous_mb())
        if len(got) > 1:
            distances.append(float(np.abs(np.diff(got)).mean()))
    seconds = time.perf_counter() - start
    expected = sorted(numbers) if numbers is not None else list(range(case.count))
    # Torch's DataLoader is given whole epochs: anything lost or repeated is an error of the contender, not a rate
    assert sorted(seen) == expected, f"{len(seen)} samples came, {len(set(seen))} of them distinct, of {len(expected)}"
    return {
        "samples": len(seen),
        "seconds": seconds,
        "first_s": first,
        "anon_mb": max(0.0, peak - before),
        "spread": float(np.mean(distances)) / (case.count / 3) if distances else 0.0,
    }


def _arrays(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    image, label = batch
    return image.numpy(), np.asarray(label)


def _numbers(batch: Batch) -> list[int]:
    head = batch[0].reshape(len(batch[0]), -1)[:, :2].numpy().astype(np.int64)
    found: list[int] = (head[:, 0] + (head[:, 1] << 12)).tolist()
    return found


def _anonymous_mb() -> float:
    """Anonymous memory of this process and its children."""
    me = os.getpid()
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if (int(folder.name) == me or int(fields["PPid"]) == me) and "RssAnon" in fields:
            total += int(fields["RssAnon"].split()[0])
    return total / 1000


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    assert set(KINDS)
    # Only the last line of the output is read: some contenders print on the way
    print("\n" + json.dumps(run_cell(json.loads(sys.argv[1]))), flush=True)
    sys.stdout.flush()
    # Some contenders leave threads behind that never end; the figures are out
    os._exit(0)
