"""What samples hold beside stacked arrays: shapes that vary, missing tensors, text; scaling, padding and mixes."""

import json
import pickle

import numpy as np
import pytest
import torch

import mlstac
from mlstac.errors import DtypeError, FormatError, InvalidArgumentError, NotFoundError, StateError


def make_samples(count=13, split="train"):
    rng = np.random.default_rng(5)
    for number in range(count):
        tensors = {
            "image": rng.integers(0, 10_000, (2, 16, 16)).astype(np.uint16),
            "boxes": np.full((number % 4, 4), number, np.float32),
            "crop": np.full((1 + number % 3, 2 + number % 2), number, np.int16),
            "caption": f"sample {number} é",
            "facts": {"number": number},
            "number": np.int64(number),
        }
        if number % 3:
            tensors["mask"] = np.full((16, 16), number, np.uint8)
        yield mlstac.Sample(
            tensors=tensors, id=f"{split}-{number}", properties={"kind": "even" if number % 2 == 0 else "odd"}
        )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """13 samples with all kinds of tensors, and 5 more as a test split."""
    folder = tmp_path_factory.mktemp("kinds") / "kinds"
    collection = mlstac.Collection(
        id="kinds",
        description="All kinds of tensors.",
        license="CC0-1.0",
        tensors={
            "image": mlstac.Tensor(dims="band y x", bands=["B02", "B03"], scale=0.5, offset=-1),
            "boxes": mlstac.Tensor(role="label"),
            "crop": mlstac.Tensor(),
            "caption": mlstac.Tensor(media_type="text/plain"),
            "facts": mlstac.Tensor(media_type="application/json"),
            "number": mlstac.Tensor(role="label"),
            "mask": mlstac.Tensor(dims="y x", role="label", required=False),
        },
    )
    mlstac.write({"train": make_samples(), "test": make_samples(5, "test")}, folder, collection, shard_size="8KB")
    return folder, [sample.tensors for sample in make_samples()]


@pytest.fixture(params=["local", "remote"])
def ds(mixed, request):
    if request.param == "local":
        return mlstac.load(mixed[0], framework="numpy", verify=True)
    return mlstac.load(request.getfixturevalue("range_server")(mixed[0]).url, framework="numpy")


def test_samples_come_back_as_they_went_in(ds, mixed):
    for number, wanted in enumerate(mixed[1]):
        sample = ds[number]
        assert set(sample) == set(wanted)
        assert sample["caption"] == wanted["caption"]
        assert sample["facts"] == wanted["facts"]
        for name in ("image", "boxes", "crop", "number", "mask"):
            if name in wanted:
                assert np.array_equal(sample[name], wanted[name])
                assert sample[name].shape == np.shape(wanted[name])
                assert sample[name].dtype == np.asarray(wanted[name]).dtype


@pytest.mark.parametrize("shuffle", [False, True, "block"])
def test_batches_have_lists_where_shapes_vary(ds, mixed, shuffle):
    chosen = ds.select([name for name in ds.tensors if name != "mask"])
    seen = []
    for batch in chosen.batches(5, shuffle=shuffle):
        for place, number in enumerate(batch["number"].tolist()):
            wanted = mixed[1][number]
            for name in ("image", "boxes", "crop"):
                assert np.array_equal(batch[name][place], wanted[name])
            assert batch["caption"][place] == wanted["caption"]
            assert batch["facts"][place] == wanted["facts"]
        assert isinstance(batch["boxes"], list)
        assert batch["image"].shape[1:] == (2, 16, 16)
        seen += batch["number"].tolist()
    assert sorted(seen) == list(range(13))


def test_padding_makes_one_tensor_and_says_what_is_real(ds, mixed):
    chosen = ds.select(["boxes", "crop", "mask", "number"])
    for batch in chosen.batches(5, pad={"boxes": -1, "crop": 7, "mask": 255}):
        for place, number in enumerate(batch["number"].tolist()):
            wanted = mixed[1][number]
            count = len(wanted["boxes"])
            assert np.array_equal(batch["boxes"][place, :count], wanted["boxes"])
            assert (batch["boxes"][place, count:] == -1).all()
            assert batch["boxes_mask"][place].tolist() == [row < count for row in range(batch["boxes"].shape[1])]
            assert np.array_equal(batch["crop"][place][batch["crop_mask"][place]], wanted["crop"].reshape(-1))
            assert (batch["crop"][place][~batch["crop_mask"][place]] == 7).all()
            assert batch["mask_present"][place] == ("mask" in wanted)
            assert np.array_equal(batch["mask"][place], wanted.get("mask", np.full((16, 16), 255, np.uint8)))
        assert batch["boxes_mask"].dtype == bool
        assert "boxes_present" not in batch


