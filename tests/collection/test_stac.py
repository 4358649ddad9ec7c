"""What we write is STAC, by the word of STAC's own schemas and of pystac."""

import importlib.util
import json
import re

import jsonschema
import pystac
import pytest
from hypothesis import given
from pystac.extensions.classification import ClassificationExtension

from mlstac.collection import SENSORS, Asset, Catalog, Collection, Extent, Link, Split, Tensor
from mlstac.collection.schema import make_schema
from tests.collection.examples import COLLECTIONS, flood

V1 = "https://stac-extensions.github.io/classification/v1.1.0/schema.json"
V2 = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"


@pytest.fixture(scope="module")
def judge(shared):
    """Validate a document by the schemas of ../shared; a schema that is not there is an error too."""
    spec = importlib.util.spec_from_file_location("stac_validate", shared / "stac-schemas" / "validate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.validate


def in_classification_v1(document):
    """Say the classes in version 1.1 of the extension, whose schema is at hand; it wants a description, no name."""
    document = json.loads(json.dumps(document).replace(V2, V1))
    for asset in document.get("item_assets", {}).values():
        for item in asset.get("classification:classes", []):
            item.setdefault("description", item.get("title", item["name"]))
    return document


def test_a_collection_with_every_field_is_valid(judge):
    assert judge(in_classification_v1(flood().to_dict())) == []


def test_a_collection_without_place_and_time_is_valid(judge):
    collection = Collection(id="texts", tensors={"text": Tensor(media_type="text/plain", dtype="U8")})
    document = collection.to_dict()
    assert document["extent"]["temporal"]["interval"] == [[None, None]]
    assert document["ml:placed"] is False
    assert judge(document) == []


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_bands_of_every_sensor_are_valid(judge, sensor):
    tensor = Tensor(dtype="U16", dims="band y x", bands=sensor, statistics={"mean": 1.5})
    assert judge(Collection(id="x", tensors={"input": tensor}).to_dict()) == []


@given(collection=COLLECTIONS)
def test_every_collection_is_valid(judge, collection):
    document = in_classification_v1(collection.to_dict())
    assert judge(document) == []


def test_the_judge_refuses_what_is_wrong(judge):
    document = flood().to_dict()
    document["item_assets"]["input"]["bands"][0]["eo:common_name"] = "coastal aerosol"
    assert any("coastal aerosol" in finding for finding in judge(document))


def test_the_catalog_of_a_split_is_valid(judge):
    catalog = Catalog.of_split("train", ["catalog-00000.parquet"], collection_id="flood", n_items=3)
    assert judge(catalog.to_dict()) == []
    pystac.Catalog.from_dict(catalog.to_dict()).validate()


def test_classes_are_as_version_2_of_the_extension_wants_them():
    classes = flood().to_dict()["item_assets"]["target"]["classification:classes"]
    assert classes == [{"value": 0, "name": "land"}, {"value": 1, "name": "open-water", "title": "open water"}]
    item_assets = pystac.Collection.from_dict(flood().to_dict()).item_assets
    found = ClassificationExtension.ext(item_assets["target"]).classes
    assert [(item.value, item.name, item.title) for item in found] == [
        (0, "land", None),
        (1, "open-water", "open water"),
    ]


def test_pystac_validates_a_collection_and_writes_it_back_unchanged(tmp_path):
    collection = flood()
    collection.save(tmp_path / "collection.json")
    read = pystac.Collection.from_file(str(tmp_path / "collection.json"))
    pystac.validation.validate_dict(collection.to_dict() | {"stac_extensions": []})
    again = read.to_dict(include_self_link=False)
    assert again == collection.to_dict()
    assert Collection.from_dict(again) == collection


def test_pystac_finds_the_splits_as_children(tmp_path):
    collection = flood(stac_extensions=[])
    for split, part in collection.splits.items():
        (tmp_path / split).mkdir()
        catalog = Catalog.of_split(
            split,
            ["catalog-00000.parquet"],
            collection_id="flood",
            collection_title=collection.title,
            n_items=part.n_items,
        )
        catalog.save(tmp_path / split / "catalog.json")
    collection.save(tmp_path)
    read = pystac.Collection.from_file(str(tmp_path / "collection.json"))
    assert [child.title for child in read.get_children()] == ["train", "validation", "test"]
    assert [child.get_parent().id for child in read.get_children()] == ["flood"] * 3
    assert list(read.get_items(recursive=True)) == []
    assert read.to_dict(include_self_link=False) == collection.to_dict()
    train = json.loads((tmp_path / "train" / "catalog.json").read_text(encoding="utf-8"))
    assert next(iter(read.get_children())).to_dict(include_self_link=False) == train


def test_pystac_reads_the_extent():
    extent = pystac.Collection.from_dict(flood().to_dict()).extent
    assert extent.spatial.bboxes == [[-0.5, 39.2, -0.2, 39.6]]
    assert extent.to_dict() == flood().to_dict()["extent"]


def test_our_own_schema_is_a_schema_and_takes_what_we_write():
    schema = make_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(flood().to_dict(), schema)
    item = {"type": "Feature", "assets": {"input": {"href": "./0.safetensors", "ml:offset": 64, "ml:length": 10}}}
    jsonschema.validate(item, schema)


@given(collection=COLLECTIONS)
def test_our_own_schema_takes_every_collection(collection):
    jsonschema.validate(collection.to_dict(), make_schema())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("ml:version"),
        lambda document: document.update({"ml:version": "2.0.0"}),
        lambda document: document.update({"ml:tasks": ["segmentaton"]}),
        lambda document: document["ml:train"].update(n_items=-1),
        lambda document: document["ml:tensors"].update({"a/b": {}}),
        lambda document: document["ml:tensors"].update({"a.splits": {}}),
        lambda document: document["ml:tensors"].update({"a.rows": {}}),
        lambda document: document["ml:tensors"]["input"].update(dtype="uint16"),
        lambda document: document["ml:tensors"]["input"].update(shape=[-1]),
        lambda document: document.update({"ml:placed": "yes"}),
    ],
)
def test_our_own_schema_refuses_what_is_wrong(spoil):
    document = flood().to_dict()
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, make_schema())


