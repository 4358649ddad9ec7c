"""Whatever authors iterate over goes in: datasets and loaders of other libraries, batches, xarray."""

import io
import sys
from functools import partial

import numpy as np
import pytest
from PIL import Image

import mlstac
from mlstac.collection import Collection, Tensor
from mlstac.errors import InvalidArgumentError, InvalidSampleError
from tests.authoring._read import read_collection, read_rows, read_shards, read_tensors

N = 7


def image_of(number):
    return np.full((2, 8, 8), number, np.int32)


def numbers(path, split="train"):
    return [int(x[0, 0, 0]) for x in read_tensors(path, split, "image", dtype=np.int32)]


def texts(path, name="caption"):
    return [bytes(array).decode() for array in read_tensors(path, "train", name, dtype=np.uint8)]


class Endless:
    """A dataset with an index, as torch has them: asked past its end it invents samples."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return N

    def __getitem__(self, number):
        self.asked.append(number)
        return {"image": image_of(number), "caption": f"number {number}"}


def test_a_dataset_with_an_index_alone_is_read_to_its_length(tmp_path):
    mlstac.write(Endless(), tmp_path)
    assert numbers(tmp_path) == list(range(N))


def test_a_dataset_with_an_index_is_not_asked_again_for_what_is_written(tmp_path):
    class Failing(Endless):
        def __getitem__(self, number):
            if number == 5:
                raise RuntimeError
            return super().__getitem__(number)

    with pytest.raises(RuntimeError):
        mlstac.write(Failing(), tmp_path, id="x", shard_size=1100)
    again = Endless()
    mlstac.write(again, tmp_path, id="x", shard_size=1100)
    assert numbers(tmp_path) == list(range(N))
    assert again.asked[:2] == [0, again.asked[2] - 1], "the first and the last are compared"
    assert again.asked[2:] == list(range(again.asked[2], N))
    assert again.asked[2] >= 2


@pytest.mark.parametrize("changed", ["first", "last", "shorter"])
def test_an_index_that_gives_other_samples_now_is_refused(tmp_path, changed):
    class Failing(Endless):
        def __getitem__(self, number):
            if number == 5:
                raise RuntimeError
            return super().__getitem__(number)

    class Other(Endless):
        def __len__(self):
            return 1 if changed == "shorter" else N

        def __getitem__(self, number):
            is_changed = number == 0 if changed == "first" else number > 0
            return {"image": image_of(number + is_changed), "caption": f"number {number}"}

    with pytest.raises(RuntimeError):
        mlstac.write(Failing(), tmp_path, id="x", shard_size=1100)
    with pytest.raises((InvalidSampleError, InvalidArgumentError), match="overwrite=True"):
        mlstac.write(Other(), tmp_path, id="x", shard_size=1100)
    assert not (tmp_path / "collection.json").exists()


def torch_dataset():
    import torch

    class Captioned(torch.utils.data.Dataset):
        def __len__(self):
            return N

        def __getitem__(self, number):
            return {
                "image": torch.from_numpy(image_of(number)),
                "caption": f"number {number}",
                "label": number % 3,
                "score": np.float32(number / 2),
            }

    return Captioned()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_a_torch_dataset_and_its_loader_give_the_same(tmp_path, batch_size, workers):
    import torch

    tensors = {"image": Tensor(), "caption": Tensor(), "label": Tensor(dtype="I64"), "score": Tensor(dtype="F32")}
    mlstac.write(torch_dataset(), tmp_path / "dataset", Collection(id="x", tensors=tensors))
    context = "fork" if workers and sys.platform == "linux" else None
    loader = torch.utils.data.DataLoader(
        torch_dataset(),
        batch_size=batch_size,
        num_workers=workers,
        multiprocessing_context=context,
        collate_fn=None if batch_size else (lambda sample: sample),
    )
    if batch_size is None:
        mlstac.write(loader, tmp_path / "loader", Collection(id="x", tensors=tensors))
    else:
        # numpy's scalars are collated as float64, whatever they were
        batches = ({**batch, "score": batch["score"].float()} for batch in loader)
        mlstac.write(batches, tmp_path / "loader", Collection(id="x", tensors=tensors), batched=True)
    for path in (tmp_path / "dataset", tmp_path / "loader"):
        assert numbers(path) == list(range(N))
        assert texts(path) == [f"number {number}" for number in range(N)]
        assert read_shards(path, "train")[0]["label"].tolist() == [number % 3 for number in range(N)]
        assert read_shards(path, "train")[0]["score"].tolist() == [number / 2 for number in range(N)]


def test_a_loader_whose_batches_would_pass_for_samples_is_refused(tmp_path):
    import torch

    loader = torch.utils.data.DataLoader(torch_dataset(), batch_size=3)
    with pytest.raises(InvalidArgumentError, match=r"batch_size 3.*batched=True"):
        mlstac.write(loader, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    mlstac.write(loader, tmp_path / "out", batched=True)
    assert numbers(tmp_path / "out") == list(range(N))


def test_a_torch_iterable_dataset_goes_in(tmp_path):
    import torch

    class Streamed(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([{"image": torch.from_numpy(image_of(number))} for number in range(N)])

    mlstac.write(Streamed(), tmp_path)
    assert numbers(tmp_path) == list(range(N))


@pytest.mark.parametrize("batched", [False, True])
def test_a_tf_dataset_goes_in_with_its_strings(tmp_path, batched):
    import tensorflow

    stacked = np.stack([image_of(number) for number in range(N)])
    given = tensorflow.data.Dataset.from_tensor_slices(
        {"image": stacked, "caption": [f"number {number}" for number in range(N)]}
    )
    mlstac.write(given.batch(3) if batched else given, tmp_path, batched=batched)
    assert numbers(tmp_path) == list(range(N))
    assert texts(tmp_path) == [f"number {number}" for number in range(N)]


def hugging_face():
    import datasets

    def rows():
        for number in range(N):
            pixels = np.zeros((6, 5, 3), np.uint8)
            pixels[..., 1], pixels[2, 3, 0] = number, 200
            yield {
                "picture": Image.fromarray(pixels),
                "caption": f"number {number}",
                "label": number % 2,
                "values": [number, number + 1],
            }

    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "caption": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["a", "b"]),
            "values": datasets.Sequence(datasets.Value("int64")),
        }
    )
    return datasets, datasets.Dataset.from_list(list(rows()), features=features)


def check_hugging_face(path):
    pictures = read_tensors(path, "train", "picture", dtype=np.uint8)
    assert [picture.shape for picture in pictures] == [(3, 6, 5)] * N
    assert [int(picture[1, 0, 0]) for picture in pictures] == list(range(N))
    assert all(picture[0, 2, 3] == 200 for picture in pictures)
    assert texts(path) == [f"number {number}" for number in range(N)]
    shard = read_shards(path, "train")[0]
    assert shard["label"].tolist() == [number % 2 for number in range(N)]
    assert shard["values"].tolist() == [[number, number + 1] for number in range(N)]


@pytest.mark.parametrize("form", ["dataset", "streamed", "batched", "dict"])
def test_a_hugging_face_dataset_goes_in_in_every_form(tmp_path, form):
    datasets, given = hugging_face()
    if form == "streamed":
        mlstac.write(given.to_iterable_dataset(), tmp_path)
    elif form == "batched":
        mlstac.write(given.iter(batch_size=3), tmp_path, batched=True)
    elif form == "dict":
        collection = mlstac.write(datasets.DatasetDict({"train": given, "test": given.select([0])}), tmp_path)
        assert collection.test.n_items == 1
    else:
        mlstac.write(given, tmp_path)
    check_hugging_face(tmp_path)


def test_pictures_that_hugging_face_did_not_decode_keep_their_bytes(tmp_path):
    datasets, given = hugging_face()
    mlstac.write(given.cast_column("picture", datasets.Image(decode=False)), tmp_path)
    assert read_collection(tmp_path)["ml:tensors"]["picture"]["media_type"] == "image/png"
    stored = read_tensors(tmp_path, "train", "picture", dtype=np.uint8)
    found = np.asarray(Image.open(io.BytesIO(bytes(stored[4]))))
    assert found[0, 0].tolist() == [0, 4, 0]


def test_tensors_of_several_frameworks_in_one_sample_and_in_turn(tmp_path):
    import jax.numpy
    import torch

    makers = [torch.from_numpy, jax.numpy.asarray, np.asarray]
    samples = [
        {"image": makers[number % 3](image_of(number)), "other": makers[(number + 1) % 3](image_of(-number))}
        for number in range(N)
    ]
    mlstac.write(samples, tmp_path)
    assert numbers(tmp_path) == list(range(N))
    assert [int(x.min()) for x in read_tensors(tmp_path, "train", "other", dtype=np.int32)] == [-n for n in range(N)]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": np.zeros((3, 2)), "label": np.zeros(2)}, "several lengths.*'image' 3.*'label' 2"),
        ({"image": np.zeros((3, 2)), "label": 5}, "'label' without a leading axis"),
        ({"image": np.zeros((3, 2)), "label": np.float32(5)}, "'label' without a leading axis"),
        ({"image": np.zeros((3, 2)), "label": "abc"}, "'label' without a leading axis"),
        ([1, 2], r"batch 1 is a list of 2 .* name them, e\.g\. \(\{'input': x, 'target': y\} for x, y in loader\)"),
        (1, "batch 1 is of type int"),
        ({}, "batch 1 is of type dict"),
    ],
)
def test_a_batch_that_cannot_be_split_is_named(tmp_path, batch, message):
    with pytest.raises(InvalidSampleError, match=message):
        mlstac.write([{"image": np.zeros((3, 2)), "label": np.zeros(3)}, batch], tmp_path, batched=True)


def test_tuples_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(InvalidSampleError, match=r"tuple of 2.*'input': x"):
        mlstac.write([(image_of(0), 3)], tmp_path / "out")


def test_batches_go_in_by_parts_too(tmp_path):
    def part(first):
        return [{"image": np.stack([image_of(first), image_of(first + 1)])}]

    mlstac.write_parts([partial(part, 0), partial(part, 2)], tmp_path, batched=True)
    assert numbers(tmp_path) == [0, 1, 2, 3]


# ---------------------------------------------------------------------- xarray


def scene(number, **coordinates):
    import rioxarray  # noqa: F401  (it adds .rio)
    import xarray

    step = np.arange(8)
    dataset = xarray.Dataset(
        {"image": (("band", "y", "x"), image_of(number)), "mask": (("y", "x"), image_of(number)[0].astype(np.uint8))},
        {
            "band": ["B04", "B08"],
            "y": 4_200_000 - 10 * step - 5.0,
            "x": 300_000 + 10 * step + 5.0,
            "time": np.datetime64("2020-06-01T10:50:00") + number,
            **coordinates,
        },
    )
    return dataset.rio.write_crs("EPSG:32630")


@pytest.mark.parametrize("how", ["coordinates", "transform", "encoding"])
def test_an_xarray_dataset_is_a_sample_with_its_place_time_axes_and_bands(tmp_path, how):
    def given(number):
        dataset = scene(number)
        dataset["image"].attrs["nodata"] = 3
        if how == "transform":
            import affine

            return dataset.rio.write_transform(affine.Affine(10, 0, 300_000, 0, -10, 4_200_000))
        if how == "encoding":
            dataset["image"].encoding["grid_mapping"] = "spatial_ref"
        return dataset

    mlstac.write((given(number) for number in range(N)), tmp_path)
    described = read_collection(tmp_path)
    assert described["ml:tensors"]["image"]["dims"] == ["band", "y", "x"]
    assert [band["name"] for band in described["item_assets"]["image"]["bands"]] == ["B04", "B08"]
    assert described["item_assets"]["image"]["bands"][0]["statistics"]["count"] == (N - 1) * 64  # without nodata
    assert described["item_assets"]["mask"]["roles"] == ["label"]
    row = read_rows(tmp_path)[1:].to_pylist()[0]
    assert row["proj:code"] == "EPSG:32630"
    assert list(row["proj:transform"])[:6] == [10, 0, 300_000, 0, -10, 4_200_000]
    assert row["datetime"].isoformat() == "2020-06-01T10:50:01+00:00"
    import pyproj

    lon, lat = pyproj.Transformer.from_crs(32630, 4326, always_xy=True).transform(300_000, 4_200_000)
    assert row["bbox"]["xmin"] == pytest.approx(lon, abs=1e-4)
    assert row["bbox"]["ymax"] == pytest.approx(lat, abs=1e-4)


def test_a_series_has_its_times_and_what_to_xarray_gives_goes_in_again(tmp_path):
    import xarray

    times = np.array(["2020-01-01", "2020-02-01", "2020-03-01"], "datetime64[ns]")
    series = xarray.concat([scene(number).drop_vars("time") for number in range(3)], dim="time").assign_coords(
        time=times
    )
    mlstac.write([series], tmp_path / "one", id="x")
    again = mlstac.load(tmp_path / "one").to_xarray(0)
    mlstac.write([again], tmp_path / "two", id="x")
    for path in (tmp_path / "one", tmp_path / "two"):
        shard = read_shards(path, "train")[0]
        assert shard["image"].shape == (1, 3, 2, 8, 8)
        assert shard["image_time"][0].astype("datetime64[us]").tolist() == times.astype("datetime64[us]").tolist()
        assert read_collection(path)["extent"]["temporal"]["interval"][0][0].startswith("2020-01-01")
    assert read_rows(tmp_path / "one")["proj:transform"] == read_rows(tmp_path / "two")["proj:transform"]


def test_a_data_array_is_one_tensor(tmp_path):
    mlstac.write([scene(4)["image"].rename("picture")], tmp_path)
    assert list(read_collection(tmp_path)["ml:tensors"]) == ["picture"]
    assert read_rows(tmp_path)["proj:code"].to_pylist() == ["EPSG:32630"]


def test_coordinates_that_no_transform_gives_are_refused(tmp_path):
    uneven = scene(0, x=np.cumsum(np.arange(8.0)))
    with pytest.raises(InvalidSampleError, match="'x' is not evenly spaced"):
        mlstac.write([uneven], tmp_path / "out")


def test_without_a_crs_nothing_is_placed(tmp_path):
    mlstac.write([scene(0).drop_vars("spatial_ref")], tmp_path)
    assert "geometry" not in read_rows(tmp_path).column_names


# ---------------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown_on(stream, monkeypatch, samples, path, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    mlstac.write(samples, path, **options)
    return stream.getvalue()


def test_progress_has_rate_and_time_left_on_a_terminal_and_is_quiet_elsewhere(tmp_path, monkeypatch):
    samples = [{"image": image_of(number)} for number in range(N)]
    text = shown_on(Terminal(), monkeypatch, samples, tmp_path / "a")
    assert f"{N}/{N}" in text  # of how many, from which the time left follows
    assert "samples/s" in text or "s/ samples" in text
    endless = shown_on(Terminal(), monkeypatch, iter(samples), tmp_path / "b")
    assert f"{N} samples" in endless
    assert shown_on(io.StringIO(), monkeypatch, samples, tmp_path / "c") == ""
    assert shown_on(Terminal(), monkeypatch, samples, tmp_path / "d", progress=False) == ""


@pytest.mark.parametrize(("drop_last", "count"), [(False, 10), (True, 9)])
def test_the_bar_knows_how_many_samples_a_loader_of_batches_has(tmp_path, capsys, drop_last, count):
    import torch

    loader = torch.utils.data.DataLoader([{"x": at} for at in range(10)], batch_size=3, drop_last=drop_last)
    mlstac.write(loader, tmp_path / "out", batched=True, progress=True, card=False)
    assert f"{count}/{count} " in capsys.readouterr().err


def test_a_loader_that_is_not_torchs_is_counted_by_its_end(tmp_path):
    class Loader:
        sampler, batch_size = range(3), 2

        def __len__(self):
            return 2

        def __iter__(self):
            return iter([{"x": np.arange(2)}, {"x": np.arange(1)}])

    assert mlstac.write(Loader(), tmp_path / "out", batched=True, card=False).train.n_items == 3


def test_an_array_of_objects_holds_samples(tmp_path):
    some = np.array([{"x": 1}, {"x": 2}], object)
    assert mlstac.write({"train": some}, tmp_path / "out", card=False).train.n_items == 2


def test_arrays_of_all_samples_are_told_how_to_become_a_batch(tmp_path):
    arrays = {"input": np.arange(20, dtype=np.uint8).reshape(5, 2, 2), "target": np.arange(5)}
    with pytest.raises(InvalidArgumentError, match=r"'input' are one array.*\[\{'input': images.*batched=True"):
        mlstac.write(arrays, tmp_path / "out")
    mlstac.write([arrays], tmp_path / "out", batched=True, card=False)  # as it says
    assert [int(sample["target"]) for sample in mlstac.load(tmp_path / "out", framework="numpy")] == [0, 1, 2, 3, 4]
