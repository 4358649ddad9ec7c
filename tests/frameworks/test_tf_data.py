"""Batches as a tf.data.Dataset: whole, exact, of a type that is known beforehand."""

import gc

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from mlstac.errors import ChecksumError, DtypeError
from mlstac.frameworks import get_adapter
from tests.frameworks.patterns import NUMPY_DTYPES
from tests.waiting import wait_until

tensorflow = get_adapter("tensorflow")


@pytest.mark.parametrize(
    "dtype", ["BOOL", "U8", "U16", "U32", "U64", "F16", "F64", "C64", "BF16", "F8_E4M3", "F8_E4M3FNUZ"]
)
def test_batches_arrive_exact_and_of_the_type_that_was_said(dtype):
    batches = [np.arange(size * 6).astype(NUMPY_DTYPES[dtype]).reshape(size, 2, 3) for size in (4, 4, 2)]
    spec = {"x": tensorflow.make_spec(dtype, (None, 2, 3))}
    data = tensorflow.stream(lambda: iter([{"x": batch} for batch in batches]), spec, 3)
    assert data.element_spec == spec
    assert len(data) == 3
    for _ in range(2):  # every iteration begins anew
        got = [step["x"].numpy() for step in data]
        assert [array.dtype for array in got] == [batch.dtype for batch in batches]
        assert [array.tobytes() for array in got] == [batch.tobytes() for batch in batches]


def test_a_dtype_that_graphs_cannot_carry_is_refused():
    with pytest.raises(DtypeError, match=r"tf\.data cannot carry dtype F8_E5M2"):
        tensorflow.make_spec("F8_E5M2", (None,))


def test_text_and_ragged_rows_have_types_of_their_own():
    boxes = [[np.ones((2, 4), "f4"), np.zeros((0, 4), "f4")], [np.full((1, 4), 3, "f4")]]
    captions = [["a", "ü"], ["c"]]
    spec = {
        "boxes": tensorflow.make_spec("F32", (None, None, 4), ragged=True),
        "caption": tensorflow.make_spec("text", (None,)),
    }
    data = tensorflow.stream(
        lambda: iter([{"boxes": rows, "caption": text} for rows, text in zip(boxes, captions, strict=True)]), spec, 2
    )
    assert data.element_spec == spec
    first, second = data
    assert isinstance(first["boxes"], tf.RaggedTensor)
    assert first["boxes"].row_lengths().numpy().tolist() == [2, 0]
    assert second["boxes"].to_tensor().numpy().tolist() == [[[3] * 4]]
    assert [text.decode() for text in first["caption"].numpy()] == ["a", "ü"]


def test_leaving_the_loop_early_closes_the_batches():
    closed = []

    def batches():
        try:
            for _ in range(1000):
                yield {"x": np.zeros(4, ml_dtypes.bfloat16)}
        finally:
            closed.append(True)

    for _ in tensorflow.stream(batches, {"x": tensorflow.make_spec("BF16", (None,))}, 1000):
        break
    gc.collect()
    wait_until(lambda: closed, "TensorFlow has ended the iteration")
    assert closed == [True]


def test_an_error_while_reading_reaches_the_loop_in_words():
    def batches():
        yield {"x": np.zeros(2, "f4")}
        raise ChecksumError("shard 00003.safetensors, sample 'a': bytes are not those that were written")

    data = tensorflow.stream(batches, {"x": tensorflow.make_spec("F32", (None,))}, 2)
    with pytest.raises(tf.errors.OpError, match=r"ChecksumError: shard 00003\.safetensors, sample 'a'"):
        list(data)
