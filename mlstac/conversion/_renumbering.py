"""Labels with other numbers than their source's, where the user gives its classes others."""

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.conversion._plan import Samples
from mlstac.errors import InvalidSampleError
from mlstac.sample import Sample

Changes = Mapping[str, Mapping[int, int]]
"""New value of each old one, by tensor."""


def renumbered(read: Samples, changes: Changes) -> Samples:
    """The same samples, with other numbers in their labels.

    Values that are of no class (255 for what is not to be learned) stay; reading raises InvalidSampleError where one of
    them would become one of another class by it, or a number does not fit the label's dtype.
    """

    def read_again(skip: int) -> Generator[Sample, None, None]:
        with closing(read(skip)) as samples:
            for number, sample in enumerate(samples, start=skip):
                for name, change in changes.items():
                    if name in sample.tensors:
                        what = f"{name!r} of sample {sample.id or number}"
                        sample.tensors[name] = _changed(sample.tensors[name], change, what)
                yield sample

    return read_again


def _changed(label: Any, change: Mapping[int, int], what: str) -> NDArray[Any]:
    old = np.asarray(label)
    new = old.copy()
    told = np.zeros(old.shape, bool)
    for value, to in change.items():
        here = old == value
        told |= here
        if here.any():
            if np.array(to).astype(old.dtype) != to:
                raise InvalidSampleError(
                    f"{what} is of {old.dtype}, which does not hold {to}; give the class another value"
                )
            new[here] = to
    strange = np.intersect1d(old[~told], list(change.values()))
    if len(strange):
        raise InvalidSampleError(
            f"{what} has the value {strange[0]}, which is of no class in the source and would be of one by the numbers "
            "given; give that class another value, or the classes the source's own numbers"
        )
    return new
