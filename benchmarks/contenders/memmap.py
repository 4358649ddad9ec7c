"""The local limit: one numpy memmap a tensor, gathered by ``array[index]`` and handed to torch without a copy."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.contenders import Batch, Case
from benchmarks.samples import KINDS, make_sample


def write(folder: Path, kind: str, count: int) -> None:
    """Write two plain files."""
    spec = KINDS[kind]
    image = np.memmap(folder / "image.bin", spec.image[1], "w+", shape=(count, *spec.image[0]))
    label = np.memmap(folder / "label.bin", spec.label[1], "w+", shape=(count, *spec.label[0]))
    for number in range(count):
        sample = make_sample(kind, number)
        image[number], label[number] = sample["image"], sample["label"]


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one epoch, in order or fully shuffled."""
    image, label = _open(case)
    order = np.random.default_rng(case.seed).permutation(case.count) if case.shuffle else np.arange(case.count)
    for start in range(0, case.count, case.batch):
        rows = order[start : start + case.batch]
        if case.shuffle:
            yield torch.from_numpy(image[rows]), torch.from_numpy(label[rows])
        else:
            stop = start + len(rows)
            yield torch.from_numpy(np.array(image[start:stop])), torch.from_numpy(np.array(label[start:stop]))


def take(case: Case, numbers: list[int]) -> Iterator[Batch]:
    """Single samples, one after another."""
    image, label = _open(case)
    for number in numbers:
        yield torch.from_numpy(np.array(image[number]))[None], torch.from_numpy(np.array(label[number])[None])


def _open(case: Case) -> tuple[np.ndarray, np.ndarray]:
    spec = KINDS[case.kind]
    folder = Path(case.source)
    return (
        np.memmap(folder / "image.bin", spec.image[1], "r", shape=(case.count, *spec.image[0])),
        np.memmap(folder / "label.bin", spec.label[1], "r", shape=(case.count, *spec.label[0])),
    )
