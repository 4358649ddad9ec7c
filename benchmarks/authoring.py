"""How fast a dataset is written, beside a plain ``write()`` of the same bytes in the same run.

``python -m benchmarks.authoring [--samples 16000] [--rounds 5] [--folder DIR]``: random uint16 chips of 13 x 64 x 64
(106,496 bytes each), by default 1.7 GB, of which 2,000 are different. Every round writes the raw bytes to one file
(into the system's cache, which is what all is compared with; and again with an fsync at the end, as each of our shards
has one), then authors them with mlstac (sha256, xxh3 and statistics of each band), then in two processes by
``write_parts``, then without sha256, and without statistics too. The dataset card is left out of these and has a line
of its own: its pictures take a third of a second however large the dataset is, and the plain write has none. Each is
compared with the plain write of its own round, by the clock and by processor time (user and system, all threads and
processes), and the median of the rounds counts: on a machine that others use the clock says little.

At the end the steps that nobody can leave out are measured one by one, each in one thread with nothing beside it: their
sum, divided by the processors, is what no arrangement of them can go below.

Before any figure the dataset is read back with the stock safetensors reader and its statistics are compared with
numpy's over the whole array.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import safetensors.numpy
import xxhash
from numpy.typing import NDArray

import mlstac.authoring
from mlstac.authoring._statistics import measure as band_statistics
from mlstac.collection import Collection, Tensor

BAND_AXIS = "band y x"
PLAIN = "plain write"


class Cost(NamedTuple):
    """Of one GB."""

    seconds: float
    processor: float
    """Seconds of processor time, user and system, of all threads."""


class NoDigest:
    """Stands in for sha256, to see what it costs."""

    def update(self, data: Any) -> None:
        """Take the bytes and do nothing."""

    def hexdigest(self) -> str:
        """As many digits as sha256 has."""
        return "0" * 64


def measure_nothing(name: str, dtype: str) -> None:
    """Stands in for the choice of what to measure, to see what statistics cost."""


def write_plain(chips: NDArray[np.uint16], folder: Path, *, samples: int, flushed: bool) -> None:
    """Write each chip's bytes to one file."""
    with open(folder / "plain.bin", "wb", buffering=0) as file:
        file.writelines(chips[number % len(chips)].data.cast("B") for number in range(samples))
        if flushed:
            os.fsync(file.fileno())


def author(chips: NDArray[np.uint16], folder: Path, *, samples: int, card: bool = False) -> None:
    """Write the chips as a dataset."""
    collection = Collection(id="speed", tensors={"image": Tensor(dims=BAND_AXIS)})
    given = ({"image": chips[number % len(chips)]} for number in range(samples))
    mlstac.authoring.write(given, folder / "dataset", collection, card=card)


_shared: dict[str, NDArray[np.uint16]] = {}
"""The chips, where processes that are forked find them."""


def read_part(start: int, stop: int) -> Iterator[dict[str, NDArray[np.uint16]]]:
    """The samples of one part."""
    chips = _shared["chips"]
    return ({"image": chips[number % len(chips)]} for number in range(start, stop))


