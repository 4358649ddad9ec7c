"""This library: shards of 256 MB, ``ds.batches`` as torch tensors, no workers."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet  # noqa: F401  # the clock starts after imports, for everybody
import torch  # noqa: F401

import mlstac.frameworks.torch  # noqa: F401
from benchmarks.contenders import Batch, Case
from benchmarks.samples import make_samples
from mlstac import load
from mlstac import write as write_dataset


def write(folder: Path, kind: str, count: int) -> None:
    """Author the dataset from a generator of dicts; without the card and its pictures, which no peer makes."""
    write_dataset(make_samples(kind, count), folder, id=kind, license="CC0-1.0", tasks=["pretraining"], card=False)


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one epoch, in order or fully shuffled."""
    dataset = load(case.source, framework="torch")
    for batch in dataset.batches(case.batch, shuffle=case.shuffle, seed=case.seed):
        yield batch["image"], batch["label"]


def take(case: Case, numbers: list[int]) -> Iterator[Batch]:
    """Samples: locally one by one, remotely a hundred at a time."""
    dataset = load(case.source, framework="torch")
    if "://" not in case.source:
        for number in numbers:
            sample = dataset[number]
            yield sample["image"][None], sample["label"][None]
        return
    for start in range(0, len(numbers), 100):
        batch = dataset[numbers[start : start + 100]]
        yield batch["image"], batch["label"]
