"""One contract for every framework: exact to the bit, or widened as announced, or refused by name before any batch."""

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlstac.errors import DtypeError, FormatError
from mlstac.frameworks import WidenedWarning, check_dtypes, encode, get_adapter
from tests.frameworks.patterns import FRAMEWORKS, NUMPY_DTYPES, SUB_BYTE, WIDTHS, raw_bytes, tensors

# What each framework calls a dtype that it holds as stored; a framework's own word is the judge that nothing was cast.
_WORDS = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "F16": "float16", "BF16": "bfloat16",
    "U32": "uint32", "I32": "int32", "F32": "float32", "U64": "uint64", "I64": "int64", "F64": "float64",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip
_WIDENED = {"paddle": {"U16": "I32", "U32": "I64", "U64": "I64"}}
_REFUSED = {
    **dict.fromkeys(("numpy", "torch", "jax"), SUB_BYTE),
    "tensorflow": (*SUB_BYTE, "F8_E8M0"),
    "paddle": (*SUB_BYTE, "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"),
}
_EXACT = [
    (framework, dtype)
    for framework in FRAMEWORKS
    for dtype in WIDTHS
    if dtype not in _REFUSED[framework] and dtype not in _WIDENED.get(framework, {})
]

# Shapes are small; the first call into a framework is not.
_settings = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _x64():
    """Jax with 64 bits; what it does without has tests of its own."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def _word(tensor) -> str:
    """A tensor's dtype in its framework's words, without the framework's name."""
    dtype = tensor.dtype
    return getattr(dtype, "name", str(dtype)).lower().removeprefix("torch.").removeprefix("paddle.")


def _fresh(adapter, data):
    buffer = adapter.allocate(data.size)
    buffer[:] = data
    return buffer


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize(("framework", "dtype"), _EXACT)
@_settings
@given(data=st.data())
def test_a_dtype_that_a_framework_holds_arrives_exact_to_the_bit(framework, dtype, owned, data):
    adapter = get_adapter(framework)
    shape, stored = data.draw(tensors(dtype))
    assert adapter.check_dtype(dtype) == dtype

    tensor = adapter.decode(_fresh(adapter, stored), dtype, shape, owned=owned)

    assert tuple(tensor.shape) == shape
    assert _word(tensor) == _WORDS[dtype]
    assert raw_bytes(tensor) == stored.tobytes()
    assert adapter.owns(tensor)


@pytest.mark.parametrize(("framework", "dtype"), _EXACT)
@_settings
@given(data=st.data())
def test_what_is_encoded_is_what_was_decoded(framework, dtype, data):
    adapter = get_adapter(framework)
    shape, stored = data.draw(tensors(dtype))
    tensor = adapter.decode(stored, dtype, shape, owned=False)

    name, its_shape, its_bytes = encode(tensor)

    assert (name, its_shape) == (dtype, shape)
    assert its_bytes.dtype == np.uint8
    assert its_bytes.ndim == 1
    assert its_bytes.tobytes() == stored.tobytes()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", ["U8", "I16", "F32", "BF16"])
def test_a_batch_is_decoded_as_its_samples_are(framework, dtype):
    adapter = get_adapter(framework)
    stored = np.random.default_rng(7).integers(0, 256, 4 * 2 * 3 * WIDTHS[dtype], np.uint8)
    row = stored.size // 4

    batch = adapter.decode(stored, dtype, (4, 2, 3), owned=False)

    assert tuple(batch.shape) == (4, 2, 3)
    for index in range(4):
        alone = adapter.decode(stored[index * row : (index + 1) * row], dtype, (2, 3), owned=False)
        assert raw_bytes(alone) == raw_bytes(batch[index])


@pytest.mark.parametrize(("framework", "dtype"), [(name, dtype) for name in FRAMEWORKS for dtype in _REFUSED[name]])
def test_a_dtype_that_a_framework_cannot_hold_is_refused_by_name(framework, dtype):
    with pytest.raises(DtypeError, match=rf"tensor 'dem': {framework} cannot hold dtype {dtype}.*as"):
        check_dtypes(get_adapter(framework), {"dem": dtype})


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_name_that_is_no_dtype_is_refused(framework):
    with pytest.raises(DtypeError, match="'uint12' is no dtype of safetensors"):
        get_adapter(framework).check_dtype("uint12")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_truth_that_is_neither_0_nor_1_is_refused(framework):
    with pytest.raises(FormatError, match="stored as byte 2"):
        get_adapter(framework).decode(np.array([0, 1, 2], np.uint8), "BOOL", (3,), owned=False)