def author_in_two(folder: Path, executor: Executor, *, samples: int) -> None:
    """Write the chips as a dataset of two parts."""
    collection = Collection(id="speed", tensors={"image": Tensor(dims=BAND_AXIS)})
    parts = [partial(read_part, start, start + samples // 2) for start in (0, samples // 2)]
    mlstac.authoring.write_parts(parts, folder / "dataset", collection, card=False, executor=executor)


def measure_steps(chips: NDArray[np.uint16], folder: Path) -> dict[str, float]:
    """Seconds a GB of each step that authoring cannot do without, in one thread: the best of three."""
    some = [chips[number % len(chips)] for number in range(1950)]
    buffers = [np.stack(some[start : start + 78]).view(np.uint8).reshape(-1) for start in range(0, len(some), 78)]
    gigabytes = sum(len(buffer) for buffer in buffers) / 1e9

    def copy() -> None:
        for number, chip in enumerate(some):
            at = number % 78 * chip.nbytes
            buffers[number // 78][at : at + chip.nbytes] = chip.view(np.uint8).reshape(-1)

    def write_flushed() -> None:
        with open(folder / "steps.bin", "wb", buffering=0) as file:
            file.writelines(buffer.data for buffer in buffers)
            os.fsync(file.fileno())

    def measure_bands() -> None:
        for buffer in buffers:
            band_statistics(buffer.view(np.uint16).reshape(-1, *chips.shape[1:]), band_axis=0)

    def digest() -> None:
        whole = hashlib.sha256()
        for buffer in buffers:
            whole.update(buffer)

    steps = {
        "sha256": digest,
        "xxh3": lambda: [xxhash.xxh3_64_intdigest(chip.data) for chip in some],
        "copy": copy,
        "statistics": measure_bands,
        "write and flush": write_flushed,
    }
    found = {}
    for name, step in steps.items():
        times = []
        for _ in range(3):
            begun = time.process_time()  # waiting for the disk is no work
            step()
            times.append(time.process_time() - begun)
        found[name] = min(times) / gigabytes
    (folder / "steps.bin").unlink()
    return found


def check(chips: NDArray[np.uint16], folder: Path) -> None:
    """Raise unless what was written is what was given."""
    author(chips, folder, samples=len(chips))
    shards = sorted((folder / "dataset" / "train").glob("*.safetensors"))
    start = 0
    for shard in shards:
        images = safetensors.numpy.load_file(shard)["image"]
        assert np.array_equal(images, chips[start : start + len(images)])
        start += len(images)
    assert start == len(chips)
    document = json.loads((folder / "dataset" / "collection.json").read_text())
    for number, band in enumerate(document["item_assets"]["image"]["bands"]):
        values = chips[:, number].astype(np.float64)
        said = band["statistics"]
        assert (said["count"], said["minimum"], said["maximum"]) == (values.size, values.min(), values.max())
        assert abs(said["mean"] / values.mean() - 1) < 1e-12
        assert abs(said["stddev"] / values.std() - 1) < 1e-9
    shutil.rmtree(folder / "dataset")


def measure(chips: NDArray[np.uint16], folder: Path, *, samples: int, rounds: int) -> dict[str, list[Cost]]:
    """What each way of writing cost in each round."""
    found: dict[str, list[Cost]] = {}
    gigabytes = samples * chips[0].nbytes / 1e9

    def timed(name: str, work: Any, *stand_ins: Any) -> None:
        with ExitStack() as stack:
            for one in stand_ins:
                stack.enter_context(one)
            before, begun = time.process_time(), time.perf_counter()
            work()
            seconds, processor = time.perf_counter() - begun, time.process_time() - before
        found.setdefault(name, []).append(Cost(seconds / gigabytes, processor / gigabytes))
        for path in (folder / "plain.bin", folder / "dataset"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def timed_in_two() -> None:
        """In processes that stand already; what they used is known when they have ended."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        name = "mlstac in two processes"
        with ProcessPoolExecutor(2, mp_context=get_context("fork")) as executor:
            list(executor.map(abs, range(8)))
            timed(name, lambda: author_in_two(folder, executor, samples=samples))
        more = resource.getrusage(resource.RUSAGE_CHILDREN)
        children = more.ru_utime - used.ru_utime + more.ru_stime - used.ru_stime
        found[name][-1] = found[name][-1]._replace(processor=found[name][-1].processor + children / gigabytes)

    _shared["chips"] = chips
    for _ in range(rounds):
        no_sha256 = mock.patch("mlstac.authoring._storing.sha256", NoDigest)
        no_statistics = mock.patch("mlstac.authoring._filling.measuring_in", return_value=measure_nothing)
        timed(PLAIN, lambda: write_plain(chips, folder, samples=samples, flushed=False))
        timed("plain write, flushed", lambda: write_plain(chips, folder, samples=samples, flushed=True))
        timed("mlstac", lambda: author(chips, folder, samples=samples))
        timed_in_two()
        timed("mlstac with its card", lambda: author(chips, folder, samples=samples, card=True))
        timed("mlstac without sha256", lambda: author(chips, folder, samples=samples), no_sha256)
        timed("  nor statistics", lambda: author(chips, folder, samples=samples), no_sha256, no_statistics)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=16000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    chips = np.random.default_rng(0).integers(0, 10_000, (min(options.samples, 2000), 13, 64, 64), dtype=np.uint16)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        check(chips, Path(folder))
        author(chips, Path(folder), samples=options.samples)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        shutil.rmtree(Path(folder) / "dataset")
        costs = measure(chips, Path(folder), samples=options.samples, rounds=options.rounds)
        steps = measure_steps(chips, Path(folder))
    print(f"{'':<24}     MB/s   of plain write   processor s/GB   of plain write's")
    for name, some in costs.items():
        seconds, processor = (statistics.median(values) for values in zip(*some, strict=True))
        pairs = list(zip(costs[PLAIN], some, strict=True))
        rate = statistics.median(plain.seconds / cost.seconds for plain, cost in pairs)
        work = statistics.median(cost.processor / plain.processor for plain, cost in pairs)
        print(f"{name:<24} {1000 / seconds:8.0f}   {rate:14.2f}   {processor:14.2f}   {work:14.1f}")
    processors = os.cpu_count() or 1
    floor = sum(steps.values()) / processors
    plain = statistics.median(cost.seconds for cost in costs[PLAIN])
    print("s a GB in one thread: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in steps.items()))
    print(f"over {processors} processors at least {floor:.2f} s a GB: {plain / floor:.2f} of the plain write at best")
    print(f"{'peak memory':<24} {peak_mb:8.0f} MB, of which the chips are {chips.nbytes / 1e6:.0f}")


if __name__ == "__main__":
    main()
