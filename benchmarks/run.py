"""Run the benchmarks and write ``RESULTS.md``: ``python -m benchmarks.run [--only WORD] [--rounds 3] [--quick]``.

Contenders of a cell take turns, round by round, each run in a process of its own; a ratio is to the anchor of the same
round, and medians are of rounds. Before a contender is timed on a source, one run of it is compared with what was
written, byte for byte. What is measured is kept in ``results.json`` beside this file, so that single cells can be run
anew.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.link import Link
from benchmarks.report import write_report
from benchmarks.samples import KINDS

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
FOLDERS = {"raw": "memmap", "mlstac_block": "mlstac_"}
LOCAL = ("memmap", "mlstac_", "mosaicml", "litdata_", "webdataset_", "files")
REMOTE = ("raw", "mlstac_", "mlstac_block", "mosaicml", "litdata_", "webdataset_", "files")
REMOTE_WORKERS = {"mosaicml": 2, "webdataset_": 2, "files": 2}
"""What each does best with, remotely; locally all read in the process."""


@dataclass(frozen=True)
class Cell:
    """One row of comparisons: the same task for several contenders, the first of them the anchor."""

    name: str
    kind: str
    mode: str = "epoch"
    shuffle: bool = False
    latency_s: float | None = None
    """None for local reading."""
    cap: float = 0.0
    contenders: tuple[str, ...] = field(default=LOCAL)
    limit_s: int = 120


CELLS = [
    *(
        Cell(f"local {kind} {order}", kind, shuffle=order == "shuffled")
        for kind in KINDS
        for order in ("in order", "shuffled")
    ),
    Cell("local chips single", "chips", mode="take", contenders=("memmap", "mlstac_", "mosaicml", "litdata_", "files")),
    *(
        Cell(f"remote {kind} {order} {rate}", kind, shuffle=order == "shuffled", latency_s=0.025, cap=cap,
             contenders=REMOTE if order == "shuffled" else tuple(name for name in REMOTE if name != "mlstac_block"))
        for kind in KINDS
        for rate, cap in (("100 MB/s", 100e6), ("1 GB/s", 1e9))
        for order in ("in order", "shuffled")
    ),
    Cell("remote chips random 100 MB/s", "chips", mode="take", shuffle=True, latency_s=0.025, cap=100e6,
         contenders=("raw", "mlstac_", "mosaicml", "litdata_", "files")),
    Cell("write chips", "chips", mode="write"),
]  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure mlstac beside the machine's limits and its peers.")
    parser.add_argument("--only", default="", help="cells whose name has this word")
    parser.add_argument("--contender", action="append", help="only these (the anchor is always run)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples, one round: does it run?")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "mlstac-benchmarks")
    options = parser.parse_args()
    work = options.work / ("quick" if options.quick else "full")
    work.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.quick else {}
    for cell in CELLS:
        if options.only not in cell.name:
            continue
        names = [
            name
            for name in cell.contenders
            if not options.contender or name in options.contender or name == cell.contenders[0]
        ]
        found = measure(cell, names, work, 1 if options.quick else options.rounds, 10 if options.quick else 1)
        before = results.get(cell.name, {})
        # figures of another machine do not stand beside ours
        kept = before.get("contenders", {}) if options.contender and before.get("machine") == machine else {}
        results[cell.name] = {
            "kind": cell.kind,
            "cap": cell.cap,
            "mode": cell.mode,
            "machine": machine,
            "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            "contenders": {**kept, **found},
        }
        if not options.quick:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if options.quick:
        print("every cell ran")
    else:
        write_report(results, HERE / "RESULTS.md")


def measure(cell: Cell, names: list[str], work: Path, rounds: int, fraction: int) -> dict[str, Any]:
    """Rates of every contender of a cell.

    Returns
    -------
    dict
        By contender: medians over the rounds, and ``ratio`` to the anchor's rate of the same round.
    """
    count = KINDS[cell.kind].count // fraction
    if cell.mode != "write":
        for name in names:
            _prepare(name, cell.kind, count, work)
    link = (
        nullcontext()
        if cell.latency_s is None
        else Link(work / f"data-{count}", latency_s=cell.latency_s, cap=cell.cap)
    )
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with link as server:
        source = work / f"data-{count}" if server is None else server.url
        for number in range(-1, rounds):
            for name in names:
                if number == -1 and (cell.mode == "write" or runs[name]):
                    continue
                run = _run(cell, name, f"{source}", count, work, seed=number + 1, check=number == -1)
                if server is not None:
                    run |= server.stats()
                print(f"{cell.name:32} {name:14} {_line(run, check=number == -1)}", flush=True)
                if number >= 0:
                    runs[name].append(run)
    return {name: _summary(runs[name], runs[names[0]], cell.kind) for name in names}


def _prepare(name: str, kind: str, count: int, work: Path) -> None:
    folder = work / f"data-{count}" / kind / FOLDERS.get(name, name)
    if (folder.parent / f"{folder.name}.done").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    task = {"contender": FOLDERS.get(name, name), "mode": "write", "kind": kind, "count": count}
    run = _call(task | {"source": str(folder), "batch": 1}, 600)
    assert "error" not in run, f"{name} cannot write {kind}: {run['error']}"
    (folder.parent / f"{folder.name}.done").touch()


def _run(cell: Cell, name: str, source: str, count: int, work: Path, *, seed: int, check: bool) -> dict[str, Any]:
    task: dict[str, Any] = {
        "contender": name,
        "mode": cell.mode,
        "kind": cell.kind,
        "count": count,
        "batch": KINDS[cell.kind].batch,
        "shuffle": cell.shuffle,
        "seed": seed,
        "workers": REMOTE_WORKERS.get(name, 0) if "://" in source else 0,
        "source": f"{source}/{cell.kind}/{FOLDERS.get(name, name)}",
        "check": check,
    }
    if cell.mode == "take":
        task["numbers"] = np.random.default_rng(seed).choice(count, min(500, count), replace=False).tolist()
    scratch = Path(tempfile.mkdtemp(dir=work))
    if cell.mode == "write":
        task["source"] = str(scratch / "out")
    try:
        return _call(task | {"cache": str(scratch / "cache")}, cell.limit_s)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _call(task: dict[str, Any], limit_s: int) -> dict[str, Any]:
    """Do a task in a fresh process; an error is a result, not an end."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.cell", json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, cwd=HERE.parent, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {limit_s} s"}
    last = done.stdout.strip().rsplit("\n", 1)[-1]
    if done.returncode or not last.startswith("{"):
        return {"error": (done.stderr.strip().rsplit("\n", 1)[-1] or f"exit {done.returncode}")[:200]}
    found: dict[str, Any] = json.loads(last)
    return found


