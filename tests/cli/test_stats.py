"""`mlstac stats`: numbers of the collection, and the same taken again from the samples."""

import json

import numpy as np
import pytest

import mlstac


def test_the_table_and_the_json_say_what_the_values_are(run, flood):
    images = np.stack([sample["image"] for sample in mlstac.load(flood, framework="numpy")]).astype(np.float64)
    masks = np.stack([sample["water"] for sample in mlstac.load(flood, framework="numpy")])
    said = json.loads(run("stats", flood, "--json").stdout)
    again = json.loads(run("stats", flood, "--json", "--recompute").stdout)
    assert not said["recomputed"]
    assert again["recomputed"]
    assert again["tensors"] == said["tensors"]
    bands = said["tensors"]["image"]["bands"]
    assert [band["name"] for band in bands] == ["B04", "B03", "B02"]
    for at, band in enumerate(bands):
        assert np.isclose(band["statistics"]["mean"], images[:, at].mean(), rtol=1e-12)
        assert np.isclose(band["statistics"]["stddev"], images[:, at].std(), rtol=1e-12)
        assert band["statistics"]["maximum"] == images[:, at].max()
    counts = {item["name"]: item["count"] for item in said["tensors"]["water"]["classes"]}
    assert counts == {"land": int((masks == 0).sum()), "water": int((masks == 1).sum())}
    page = " ".join(run("stats", flood).stdout.split())
    assert f"B04 {int(images[:, 0].min())} " in page.replace("red ", "").replace("0.665 ", "")
    assert f"{counts['water']:,}" in page


def test_another_split_is_measured_from_its_samples(run, flood):
    images = np.stack([sample["image"] for sample in mlstac.load(flood, split="test", framework="numpy")])
    said = json.loads(run("stats", flood, "--split", "test", "--json").stdout)
    assert said["recomputed"]
    statistics = said["tensors"]["image"]["bands"][2]["statistics"]
    assert statistics["count"] == images[:, 2].size
    assert np.isclose(statistics["mean"], images[:, 2].mean(dtype=np.float64), rtol=1e-12)


@pytest.mark.parametrize(("split", "more"), [("val", []), ("train", ["--recompute"]), ("train", [])])
def test_an_empty_split_is_said_to_be_empty(run, tmp_path, split, more):
    held = "test" if split == "train" else "train"
    mlstac.write({held: [{"x": np.ones((2, 4, 4), np.uint8)}]}, tmp_path / "a", id="a", license="CC0-1.0")
    done = run("stats", "a", "--split", split, *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"no statistics: split {split!r} is empty; give --split {held}\n"
    said = json.loads(run("stats", "a", "--split", split, *more, "--json").stdout)
    assert (said["split"], said["samples"]) == (split, 0)


def test_tensors_that_vary_and_have_no_bands_are_one_row(run, texts):
    done = run("stats", texts, "--recompute", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tensors"]["points"]["statistics"]["count"] > 0
    assert json.loads(done.stdout)["tensors"]["note"]["statistics"] is None
