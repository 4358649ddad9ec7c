"""The demo from end to end: what it leaves, what it tells, what it refuses."""

import io
import json
import subprocess
import sys

import numpy as np
import pystac
import pytest
import safetensors.numpy
from matplotlib.image import imread
from rich.console import Console

import mlstac
from mlstac.cli.demo import DATASET, author_scene, find_scene, read_scene, run_demo
from mlstac.errors import ExistsError


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The demo run twice, as by one who liked it: (folder, words, score)."""
    out = tmp_path_factory.mktemp("here") / "demo"
    run_demo(out, echo=Console(file=io.StringIO()), epochs=1)
    words = io.StringIO()
    score = run_demo(out, echo=Console(file=words, width=80, highlight=False))
    return out, words.getvalue(), score


def test_the_network_is_clearly_past_the_majority_class(told):
    _, words, score = told
    assert score.accuracy > score.majority + 0.25
    assert score.accuracy > 0.93
    assert f"validation accuracy {score.accuracy:.3f}" in words
    assert f"{score.majority:.3f}" in words


def test_a_second_run_leaves_one_dataset(told):
    out, _, _ = told
    assert len(list((out / DATASET).glob("*/*.safetensors"))) == 3


def test_the_picture_has_something_on_it(told):
    shown = imread(told[0] / "preview.png")[..., :3]
    assert min(shown.shape[:2]) > 800
    assert (shown < 1).any(axis=-1).mean() > 0.3
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 1000


def test_the_story_is_plain_where_nobody_has_a_terminal(told):
    out, words, _ = told
    lines = words.replace(out.as_posix(), "demo").splitlines()
    assert "\x1b" not in words
    assert max(map(len, lines)) <= 110
    assert not [line for line in lines if line != line.rstrip()]


def test_sample_four_is_told_as_the_scene_has_it(told):
    _, words, _ = told
    pixel = read_scene(find_scene()).image[:, 10, 90].tolist()
    assert f"tensor({pixel}, dtype=torch.uint16)" in words


def test_the_traffic_that_is_told_is_far_below_the_shard(told):
    _, words, _ = told
    (line,) = [line for line in words.splitlines() if line.strip().startswith("sample 4 ")]
    sent = int(line.split()[-2].replace(",", ""))
    assert 5_200 <= sent <= 10_000  # its 5,200 bytes, and the rest of the block that shares its checksum


def test_the_dataset_opens_without_mlstac(told):
    folder = told[0] / DATASET
    shard = safetensors.numpy.load_file(folder / "train/00000.safetensors")
    assert shard["input"].shape == (90, 6, 20, 20)
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    assert collection.extent.temporal.intervals == [[None, None]]


def test_nothing_is_invented(told):
    columns = mlstac.load(told[0] / DATASET, framework="numpy").metadata.columns
    assert "geometry" in columns
    assert "datetime" not in columns


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    for content in ("{}", json.dumps({"id": "mine"}), "not json", "[]"):
        (tmp_path / "collection.json").write_text(content)
        with pytest.raises(ExistsError, match="something else"):
            author_scene(tmp_path)
        assert (tmp_path / "collection.json").read_text() == content


def test_a_demo_that_was_broken_off_is_begun_anew_and_a_file_of_somebody_elses_is_kept(tmp_path):
    author_scene(tmp_path)
    (tmp_path / "collection.json").unlink()
    author_scene(tmp_path)
    assert (tmp_path / "collection.json").exists()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExistsError, match="something else"):
        author_scene(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_missing_framework_is_said_before_anything_is_written(tmp_path):
    code = f"""
import sys
sys.modules["torch"] = None
from pathlib import Path
from mlstac.cli.demo import run_demo
from mlstac.errors import MissingFrameworkError
try:
    run_demo(Path({str(tmp_path / "demo")!r}))
except MissingFrameworkError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert "pip install torch" in ran.stdout
    assert not (tmp_path / "demo").exists()
