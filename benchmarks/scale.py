"""What does not fit a table of rates: ``python -m benchmarks.scale [--only WORD] [--rounds 5]``.

- ``billion``: steps of an epoch of 1,000,000,000 samples, simulated without data.
- ``opening``: 1,000, 20,000 and 1,000,000 small samples opened to the first.
- ``memory``: the peak over an epoch, beside its bound.

Everything runs in processes of its own, and answers are checked in them. What is found is kept in ``scale.json`` and
written to a section of ``RESULTS.md`` that `benchmarks.run` leaves as it is. The first run writes 2 GB to ``--work``,
which takes minutes.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.link import Link
from benchmarks.report import replace_scale
from benchmarks.run import describe_machine
from benchmarks.samples import KINDS

HERE = Path(__file__).parent
RESULTS = HERE / "scale.json"
COUNTS = (1_000, 20_000, 1_000_000)
PACKAGES = {"memmap": "numpy", "mlstac_": "mlstac", "mosaicml": "streaming"}
TITLES = {"memmap": "numpy memmap", "mlstac_": "**mlstac**", "mosaicml": "MosaicML Streaming"}
ORDERS = {False: "in order", True: "shuffled", "block": "block-shuffled"}

OPENING_WORDS = """\
Of 264 bytes each, local, files in the page cache. Time and peak of anonymous memory are above the imports (a dataset
of 1,000 samples was opened before in the same process); the last column is a whole fresh process, imports of torch
and all. The design asks for less than 150 ms and 60 MB to sample 0 of 1,000,000.""".splitlines()
BILLION_WORDS = """\
No data: 4 ranks x batches of 64 chips, 416,000 shards of 256 MB in 1,000 catalog parts, whose addresses are kept as
runs. What a rank does for a step before bytes move: order, addresses, plan of reads; steps from all over the epoch.
Columns in µs are of a step planned alone; `batches` plans 8,192 samples at once, which costs less a step. Memory is
that of all addresses and names of shards, and the most that the steps needed above it. Not in these figures: reading
the parts' Parquet files, once each.""".splitlines()
MEMORY_WORDS = """\
Anonymous memory above the imports, looked at every millisecond, with a consumer slower than the reader. The bound is
batch x prefetch (2) + `max_in_flight_bytes` + 100 MB. Remote: 25 ms latency, 1 GB/s.""".splitlines()


