"""What a converter hands over: what the source says of itself, and its samples by split."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from mlstac.collection import Tensor
from mlstac.sample import Sample

Samples = Callable[[int], Generator[Sample, None, None]]
"""Given how many samples to leave out (those that an earlier run has written), the rest of a split."""


@dataclass
class Plan:
    """A source, looked at: nothing of its samples is held."""

    kind: str
    splits: dict[str, Samples]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    """What is known of tensors; the rest is inferred from the samples as they are written."""
    fields: dict[str, Any] = field(default_factory=dict)
    """Of the collection: title, license, tasks …"""
    image: str | None = None
    """The tensor that ``bands=`` speaks of."""
    label: str | None = None
    """The tensor that ``classes=`` speaks of."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Of each class folder, in the order of names; samples are read with what stands here by then."""
