"""A tiny convolutional network, to show that what was loaded can be learned from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from mlstac.loading import Dataset

BATCH = 10


class Score(NamedTuple):
    """How well a network does on samples that it was not trained on."""

    accuracy: float
    """Share of pixels given the right class."""

    majority: float
    """What always answering the most frequent class would reach."""


def train_network(
    train: Dataset, validation: Dataset, *, epochs: int, seed: int, report: Callable[[int, float, Score], None]
) -> Any:
    """Train on one split, and score on another after every epoch.

    Parameters
    ----------
    train, validation : Dataset
        Normalised, with framework torch; tensors ``input`` (band, y, x) and ``target`` (y, x).
    epochs, seed : int
        The seed fixes the network's first weights and the order of samples: two runs print the same numbers.
    report : callable
        Told the epoch (from 1), the mean loss and the score on `validation` after each epoch.

    Returns
    -------
    torch.nn.Module
        Answers (batch, 2, y, x) scores for (batch, band, y, x).
    """
    import torch
    from torch import nn

    with _settled(seed):
        bands = len(train.tensors["input"].bands)
        network = nn.Sequential(
            nn.Conv2d(bands, 32, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(32, 2, kernel_size=3, padding=1),
        )
        optimiser = torch.optim.Adam(network.parameters())
        steps = epochs * -(-len(train) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-2, total_steps=steps)
        for epoch in range(epochs):
            losses = []
            for batch in train.batches(BATCH, shuffle=True, seed=seed, epoch=epoch):
                loss = nn.functional.cross_entropy(network(batch["input"]), batch["target"].long())
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                losses.append(float(loss.detach()))
            report(epoch + 1, sum(losses) / len(losses), score_network(network, validation))
    return network


@contextmanager
def _settled(seed: int) -> Iterator[None]:
    """Fix torch's random numbers, and compute in one thread; the caller finds both as they were.

    So small a network waits for its threads longer than it computes.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def score_network(network: Any, dataset: Dataset) -> Score:
    """Count the pixels that a network gets right, and those of the most frequent class."""
    import torch

    right, ones, pixels = 0, 0, 0
    with torch.no_grad():
        for batch in dataset.batches(BATCH):
            answer = network(batch["input"]).argmax(dim=1)
            right += int((answer == batch["target"]).sum())
            ones += int(batch["target"].sum())
            pixels += batch["target"].numel()
    return Score(right / pixels, max(ones, pixels - ones) / pixels)
