"""What ``compression="zstd"`` saves and costs on real imagery, level by level.

``python -m benchmarks.compression DATA [--mb 16] [--levels 1,3,9] [--write]``: DATA is a folder of real imagery (the
folders of `SETS` that are not there are left out). Each image is cut into chips of 64 x 64 pixels; the chips are
repeated until they make so many MB, for a few are too quick to time. A chip is a frame of its own, so that repeating
it does not make it compress any better.

Each kind of chips is written without compression and at each level, read back and compared, and then timed: writing
(with checksums and statistics), an epoch of batches in order from the local disk's cache, and single random samples.
Three rounds each, the best of them counts. ``--write`` puts the tables into ``benchmarks/COMPRESSION.md``.
"""

import argparse
import datetime
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import zstandard
from numpy.typing import NDArray

import mlstac

SIDE = 64
ROUNDS = 3
RANDOM_SAMPLES = 300

SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Sentinel-2 L1C, 13 bands, a flood": ("s2-s1-flood", ("*S2Hand.tif",)),
    "Sentinel-2 L1C, 13 bands, EuroSAT": ("eurosat-ms", ("**/*.tif",)),
    "Sentinel-2 L2A, 4 bands of 10 m": ("s2-majortom", ("B02.tif", "B03.tif", "B04.tif", "B08.tif")),
    "Landsat 8 L2, 4 bands": ("landsat8-l2", ("*_SR_B[2345].TIF",)),
    "Sentinel-1, float32 decibels": ("s2-s1-flood", ("*S1Hand.tif",)),
    "aerial photographs, RGB": ("rgb-aerial", ("**/*.tif",)),
    "masks of that flood": ("s2-s1-flood", ("*LabelHand.tif",)),
}


class Found(NamedTuple):
    """One kind of chips at one level."""

    ratio: float
    write_mb_s: float
    read_mb_s: float
    sample_ms: float


def read_chips(folder: Path, patterns: tuple[str, ...]) -> NDArray[Any]:
    """The chips of some images, shape (chip, band, 64, 64); single-band images of one scene are its bands."""
    files = [sorted(folder.glob(pattern)) for pattern in patterns]
    several = len(patterns) > 1 or "[" in patterns[0]
    paths = sorted(path for found in files for path in found)
    images = []
    for path in paths:
        with rasterio.open(path) as file:
            images.append(file.read())
    if several:
        images = [np.concatenate(images)]
    chips = [chip for image in images for chip in _cut(image)]
    return np.stack(chips)


def _cut(image: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for y in range(0, image.shape[1] - SIDE + 1, SIDE):
        for x in range(0, image.shape[2] - SIDE + 1, SIDE):
            yield image[:, y : y + SIDE, x : x + SIDE]


def best_seconds(work: Callable[[], None], *, before: Callable[[], None] = lambda: None) -> float:
    """The shortest of some rounds."""
    seconds = []
    for _ in range(ROUNDS):
        before()
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure(chips: NDArray[Any], folder: Path, *, compression: str | None, nbytes: int) -> Found:
    """Write, compare and time one dataset."""
    path = folder / "dataset"
    count = max(len(chips), nbytes // chips[0].nbytes)
    total = count * chips[0].nbytes

    def write() -> None:
        samples = ({"image": chips[number % len(chips)]} for number in range(count))
        mlstac.write(samples, path, id="speed", license="other", compression=compression, shard_size="32MB")

    write_s = best_seconds(write, before=lambda: shutil.rmtree(path, ignore_errors=True))
    stored = sum(file.stat().st_size for file in (path / "train").glob("*.safetensors*"))
    ds = mlstac.load(path, framework="numpy")
    at = 0
    for batch in ds.batches(50):
        wanted = chips[(at + np.arange(len(batch["image"]))) % len(chips)]
        assert np.array_equal(batch["image"].view(np.uint8), wanted.view(np.uint8)), "read other than was written"
        at += len(wanted)
    assert at == count

    def epoch() -> None:
        for _ in ds.batches(64):
            pass

    numbers = np.random.default_rng(0).integers(0, count, RANDOM_SAMPLES).tolist()

    def singles() -> None:
        for number in numbers:
            ds[number]

    read_s, single_s = best_seconds(epoch), best_seconds(singles)
    ds.close()
    return Found(total / stored, total / write_s / 1e6, total / read_s / 1e6, single_s / RANDOM_SAMPLES * 1e3)


def draw(name: str, chips: NDArray[Any], found: dict[str, Found]) -> str:
    """One table of Markdown."""
    shape = " × ".join(map(str, chips[0].shape))
    lines = [
        f"## {name}",
        "",
        f"{len(chips)} chips of {shape} {chips.dtype}, {chips[0].nbytes / 1e3:.1f} kB each.",
        "",
        "| compression | smaller by | written MB/s | epoch MB/s | one sample ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {level} | {one.ratio:.2f} × | {one.write_mb_s:,.0f} | {one.read_mb_s:,.0f} | {one.sample_ms:.2f} |"
        for level, one in found.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("data", type=Path, help="folder of real imagery")
    parser.add_argument("--mb", type=int, default=16, help="MB of chips of each kind")
    parser.add_argument("--levels", default="1,3,9")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/COMPRESSION.md")
    given = parser.parse_args()
    levels = [None, *(f"zstd:{level}" for level in given.levels.split(","))]
    tables = []
    for name, (folder, patterns) in SETS.items():
        if not (given.data / folder).is_dir():
            continue
        chips = read_chips(given.data / folder, patterns)
        found = {}
        for level in levels:
            with tempfile.TemporaryDirectory() as scratch:
                found[level or "none"] = measure(chips, Path(scratch), compression=level, nbytes=given.mb * 10**6)
        tables.append(draw(name, chips, found))
        print(tables[-1], flush=True)
    if given.write:
        when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        head = (
            "# Compression, measured\n\n"
            "Written by `python -m benchmarks.compression DATA --write`; [README](README.md) says what it does. "
            "Rates are of bytes before compression, and\nswing with what else the machine does; ratios do not.\n\n"
            f"{when}: {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
            f"Python {platform.python_version()}, zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}, "
            f"{given.mb} MB of each kind.\n\n"
        )
        (Path(__file__).parent / "COMPRESSION.md").write_text(head + "\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
