"""Numbers as people say them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstac.cli._words import say_box, say_bytes, say_count, say_dtype, say_interval, say_shape
from mlstac.collection import DTYPES

UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.00 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
     (9_994_999, "9.99 MB"), (9_995_000, "10.0 MB"), (143_360, "143 kB"), (256_000_000, "256 MB")],
)  # fmt: skip
def test_bytes_have_three_digits(count, words):
    assert say_bytes(count) == words


@given(st.integers(1000, 10**18 - 10**16))
def test_said_bytes_are_within_half_a_percent(count):
    number, unit = say_bytes(count).split()
    assert float(number) * UNITS[unit] == pytest.approx(count, rel=0.00502)


def test_one_is_singular():
    assert (say_count(1, "request"), say_count(1024, "request")) == ("1 request", "1,024 requests")


def test_dtypes_are_said_in_numpys_words():
    said = {name: say_dtype(name) for name in DTYPES}
    assert {said[name] for name in ("U16", "I64", "F32", "C64", "BOOL", "BF16", "F8_E4M3")} == {
        "uint16", "int64", "float32", "complex64", "bool", "bfloat16", "f8_e4m3",
    }  # fmt: skip
    assert len(set(said.values())) == len(DTYPES)
    assert say_dtype(None) == "?"


@pytest.mark.parametrize(
    ("shape", "words"), [((13, 64, 64), "13 × 64 × 64"), ((None, 4), "* × 4"), ((), "scalar"), (None, "varies")]
)
def test_shapes(shape, words):
    assert say_shape(shape) == words


def test_a_box_is_said_as_maps_do():
    assert say_box([-65.5, -15.36, 2.25, 0.31]) == "15.36°S to 0.31°N, 65.50°W to 2.25°E"
    assert say_box([9.0, 47.0, 0, 9.001, 47.002, 0]) == "47.0000°N to 47.0020°N, 9.0000°E to 9.0010°E"


def test_an_interval_is_said_by_its_days():
    first, last = datetime(2020, 6, 1, 10, tzinfo=UTC), datetime(2020, 8, 31, tzinfo=UTC)
    assert say_interval(first, last) == "2020-06-01 to 2020-08-31"
    assert say_interval(first, first) == "2020-06-01"
    assert say_interval(first, None) == "2020-06-01 to …"
