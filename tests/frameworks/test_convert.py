"""Values of one dtype as another: rounded once, to nearest, ties to even; integers never wrap."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstac.errors import DtypeError, FormatError
from mlstac.frameworks import check_conversion, convert
from tests.frameworks.patterns import NUMPY_DTYPES, SUB_BYTE, WIDTHS, elements

INTEGERS = ("U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")
FLOATS = ("F16", "BF16", "F32", "F64")
SMALL_FLOATS = ("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


def converted(values: np.ndarray, source: str, target: str) -> np.ndarray:
    stored = np.ascontiguousarray(values, NUMPY_DTYPES[source]).view(np.uint8).reshape(-1)
    before = stored.tobytes()
    out = np.full(values.size * WIDTHS[target], 0xAA, np.uint8)
    convert(stored, source, target, out)
    assert stored.tobytes() == before
    return out.view(NUMPY_DTYPES[target])


def from_bits(bits: int, dtype: str) -> np.ndarray:
    return np.frombuffer(bits.to_bytes(WIDTHS[dtype], "little"), NUMPY_DTYPES[dtype])


# IEEE 754: bits of the significand, and the exponent of its last place at the least
_PRECISION = {"F16": (11, -24), "BF16": (8, -133), "F32": (24, -149), "F64": (53, -1074)}
_LARGEST = {"F16": Fraction(65504), "BF16": Fraction(2**128 - 2**120), "F32": Fraction(2**128 - 2**104)}
_LARGEST["F64"] = Fraction(2**1024 - 2**971)


def rounded(value: Fraction, target: str) -> float | Fraction:
    """Nearest value of a float dtype, ties to even, by exact rational arithmetic: no float takes part."""
    precision, lowest = _PRECISION[target]
    if value == 0:
        return value
    exponent = 0
    while abs(value) >= Fraction(2) ** (exponent + precision):
        exponent += 1
    while abs(value) < Fraction(2) ** (exponent + precision - 1) and exponent > lowest:
        exponent -= 1
    nearest = round(value / Fraction(2) ** exponent) * Fraction(2) ** exponent  # round() of a Fraction ties to even
    return nearest if abs(nearest) <= _LARGEST[target] else math.copysign(math.inf, value)


@pytest.mark.parametrize("target", FLOATS)
@pytest.mark.parametrize("source", [*INTEGERS, *FLOATS, *SMALL_FLOATS])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_floats_are_rounded_once_to_the_nearest(source, target, data):
    value = from_bits(data.draw(elements(source)), source)
    exact = int(value[0]) if source in INTEGERS else float(value[0])

    if isinstance(exact, float) and not math.isfinite(exact):
        result = float(converted(value, source, target)[0])
        assert math.isnan(result) if math.isnan(exact) else result == exact
        return
    expected = rounded(Fraction(exact), target)
    if source in INTEGERS and not isinstance(expected, Fraction):
        with pytest.raises(DtypeError, match=f"value {exact} of dtype {source} does not fit F16"):
            converted(value, source, target)
        return
    result = float(converted(value, source, target)[0])
    assert (Fraction(result) if math.isfinite(result) else result) == expected
    if exact == 0:
        assert math.copysign(1, result) == math.copysign(1, exact)


@pytest.mark.parametrize(
    ("source", "value", "bits"),
    [
        # each lies just above a tie of bfloat16 by less than float32 can show: rounding twice takes it down to even
        ("F64", 1 + 2**-8 + 2**-40, 0x3F81),
        ("F64", -(1 + 2**-8 + 2**-40), 0xBF81),
        ("I64", 2**62 + 2**54 + 1, 0x5E81),
        ("U64", 2**63 + 2**55 + 1, 0x5F01),
        ("I64", -(2**62) - 2**54 - 1, 0xDE81),
        ("I32", 2**30 + 2**22 + 1, 0x4E81),
    ],
)
def test_bfloat16_is_not_rounded_twice(source, value, bits):
    assert converted(np.array([value]), source, "BF16").view(np.uint16)[0] == bits


@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("source", INTEGERS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_integers_keep_their_value_or_are_refused(source, target, data):
    values = np.concatenate([from_bits(bits, source) for bits in data.draw(st.lists(elements(source), min_size=1))])
    limits = np.iinfo(NUMPY_DTYPES[target])
    outside = [int(value) for value in values if not limits.min <= int(value) <= limits.max]
    if outside:
        with pytest.raises(DtypeError, match=rf"value ({min(outside)}|{max(outside)}) of dtype {source} does not fit"):
            converted(values, source, target)
    else:
        assert [int(value) for value in converted(values, source, target)] == [int(value) for value in values]


@pytest.mark.parametrize("dtype", WIDTHS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_same_dtype_is_copied_bit_by_bit(dtype, data):
    if dtype == "BOOL" or dtype in SMALL_FLOATS:  # no targets, but nothing is asked of them either
        check_conversion(dtype, dtype)
    value = from_bits(data.draw(elements(dtype)), dtype)
    out = np.empty(WIDTHS[dtype], np.uint8)
    convert(value.view(np.uint8), dtype, dtype, out)
    assert out.tobytes() == value.tobytes()


def test_truth_becomes_one_and_zero():
    for target in (*INTEGERS, *FLOATS, "C64"):
        assert converted(np.array([True, False]), "BOOL", target).astype(np.complex64).tolist() == [1, 0]


def test_a_truth_that_is_neither_is_refused_whatever_it_would_become():
    for target in (*INTEGERS, *FLOATS, "C64"):
        with pytest.raises(FormatError, match="stored as byte 2; it must be 0 or 1"):
            convert(np.array([0, 1, 2], np.uint8), "BOOL", target, np.empty(3 * WIDTHS[target], np.uint8))


@pytest.mark.parametrize("source", [*INTEGERS, *FLOATS])
def test_real_values_become_complex_with_no_imaginary_part(source):
    result = converted(np.array([3]), source, "C64")
    assert result.tolist() == [3 + 0j]


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("F32", "I32", "fractions would be lost"),
        ("BF16", "U8", "fractions would be lost"),
        ("C64", "F32", "imaginary part"),
        ("U8", "BOOL", "convert to one of"),
        ("F32", "F8_E4M3", "convert to one of"),
        *((packed, "F32", "packed across bytes") for packed in SUB_BYTE),
        ("U8", "float32", "no dtype of safetensors"),
    ],
)
def test_what_would_lose_values_is_refused_before_any(source, target, why):
    with pytest.raises(DtypeError, match=why):
        check_conversion(source, target)
    with pytest.raises(DtypeError, match=why):
        convert(np.zeros(0, np.uint8), source, target, np.zeros(0, np.uint8))


def test_no_values_convert_to_none():
    for target in (*INTEGERS, *FLOATS):
        assert converted(np.zeros(0), "I64", target).size == 0
