"""tf.data and Keras, as their users know them."""

import gc
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import mlstac
from mlstac.errors import DtypeError, InvalidArgumentError


def test_to_tf_is_a_tf_data_dataset_of_batches_with_a_static_type(bands, truth):
    data = mlstac.load(bands, framework="numpy").to_tf(16)
    assert isinstance(data, tf.data.Dataset)
    assert data.element_spec == {
        "input": tf.TensorSpec((None, 3, 8, 8), tf.uint16),
        "label": tf.TensorSpec((None,), tf.int32),
    }
    assert len(data) == 4
    got = list(data)
    assert [int(tf.shape(batch["label"])[0]) for batch in got] == [16, 16, 16, 12]
    np.testing.assert_array_equal(np.concatenate([batch["input"].numpy() for batch in got]), truth["input"])
    np.testing.assert_array_equal(np.concatenate([batch["label"].numpy() for batch in got]), truth["label"])


def test_without_a_batch_size_samples_come_one_by_one(bands, truth):
    data = mlstac.load(bands, framework="tensorflow").to_tf()
    assert data.element_spec == {"input": tf.TensorSpec((3, 8, 8), tf.uint16), "label": tf.TensorSpec((), tf.int32)}
    assert len(data) == len(truth["label"])
    np.testing.assert_array_equal(np.stack([sample["input"].numpy() for sample in data]), truth["input"])
    shuffled = mlstac.load(bands, framework="numpy").to_tf(shuffle=True, seed=1)
    expected = next(iter(mlstac.load(bands, framework="numpy").batches(60, shuffle=True, seed=1)))
    assert [int(sample["label"]) for sample in shuffled] == expected["label"].tolist()


def test_single_samples_of_a_rank_are_as_many_as_it_has(bands):
    ds = mlstac.load(bands, framework="numpy").subset(slice(0, 11))
    for rank in range(2):
        data = ds.to_tf(rank=rank, world_size=2)
        assert len(data) == len(list(data)) == 6


def test_single_samples_take_no_python_each(bands, monkeypatch):
    from mlstac.frameworks import _tf_data

    steps = []
    monkeypatch.setattr(_tf_data, "_value", lambda item, _: steps.append(1) or item)
    assert len(list(mlstac.load(bands, framework="numpy").to_tf())) == 60
    assert len(steps) == 2  # one batch of two tensors


def test_the_batch_size_is_static_where_every_batch_is_full(bands):
    data = mlstac.load(bands, framework="torch").to_tf(16, drop_last=True)
    assert data.element_spec["input"] == tf.TensorSpec((16, 3, 8, 8), tf.uint16)
    assert [batch["input"].shape[0] for batch in data] == [16, 16, 16]


def test_the_type_is_that_of_what_is_given_out(bands):
    ds = mlstac.load(bands, framework="tensorflow", as_dtype={"input": "float32"}).window(y=slice(0, 4), x=slice(2, 8))
    data = ds.to_tf(60)
    assert data.element_spec["input"] == tf.TensorSpec((None, 3, 4, 6), tf.float32)
    (batch,) = data
    np.testing.assert_array_equal(batch["input"].numpy(), ds[0:60]["input"].numpy())


def test_every_iteration_is_the_next_epoch(bands):
    ds = mlstac.load(bands, framework="numpy")
    data = ds.to_tf(60, shuffle=True, seed=4, epoch=2)
    first, second = (next(iter(data))["label"].numpy() for _ in range(2))
    for labels, epoch in ((first, 2), (second, 3)):
        expected = next(iter(ds.batches(60, shuffle=True, seed=4, epoch=epoch)))["label"]
        np.testing.assert_array_equal(labels, expected)
    assert first.tolist() != second.tolist()


def test_keras_fits(bands):
    def pair(batch):
        return tf.cast(tf.reduce_mean(tf.cast(batch["input"], tf.float32), (2, 3)), tf.float32) / 4000, batch["label"]

    data = mlstac.load(bands, framework="tensorflow").to_tf(20, shuffle=True)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.2), "sparse_categorical_crossentropy")
    history = model.fit(data.map(pair), epochs=8, shuffle=False, verbose=0)  # every epoch is in another order already
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


