"""Addresses that look right at both ends of a run, and are not between."""

import numpy as np
import pytest

from mlstac.loading._addresses import Rows, find_runs
from mlstac.loading._check import check_rows
from mlstac.loading._columns import RowError
from mlstac.loading._layout import TensorLayout

LAYOUT = TensorLayout("image", "U8", (10,), 1, True, "stacked", None)


def rows(offsets, size):
    count = len(offsets)
    zeros = np.zeros(count, np.int64)
    return Rows(zeros, np.array(offsets, np.int64), np.full(count, 10), np.full(count, size), None)


@pytest.mark.parametrize("size", [100, 2**62 + 10])
def test_offsets_that_wrap_round_64_bits_are_refused(size):
    hostile = rows([0, 2**62, -(2**63), -(2**62), 0], size)
    runs = find_runs(hostile)
    assert runs.tolist() == [0]
    with pytest.raises(RowError, match="points at bytes"):
        check_rows(hostile, runs, LAYOUT)


@pytest.mark.parametrize("offsets", [[0, 10, 20, 90], [90, 80, 70, 0], [50], [0, 90], [5, 5, 5]])
def test_offsets_inside_their_file_are_taken(offsets):
    good = rows(offsets, 100)
    check_rows(good, find_runs(good), LAYOUT)
