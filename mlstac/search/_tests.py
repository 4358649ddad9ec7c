"""Conditions that Arrow has no expression for: on geometry and on lists, decided by numpy and shapely.

Each is a `Test`: the column that it needs, and a function from that column to what it says of each row, null where
the row's value is null.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    import shapely

_TURNED = {"s_contains": "within", "s_within": "contains"}

SPATIAL = {
    name: _TURNED.get(name, name.removeprefix("s_"))
    for name in (
        *("s_intersects", "s_disjoint", "s_contains", "s_within"),
        *("s_equals", "s_touches", "s_crosses", "s_overlaps"),
    )
}
"""CQL2's spatial predicates of (row, region) by shapely's of (region, row): the first of two is the prepared one."""


class Test(NamedTuple):
    """A condition on one column."""

    column: str
    decide: Callable[[pa.Array], NDArray[np.bool_]]

    def answer(self, column: pa.Array) -> pa.Array:
        """What it says of each value: true, false, or null for null."""
        said = self.decide(column)
        return pa.array(said, mask=np.asarray(column.is_null().to_numpy(zero_copy_only=False)))


def spatial_test(name: str, region: "shapely.Geometry") -> Test:
    """A spatial predicate of the row's geometry and a region."""
    import shapely

    def decide(column: pa.Array) -> NDArray[np.bool_]:
        shapely.prepare(region)
        geometries = shapely.from_wkb(np.asarray(column.to_numpy(zero_copy_only=False)))
        said: NDArray[np.bool_] = getattr(shapely, SPATIAL[name])(region, geometries)
        return said

    return Test("geometry", decide)


def list_test(name: str, column: str, values: Sequence[Any], kind: pa.DataType) -> Test:
    """One of CQL2's array predicates of a list column and values of its kind.

    ``a_contains``: every value is in the list; ``a_containedby``: every item is among the values; ``a_overlaps``: one
    of them is; ``a_equals``: the list is the values, in their order.
    """
    given = pa.array(values, kind)

    def decide(array: pa.Array) -> NDArray[np.bool_]:
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        items = pc.list_flatten(array)  # without what lies under nulls
        owner = np.repeat(np.arange(len(lengths)), lengths)

        def count(which: Any) -> NDArray[np.int64]:
            hit = which.fill_null(False).to_numpy(zero_copy_only=False)
            return np.bincount(owner[hit], minlength=len(lengths))

        if name == "a_overlaps":
            said: NDArray[np.bool_] = count(pc.is_in(items, given)) > 0
            return said
        if name == "a_containedby":
            said = count(pc.is_in(items, given)) == lengths
            return said
        if name == "a_contains":
            held = np.ones(len(lengths), np.bool_)
            for value in given:
                held &= count(pc.equal(items, value)) > 0
            return held
        same: NDArray[np.bool_] = lengths == len(given)
        first = np.cumsum(lengths) - lengths
        for place, value in enumerate(given):
            rows = np.flatnonzero(same)
            equal = pc.equal(items.take(pa.array(first[rows] + place)), value).fill_null(False)
            same[rows] = equal.to_numpy(zero_copy_only=False)
        return same

    return Test(column, decide)


LISTS = ("a_contains", "a_containedby", "a_overlaps", "a_equals")