@pytest.fixture
def mixed(tmp_path):
    """Samples with text, JSON, rows of varying number, and a tensor that some lack."""
    samples = [
        {
            "caption": f"pond {index}",
            "boxes": np.full((index, 4), index, "f4"),
            "mask": np.ones((2 + index, 3 + index), "u1"),
            "score": np.float32(index),
        }
        for index in range(1, 5)
    ]
    mlstac.write(samples, tmp_path / "mixed", id="mixed", license="CC0-1.0")
    return mlstac.load(tmp_path / "mixed", framework="numpy")


def test_text_and_ragged_tensors_have_types_of_their_own(mixed):
    data = mixed.select(tensors=["caption", "boxes"]).to_tf(4)
    assert data.element_spec == {
        "caption": tf.TensorSpec((None,), tf.string),
        "boxes": tf.RaggedTensorSpec((None, None, 4), tf.float32, ragged_rank=1),
    }
    (batch,) = data
    assert [text.decode() for text in batch["caption"].numpy()] == [f"pond {index}" for index in range(1, 5)]
    assert batch["boxes"].row_lengths().numpy().tolist() == [1, 2, 3, 4]


def test_single_samples_have_their_own_text_and_rows(mixed):
    data = mixed.select(tensors=["caption", "boxes"]).to_tf()
    assert data.element_spec == {"caption": tf.TensorSpec((), tf.string), "boxes": tf.TensorSpec((None, 4), tf.float32)}
    assert [sample["caption"].numpy().decode() for sample in data] == [f"pond {index}" for index in range(1, 5)]
    assert [sample["boxes"].numpy().tolist() for sample in data] == [[[index] * 4] * index for index in range(1, 5)]
    with pytest.raises(InvalidArgumentError, match="give batch_size"):
        mixed.to_tf(pad={"mask": 0})


def test_padded_tensors_have_a_mask(mixed):
    data = mixed.select(tensors=["boxes", "mask"]).to_tf(4, pad={"boxes": -1, "mask": 0})
    assert data.element_spec == {
        "boxes": tf.TensorSpec((None, None, 4), tf.float32),
        "boxes_mask": tf.TensorSpec((None, None), tf.bool),
        "mask": tf.TensorSpec((None, None, None), tf.uint8),
        "mask_mask": tf.TensorSpec((None, None, None), tf.bool),
    }
    (batch,) = data
    assert batch["boxes_mask"].numpy().sum(1).tolist() == [1, 2, 3, 4]
    assert batch["boxes"].numpy()[0, 1:].tolist() == [[-1] * 4] * 3


def test_what_has_no_static_type_is_refused_with_the_mend(mixed):
    with pytest.raises(InvalidArgumentError, match=r"'mask' varies along axes.*pad={'mask': 0}"):
        mixed.to_tf(4)
    with pytest.raises(InvalidArgumentError, match=r"transform= may change"):
        mixed.to_tf(4, transform=dict)


def test_what_tensorflow_cannot_hold_is_refused_before_any_batch(tmp_path):
    import ml_dtypes

    samples = [{"scale": np.ones(3, ml_dtypes.float8_e8m0fnu)}]
    mlstac.write(samples, tmp_path / "small", id="small", license="CC0-1.0")
    with pytest.raises(DtypeError, match="'scale': tensorflow cannot hold dtype F8_E8M0"):
        mlstac.load(tmp_path / "small", framework="numpy").to_tf(1)


def test_float8_comes_in_batches_and_is_refused_sample_by_sample(tmp_path):
    import ml_dtypes

    values = np.arange(16, dtype=np.uint8).reshape(4, 4)
    ds = write_and_load(tmp_path / "small", [{"x": row.view(ml_dtypes.float8_e4m3fn)} for row in values])
    assert [batch["x"].numpy().tobytes() for batch in ds.to_tf(2)] == [values[:2].tobytes(), values[2:].tobytes()]
    with pytest.raises(DtypeError, match=r"'x': tf.data cannot cut batches of dtype F8_E4M3.*batch_size="):
        ds.to_tf()
    with pytest.raises(DtypeError, match=r"'x': tf\.data cannot carry dtype F8_E5M2"):
        write_and_load(tmp_path / "other", [{"x": values[0].view(ml_dtypes.float8_e5m2)}]).to_tf(1)


def write_and_load(folder, samples):
    mlstac.write(samples, folder, id="small", license="CC0-1.0")
    return mlstac.load(folder, framework="tensorflow")


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "4", True])
def test_a_batch_size_that_is_none_is_refused(bands, batch_size, drop_last):
    with pytest.raises(InvalidArgumentError, match="batch_size="):
        mlstac.load(bands, framework="tensorflow").to_tf(batch_size, drop_last=drop_last)


