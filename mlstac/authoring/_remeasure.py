"""Statistics of samples that are there: taken again from their values."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mlstac.authoring._block import CHUNK_BYTES, Measures, Measuring
from mlstac.authoring._description import Description
from mlstac.authoring._measuring import MEASURED, measuring_in
from mlstac.authoring._summary import describe_measures
from mlstac.authoring._values import Encoded, encode
from mlstac.collection import Collection, Tensor


def measure_samples(samples: Iterable[Mapping[str, Any]], collection: Collection) -> dict[str, Tensor]:
    """Measure samples as a writer does those of the train split.

    Parameters
    ----------
    samples : iterable of mapping of str to numpy.ndarray
    collection : Collection
        What it says of the tensors decides how they are measured: bands, nodata, classes.

    Returns
    -------
    dict of str to Tensor
        The collection's tensors with the statistics and class counts of these samples; integers are summed exactly.
    """
    description = Description(collection)
    measuring = measuring_in(MEASURED, description)
    ways = {name: measuring(name, tensor.dtype) for name, tensor in description.tensors.items() if tensor.dtype}
    tallies = {name: _Tally(way) for name, way in ways.items() if way is not None}
    for sample in samples:
        for name, tally in tallies.items():
            if sample.get(name) is not None:
                tally.add(encode(sample[name], dtype=description.dtype(name)))
    merged = {name: measures for name, tally in tallies.items() if (measures := tally.result()) is not None}
    return describe_measures(description.tensors, merged)


class _Tally:
    """Measures of one tensor, taken some MiB at a time."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring
        self._waiting: list[Encoded] = []
        self._nbytes = 0
        self._merged: Measures | None = None

    def add(self, encoded: Encoded) -> None:
        self._waiting.append(encoded)
        self._nbytes += len(encoded.data)
        if self._nbytes >= CHUNK_BYTES:
            self._take()

    def result(self) -> Measures | None:
        """Of all; None of none."""
        self._take()
        return self._merged

    def _take(self) -> None:
        if self._waiting:
            data = np.concatenate([encoded.data for encoded in self._waiting])
            lengths = [len(encoded.data) for encoded in self._waiting]
            found = self._measuring.measure(data, lengths, [encoded.shape for encoded in self._waiting])
            self._merged = found if self._merged is None else self._merged.merge(found)
        self._waiting, self._nbytes = [], 0
