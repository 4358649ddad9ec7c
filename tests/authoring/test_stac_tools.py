"""What is written, in the hands of pystac: it validates, browses, copies and saves a dataset and trips over nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
from stac_geoparquet.arrow import stac_table_to_items

import mlstac
from mlstac.sample import items
from tests.datasets import write_flood, write_grids, write_series
from tests.schemas import copy_schemas, use_offline

WRITERS = {"flood": write_flood, "series": write_series, "grids": write_grids}


@pytest.fixture(scope="module")
def schemas(shared, tmp_path_factory):
    return copy_schemas(shared, tmp_path_factory.mktemp("schemas") / "stac")


@pytest.fixture(scope="module", params=WRITERS)
def dataset(request, shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stac") / request.param
    WRITERS[request.param](shared, folder)
    return folder


@pytest.fixture
def offline(monkeypatch, schemas):
    use_offline(monkeypatch, schemas)


def test_pystac_validates_the_collection_and_everything_below_it(dataset, offline):
    collection = pystac.Collection.from_file(str(dataset / "collection.json"))
    extensions = collection.stac_extensions
    assert [uri.split("/")[-3] for uri in extensions if "ml-aoi" in uri] == ["ml-aoi"]
    assert set(extensions) <= set(collection.validate())  # every schema that is named was looked at
    assert collection.validate_all() == 0  # items as files: there are none, the parts hold them
    assert [child.id for child in collection.get_children()] == ["train", "validation", "test"]
    assert all(child.validate() for child in collection.get_children())
    assert list(collection.get_items(recursive=True)) == []


def test_pystac_refuses_a_word_that_ml_aoi_does_not_have(dataset, offline):
    document = json.loads((dataset / "collection.json").read_text())
    document["assets"]["validation-00000"]["ml-aoi:split"] = "validation"
    with pytest.raises(pystac.STACValidationError, match="ml-aoi"):
        pystac.validation.validate_dict(document)


def test_each_part_says_its_split_in_the_words_of_ml_aoi(dataset):
    document = json.loads((dataset / "collection.json").read_text())
    words = {name: asset["ml-aoi:split"] for name, asset in document["assets"].items()}
    assert words == {"train-00000": "train", "validation-00000": "validate", "test-00000": "test"}
    again = mlstac.open(dataset)
    assert again.to_dict() == document


def test_a_split_that_ml_aoi_does_not_know_gets_no_word_of_it(tmp_path):
    samples = [{"input": np.zeros((2, 2), "u1")}]
    mlstac.write({"train": samples, "calibration": samples}, tmp_path / "set", id="x", license="CC0-1.0")
    assets = json.loads((tmp_path / "set" / "collection.json").read_text())["assets"]
    assert assets["train-00000"]["ml-aoi:split"] == "train"
    assert "ml-aoi:split" not in assets["calibration-00000"]


def test_the_collection_comes_back_from_pystac_unchanged(dataset):
    document = json.loads((dataset / "collection.json").read_text())
    collection = pystac.Collection.from_file(str(dataset / "collection.json"))
    assert collection.to_dict(include_self_link=False) == document
    for split, child in zip(("train", "validation", "test"), collection.get_children(), strict=True):
        text = (dataset / split / "catalog.json").read_text()
        assert child.to_dict(include_self_link=False) == json.loads(text)


def test_a_dataset_that_pystac_has_saved_in_its_place_loads_as_before(dataset, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / "copy")
    before = mlstac.load(folder, framework="numpy")
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    collection.normalize_and_save(str(folder), catalog_type=pystac.CatalogType.SELF_CONTAINED)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in dataset.iterdir())
    for split in ("train", "validation", "test"):
        catalog = json.loads((folder / split / "catalog.json").read_text())
        [part] = [link["href"] for link in catalog["links"] if link["rel"] == "items"]
        assert (folder / split / part).is_file()
    after = mlstac.load(folder, framework="numpy")
    assert len(after) == len(before)
    for name, array in before[0].items():
        assert np.array_equal(after[0][name], array, equal_nan=array.dtype.kind == "f")


def test_rows_of_a_dataset_are_valid_items_by_both_readers(dataset, offline):
    for part in sorted(dataset.glob("*/catalog-*.parquet")):
        table = pq.ParquetFile(part).read()
        if not len(table):
            continue
        ours = list(items(table))
        theirs = list(stac_table_to_items(table))
        assert len(ours) == len(theirs) == len(table)
        for item in (ours[0], ours[-1], theirs[0], theirs[-1]):
            found = pystac.Item.from_dict(json.loads(json.dumps(item)))
            found.set_self_href(str(part))
            assert len(found.validate()) == 1 + len(item["stac_extensions"])
            for asset in found.assets.values():
                assert asset.extra_fields["ml:offset"] >= 0
                assert asset.extra_fields["ml:length"] > 0
            assert Path(part.parent / found.get_single_link("collection").href).resolve().name == "collection.json"
