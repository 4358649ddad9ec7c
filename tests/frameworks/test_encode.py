"""Whatever an author hands over: written as it is meant, or refused with what to give instead."""

import jax
import jax.experimental.sparse
import jax.numpy as jnp
import keras
import ml_dtypes
import numpy as np
import paddle
import pytest
import safetensors.numpy
import scipy.sparse
import tensorflow as tf
import torch

from mlstac.errors import InvalidSampleError
from mlstac.frameworks import encode
from tests.frameworks.patterns import NUMPY_DTYPES


def assert_encodes(tensor, dtype, values):
    """The stock reader of safetensors is the judge: it reads our dtype, shape and bytes as these values."""
    name, shape, data = encode(tensor)
    assert name == dtype
    assert (data.dtype, data.ndim, data.flags.c_contiguous) == (np.uint8, 1, True)
    header = f'{{"x":{{"dtype":"{name}","shape":{list(shape)},"data_offsets":[0,{data.size}]}}}}'.encode()
    header += b" " * (-len(header) % 8)
    file = len(header).to_bytes(8, "little") + header + data.tobytes()
    np.testing.assert_array_equal(safetensors.numpy.load(file)["x"], np.asarray(values, NUMPY_DTYPES[dtype]))


GRID = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f4", ">f8", ">c8", ">u8", ">f2"])
def test_big_endian_values_are_written_little_endian(dtype):
    array = GRID.astype(dtype)
    name = {"u": "U", "i": "I", "f": "F", "c": "C"}[dtype[1]] + str(8 * int(dtype[2]))
    assert_encodes(array, name, GRID)
    assert array.dtype == np.dtype(dtype)  # the author's own array is left as it was


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[:, ::-1],
        lambda a: a[..., ::2],
        np.asfortranarray,
        lambda a: np.broadcast_to(a[:1], a.shape),
    ],
    ids=["transposed", "reversed", "strided", "fortran", "broadcast"],
)
def test_views_are_written_in_their_own_order(view):
    array = view(GRID.astype("f4"))
    assert_encodes(array, "F32", array)


def test_one_element_may_have_any_stride():
    assert_encodes(np.arange(3.0)[1::2], "F64", [1.0])
    assert_encodes(torch.arange(3.0)[1::2], "F32", [1.0])
    assert_encodes(paddle.arange(3.0)[1::2], "F32", [1.0])


def test_a_contiguous_array_is_not_copied():
    array = np.ones((4, 4), "f4")
    assert np.shares_memory(encode(array)[2], array)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (3, "I64"),
        (2.5, "F64"),
        (True, "BOOL"),
        (1j, None),
        ([1, 2], "I64"),
        ([[1.0], [2.0]], "F64"),
        ((True, False), "BOOL"),
        (np.float32(3), "F32"),
        (np.uint16(7), "U16"),
        ([], "F64"),
        (np.zeros((0, 4), "u1"), "U8"),
        (np.array(5, "i2"), "I16"),
        ([np.float32(1), np.float32(2)], "F32"),
    ],
    ids=repr,
)
def test_numbers_and_lists_count_as_numpys(value, dtype):
    if dtype is None:
        with pytest.raises(InvalidSampleError, match="complex64 only"):
            encode(value)
    else:
        assert_encodes(value, dtype, value)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz"])
def test_dtypes_of_ml_dtypes_keep_their_bits(dtype):
    array = np.arange(1, 9).astype(getattr(ml_dtypes, dtype))
    name, shape, data = encode(array[::2])
    assert NUMPY_DTYPES[name] == array.dtype
    assert shape == (4,)
    assert data.tobytes() == array[::2].copy().tobytes()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1, "a"], object), "object arrays hold Python objects"),
        (None, "object arrays"),
        ({"a": 1}, "object arrays"),
        (np.array(["2020-01-01"], "M8[D]"), r"no dates; give Sample\(datetimes=...\)"),
        (np.array([1], "m8[s]"), "no durations"),
        (np.array(["forest"]), "media_type='text/plain'"),
        (np.array([b"x"]), "media_type"),
        ("a caption", "media_type='text/plain'"),
        (b"\xff\xd8", "media_type"),
        (np.array([(1, 2.0)], "i4,f4"), "each of their fields as a tensor"),
        (np.zeros(2, np.longdouble), r"give \.astype\('float64'\)"),
        (np.zeros(2, "c16"), "complex64 only"),
        (np.zeros(2, np.clongdouble), "complex64"),
        (np.ma.masked_array([1, 2], [True, False]), r"\.filled\(nodata\)"),
        ([[1, 2], [3]], "inhomogeneous.*give rows of one length"),
        (np.zeros(2, ml_dtypes.int4), "no such dtype"),
        (np.zeros(2, ml_dtypes.float8_e3m4), "no such dtype"),
        (np.zeros(2, ml_dtypes.float4_e2m1fn), "no such dtype"),
        (2**70, "an integer of 71 bits fits no dtype"),
        ([1, -(2**63) - 1], "an integer of 64 bits fits no dtype"),
        ([2**63, -1], "integers below 0 beside others"),
        ({1, 2}, "set is no array"),
        (scipy.sparse.eye(3).tocsr(), r"cannot write a sparse csr_matrix of scipy; give \.toarray\(\)"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_numpy_refuses_what_safetensors_cannot_hold(value, message):
    with pytest.raises(InvalidSampleError, match=message):
        encode(value)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).reshape(2, 3, 4).requires_grad_(),
        torch.arange(24.0, requires_grad=True).reshape(2, 3, 4) * 1,
        torch.nn.Parameter(torch.arange(24.0).reshape(2, 3, 4)),
        torch.arange(24.0).reshape(4, 3, 2).permute(2, 1, 0).contiguous().permute(2, 1, 0).reshape(2, 3, 4),
        tf.constant(GRID, tf.float32),
        tf.Variable(tf.constant(GRID, tf.float32)),
        jnp.asarray(GRID, "float32"),
        paddle.to_tensor(GRID.astype("f4")),
        paddle.to_tensor(GRID.astype("f4"), stop_gradient=False) * 1,
        paddle.to_tensor(GRID.astype("f4").T.copy()).transpose([2, 1, 0]),
    ],
    ids=lambda tensor: f"{type(tensor).__module__.partition('.')[0]}-{type(tensor).__name__}",
)
def test_tensors_of_every_framework_are_detached_and_in_order(tensor):
    assert_encodes(tensor, "F32", GRID)


