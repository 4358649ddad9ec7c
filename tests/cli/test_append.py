"""`mlstac append`: the samples of one dataset in another, with all that their rows say."""

import json
import shutil

import numpy as np
import pytest

import mlstac


def test_samples_of_another_dataset_are_added_with_place_time_and_tensors(run, flood, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(flood, tmp_path / name)
    with mlstac.Writer(tmp_path / "more", mlstac.open(flood)) as writer:
        for number, sample in enumerate(mlstac.load(flood, framework="numpy")):
            writer.add(
                mlstac.Sample(
                    sample,
                    id=f"more-{number}",
                    crs="EPSG:32720",
                    transform=(10, 0, 400_000 + 320 * number, 0, -10, 8_300_000),
                    datetime="2019-02-01T10:00:00Z",
                    properties={"cloud": number / 3, "tile": ["x", "y"]},
                ),
                split="train" if number < 5 else "validation",
            )
    done = run("append", tmp_path / "a", tmp_path / "more")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "a")
    assert done.stderr.strip() == "added 8 samples (train 5 · validation 3); version 1.1.0"
    for split, rows in (("train", slice(8, 13)), ("validation", slice(0, 3))):
        grown, more = (mlstac.load(tmp_path / name, split=split, framework="numpy") for name in ("a", "more"))
        wanted = more.metadata.to_table()
        found = grown.metadata.to_table().slice(rows.start, rows.stop - rows.start)
        assert found.select(wanted.column_names).to_pylist() == wanted.to_pylist()
        assert np.array_equal(grown[rows]["image"], more[:]["image"])
        assert np.array_equal(grown[rows]["water"], more[:]["water"])
    said = json.loads(
        run("append", tmp_path / "b", tmp_path / "more", "--split", "extra", "--version=3", "--json").stdout
    )
    assert said == {"path": str(tmp_path / "b"), "version": "3", "added": {"extra": 8}}


def test_ids_that_are_there_already_are_one_line_and_status_1(run, flood, tmp_path):
    shutil.copytree(flood, tmp_path / "a")
    done = run("append", tmp_path / "a", flood)
    assert done.returncode == 1
    assert done.stderr.startswith("error: id 'chip-00' is used twice")
    assert len(done.stderr.splitlines()) == 1


def test_samples_that_vary_and_are_nowhere_are_added_too(run, texts, tmp_path):
    shutil.copytree(texts, tmp_path / "a")
    shutil.copytree(texts, tmp_path / "b")
    collection = mlstac.open(tmp_path / "b")
    with mlstac.Writer(tmp_path / "c", collection) as writer:
        for number, sample in enumerate(mlstac.load(texts, split="all", framework="numpy")):
            writer.add(mlstac.Sample(sample, id=f"again-{number}"))
    assert run("append", tmp_path / "a", tmp_path / "c").returncode == 0
    grown = mlstac.load(tmp_path / "a", split="train", framework="numpy")
    more = mlstac.load(tmp_path / "c", framework="numpy")
    for row in range(len(more)):
        there = grown[len(grown) - len(more) + row]
        assert all(np.array_equal(there[name], more[row][name]) for name in more[row])


def numbered(folder, start, stop):
    mlstac.write([{"x": np.full(3, number, np.uint8)} for number in range(start, stop)], folder, id="n", license="MIT")
    return folder


DESCRIBED = {"dims": "band y x", "bands": ["B04", "B08"], "nodata": 0, "scale": 1e-4, "unit": "1"}