def test_links_are_relative_and_lead_to_each_split():
    links = flood(title=None).to_dict()["links"]
    assert links[0] == {"rel": "root", "href": "./collection.json", "type": "application/json"}
    children = [link["href"] for link in links if link["rel"] == "child"]
    assert children == ["./train/catalog.json", "./validation/catalog.json", "./test/catalog.json"]
    assert {"rel": "license", "href": "https://spdx.org/licenses/CC-BY-4.0.html", "type": "text/html"} in links


def test_a_licence_that_spdx_does_not_keep_gets_no_made_up_link():
    own = Link(rel="license", href="./LICENSE.txt")
    links = Collection(id="x", license="other", links=[own]).to_dict()["links"]
    assert [link["href"] for link in links if link["rel"] == "license"] == ["./LICENSE.txt"]
    assert not [link for link in Collection(id="x").to_dict()["links"] if link["rel"] == "license"]


def test_bands_are_in_micrometres_and_of_the_eo_extension():
    band = flood().to_dict()["item_assets"]["input"]["bands"][3]
    assert band["name"] == "B04"
    assert band["eo:common_name"] == "red"
    assert 0.6 < band["eo:center_wavelength"] < 0.7
    assert band["statistics"]["mean"] == 1200.5


def test_scale_offset_nodata_and_type_stand_in_item_assets():
    asset = flood().to_dict()["item_assets"]["input"]
    assert (asset["raster:scale"], asset["raster:offset"], asset["nodata"], asset["data_type"]) == (
        1e-4,
        -0.1,
        0,
        "uint16",
    )
    assert asset["roles"] == ["data"]
    assert asset["type"] == "application/vnd.safetensors"


def test_catalog_parts_are_assets_with_size_and_checksum():
    asset = flood().to_dict()["assets"]["train-00000"]
    assert asset["file:size"] == 4096
    assert re.fullmatch("1220[0-9a-f]{64}", asset["file:checksum"])
    assert asset["roles"] == ["collection-mirror"]


def test_keys_come_in_one_order_whatever_the_order_of_the_arguments():
    one = Collection(
        id="x", title="t", splits={"train": Split(n_items=0)}, extent=Extent(), assets={"a": Asset(href="b")}
    )
    other = Collection(
        assets={"a": Asset(href="b")}, extent=Extent(), splits={"train": Split(n_items=0)}, title="t", id="x"
    )
    assert one.to_json() == other.to_json()
    assert list(one.to_dict())[:5] == ["type", "stac_version", "stac_extensions", "id", "title"]


@pytest.fixture(scope="module")
def examples(repository):
    return repository / "schema" / "ml-stac" / "v1.0.0" / "examples"


def test_the_example_of_a_collection_is_one(examples, judge):
    text = (examples / "collection.json").read_text(encoding="utf-8")
    assert Collection.from_json(text).to_json() == text
    jsonschema.validate(json.loads(text), make_schema())
    assert judge(in_classification_v1(json.loads(text))) == []


def test_the_example_of_an_item_is_one(examples, judge):
    item = json.loads((examples / "item.json").read_text(encoding="utf-8"))
    jsonschema.validate(item, make_schema())
    assert judge(item) == []
