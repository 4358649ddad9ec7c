"""This library with ``shuffle="block"``: blocks of contiguous samples in random order, drawn from several at once."""

from collections.abc import Iterator

from benchmarks.contenders import Batch, Case
from benchmarks.contenders.mlstac_ import load, write

__all__ = ["epoch", "write"]


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one block-shuffled epoch."""
    dataset = load(case.source, framework="torch")
    for batch in dataset.batches(case.batch, shuffle="block" if case.shuffle else False, seed=case.seed):
        yield batch["image"], batch["label"]