def _line(run: dict[str, Any], *, check: bool) -> str:
    if "error" in run:
        return f"FAILED: {run['error']}"
    if check:
        return "every byte is right"
    return f"{run['samples'] / run['seconds']:10,.0f} samples/s  first {run.get('first_s', 0):.3f} s"


def _summary(runs: list[dict[str, Any]], anchor: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    good = [run for run in runs if "error" not in run]
    if not good:
        return {"error": runs[0]["error"] if runs else "not run"}
    rate = [run["samples"] / run["seconds"] for run in good]
    ratios = [
        (run["samples"] / run["seconds"]) / (base["samples"] / base["seconds"])
        for run, base in zip(runs, anchor, strict=True)
        if "error" not in run and "error" not in base
    ]
    summary = {
        "rate": statistics.median(rate),
        "low": min(rate),
        "high": max(rate),
        "ratio": statistics.median(ratios) if ratios else None,
        "runs": len(good),
        "failed": len(runs) - len(good),
    }
    for name in ("first_s", "anon_mb", "spread", "requests", "connections", "peak_mb"):
        if all(name in run for run in good):
            summary[name] = statistics.median(run[name] for run in good)
    if all("bytes" in run for run in good):
        needed = KINDS[kind].sample_bytes
        summary["fetched_per_needed"] = statistics.median(run["bytes"] / run["samples"] / needed for run in good)
        # opening and the first batch are a large part of so short an epoch; who hands out all at its end has no rate
        streamed = [run for run in good if run.get("first_s", run["seconds"]) < run["seconds"] / 2]
        if len(streamed) == len(good):
            summary["after_first"] = statistics.median(
                (run["samples"] - KINDS[kind].batch) / (run["seconds"] - run["first_s"]) for run in streamed
            )
    return summary


def describe_machine() -> str:
    """Processor, cores, memory and versions, for the head of the results."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    return f"{cpu}, {cores} cores, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