def test_a_batch_with_a_missing_tensor_is_refused_unless_it_is_filled(ds):
    with pytest.raises(InvalidArgumentError, match=r"lacks tensor 'mask'.*pad=\{'mask': 0\}"):
        list(ds.batches(4))
    with pytest.raises(InvalidArgumentError, match="lacks tensor 'mask'"):
        ds[0:3]
    assert "mask" not in ds[[0, 3, 6]]
    assert ds[[1, 2, 4]]["mask"].shape == (3, 16, 16)


@pytest.mark.parametrize("value", [256, -1, 0.5, float("nan"), True])
def test_a_filling_that_does_not_fit_the_dtype_is_refused(ds, value):
    with pytest.raises(InvalidArgumentError):
        list(ds.batches(4, pad={"mask": value}))


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_encoded_fields_that_a_sample_lacks_are_filled_in_their_list(tmp_path, framework):
    optional = {
        "words": mlstac.Tensor(media_type="text/plain", required=False),
        "facts": mlstac.Tensor(media_type="application/json", required=False),
        "number": mlstac.Tensor(),
    }
    rows = [({"words": f"w{i}"} if i % 3 else {"facts": {"n": i}}) | {"number": np.int32(i)} for i in range(7)]
    mlstac.write(rows, tmp_path / "d", mlstac.Collection(id="d", license="CC0-1.0", tensors=optional))
    ds = mlstac.load(tmp_path / "d", framework=framework)
    with pytest.raises(InvalidArgumentError, match=r"lacks tensor 'words'.*pad=\{'words': None\}"):
        ds[:]
    seen = []
    for batch in ds.batches(4, pad={"words": "", "facts": None}):
        for place, number in enumerate(np.asarray(batch["number"]).tolist()):
            assert batch["words"][place] == rows[number].get("words", "")
            assert batch["facts"][place] == rows[number].get("facts")
            assert bool(batch["words_present"][place]) == ("words" in rows[number])
            assert bool(batch["facts_present"][place]) == ("facts" in rows[number])
            seen.append(number)
    assert seen == list(range(7))


@pytest.mark.parametrize(("name", "value"), [("caption", 0), ("facts", ""), ("facts", 0)])
def test_encoded_fields_are_filled_with_none_or_text_alone(ds, name, value):
    with pytest.raises(InvalidArgumentError, match="comes as a list"):
        ds.batches(4, pad={name: value})


def test_scaled_values_are_the_quantities(ds, mixed):
    wanted = mixed[1][4]["image"].astype(np.float64) * 0.5 - 1
    scaled = ds.scaled()
    assert scaled[4]["image"].dtype == np.float32
    assert np.allclose(scaled[4]["image"], wanted)
    assert np.allclose(scaled.select(bands=["B03"])[4]["image"], wanted[1:])
    assert scaled[4]["crop"].dtype == np.int16
    assert scaled.dtypes["image"] == "F32"


