"""Steps of an epoch of 1,000,000,000 samples, without data: order, addresses and plan of reads, and what they cost.

The samples are those of kind ``chips``, 2,404 in a shard of 256 MB, 1,000,000 in a part of the catalog. Everything that
a step does before bytes move is the library's own code; only the parts stand in for their Parquet files: they make the
same runs of addresses, and name the same shards, that reading the files would.
"""

import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.anonymous import Peak
from benchmarks.samples import KINDS
from mlstac.loading._addresses import Addresses
from mlstac.loading._catalog import Catalog
from mlstac.loading._layout import TensorLayout
from mlstac.loading._order import Order, block_rows, make_order
from mlstac.loading._pipeline import PLAN_SAMPLES
from mlstac.loading._plan import plan_reads
from mlstac.loading._shards import Shards
from mlstac.loading._stripes import Stripes

Integers = NDArray[np.int64]

SAMPLES, PART_SAMPLES, SHARD_BYTES, HEADER_BYTES = 1_000_000_000, 1_000_000, 256_000_000, 512
BATCH, WORLD, STEPS = 64, 4, 200
SPEC = KINDS["chips"]
SHARD_SAMPLES = -(-SHARD_BYTES // SPEC.sample_bytes)
PART_SHARDS = -(-PART_SAMPLES // SHARD_SAMPLES)
LAYOUTS = [
    TensorLayout(
        name, dtype, shape=shape, checksum_rows=1, required=True, layout="stacked", media_type=None
    )
    for name, dtype, shape in (("image", "U16", SPEC.image[0]), ("label", "I64", SPEC.label[0]))
]  # fmt: skip
SIZES = {"image": SPEC.image_bytes, "label": SPEC.label_bytes}


class SimulatedPart:
    """A part of the catalog: 1,000,000 rows, 415 full shards and one that is not."""

    url = "https://host/chips/train/"

    def __init__(self, number: int, shards: Shards) -> None:
        self._first_shard = number * PART_SHARDS
        self._shards = shards
        self._known: dict[str, Addresses] = {}

    def __len__(self) -> int:
        return PART_SAMPLES

    def addresses(self, layout: TensorLayout) -> Addresses:
        """Runs of one tensor, made when they are first asked for and kept."""
        if layout.name not in self._known:
            files = np.array(
                [
                    self._shards.number(f"{self.url}{shard // 1000:03d}/{shard:06d}.safetensors", SHARD_BYTES)
                    for shard in range(self._first_shard, self._first_shard + PART_SHARDS)
                ]
            )
            starts = np.arange(PART_SHARDS) * SHARD_SAMPLES
            counts = np.diff(starts, append=PART_SAMPLES)
            size = np.full(PART_SHARDS, SIZES[layout.name])
            offsets = HEADER_BYTES + (counts * SPEC.image_bytes if layout.name == "label" else counts * 0)
            self._known[layout.name] = Addresses(PART_SAMPLES, starts, files, offsets, size, size)
        return self._known[layout.name]


def expected_address(tensor: str, samples: Integers) -> tuple[Integers, Integers]:
    """Shard and offset of samples, by arithmetic of its own."""
    part, row = samples // PART_SAMPLES, samples % PART_SAMPLES
    shard, place = row // SHARD_SAMPLES, row % SHARD_SAMPLES
    held = np.minimum(SHARD_SAMPLES, PART_SAMPLES - shard * SHARD_SAMPLES)
    begin = HEADER_BYTES + (held * SPEC.image_bytes if tensor == "label" else 0)
    return part * PART_SHARDS + shard, begin + place * SIZES[tensor]


def check(order: Order, catalog: Catalog, shuffle: bool | str) -> None:
    """Raise unless ranks share the global batches, samples come once, and addresses are right."""
    positions = np.arange(2_000_000, dtype=np.int64) + 700_000_000
    samples = order.at(positions)
    assert samples.min() >= 0
    assert samples.max() < SAMPLES
    assert len(np.unique(samples)) == len(samples)
    assert shuffle or np.array_equal(samples, positions)
    for step in (0, 1_234_567, SAMPLES // (BATCH * WORLD) - 1):
        ranks = [order.at(_stripes(rank).positions(range(step, step + 1))) for rank in range(WORLD)]
        whole = order.at(Stripes(SAMPLES, BATCH * WORLD, 0, 1, True).positions(range(step, step + 1)))
        assert np.array_equal(np.concatenate(ranks), whole)
    some = samples[:: len(samples) // 10_000]
    for layout in LAYOUTS:
        found = catalog.locate(layout, some)
        shard, offset = expected_address(layout.name, some)
        named = [int(catalog.shards[file].url[-18:-12]) for file in found.files.tolist()]
        assert np.array_equal(named, shard)
        assert np.array_equal(found.offsets, offset)
        assert (found.lengths == SIZES[layout.name]).all()


def _stripes(rank: int) -> Stripes:
    return Stripes(SAMPLES, BATCH, rank, WORLD, True)


def plan_steps(order: Order, catalog: Catalog, rank: int, steps: range) -> tuple[list[float], int]:
    """Seconds for the order, for the addresses and for the plan of some neighbouring steps, and the reads planned."""
    times = [time.perf_counter()]
    samples = order.at(_stripes(rank).positions(steps))
    times.append(time.perf_counter())
    located = [catalog.locate(layout, samples) for layout in LAYOUTS]
    times.append(time.perf_counter())
    reads = 0
    for first in range(0, len(samples), BATCH):
        files = np.concatenate([found.files[first : first + BATCH] for found in located])
        starts = np.concatenate([found.offsets[first : first + BATCH] for found in located])
        lengths = np.concatenate([found.lengths[first : first + BATCH] for found in located])
        reads += len(plan_reads(files, starts, starts + lengths).reads)
    times.append(time.perf_counter())
    return np.diff(times).tolist(), reads


def simulate(shuffle: bool | str) -> dict[str, Any]:
    """Time and memory of one kind of order.

    Returns
    -------
    dict
        Medians in µs a step of one rank, for a step planned alone and for one among 8,192 samples planned at once (as
        batches does once an epoch is under way); MB of the addresses of all 1,000 parts, and MB above them at the peak
        of the steps.
    """
    with Peak() as catalog_memory:
        shards = Shards()
        parts = [SimulatedPart(number, shards) for number in range(SAMPLES // PART_SAMPLES)]
        catalog = Catalog(parts, splits=[("train", len(parts), SAMPLES)], shards=shards)  # type: ignore[arg-type]
        for layout in LAYOUTS:
            for part in parts:
                part.addresses(layout)
    order = make_order(SAMPLES, shuffle=shuffle, seed=7, epoch=3, block=block_rows(LAYOUTS))
    last = _stripes(0).steps
    together = PLAN_SAMPLES // BATCH
    numbers = np.linspace(0, last - together, STEPS).astype(int).tolist()
    with Peak() as steps_memory:
        alone = [plan_steps(order, catalog, rank, range(step, step + 1)) for step in numbers for rank in range(WORLD)]
        plans = [plan_steps(order, catalog, step % WORLD, range(step, step + together)) for step in numbers]
    check(order, catalog, shuffle)
    return {
        "steps": last,
        "alone_us": [statistics.median(times[stage] for times, _ in alone) * 1e6 for stage in range(3)],
        "slowest_us": max(sum(times) for times, _ in alone) * 1e6,
        "planned_us": [statistics.median(times[stage] for times, _ in plans) * 1e6 / together for stage in range(3)],
        "reads": statistics.mean(reads for _, reads in alone),
        "catalog_mb": catalog_memory.left_mb,
        "steps_mb": steps_memory.mb,
    }


if __name__ == "__main__":
    print(json.dumps(simulate(json.loads(sys.argv[1])["shuffle"])))