def described(folder, *, classes=("land", "water"), **image):
    """A dataset of one sample, by description alone unlike another: its numbers would be taken in."""
    tensors = {"image": mlstac.Tensor(**DESCRIBED | image), "label": mlstac.Tensor(role="label", classes=classes)}
    collection = mlstac.Collection(id=folder.name, license="MIT", tensors=tensors)
    image = np.ones(tensors["image"].shape or (2, 4, 4), np.uint16)
    mlstac.write([{"image": image, "label": np.int64(1)}], folder, collection, card=False)
    return folder


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"classes": ["water", "land"]}, "0 is the class water, not land"),
        ({"classes": ["land", "water", "ice"]}, "2 is the class ice, and there is no class 2 there"),
        ({"bands": ["B08", "B04"]}, "its bands are B08 B04, not B04 B08"),
        ({"bands": [{"name": "B04", "nodata": 7}, "B08"]}, "its nodata of band B04 is 7, not 0"),
        ({"bands": [{}, {}, {"nodata": 7}], "shape": (3, 4, 4)}, "its nodata of band 2 is 7, not 0"),
        ({"nodata": 65535}, "its nodata is 65535, not 0"),
        ({"scale": None}, "its scale is 1, not 0.0001"),
        ({"offset": -0.1}, "its offset is -0.1, not 0"),
        ({"unit": "K"}, "its unit is K, not 1"),
        ({"dims": "band x y"}, "its axes are band x y, not band y x"),
    ],
)
def test_numbers_that_would_mean_something_else_are_refused(run, tmp_path, other, said):
    a, b = described(tmp_path / "a"), described(tmp_path / "b", **other)
    before = (a / "collection.json").read_bytes()
    done = run("append", a, b)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (a / "collection.json").read_bytes() == before


def test_what_only_one_dataset_says_of_its_numbers_is_no_difference(run, tmp_path):
    a = described(tmp_path / "a", nodata=None, scale=None)
    b = described(tmp_path / "b", classes=(), bands=(), dims=None, nodata=None, scale=1.0, unit=None)
    done = run("append", a, b)
    assert done.returncode == 0, done.stderr


def test_what_is_said_of_the_tensor_or_of_each_of_its_bands_is_the_same(run, tmp_path):
    said = {"nodata": 0, "scale": 1e-4, "unit": "1"}
    a = described(tmp_path / "a")
    b = described(tmp_path / "b", bands=[{"name": name, **said} for name in ("B04", "B08")], **dict.fromkeys(said))
    for one, other in ((a, b), (b, a)):
        done = run("append", one, other, "--id-prefix", f"{other.name}/")
        assert done.returncode == 0, done.stderr


def test_ids_that_nobody_gave_go_on_counting(run, tmp_path):
    a, b = numbered(tmp_path / "a", 0, 3), numbered(tmp_path / "b", 10, 12)
    done = run("append", a, b)
    assert done.returncode == 0, done.stderr
    grown = mlstac.load(a, framework="numpy")
    assert [row["id"] for row in grown.metadata] == [f"train-{number:07d}" for number in range(5)]
    assert [int(sample["x"][0]) for sample in grown] == [0, 1, 2, 10, 11]
    assert run("append", a, a).returncode == 0  # and itself
    assert len(mlstac.load(a, framework="numpy")) == 10


def test_a_prefix_keeps_ids_apart_and_is_named_where_it_would_help(run, flood, tmp_path):
    shutil.copytree(flood, tmp_path / "a")
    assert "--id-prefix" in run("append", tmp_path / "a", flood).stderr
    before = [row["id"] for row in mlstac.load(flood, split="all", framework="numpy").metadata]
    done = run("append", tmp_path / "a", flood, "--id-prefix", "again/", "--split", "more")
    assert done.returncode == 0, done.stderr
    after = [row["id"] for row in mlstac.load(tmp_path / "a", split="more", framework="numpy").metadata]
    assert after == [f"again/{name}" for name in before]


def test_a_token_opens_both_where_both_are_of_one_hub_in_two_spellings(run_with, hub, tmp_path):
    for name in ("a", "b"):
        folder = numbered(tmp_path / name, 0, 3)
        files = {path: path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()}
        hub.put(f"me/{name}", {name: path.read_bytes() for path, name in files.items() if name[0] != "."}, private=True)
    out = {**hub.environment, "HF_TOKEN": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run_with(out, "append", "hf://datasets/me/a", "me/b", "-O", f"token={hub.token}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "added 3 samples (train 3); version 1.1.0"
    here = run_with(out, "append", tmp_path / "a", "me/b", "-O", f"token={hub.token}")  # a folder needs none
    assert here.returncode == 0, here.stderr
    assert hub.token not in done.stdout + done.stderr + here.stdout + here.stderr
