"""Plain safetensors, one file a sample: what the first ML-STAC did, read with fsspec's HTTP a batch at a time."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load, load_file

from benchmarks.contenders import Batch, Case
from benchmarks.samples import make_samples


def write(folder: Path, kind: str, count: int) -> None:
    """Write one file a sample."""
    for number, sample in enumerate(make_samples(kind, count)):
        save_file(sample, folder / f"{number:07}.safetensors")


class _Files(torch.utils.data.Dataset):
    def __init__(self, case: Case) -> None:
        self.case = case
        self.remote = "://" in case.source

    def __len__(self) -> int:
        return self.case.count

    def __getitems__(self, numbers: list[int]) -> list[Batch]:
        names = [f"{self.case.source}/{number:07}.safetensors" for number in numbers]
        if not self.remote:
            samples = [load_file(name) for name in names]
        else:
            # Made here, not before the fork: fsspec's file systems refuse to be used on the other side of one
            found = fsspec.filesystem("http").cat(names)
            samples = [load(found[name]) for name in names]
        return [(sample["image"], sample["label"]) for sample in samples]


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one epoch, fully shuffled."""
    order = torch.Generator().manual_seed(case.seed)
    loader = torch.utils.data.DataLoader(
        _Files(case), case.batch, shuffle=case.shuffle, num_workers=case.workers, generator=order
    )
    yield from loader


def take(case: Case, numbers: list[int]) -> Iterator[Batch]:
    """Single samples: locally one by one, remotely a hundred at a time."""
    files = _Files(case)
    step = 100 if files.remote else 1
    for start in range(0, len(numbers), step):
        batch = files.__getitems__(numbers[start : start + step])
        yield torch.stack([image for image, _ in batch]), torch.from_numpy(np.array([int(label) for _, label in batch]))
