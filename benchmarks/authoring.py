"""How fast a dataset is written, beside a plain ``write()`` of the same bytes in the same run.

``python -m benchmarks.authoring [--samples 4000] [--folder DIR]``: random uint16 chips of 13 x 64 x 64 (106,496 bytes
each), by default 426 MB. Every round writes the raw bytes to one file, then authors them with mlstac (sha256, xxh3 and
statistics of each band), then the same without sha256; the median of the rounds counts. Before any figure the dataset
is read back with the stock safetensors reader and its statistics are compared with numpy's over the whole array.
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
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

import mlstac.authoring
from mlstac.collection import Collection, Tensor

BAND_AXIS = "band y x"


class NoDigest:
    """Stands in for sha256, to see what it costs."""

    def update(self, data: Any) -> None:
        """Take the bytes and do nothing."""

    def hexdigest(self) -> str:
        """As many digits as sha256 has."""
        return "0" * 64


def write_plain(chips: NDArray[np.uint16], folder: Path, *, flushed: bool) -> None:
    """Write each chip's bytes to one file."""
    with open(folder / "plain.bin", "wb", buffering=0) as file:
        file.writelines(chip.data.cast("B") for chip in chips)
        if flushed:
            os.fsync(file.fileno())


def author(chips: NDArray[np.uint16], folder: Path) -> None:
    """Write the chips as a dataset."""
    collection = Collection(id="speed", tensors={"image": Tensor(dims=BAND_AXIS)})
    mlstac.authoring.write(({"image": chip} for chip in chips), folder / "dataset", collection)


def check(chips: NDArray[np.uint16], folder: Path) -> None:
    """Raise unless what was written is what was given."""
    author(chips, folder)
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


def measure(chips: NDArray[np.uint16], folder: Path, *, rounds: int) -> dict[str, float]:
    """Median MB/s of each way of writing."""
    found: dict[str, list[float]] = {}

    def timed(name: str, work: Any) -> None:
        begun = time.perf_counter()
        work()
        found.setdefault(name, []).append(chips.nbytes / 1e6 / (time.perf_counter() - begun))
        for path in (folder / "plain.bin", folder / "dataset"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    without = mock.patch("mlstac.authoring._shard.sha256", NoDigest)
    for _ in range(rounds):
        timed("plain write", lambda: write_plain(chips, folder, flushed=False))
        timed("plain write, flushed", lambda: write_plain(chips, folder, flushed=True))
        timed("mlstac", lambda: author(chips, folder))
        with without:
            timed("mlstac without sha256", lambda: author(chips, folder))
    begun = time.perf_counter()
    hashlib.sha256(chips.data.cast("B")).digest()
    found["sha256 alone"] = [chips.nbytes / 1e6 / (time.perf_counter() - begun)]
    return {name: statistics.median(rates) for name, rates in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=16000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    chips = np.random.default_rng(0).integers(0, 10_000, (options.samples, 13, 64, 64), dtype=np.uint16)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        check(chips, Path(folder))
        rates = measure(chips, Path(folder), rounds=options.rounds)
    for name, rate in rates.items():
        print(f"{name:<24} {rate:8.0f} MB/s   {rate / rates['plain write']:.2f} of plain write")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{'peak memory':<24} {peak_mb:8.0f} MB     of which the chips are {chips.nbytes / 1e6:.0f}")


if __name__ == "__main__":
    main()