@pytest.mark.parametrize("dtype", ["U16", "U32", "U64"])
@_settings
@given(data=st.data())
def test_paddle_widens_unsigned_integers_value_by_value(dtype, data):
    adapter = get_adapter("paddle")
    shape, stored = data.draw(tensors(dtype))
    values = stored.view(NUMPY_DTYPES[dtype]).reshape(shape)
    wide = _WIDENED["paddle"][dtype]
    assert adapter.check_dtype(dtype) == wide

    if values.size and int(values.max()) > np.iinfo(np.int64).max:
        with pytest.raises(DtypeError, match=str(values.max())):
            adapter.decode(stored, dtype, shape, owned=False)
        return
    tensor = adapter.decode(stored, dtype, shape, owned=False)

    assert _word(tensor) == _WORDS[wide]
    np.testing.assert_array_equal(tensor.numpy(), values.astype(NUMPY_DTYPES[wide]))


def test_widening_is_announced_once_for_all_tensors():
    with pytest.warns(WidenedWarning, match="'input' from U16 to I32, 'mask' from U32 to I64") as caught:
        held = check_dtypes(get_adapter("paddle"), {"input": "U16", "mask": "U32", "label": "U8"})
    assert len(caught) == 1
    assert held == {"input": "I32", "mask": "I64", "label": "U8"}


@pytest.mark.parametrize("framework", [name for name in FRAMEWORKS if name != "paddle"])
def test_frameworks_that_hold_a_dtype_announce_nothing(framework):
    assert check_dtypes(get_adapter(framework), {"input": "U16", "dem": "BF16"}) == {"input": "U16", "dem": "BF16"}


@pytest.mark.parametrize(("dtype", "narrow"), [("I64", "I32"), ("U64", "U32"), ("F64", "F32")])
class TestJaxWithout64Bits:
    """Jax itself cuts such values to 32 bits and says nothing."""

    @pytest.fixture(autouse=True)
    def _no_x64(self, _x64):
        jax.config.update("jax_enable_x64", False)

    def test_it_is_refused_before_any_batch(self, dtype, narrow):
        with pytest.raises(
            DtypeError, match=rf"tensor 'dem': jax holds {dtype} only.*jax_enable_x64.*narrow=True"
        ) as told:
            check_dtypes(get_adapter("jax"), {"dem": dtype})
        assert f"as_dtype={{'dem': '{NUMPY_DTYPES[narrow].name}'}}" in str(told.value)

    def test_decoding_it_without_a_check_is_refused_too(self, dtype, narrow):
        with pytest.raises(DtypeError, match="jax_enable_x64"):
            get_adapter("jax").decode(np.zeros(8, np.uint8), dtype, (1,), owned=False)

    @_settings
    @given(data=st.data())
    def test_narrow_converts_what_fits_and_refuses_what_does_not(self, dtype, narrow, data):
        adapter = get_adapter("jax")
        shape, stored = data.draw(tensors(dtype))
        values = stored.view(NUMPY_DTYPES[dtype]).reshape(shape)
        assert check_dtypes(adapter, {"dem": dtype}, narrow=True) == {"dem": narrow}

        target = NUMPY_DTYPES[narrow]
        if target.kind != "f" and values.size:
            limits = np.iinfo(target)
            if int(values.max()) > limits.max or int(values.min()) < limits.min:
                with pytest.raises(DtypeError, match="does not fit"):
                    adapter.decode(stored, dtype, shape, owned=False, narrow=True)
                return
        array = adapter.decode(stored, dtype, shape, owned=False, narrow=True)

        assert _word(array) == _WORDS[narrow]
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(np.asarray(array), values.astype(target))

    def test_a_context_that_switches_them_on_is_seen(self, dtype, narrow):
        with jax.enable_x64(True):
            assert get_adapter("jax").check_dtype(dtype) == dtype
            assert _word(get_adapter("jax").decode(np.zeros(8, np.uint8), dtype, (1,), owned=False)) == _WORDS[dtype]


def test_the_names_of_dtypes_are_those_of_the_collection():
    from mlstac.collection import DTYPES

    assert {name: 8 * width for name, width in WIDTHS.items()} | dict(zip(SUB_BYTE, (4, 6, 6), strict=True)) == DTYPES
