"""Croissant 1.1 with GeoCroissant's terms, judged by mlcroissant."""

import json

import mlcroissant
import numpy as np
import pytest

import mlstac
from mlstac.cards import Grid, make_croissant
from tests.cards.conftest import chips, describe

# mlcroissant uses what rdflib and pandas are about to drop
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index:DeprecationWarning"),
]


def read(folder):
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not dataset.metadata.issues.errors
    return dataset


def test_mlcroissant_finds_no_error(flood):
    metadata = read(flood).metadata
    assert metadata.name == "Floods of Bolivia"
    assert metadata.license == ["https://spdx.org/licenses/CC-BY-4.0.html"]
    assert metadata.cite_as == "Pérez, A. (2018). Floods of Bolivia."
    assert [person.name for person in metadata.creators] == ["Ana Pérez", "ESA"]
    assert metadata.version == "1.2.0"
    assert metadata.ctx.is_v1_1()


def test_its_records_are_the_rows_of_the_catalog_and_lead_to_the_bytes(flood):
    dataset = read(flood)
    for split, count in (("train", 9), ("test", 4)):
        ours = mlstac.load(flood, split=split, framework="numpy")
        records = list(dataset.records(split))
        assert len(records) == count
        for number, record in enumerate(records):
            assert record[f"{split}/id"].decode() == ours.metadata[number]["id"]
            address = record[f"{split}/image"]
            data = (flood / split / address[f"{split}/image/href"].decode()).read_bytes()
            start, length = address[f"{split}/image/offset"], address[f"{split}/image/length"]
            image = np.frombuffer(data[start : start + length], "<u2").reshape(3, 16, 16)
            assert np.array_equal(image, ours[number]["image"])


def test_records_come_from_every_part_of_a_catalog(tmp_path, monkeypatch):
    monkeypatch.setattr("mlstac.authoring._commit.ROWS_A_PART", 4)
    mlstac.write(chips(9), tmp_path, describe(), shard_size=4_000)
    assert len(mlstac.open(tmp_path).train.assets) > 1
    names = [record["train/id"].decode() for record in read(tmp_path).records("train")]
    assert sorted(names) == [f"chip-{number:02}" for number in range(9)]


def test_splits_have_croissants_terms(flood):
    records = list(read(flood).records("splits"))
    assert [(record["splits/name"], record["splits/url"]) for record in records] == [
        ("train", "cr:TrainingSplit"),
        ("test", "cr:TestSplit"),
    ]


def test_geocroissant_says_where_on_what_grid_and_in_which_bands(flood):
    found = json.loads((flood / "croissant.json").read_text("utf-8"))
    west, south, east, north = mlstac.open(flood).extent.bbox[0]
    assert found["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/geo/1.0"]
    assert [float(word) for word in found["spatialCoverage"]["geo"]["box"].split()] == [south, west, north, east]
    assert found["temporalCoverage"] == "2018-02-01T10:00:00Z/2018-02-13T10:00:00Z"
    assert found["geocr:coordinateReferenceSystem"] == "EPSG:32720"
    assert found["geocr:spatialResolution"]["value"] == 10
    [image] = [field for field in found["recordSet"][1]["field"] if field["name"] == "image"]
    assert image["geocr:bandConfiguration"]["geocr:bandNameList"] == ["B04", "B03", "B02"]
    red = image["geocr:spectralBandMetadata"][0]
    assert red["geocr:centerWavelength"] == {"@type": "sc:QuantitativeValue", "value": 664.5, "unitText": "nm"}
    [water] = [field for field in found["recordSet"][1]["field"] if field["name"] == "water"]
    assert "0 land, 1 open water" in water["description"]


def test_nothing_is_said_of_place_and_time_that_nobody_knows(tmp_path):
    mlstac.write([{"x": np.zeros(3, np.float32)}], tmp_path, id="x", license="other")
    found = json.loads((tmp_path / "croissant.json").read_text("utf-8"))
    assert not {"spatialCoverage", "temporalCoverage", "license", "geocr:coordinateReferenceSystem"} & set(found)
    assert len(list(read(tmp_path).records("train"))) == 1


@pytest.mark.parametrize(("grid", "crs"), [(Grid(), "OGC:CRS84"), (Grid(crs="EPSG:3035", pixel_m=20.0), "EPSG:3035")])
def test_the_grid_that_all_samples_share_is_the_crs_else_that_of_footprints(grid, crs):
    found = make_croissant(describe(extent={"bbox": [1, 2, 3, 4]}), grid=grid)
    assert found["geocr:coordinateReferenceSystem"] == crs
    assert ("geocr:spatialResolution" in found) == (grid.pixel_m is not None)


def test_a_tensor_of_any_name_is_found(tmp_path):
    names = ["my image (10 m)", "my_image_10_m_", "id", "ünï.c'ode"]
    sample = {name: np.arange(number + 1, dtype=np.uint8) for number, name in enumerate(names)}
    mlstac.write([sample], tmp_path, id="x")
    [record] = read(tmp_path).records("train")
    lengths = [value[f"{key}/length"] for key, value in record.items() if key != "train/id"]
    assert sorted(lengths) == [1, 2, 3, 4]
