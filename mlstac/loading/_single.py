"""One local sample, by the shortest way: no batch of one is laid out, only its addresses are looked up.

What needs more than a copy of each tensor goes the way of batches: remote and compressed shards, checksums, bands and
windows, shapes that vary, converted values, encoded fields.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.loading._addresses import MISSING, PLAIN
from mlstac.loading._reader import Reader
from mlstac.loading._values import Output
from mlstac.loading._view import TensorView

Bytes = NDArray[np.uint8]


class Single:
    """Reads single samples of one catalog.

    Parameters
    ----------
    reader : Reader
    views : sequence of TensorView
    output : Output
    """

    def __init__(self, reader: Reader, views: Sequence[TensorView], output: Output) -> None:
        self._reader = reader
        self._output = output
        self._device = None if output.on_host else output.device
        self._tensors = [
            (view.name, view.layout, view.row_bytes, view.shape)
            for view in views
            if view.whole and view.row_bytes is not None and view.shape is not None and not output.changes(view)
        ]
        self._direct = reader.as_they_lie and len(self._tensors) == len(views) and not output.spreads(self._device)

    def read(self, row: int) -> dict[str, Any] | None:
        """A row of the catalog as tensors; None if it must be read as batches are.

        Raises
        ------
        MlstacError
            As reading a batch does.
        """
        if not self._direct:
            return None
        output, catalog = self._output, self._reader.catalog
        sample: dict[str, Any] = {}
        shards: dict[int, Bytes] = {}
        for name, layout, size, shape in self._tensors:
            file, offset, frame = catalog.locate_one(layout, row)
            if frame != PLAIN:
                return None
            if file == MISSING:
                continue
            if file not in shards:  # once a sample, as once a batch: each look sees whether the file has changed
                shards[file] = self._reader.shard(file)
            buffer = output.allocate(size)
            buffer[:] = shards[file][offset : offset + size]
            sample[name] = output.decoded(name, buffer, layout.dtype, shape, self._device)
        return sample
