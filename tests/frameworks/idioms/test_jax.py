"""Iterators of pytrees, grain, Flax and Equinox, as jax's users know them."""

import os
import subprocess
import sys
import textwrap

import equinox
import flax.nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mlstac
from mlstac.errors import DtypeError


def test_batches_are_pytrees(bands, truth):
    batches = mlstac.load(bands, framework="jax").batches(16)
    step = jax.jit(lambda batch: jax.tree.map(lambda leaf: leaf.astype(jnp.float32).sum(), batch))
    totals = [step(batch) for batch in batches]
    assert jax.tree.structure(totals[0]) == jax.tree.structure({"input": 0, "label": 0})
    assert sum(float(total["label"]) for total in totals) == truth["label"].sum()


def test_the_same_sample_as_numpys(bands, truth):
    sample = mlstac.load(bands, framework="jax")[7]
    assert sample["input"].dtype == jnp.uint16
    np.testing.assert_array_equal(sample["input"], truth["input"][7])


def test_a_dataset_is_a_source_for_grain(bands, truth):
    source = mlstac.load(bands, framework="numpy")
    assert isinstance(source, grain.sources.RandomAccessDataSource)
    data = grain.MapDataset.source(source).shuffle(seed=1).batch(15)
    got = list(data.to_iter_dataset())
    assert [batch["input"].shape for batch in got] == [(15, 3, 8, 8)] * 4
    sums = np.concatenate([batch["input"] for batch in got]).astype(int).sum((1, 2, 3))
    assert sorted(sums.tolist()) == sorted(truth["input"].astype(int).sum((1, 2, 3)).tolist())


def test_the_workers_of_grain_read_it(bands, truth_file, run):
    script = """
        import sys
        import grain, numpy as np
        from absl import flags
        import mlstac
        if __name__ == "__main__":
            flags.FLAGS.mark_as_parsed()  # as absl.app.run does; grain reads its flags
            ds = mlstac.load(sys.argv[1], framework="numpy")
            ds[0]  # used here before there are workers
            order = grain.samplers.IndexSampler(60, shard_options=grain.sharding.NoSharding(), num_epochs=1)
            batching = [grain.transforms.Batch(10)]
            loader = grain.DataLoader(data_source=ds, sampler=order, operations=batching, worker_count=2)
            sums = sorted(int(image.astype(int).sum()) for batch in loader for image in batch["input"])
            assert sums == sorted(np.load(sys.argv[2])["input"].astype(int).sum((1, 2, 3)).tolist())
            print("ok")
    """
    assert run(script, bands, truth_file) == "ok\n"


def features(batch):
    return batch["input"].astype(jnp.float32).mean((2, 3)) / 4000


def loss_of(logits, batch):
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()


def test_a_flax_model_trains(bands):
    model = flax.nnx.Linear(3, 3, rngs=flax.nnx.Rngs(0))
    optimizer = flax.nnx.Optimizer(model, optax.adam(0.2), wrt=flax.nnx.Param)

    @flax.nnx.jit
    def step(model, optimizer, batch):
        loss, gradients = flax.nnx.value_and_grad(lambda model: loss_of(model(features(batch)), batch))(model)
        optimizer.update(model, gradients)
        return loss

    ds = mlstac.load(bands, framework="jax")
    losses = [
        float(step(model, optimizer, batch))
        for epoch in range(8)
        for batch in ds.batches(20, shuffle=True, epoch=epoch)
    ]
    assert losses[-1] < losses[0] / 2


def test_an_equinox_model_trains(bands):
    model = equinox.nn.Linear(3, 3, key=jax.random.key(0))
    optimizer = optax.adam(0.2)
    state = optimizer.init(equinox.filter(model, equinox.is_array))

    @equinox.filter_jit
    def step(model, state, batch):
        loss, gradients = equinox.filter_value_and_grad(lambda model: loss_of(jax.vmap(model)(features(batch)), batch))(
            model
        )
        updates, state = optimizer.update(gradients, state)
        return equinox.apply_updates(model, updates), state, loss

    ds = mlstac.load(bands, framework="jax")
    losses = []
    for epoch in range(8):
        for batch in ds.batches(20, shuffle=True, epoch=epoch):
            model, state, loss = step(model, state, batch)
            losses.append(float(loss))
    assert losses[-1] < losses[0] / 2


