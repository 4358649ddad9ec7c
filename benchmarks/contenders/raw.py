"""The remote limit: the same bytes by plain sockets into one fresh buffer a batch, a range a sample and tensor.

It reads the memmap's files, so it knows every address without a catalog, and asks for nothing else. In order it asks
for one range a batch and tensor.
"""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.contenders import Batch, Case
from benchmarks.raw import read_ranges
from benchmarks.samples import KINDS


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one epoch, received whole and then handed out."""
    order = np.random.default_rng(case.seed).permutation(case.count) if case.shuffle else np.arange(case.count)
    yield from _read(case, order.tolist(), merged=not case.shuffle)


def take(case: Case, numbers: list[int]) -> Iterator[Batch]:
    """Single samples, all asked at once."""
    yield from _read(case, numbers, merged=False)


def _read(case: Case, numbers: list[int], *, merged: bool) -> Iterator[Batch]:
    spec = KINDS[case.kind]
    # Labels are so small that their file is read whole, as a reader with a plan would do
    labels = read_ranges([(f"{case.source}/label.bin", 0, case.count * spec.label_bytes)])
    label = labels.view(spec.label[1]).reshape(case.count, *spec.label[0])
    size, url = spec.image_bytes, f"{case.source}/image.bin"
    if merged:
        ranges = [
            (url, start * size, min(start + case.batch, case.count) * size)
            for start in range(0, case.count, case.batch)
        ]
    else:
        ranges = [(url, number * size, (number + 1) * size) for number in numbers]
    image = read_ranges(ranges, connections=256).view(spec.image[1]).reshape(len(numbers), *spec.image[0])
    for start in range(0, len(numbers), case.batch):
        rows = numbers[start : start + case.batch]
        yield torch.from_numpy(image[start : start + case.batch]), torch.from_numpy(label[rows])
