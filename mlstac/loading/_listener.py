"""What training loops look for in a loader, to tell it which epoch they are in."""

from typing import Protocol


class _Epochs(Protocol):
    @property
    def epoch(self) -> int: ...

    def set_epoch(self, epoch: int) -> None: ...


class EpochListener:
    """Stands where Lightning looks for a ``DistributedSampler``, and calls ``batch_sampler.sampler.set_epoch(epoch)``.

    It is told every epoch, that of a state that was loaded too. So unlike ``set_epoch`` of the batches themselves it
    does not go back to the first sample of the epoch in which they are.

    Parameters
    ----------
    batches : Batches or BatchStream
    """

    def __init__(self, batches: _Epochs) -> None:
        self._batches = batches

    @property
    def sampler(self) -> "EpochListener":
        """Itself; batches that had a ``sampler`` of their own would be taken for a ``DataLoader``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Begin another epoch."""
        if epoch != self._batches.epoch:
            self._batches.set_epoch(epoch)