def test_batches_are_spread_over_devices(bands):
    script = f"""
        import jax, numpy as np
        from jax.sharding import Mesh, NamedSharding, PartitionSpec
        import mlstac
        sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
        ds = mlstac.load({str(bands)!r}, framework="jax", device=sharding)
        plain = mlstac.load({str(bands)!r}, framework="numpy")
        for batch, expected in zip(ds.batches(20, drop_last=True), plain.batches(20), strict=True):
            assert batch["input"].sharding == sharding
            assert len(batch["input"].addressable_shards) == 4
            assert np.array_equal(batch["input"], expected["input"])
            assert np.array_equal(batch["label"], expected["label"])
        print("ok")
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"},
    )
    assert ran.stdout == "ok\n", ran.stderr


def test_lists_and_short_batches_cannot_be_spread(tmp_path, run):
    script = """
        import sys
        import jax, numpy as np
        from jax.sharding import Mesh, NamedSharding, PartitionSpec
        import mlstac
        from mlstac.errors import DeviceError

        samples = [{"boxes": np.full((4, index + 1), index, "f4"), "text": f"{index}"} for index in range(6)]
        mlstac.write(samples, sys.argv[1], id="lists", license="CC0-1.0")
        mesh = Mesh(np.array(jax.devices()), ("data",))
        ds = mlstac.load(sys.argv[1], framework="jax", device=NamedSharding(mesh, PartitionSpec("data")))
        padded = iter(ds.batches(4, pad={"boxes": 0}))
        first = next(padded)
        assert len(first["boxes"].addressable_shards) == 4 and first["text"] == ["0", "1", "2", "3"]
        whole = mlstac.load(sys.argv[1], framework="jax", device=NamedSharding(mesh, PartitionSpec()))
        assert [len(box.devices()) for box in next(iter(whole.batches(4)))["boxes"]] == [4] * 4
        for batches in (padded, iter(ds.batches(4))):
            try:
                next(batches)
            except DeviceError as error:
                print(error)
    """
    short, listed = run(
        script, tmp_path / "lists", XLA_FLAGS="--xla_force_host_platform_device_count=4", JAX_PLATFORMS="cpu"
    ).splitlines()
    assert short.startswith("tensor 'boxes': an array of shape (2, 4, 6) cannot be laid out over")
    assert "drop_last=True" in short
    assert listed.startswith("tensor 'boxes' comes as a list of samples, which have no axis of the batch")


@pytest.mark.parametrize("narrow", [False, True])
def test_64_bits_are_refused_at_load_or_narrowed_as_asked(tmp_path, narrow):
    mlstac.write(
        [{"x": np.array([2**31 - 1, -5])}, {"x": np.array([0, 1])}], tmp_path / "wide", id="wide", license="CC0-1.0"
    )
    if not narrow:
        with pytest.raises(DtypeError, match="'x': jax holds I64 only"):
            mlstac.load(tmp_path / "wide", framework="jax")
        return
    ds = mlstac.load(tmp_path / "wide", framework="jax", narrow=True)
    assert ds[0]["x"].dtype == jnp.int32
    (batch,) = ds.batches(2)
    assert batch["x"].tolist() == [[2**31 - 1, -5], [0, 1]]


def test_a_label_of_64_bits_is_told_the_dtype_to_ask_for_by_name(tmp_path):
    label = {"y": mlstac.Tensor(role="label"), "x": mlstac.Tensor()}
    rows = [{"x": np.float64(0.5), "y": np.int64(number)} for number in (7, -5)]
    mlstac.write(rows, tmp_path / "wide", id="wide", license="CC0-1.0", tensors=label)
    with pytest.raises(DtypeError, match=r"'y': jax holds I64 only.*narrow=True") as told:
        mlstac.load(tmp_path / "wide", framework="jax", as_dtype="float32")
    assert "as_dtype={'y': 'int32'} does so for this tensor alone" in str(told.value)
    assert "a word, as_dtype='int32', leaves labels out" in str(told.value)
    with pytest.raises(DtypeError, match=r"'x': jax holds F64 only.*as_dtype=\{'x': 'float32'\} does so"):
        mlstac.load(tmp_path / "wide", framework="jax", as_dtype={"y": "int32"})
    ds = mlstac.load(tmp_path / "wide", framework="jax", as_dtype={"x": "float32", "y": "int32"})
    (batch,) = ds.batches(2)
    assert (batch["y"].dtype, batch["y"].tolist()) == (jnp.int32, [7, -5])