def test_torch_views_are_resolved():
    transposed = torch.arange(6, dtype=torch.int16).reshape(2, 3).T
    assert_encodes(transposed, "I16", [[0, 3], [1, 4], [2, 5]])
    conjugate = torch.tensor([1 + 2j], dtype=torch.complex64).conj()
    assert conjugate.is_conj()
    assert_encodes(conjugate, "C64", [1 - 2j])
    negative = torch.tensor([1 + 2j], dtype=torch.complex64).conj().imag
    assert negative.is_neg()
    assert_encodes(negative, "F32", [-2.0])


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
def test_scalars_and_empty_tensors_keep_their_shape(shape):
    for tensor in (torch.zeros(shape), tf.zeros(shape), jnp.zeros(shape), paddle.zeros(shape), np.zeros(shape, "f4")):
        assert_encodes(tensor, "F32", np.zeros(shape))


def test_a_subclass_of_a_tensor_is_a_tensor():
    class Image(torch.Tensor):
        pass

    assert_encodes(torch.ones(2).as_subclass(Image), "F32", [1, 1])


def _tracer():
    kept = []
    jax.jit(lambda x: kept.append(x) or x)(jnp.zeros(2))
    return kept[0]


def _deleted():
    array = jnp.ones(2) + 1
    array.delete()
    return array


def _symbolic():
    kept = []
    tf.function(lambda x: kept.append(x) or x)(tf.zeros(2))
    return kept[0]


REFUSED = {
    "torch-sparse": (lambda: torch.eye(3).to_sparse(), r"sparse torch tensor.*give \.to_dense\(\)"),
    "torch-quantized": (
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        "quantized.*dequantize",
    ),
    "torch-meta": (lambda: torch.ones(2, device="meta"), "no values"),
    "torch-float4": (lambda: torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), r"\.view\(torch\.uint8\)"),
    "torch-complex128": (lambda: torch.ones(2, dtype=torch.complex128), r"torch\.complex64"),
    "tensorflow-ragged": (lambda: tf.ragged.constant([[1], [2, 3]]), "RaggedTensor; give one sample's rows"),
    "tensorflow-sparse": (lambda: tf.sparse.eye(3), r"SparseTensor; give tf\.sparse\.to_dense"),
    "tensorflow-slices": (lambda: tf.IndexedSlices(tf.ones([1]), tf.constant([0])), "IndexedSlices"),
    "tensorflow-text": (lambda: tf.constant("a"), "one str"),
    "tensorflow-complex128": (lambda: tf.constant(1j), "complex64"),
    "tensorflow-quantized": (lambda: tf.quantization.quantize(tf.ones(2), 0, 1, tf.quint8).output, "no plain numbers"),
    "tensorflow-symbolic": (_symbolic, "eager tensor"),
    "jax-sparse": (lambda: jax.experimental.sparse.BCOO.fromdense(jnp.eye(3)), r"BCOO; give a dense array"),
    "jax-tracer": (_tracer, "tracer: it has no values"),
    "jax-key": (lambda: jax.random.key(0), r"jax\.random\.key_data"),
    "jax-deleted": (_deleted, "deleted or donated"),
    "keras-variable": (lambda: keras.Variable(np.ones(2)), r"Variable; give its value, variable\.value"),
    "jax-int4": (lambda: jnp.zeros(2, "int4"), "int4"),
    "paddle-sparse": (lambda: paddle.sparse.sparse_coo_tensor([[0], [1]], [1.0], [2, 2]), r"sparse.*to_dense"),
    "paddle-complex128": (lambda: paddle.ones([2], "complex128"), "complex64"),
}


# torch says of its quantized tensors that they will go; until then authors may hand them over
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_tensors_that_hold_no_plain_numbers_are_refused_by_name(case):
    make, message = REFUSED[case]
    with pytest.raises(InvalidSampleError, match=message):
        encode(make())
