"""`mlstac preview`: a picture is written, and it shows the dataset."""

import json

import numpy as np
import pytest
from PIL import Image

from mlstac.cli._preview import spread


def test_a_picture_is_written_and_its_path_printed(run, flood, tmp_path):
    done = run("preview", flood, "-o", "pictures/flood.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pictures/flood.png\n"
    with Image.open(tmp_path / "pictures" / "flood.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500  # chips of random colours, not an empty page


def test_json_names_the_samples_that_were_drawn(run, flood):
    said = json.loads(run("preview", flood, "-o", "p.png", "--split", "test", "-n", "2", "--json").stdout)
    assert said == {"path": "p.png", "split": "test", "ids": ["chip-08", "chip-11"]}


def test_a_dataset_without_place_is_drawn_without_a_map(run, texts, tmp_path):
    done = run("preview", texts)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "preview.png").stat().st_size > 1000


def test_an_empty_split_names_those_that_have_samples(run, flood):
    done = run("preview", flood, "--split", "validation")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "--split train or test" in line


@pytest.mark.parametrize(
    ("length", "count", "rows"), [(12, 3, [0, 6, 11]), (3, 8, [0, 1, 2]), (1, 1, [0]), (10, 1, [0])]
)
def test_samples_are_spread_over_the_split(length, count, rows):
    assert spread(length, count).tolist() == rows


@pytest.mark.parametrize("name", ["x.xyz", "x"])
def test_a_file_that_is_no_picture_is_refused_in_one_line(run, flood, tmp_path, name):
    done = run("preview", flood, "-o", name)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {name!r} is no file for a picture; end its name in .")
    assert ".png" in line
    assert not list(tmp_path.glob("x*"))