def test_normalized_values_have_mean_0_and_deviation_1(mixed):
    ds = mlstac.load(mixed[0], framework="numpy").select(["image"])
    everything = np.stack([tensors["image"] for tensors in mixed[1]]).astype(np.float64)
    statistics = ds.statistics("image")
    assert statistics.bands == ("B02", "B03")
    assert np.allclose(statistics.mean, everything.mean(axis=(0, 2, 3)))
    assert np.allclose(statistics.std, everything.std(axis=(0, 2, 3)))
    assert statistics.min.tolist() == everything.min(axis=(0, 2, 3)).tolist()
    assert statistics.count.tolist() == [13 * 256] * 2
    values = ds.normalized()[:]["image"]
    assert np.allclose(values.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    assert np.allclose(values.std(axis=(0, 2, 3)), 1, atol=1e-5)
    reversed_bands = ds.normalized().select(bands=["B03", "B02"])
    assert np.allclose(reversed_bands[:]["image"], values[:, ::-1], atol=1e-6)
    assert np.allclose(ds.scaled().statistics("image").mean, statistics.mean * 0.5 - 1)
    assert np.allclose(ds.normalized().statistics("image").std, 1)
    assert np.allclose(pickle.loads(pickle.dumps(reversed_bands))[3]["image"], reversed_bands[3]["image"])
    batches = list(ds.normalized().batches(4))
    assert np.allclose(np.concatenate([batch["image"] for batch in batches]), values)


def test_statistics_that_are_not_there_are_named(ds):
    with pytest.raises(NotFoundError, match="no tensor 'nothing'; it has image"):
        ds.statistics("nothing")
    with pytest.raises(NotFoundError, match="no statistics of tensor 'caption'"):
        ds.statistics("caption")


def test_as_dtype_converts_data_and_leaves_labels(mixed):
    ds = mlstac.load(mixed[0], framework="torch", as_dtype="float32")
    sample = ds[2]
    assert sample["image"].dtype == torch.float32
    assert sample["number"].dtype == torch.int64
    assert np.array_equal(sample["image"].numpy(), mixed[1][2]["image"].astype(np.float32))
    some = mlstac.load(mixed[0], framework="torch", as_dtype={"number": "int32"}).select(["image"])
    assert some[2]["image"].dtype == torch.uint16
    with pytest.raises(DtypeError):
        mlstac.load(mixed[0], as_dtype="bool")
    with pytest.raises(InvalidArgumentError, match="'float32' or 'float64'"):
        mlstac.load(mixed[0], as_dtype="float")
    with pytest.raises(NotFoundError, match="'nothing'"):
        mlstac.load(mixed[0], as_dtype={"nothing": "float32"})


def test_balance_draws_every_class_as_often(mixed):
    ds = mlstac.load(mixed[0], framework="numpy").select(["number"])
    drawn = np.concatenate([batch["number"] for batch in ds.batches(4, balance="kind")])
    assert len(drawn) == 13
    assert abs(int((drawn % 2 == 0).sum()) - 6.5) <= 1
    with pytest.raises(NotFoundError, match="no column 'class'"):
        ds.batches(4, balance="class")
    with pytest.raises(NotFoundError, match=r"balance='number' is a tensor.*properties=\{'number': .*weights="):
        ds.batches(4, balance="number")


def test_a_share_too_small_to_be_kept_is_refused(mixed):
    ds = mlstac.load(mixed[0], framework="numpy").select(["number"])
    with pytest.raises(InvalidArgumentError, match="less than one draw in 10,000"):
        mlstac.mix([ds, ds.subset(slice(0, 3))], weights=[1e-6, 1])
    assert "0.0001" in repr(mlstac.mix([ds, ds.subset(slice(0, 3))], weights=[1, 9999]))


def test_a_mix_draws_from_each_its_share_and_resumes(mixed):
    train = mlstac.load(mixed[0], framework="numpy").select(["number", "caption"])
    test = mlstac.load(mixed[0], "test", framework="numpy").select(["number", "caption"])
    both = mlstac.mix([train, test], weights=[0.7, 0.3], seed=3)
    assert len(both) == 18
    batches = list(both.batches(10, samples=10_000, prefetch=1))
    numbers = np.concatenate([batch["number"] for batch in batches])
    assert len(numbers) == 10_000
    for batch in batches[:50]:
        assert [f"sample {number} é" for number in batch["number"].tolist()] == batch["caption"]
    counts = np.bincount(numbers, minlength=13)
    assert counts[5:].min() >= 7000 // 13
    assert counts[:5].sum() == 3000 + (counts[:5].sum() - 3000)
    assert abs(counts[0] - (7000 / 13 + 600)) <= 1.5
    whole = [batch["number"].tolist() for batch in both.batches(4)]
    running = both.batches(4)
    iterator = iter(running)
    next(iterator)
    state = json.loads(json.dumps(running.state_dict()))
    again = both.batches(4)
    again.load_state_dict(state)
    assert [batch["number"].tolist() for batch in again] == whole[1:]
    ranks = [[batch["number"].tolist() for batch in both.batches(2, rank=rank, world_size=2)] for rank in (0, 1)]
    assert [one + other for one, other in zip(*ranks, strict=True)][:4] == whole[:4]
    with pytest.raises(StateError):
        mlstac.mix([train, test], weights=[0.6, 0.4]).batches(4).load_state_dict(state)


def test_a_mix_of_local_and_remote_reads_each_where_it_is(mixed, range_server):
    names = ["image", "boxes", "number"]
    local = mlstac.load(mixed[0], framework="numpy").select(names)
    remote = mlstac.load(range_server(mixed[0]).url, "test", framework="numpy").select(names)
    for batch in mlstac.mix([local, remote]).batches(6):
        for place, number in enumerate(batch["number"].tolist()):
            assert np.array_equal(batch["image"][place], mixed[1][number]["image"])
            assert np.array_equal(batch["boxes"][place], mixed[1][number]["boxes"])


def test_what_cannot_be_mixed_is_refused(mixed):
    ds = mlstac.load(mixed[0], framework="numpy")
    for datasets, weights in [
        ([], None),
        ([ds, ds.select(["image"])], None),
        ([ds, ds], [1]),
        ([ds, ds], [1, 0]),
        ([ds, ds], [1, float("nan")]),
        ([ds, ds.subset([])], None),
        ([ds, ds.with_framework("torch")], None),
        ([ds.select(["image"]), ds.select(["image"]).scaled()], None),
        ([ds, "elsewhere"], None),
    ]:
        with pytest.raises(InvalidArgumentError):
            mlstac.mix(datasets, weights)
    for samples in ("many", 2.5, -1, True):
        with pytest.raises(InvalidArgumentError, match="samples="):
            mlstac.mix([ds, ds]).batches(2, samples=samples)


def test_missing_statistics_say_why_and_what_to_do(tmp_path):
    tensors = {"mask": mlstac.Tensor(dims="y x", role="label", classes={0: "land", 1: "water"}), "x": mlstac.Tensor()}
    samples = [{"mask": np.ones((2, 2), np.uint8), "x": np.ones(3, "f4")}]
    mlstac.write({"test": samples}, tmp_path / "out", id="no-train", license="CC0-1.0", tensors=tensors)
    ds = mlstac.load(tmp_path / "out", "test", framework="numpy")
    with pytest.raises(
        NotFoundError, match=r"holds classes, of which there is no mean; .* ds\.tensors\['mask'\]\.classes"
    ):
        ds.statistics("mask")
    with pytest.raises(NotFoundError, match=r"over a split named 'train': write the samples"):
        ds.statistics("x")


def test_a_value_that_does_not_fit_is_told_with_its_tensor_and_its_sample(tmp_path):
    samples = [{"small": np.int64(number), "count": np.int64(70_000 if number == 3 else number)} for number in range(5)]
    mlstac.write(samples, tmp_path / "ds", id="ds", license="CC0-1.0")
    ds = mlstac.load(tmp_path / "ds", framework="numpy", as_dtype="uint16")
    for key in (3, slice(2, 5), [4, 3]):
        with pytest.raises(DtypeError, match=r"tensor 'count': value 70000 of .*sample 3 \('train-0000003'\)"):
            ds[key]
    with pytest.raises(DtypeError, match="tensor 'count': value 70000"):
        list(ds.batches(2))


def test_a_truth_that_is_neither_is_told_with_its_tensor_and_its_sample(tmp_path):
    samples = [{"mask": np.array([True, False]), "more": np.float32(number)} for number in range(4)]
    mlstac.write(samples, tmp_path / "ds", id="ds", license="CC0-1.0")
    (shard,) = (tmp_path / "ds" / "train").glob("*.safetensors")
    stored = bytearray(shard.read_bytes())
    header = int.from_bytes(stored[:8], "little")
    begin = 8 + header + json.loads(stored[8 : 8 + header])["mask"]["data_offsets"][0]
    stored[begin + 5] = 2  # of the third sample
    shard.write_bytes(stored)
    for options in ({}, {"as_dtype": {"mask": "uint8"}}):
        ds = mlstac.load(tmp_path / "ds", framework="numpy", **options)
        for key in (2, slice(1, 4)):
            with pytest.raises(FormatError, match=r"tensor 'mask': a BOOL .*byte 2; .*sample 2 \('train-0000002'\)"):
                ds[key]
