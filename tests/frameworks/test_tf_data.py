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


def numbered(closed=None):
    """Batches whose values are (iteration, step), and a function that gives 5 of them each time it is called."""
    calls = []

    def batches():
        calls.append(None)
        call = len(calls) - 1
        try:
            for step in range(5):
                yield {"x": tf.constant([call, step])}
        finally:
            if closed is not None:
                closed.append(call)

    return tensorflow.stream(batches, {"x": tensorflow.make_spec("I32", (None,))}, 5)


def told(data):
    return [tuple(step["x"].numpy().tolist()) for step in data]


def test_two_iterations_at_once_have_each_their_own_batches():
    data = numbered()
    assert [(one, other) for one, other in zip(told(data), told(data), strict=True)] == [
        ((0, step), (1, step)) for step in range(5)
    ]
    one, other = iter(data), iter(data)
    seen = [tuple(next(each)["x"].numpy().tolist()) for each in (one, other, other, one, one, other)]
    assert seen == [(2, 0), (3, 0), (3, 1), (2, 1), (2, 2), (3, 2)]


def test_what_is_built_upon_it_iterates_as_over_any_other():
    closed = []
    data = numbered(closed)
    assert told(data.take(2).repeat(2)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sorted(closed) == [0, 1]
    assert told(data.skip(3)) == [(2, 3), (2, 4)]
    assert told(data.map(lambda batch: {"x": batch["x"] * 2}, num_parallel_calls=2).prefetch(2))[-1] == (6, 8)

    @tf.function
    def total():
        found = tf.constant([0, 0])
        for batch in data:
            found += batch["x"]
        return found

    assert total().numpy().tolist() == [20, 10]
    assert total().numpy().tolist() == [25, 10]
    assert len(closed) == 6


def test_tensors_are_not_copied_on_the_way():
    made = []

    def batches():
        for value in range(3):
            array = get_adapter("numpy").allocate(1 << 16)
            array[:] = value
            made.append(array.ctypes.data)
            yield {"x": tensorflow.decode(array, "U8", (1 << 16,), owned=True)}

    data = tensorflow.stream(batches, {"x": tensorflow.make_spec("U8", (None,))}, 3)
    got = list(data)
    assert [int(batch["x"][7]) for batch in got] == [0, 1, 2]
    assert [np.asarray(memoryview(batch["x"])).ctypes.data for batch in got] == made


def test_an_iteration_that_cannot_begin_says_why_each_time():
    def batches():
        raise ChecksumError("catalog-00000.parquet is not what was written")

    data = tensorflow.stream(batches, {"x": tensorflow.make_spec("F32", (None,))}, 2)
    for _ in range(2):
        with pytest.raises(tf.errors.OpError, match=r"ChecksumError: catalog-00000"):
            list(data)
