"""Model to JSON and back: nothing is lost, nothing is invented, and the same collection gives the same text."""

import copy
import json
import pickle

from hypothesis import example, given
from hypothesis import strategies as st

from mlstac.collection import Catalog, Collection, Tensor
from tests.collection.examples import COLLECTIONS, JSON_VALUES, UNKNOWN, flood


@given(COLLECTIONS)
def test_a_collection_read_back_is_the_same_collection(collection):
    assert Collection.from_json(collection.to_json()) == collection


@given(COLLECTIONS)
def test_text_read_and_written_again_is_the_same_text(collection):
    text = collection.to_json()
    assert Collection.from_json(text).to_json() == text


def test_a_collection_with_every_field_is_read_back_the_same():
    collection = flood()
    assert Collection.from_dict(collection.to_dict()) == collection


@given(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
def test_unknown_fields_survive_in_every_place(top, tensor, asset, deep):
    document = flood().to_dict()
    document |= top
    document["ml:tensors"]["input"] |= tensor
    document["item_assets"]["input"] |= asset
    for place in (
        document["item_assets"]["input"]["bands"][3],
        document["item_assets"]["input"]["bands"][3]["statistics"],
        document["item_assets"]["target"]["classification:classes"][1],
        document["contacts"][0],
        document["contacts"][0]["emails"][0],
        document["providers"][0],
        document["extent"],
        document["extent"]["spatial"],
        document["extent"]["temporal"],
        document["assets"]["train-00000"],
        document["links"][-1],
        document["ml:train"],
    ):
        place |= copy.deepcopy(deep)
    assert Collection.from_dict(document).to_dict() == document


@given(st.sampled_from(["tasks", "tensors", "splits", "placed", "doi", "paper", "ml_version", "ml:later"]), JSON_VALUES)
def test_a_field_spelled_like_an_attribute_is_not_taken_for_it(key, value):
    document = flood().to_dict() | {key: value}
    again = Collection.from_dict(document)
    assert again.to_dict() == document
    assert again.tasks == flood().tasks


def test_a_band_field_without_its_prefix_is_not_taken_for_the_prefixed_one():
    document = flood().to_dict()
    document["item_assets"]["input"]["bands"][0]["common_name"] = "coastal aerosol"
    collection = Collection.from_dict(document)
    assert collection.tensors["input"].bands[0].common_name == "coastal"
    assert collection.to_dict() == document


def test_entries_of_item_assets_that_are_no_tensors_survive():
    document = flood().to_dict()
    document["item_assets"]["thumbnail"] = {"type": "image/png", "roles": ["thumbnail"]}
    collection = Collection.from_dict(document)
    assert list(collection.tensors) == ["input", "target", "notes"]
    assert collection.to_dict() == document


def test_roles_and_type_that_differ_from_ours_survive():
    document = flood().to_dict()
    document["item_assets"]["input"] |= {"roles": ["data", "reflectance"], "type": "application/x-own"}
    assert Collection.from_dict(document).to_dict() == document


def test_extensions_of_the_authors_own_survive_and_ours_are_those_in_use():
    own = "https://example.org/own/v1.0.0/schema.json"
    older = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"
    collection = flood(stac_extensions=[own, older])
    uris = collection.to_dict()["stac_extensions"]
    assert uris[-2:] == [own, older]
    assert sum("/eo/" in uri for uri in uris) == 1
    assert Collection.from_dict(collection.to_dict()) == collection


URIS = st.one_of(st.sampled_from(flood().to_dict()["stac_extensions"]), st.sampled_from("01"), st.text(max_size=9))


@given(st.lists(URIS, max_size=5), st.booleans())
@example(["0", "0"], False)
def test_extensions_are_declared_once_and_survive(uris, full):
    collection = (
        flood(stac_extensions=uris) if full else Collection(id="bare", description="Bare.", stac_extensions=uris)
    )
    document = collection.to_dict()
    declared = document["stac_extensions"]
    assert len(declared) == len(set(declared))  # as STAC's schema wants
    assert {uri for uri in uris if not uri.startswith("https:")} <= set(declared)
    again = Collection.from_dict(document)
    assert again == collection
    assert again.to_dict() == document


def test_a_bare_collection_declares_no_extension():
    assert Collection(id="bare").to_dict()["stac_extensions"] == []


def test_our_own_extension_is_not_named_before_it_is_served():
    assert not any("ml-stac" in uri for uri in flood().to_dict()["stac_extensions"])


def test_an_unknown_minor_version_is_kept():
    document = flood().to_dict() | {"ml:version": "1.7.0"}
    collection = Collection.from_dict(document)
    assert collection.ml_version == "1.7.0"
    assert collection.to_dict() == document


def test_a_self_link_is_not_written():
    document = flood().to_dict()
    document["links"].append({"rel": "self", "href": "https://example.org/collection.json"})
    assert all(link["rel"] != "self" for link in Collection.from_dict(document).to_dict()["links"])


def test_a_root_of_the_authors_own_stands_alone():
    document = flood().to_dict()
    document["links"][0] = {"rel": "root", "href": "../catalog.json", "type": "application/json"}
    roots = [link["href"] for link in Collection.from_dict(document).to_dict()["links"] if link["rel"] == "root"]
    assert roots == ["../catalog.json"]


def test_reading_changes_nothing_and_shares_nothing():
    document = flood().to_dict()
    before = json.dumps(document)
    collection = Collection.from_dict(document)
    collection.summaries["cloud_cover"]["minimum"] = -1
    collection.to_dict()["summaries"]["cloud_cover"]["maximum"] = -1
    assert json.dumps(document) == before
    assert collection.summaries["cloud_cover"] == {"minimum": -1, "maximum": 12.5}


def test_a_collection_survives_pickling_with_its_href():
    collection = Collection.from_dict(flood().to_dict(), href="data/collection.json")
    again = pickle.loads(pickle.dumps(collection))
    assert again == collection
    assert again.href == "data/collection.json"


def test_nodata_that_json_has_no_number_for_is_a_word():
    tensor = Tensor(nodata=float("nan"))
    assert tensor.to_item_asset()["nodata"] == "nan"
    assert Tensor(nodata="-inf").nodata == float("-inf")


def test_a_catalog_points_to_its_parts_and_is_read_back():
    catalog = Catalog.of_split(
        "train", ["catalog-00000.parquet", "catalog-00001.parquet"], collection_id="flood", n_items=1234
    )
    document = catalog.to_dict()
    assert [link["rel"] for link in document["links"]] == ["root", "items", "items", "parent"]
    assert document["links"][1] == {
        "rel": "items",
        "href": "./catalog-00000.parquet",
        "type": "application/vnd.apache.parquet",
    }
    assert "1,234 samples" in document["description"]
    assert Catalog.from_json(catalog.to_json()) == catalog
    assert Catalog.from_dict(document | {"zz:own": [1, None]}).to_dict()["zz:own"] == [1, None]