def test_threads_end_with_a_loop_over_to_tf_that_is_left(tmp_path):
    images = np.zeros((60, 4, 130, 130), np.uint16)  # eight of them are 1.1 MB, which two threads make
    mlstac.write(({"image": image} for image in images), tmp_path / "large", id="large", license="CC0-1.0")
    running = []

    def look():
        running.extend(thread for thread in threading.enumerate() if thread.name.startswith("mlstac-batches"))

    def passed(batch):
        # after the first batch, before TensorFlow asks for the second: an epoch that it drew ahead would be over
        with tf.control_dependencies([tf.py_function(look, [], [])]):
            return tf.identity(batch["image"])

    data = mlstac.load(tmp_path / "large", framework="tensorflow").to_tf(8)
    for _ in data.map(passed):
        break
    gc.collect()
    assert running
    for thread in running:
        thread.join(20)
    assert not any(thread.is_alive() for thread in running)


def test_keras_fits_with_steps_of_an_epoch(bands):
    def pair(batch):
        return tf.reduce_mean(tf.cast(batch["input"], tf.float32), (2, 3)) / 4000, batch["label"]

    ds = mlstac.load(bands, framework="tensorflow")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    training, held_out = ds.to_tf(20, shuffle=True).map(pair).repeat(), ds.to_tf(20).map(pair)
    history = model.fit(training, validation_data=held_out, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    assert len(history.history["val_loss"]) == 3
    assert model.predict(held_out.map(lambda image, _: image), verbose=0).shape == (60, 3)


def test_a_program_ends_well_amid_a_loop_over_to_tf(bands, run):
    run(
        """
        import sys
        import mlstac
        kept = iter(mlstac.load(sys.argv[1], framework="tensorflow").to_tf(8))
        next(kept)
        """,
        bands,
    )


def test_it_is_made_in_a_traced_function_too_and_nothing_is_said(bands, capfd, caplog):
    ds = mlstac.load(bands, framework="tensorflow")
    counts = []

    @tf.function
    def total():
        seen = tf.constant(0, tf.int64)
        for batch in ds.to_tf(7, shuffle=True):
            seen += tf.reduce_sum(tf.cast(batch["label"], tf.int64))
        return seen

    @tf.function
    def of_samples():
        seen = tf.constant(0)
        for sample in ds.to_tf():
            seen += sample["label"]
        return seen

    for function in (total, total, of_samples):
        counts.append(int(function()))
        gc.collect()  # what the graph needs of us is the graph's
    assert counts == [60] * 3  # labels 0, 1 and 2 in turn
    assert not caplog.records
    assert "AutoGraph" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("options", "rows", "steps"),
    [
        ({"batch_size": 8}, None, 8),
        ({"batch_size": 8, "drop_last": True}, None, 7),
        ({"batch_size": 8, "shuffle": True}, None, 8),
        ({"batch_size": 8, "shuffle": "block", "rank": 1, "world_size": 2}, None, 4),
        ({"batch_size": 4}, slice(1, 10), 3),
        ({"batch_size": 4}, [], 0),
        ({"batch_size": 4, "drop_last": True}, [1, 2], 0),
        ({}, slice(1, 10), 9),
    ],
)
def test_its_length_is_known_beforehand(bands, options, rows, steps):
    ds = mlstac.load(bands, framework="tensorflow")
    data = (ds if rows is None else ds.subset(rows)).to_tf(**options)
    assert len(data) == int(data.cardinality()) == sum(1 for _ in data) == steps
    assert len(data.map(lambda batch: batch["label"]).prefetch(2)) == steps
    assert int(data.repeat(3).cardinality()) == sum(1 for _ in data.repeat(3)) == 3 * steps
    if steps:
        assert data.repeat().cardinality() == tf.data.INFINITE_CARDINALITY


def test_keras_shows_the_steps_of_the_first_epoch(bands, capsys):
    def pair(batch):
        return tf.reduce_mean(tf.cast(batch["input"], tf.float32), (2, 3)) / 4000, batch["label"]

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(mlstac.load(bands).to_tf(8).map(pair), shuffle=False, verbose=1)
    shown = capsys.readouterr().out
    assert "1/8" in shown
    assert "8/8" in shown
