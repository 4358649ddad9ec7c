"""What the benchmarks compare: each module writes the same samples its own way and reads them as torch tensors.

A contender offers ``write(folder, kind, count)``, ``epoch(case)`` and, where its format can, ``take(case, numbers)``,
which yield (image, label) batches of torch tensors. Its options are those that its own documentation recommends for
the case; what had to be worked around is said in the module.
"""

from typing import Any, NamedTuple

Batch = tuple[Any, Any]
"""An image tensor and a label tensor, both with a leading batch axis."""


class Case(NamedTuple):
    """One thing to do: read this source in this manner."""

    kind: str
    count: int
    source: str
    """Folder, or URL of the folder, that ``write`` filled."""
    batch: int
    shuffle: bool = False
    workers: int = 0
    seed: int = 0
    cache: str = ""
    """An empty folder of this run, for contenders that must keep a copy."""