def call(module: str, task: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Do a task in a fresh process; what it found, and the seconds that the whole process took."""
    begun = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent, check=False)
    if done.returncode:
        last = (done.stderr.strip().rsplit("\n", 1)[-1] or f"exit status {done.returncode}")[:200]
        print(f"{module} {task}: {last}", file=sys.stderr)
        return {"error": last}, 0.0
    found: dict[str, Any] = json.loads(done.stdout.strip().rsplit("\n", 1)[-1])
    return found, time.perf_counter() - begun


def measure_billion() -> list[dict[str, Any]]:
    """One row for each kind of order."""
    return [{"order": shuffle} | call("billion", {"shuffle": shuffle})[0] for shuffle in (False, True, "block")]


def measure_opening(work: Path, rounds: int) -> list[dict[str, Any]]:
    """One row for each number of samples, first thing taken, and contender; contenders take turns."""
    names = [name for name, package in PACKAGES.items() if find_spec(package)]
    sources = {(name, count): str(_written(work, name, "small", count)) for name in names for count in COUNTS}
    rows = []
    for count in COUNTS:
        for first in ("sample", "batch"):
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
            for _ in range(rounds):
                for name in names:
                    task = {"contender": name, "source": sources[name, count], "count": count, "first": first}
                    warm, _ = call("opening", task | {"warm": sources[name, 1_000], "memory": False})
                    seen, _ = call("opening", task | {"warm": sources[name, 1_000], "memory": True})
                    cold, process_s = call("opening", task | {"warm": None, "memory": False})
                    runs[name].append(
                        {"seconds": warm["seconds"], "peak_mb": seen["peak_mb"], "process_s": process_s}
                        if not {"error"} & (warm.keys() | seen.keys() | cold.keys())
                        else {}
                    )
            for name in names:
                good = [run for run in runs[name] if run]
                row: dict[str, Any] = {"count": count, "first": first, "contender": name, "failed": rounds - len(good)}
                row |= {key: statistics.median(run[key] for run in good) for key in (good[0] if good else {})}
                rows.append(row)
                print(row, flush=True)
    return rows


def measure_memory(work: Path) -> list[dict[str, Any]]:
    """One row for each kind of sample, order, place and bound on bytes in flight."""
    rows = []
    for kind in KINDS:
        folder = _written(work, "mlstac_", kind, KINDS[kind].count)
        for remote in (False, True):
            with Link(folder, latency_s=0.025, cap=1e9) if remote else nullcontext() as server:
                source = str(folder) if server is None else server.url
                for shuffle in (False, True, "block"):
                    for in_flight in (256_000_000, 64_000_000) if remote else (256_000_000,):
                        task = {"source": source, "kind": kind, "shuffle": shuffle, "in_flight": in_flight}
                        row = {"kind": kind, "remote": remote, "shuffle": shuffle, "in_flight": in_flight}
                        rows.append(row | call("epoch_memory", task)[0])
                        print(rows[-1], flush=True)
    return rows


def _written(work: Path, name: str, kind: str, count: int) -> Path:
    """Folder of a dataset as a contender writes it; written once."""
    folder = work / f"{kind}-{count}" / name
    done = folder.with_name(f"{name}.done")
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        task = {"contender": name, "mode": "write", "kind": kind, "count": count, "source": str(folder), "batch": 1}
        found, _ = call("cell", task)
        assert "error" not in found, f"{name} cannot write {count} samples of kind {kind}: {found['error']}"
        done.touch()
    return folder


def write_section(results: dict[str, Any]) -> str:
    """What was found, as Markdown."""
    lines = [f"Machine: {describe_machine()}."]
    if "opening" in results:
        lines += ["", "## Opening small samples", "", *_opening_table(results["opening"]["rows"])]
        lines += ["", f"Measured {results['opening']['when']} UTC."]
    if "billion" in results:
        lines += ["", "## An epoch of 1,000,000,000 samples", "", *_billion_table(results["billion"]["rows"])]
        lines += ["", f"Measured {results['billion']['when']} UTC."]
    if "memory" in results:
        lines += ["", "## Peak memory over an epoch", "", *_memory_table(results["memory"]["rows"])]
        lines += ["", f"Measured {results['memory']['when']} UTC."]
    return "\n".join(lines) + "\n"


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in [columns, ["---"] * len(columns), *rows]]


def _opening_table(rows: list[dict[str, Any]]) -> list[str]:
    cells = []
    for row in rows:
        first = "sample 0" if row["first"] == "sample" else "first batch of a shuffled epoch"
        head = [f"{row['count']:,}", first, TITLES[row["contender"]]]
        if "seconds" not in row:
            cells.append([*head, "failed", "", ""])
            continue
        cells.append([*head, f"{row['seconds'] * 1e3:.1f}", f"{row['peak_mb']:.1f}", f"{row['process_s']:.2f}"])
    return [
        *OPENING_WORDS,
        "",
        *_table(["samples", "to", "reader", "ms", "anonymous MB", "process s"], cells),
    ]


def _billion_table(rows: list[dict[str, Any]]) -> list[str]:
    cells = []
    for row in rows:
        order = ORDERS[row["order"]]
        if "error" in row:
            cells.append([order, row["error"], *[""] * 7])
            continue
        alone, planned = row["alone_us"], row["planned_us"]
        cells.append(
            [order, *(f"{value:,.0f}" for value in alone), f"**{sum(alone) / 1e3:.2f}**",
             f"**{sum(planned) / 1e3:.2f}**", f"{row['reads']:.0f}", f"{row['catalog_mb']:.0f}",
             f"{row['steps_mb']:.1f}"]
        )  # fmt: skip
    return [
        *BILLION_WORDS,
        "",
        *_table(
            ["order", "order µs", "addresses µs", "plan µs", "ms a step, alone", "ms a step, together", "reads a step",
             "addresses MB", "steps MB"],
            cells,
        ),
    ]  # fmt: skip


def _memory_table(rows: list[dict[str, Any]]) -> list[str]:
    cells = []
    for row in rows:
        order = ORDERS[row["shuffle"]]
        head = [row["kind"], "remote" if row["remote"] else "local", order, f"{row['in_flight'] / 1e6:.0f}"]
        if "error" in row:
            cells.append([*head, row["error"], "", ""])
            continue
        share = row["peak_mb"] / row["bound_mb"]
        cells.append(
            [*head, f"{row['peak_mb']:.0f}", f"{row['bound_mb']:.0f}", f"{share:.2f}{' **over**' * (share > 1)}"]
        )
    return [
        *MEMORY_WORDS,
        "",
        *_table(["samples", "from", "order", "in flight MB", "peak MB", "bound MB", "of the bound"], cells),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure opening, memory, and a billion samples.")
    parser.add_argument("--only", default="", help="parts whose name has this word")
    parser.add_argument("--rounds", type=int, default=5, help="of opening")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "mlstac-benchmarks" / "scale")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    parts = {
        "billion": measure_billion,
        "opening": lambda: measure_opening(options.work, options.rounds),
        "memory": lambda: measure_memory(options.work),
    }
    for name, measure in parts.items():
        if options.only in name:
            results[name] = {"when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), "rows": measure()}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    section = write_section(results)
    print(section)
    replace_scale(HERE / "RESULTS.md", section)


if __name__ == "__main__":
    main()
