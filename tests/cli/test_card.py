"""`mlstac card`, `mlstac export-tdml` and `mlstac stats`."""

import json
import shutil

import numpy as np
import pytest

import mlstac


@pytest.fixture
def copy(flood, tmp_path):
    return shutil.copytree(flood, tmp_path / "flood")


def test_card_names_the_files_that_it_wrote(run, copy):
    done = run("card", copy, "--source", "hf://datasets/me/flood")
    assert done.returncode == 0
    assert done.stdout.split() == [
        str(copy / name) for name in ("README.md", "samples.png", "footprints.png", "croissant.json")
    ]
    assert 'mlstac.load("hf://datasets/me/flood"' in (copy / "README.md").read_text("utf-8")


def test_card_leaves_a_readme_of_somebody_elses(run, copy):
    (copy / "README.md").write_text("# Mine\n")
    done = run("card", copy)
    assert done.returncode == 1
    assert "--overwrite" in done.stderr
    assert (copy / "README.md").read_text() == "# Mine\n"
    done = run("card", copy, "--overwrite", "--no-pictures", "--json")
    assert json.loads(done.stdout) == {"path": str(copy), "files": ["README.md", "croissant.json"]}


def test_export_tdml_writes_the_document(run, flood, tmp_path):
    done = run("export-tdml", flood, "-o", "out.json", "--json")
    assert json.loads(done.stdout) == {"path": "out.json", "samples": 12}
    document = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [datum["trainingType"] for datum in document["data"]] == ["training"] * 8 + ["test"] * 4


def test_stats_shows_bands_and_class_counts(run, flood):
    shown = run("stats", flood).stdout
    masks = mlstac.load(flood, framework="numpy")[:]["water"]
    assert "image: 3 bands" in shown
    for value in (0, 1):
        assert f"{int((masks == value).sum()):,}" in shown


def test_stats_are_json_for_programs(run, flood):
    found = json.loads(run("stats", flood, "--json").stdout)
    images = mlstac.load(flood, framework="numpy")[:]["image"]
    assert found["split"] == "train"
    means = [band["statistics"]["mean"] for band in found["tensors"]["image"]["bands"]]
    assert means == pytest.approx(images.mean((0, 2, 3), dtype=np.float64).tolist())


def test_stats_of_a_tensor_without_bands_are_shown(run, texts):
    shown = run("stats", texts).stdout
    assert "points: over the train split" in shown
    assert "note" not in shown
