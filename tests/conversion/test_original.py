"""The original ML-STAC, made into datasets of version 1.0."""

import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely

import mlstac
from mlstac.errors import AccessError
from mlstac.storage import open_server
from tests.conversion.sources import array, write_tif
from tests.loading.original.old import (
    UNPLACED,
    VERSIONS,
    chip,
    main_json,
    words,
    write_containers,
    write_dataset,
    write_split,
)


@pytest.mark.parametrize("gz", [True, False], ids=["gz", "plain"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_converted(version, gz, tmp_path):
    root = write_dataset(tmp_path / "in", version=version, gz=gz, counts={"train": 40, "validation": 2, "test": 3})
    collection = mlstac.convert(root, tmp_path / "out")
    assert {name: split.n_items for name, split in collection.splits.items()} == {
        "train": 40,
        "validation": 2,
        "test": 3,
    }
    ds = mlstac.load(tmp_path / "out", split="all", framework="numpy")
    for number, sample in enumerate(ds):
        np.testing.assert_equal(sample, chip(number))
    rows = ds.metadata.to_table().to_pylist()
    assert rows[41]["id"] == "validation-0000002"
    transformer = pyproj.Transformer.from_crs("EPSG:32720", "OGC:CRS84", always_xy=True)
    for number, row in enumerate(rows):
        x, y = 300_000 + 160 * number, 8_300_000
        corners = [(x, y), (x + 160, y), (x + 160, y - 160), (x, y - 160)]
        wanted = shapely.Polygon([transformer.transform(*corner) for corner in corners])
        assert shapely.from_wkb(row["geometry"]).symmetric_difference(wanted).area < 1e-6 * wanted.area
        assert row["datetime"].day == number % 28 + 1
    assert collection.placed
    assert collection.tensors["input"].layout != "single"


def test_what_the_document_says_is_carried_over(tmp_path):
    collection = mlstac.convert(write_dataset(tmp_path / "in"), tmp_path / "out", version="2.0")
    assert (collection.id, collection.title, collection.license) == ("flood", "Floods", "CC-BY-4.0")
    assert (collection.tasks, collection.version) == (["semantic-segmentation"], "2.0")
    assert [contact.name for contact in collection.contacts] == ["Ana Pérez", "Rita"]
    assert [band.name for band in collection.tensors["input"].bands] == ["B02", "B03", "B04", "B08"]
    assert [item.name for item in collection.tensors["target"].classes] == ["land", "water"]
    assert "/home/me" not in (tmp_path / "out" / "collection.json").read_text()


def test_it_is_converted_over_http(tmp_path):
    with open_server(tmp_path) as server:
        write_dataset(tmp_path / "in", links=f"{server.url}in/{{}}/")
        mlstac.convert(f"{server.url}in/main.json", tmp_path / "out")
        said = json.loads((tmp_path / "in" / "main.json").read_text())
        mlstac.convert(said, tmp_path / "again")
    for name in ("out", "again"):
        np.testing.assert_equal(mlstac.load(tmp_path / name, framework="numpy")[10], chip(10))


def test_another_host_is_asked_for_only_if_allowed(tmp_path):
    with open_server(write_dataset(tmp_path / "in")) as server:
        said = main_json("0.0.23", {"train": f"{server.url}train"}, {"train": 11})
        (tmp_path / "main.json").write_text(json.dumps(said))
        with pytest.raises(AccessError, match="allow_hosts"):
            mlstac.convert(tmp_path / "main.json", tmp_path / "out")
        host = server.url.split("/")[2]
        assert mlstac.convert(tmp_path / "main.json", tmp_path / "out", allow_hosts=(host,)).train.n_items == 11


def test_texts_shapes_and_unplaced_samples(tmp_path):
    samples = []
    for number in range(10):
        boxes = np.arange(number * 4, dtype=np.float32).reshape(number, 4)
        samples.append(
            ({"input": chip(number)["input"], "target": boxes}, UNPLACED | {"isText": "1", "input": f"río {number}"})
        )
    write_split(tmp_path / "in" / "train", samples)
    said = main_json("0.0.23", {"train": "./train"}, {"train": 10}) | {
        "ml:task": ["ObjectDetection"],
        "ml:dimensions": None,
    }
    (tmp_path / "in" / "main.json").write_text(json.dumps(said))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert collection.tasks == ["x-object-detection"]  # which asks for a class a box
    assert not collection.placed
    assert collection.extent.interval == [(None, None)]
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert ds[7]["input_text"] == "río 7"
    assert ds[7]["target"].shape == (7, 4)
    assert ds.metadata.columns == ["id"]


def test_bfloat16_stays_what_it_is(tmp_path):
    import safetensors.torch
    import torch

    values = torch.arange(48).reshape(3, 4, 4).to(torch.bfloat16)
    (tmp_path / "in" / "train").mkdir(parents=True)
    (tmp_path / "in" / "train" / "0000001.safetensors").write_bytes(safetensors.torch.save({"input": values}, words(0)))
    (tmp_path / "in" / "main.json").write_text(json.dumps(main_json("beta", {"train": "./train"}, {"train": 1})))
    for folder in (tmp_path / "in", tmp_path / "out"):
        if folder.name == "out":
            mlstac.convert(tmp_path / "in", folder, tasks=[])
        assert torch.equal(mlstac.load(folder)[0]["input"], values)


def test_members_of_containers_become_arrays_on_their_places(tmp_path):
    members = {}
    for number in range(3):
        path = write_tif(
            tmp_path / f"{number}.tif", array(number), x=160 * number, names=("B02", "B03", "label"), nodata=0
        )
        members[f"ROI_{number}"] = path.read_bytes()
    write_containers(tmp_path / "in", {"train": [members], "test": [members]})
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert [band.name for band in collection.tensors["data"].bands] == ["B02", "B03", "label"]
    ds = mlstac.load(tmp_path / "out", split="all", framework="numpy")
    np.testing.assert_array_equal(ds[5]["data"], array(2))
    rows = ds.metadata.to_pandas()
    assert rows["id"].tolist()[2:4] == ["train-ROI_2", "test-ROI_0"]
    assert rows["proj:transform"][1][2] == 500_160
    assert rows["label_type"].tolist() == ["scribble", "high", "high"] * 2


def test_other_members_stay_files(tmp_path):
    write_containers(tmp_path / "in", {"train": [{"a": b"\x89HDF\r\n\x1a\n1", "b": b"\x89HDF\r\n\x1a\n22"}]})
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert [bytes(sample["data"]) for sample in ds] == [b"\x89HDF\r\n\x1a\n1", b"\x89HDF\r\n\x1a\n22"]


def test_the_new_dataset_needs_nothing_of_the_old(tmp_path):
    import shutil

    root = write_dataset(tmp_path / "in")
    mlstac.convert(Path(root), tmp_path / "out")
    shutil.rmtree(root)
    assert len(list(mlstac.load(tmp_path / "out"))) == 11
