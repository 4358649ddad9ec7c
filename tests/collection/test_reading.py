"""What is no collection is refused by name, with the place and the mend, in bounded time and memory."""

import json
from functools import partial
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstac.collection import Catalog, Collection
from mlstac.errors import CollectionError, VersionError
from tests.collection.examples import JSON_VALUES, flood
from tests.spending import at_most


def refusal(text, error=CollectionError):
    with pytest.raises(error) as caught:
        Collection.from_json(text, href="data/collection.json")
    message = str(caught.value)
    assert message.startswith("data/collection.json")
    assert len(message) < 700
    return message


def spoiled(*path, value=None, drop=False):
    """Give flood's JSON with one place changed."""
    document = flood().to_dict()
    *way, last = path
    place = document
    for step in way:
        place = place[step]
    if drop:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("<html>404</html>", "not JSON: Expecting value at line 1, column 1"),
        ('{"a": 1', "line 1, column 8"),
        (b"\xff\xfe\x00", "not UTF-8 text (byte 0)"),
        ("[1, 2]", "a JSON list, not an object"),
        ("null", "a JSON null"),
        ("3", "a JSON number"),
        ('"x"', "a JSON text"),
        ('{"type": "Collection", "type": "Catalog"}', "names the key 'type' twice"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": 1e999}', "1e999, which is past the range"),
        ('{"a": ' + "9" * 5000 + "}", "number that cannot be read"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\ud800": 1}', "half of a surrogate pair"),
        ('{"a":' * 90 + "1" + "}" * 90, "nested deeper than 64 levels"),
        ("[" * 200_000, "nested deeper than 64 levels"),
    ],
)
def test_what_is_no_json_object_is_refused(text, says):
    assert says in refusal(text)


def test_a_byte_order_mark_is_tolerated():
    assert Collection.from_json(b"\xef\xbb\xbf" + flood().to_json().encode()).id == "flood"


def test_huge_input_is_refused_without_being_parsed():
    text = b"[" + b"0," * 2**25 + b"0]"
    with at_most(0.5):
        assert "16,777,216 bytes" in refusal(text)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "not a STAC Collection but JSON with type 'None'"),
        ({"type": "FeatureCollection", "features": []}, "JSON with type 'FeatureCollection'"),
        ({"type": "Catalog", "stac_version": "1.1.0"}, "but a STAC Catalog"),
        ({"type": "Collection"}, "not a STAC Collection"),
        ({"type": "Collection", "stac_version": 1.1}, "not a STAC Collection"),
        ({"type": "Collection", "stac_version": "0.9.0"}, "is of STAC '0.9.0'"),
        (
            {"type": "Collection", "stac_version": "1.1.0"},
            "a STAC Collection but not one of ML-STAC (it has no 'ml:version')",
        ),
        (
            {"type": "Collection", "stac_version": "1.1.0", "ml:version": 1},
            "ml:version is '1'; expected a version such as",
        ),
        ({"type": "Collection", "stac_version": "1.1.0", "ml:version": "one"}, "ml:version is 'one'"),
    ],
)
def test_another_kind_of_document_is_named(data, says):
    assert says in refusal(json.dumps(data))


def test_an_unknown_major_version_names_both():
    message = refusal(spoiled("ml:version", value="2.3.0"), VersionError)
    assert "2.3.0" in message
    assert "1.0.0" in message
    assert "install a version of mlstac that knows 2.x" in message


@pytest.mark.parametrize(
    "data",
    [
        {
            "type": "Collection",
            "stac_version": "1.0.0",
            "ml:version": "0.1.0",
            "ml:train": {"n_items": 3, "link": "https://x"},
        },
        {"stac_version": "1.0.0-beta.2", "ml:train": {"n_items": 3, "url": "https://x"}},
        {"ml_val": {"n_items": 3, "link": "https://x"}},
        {"mlstac_version": "0.1.8", "ml_catalog": {"train": {"data_files": []}}},
    ],
)
def test_a_main_json_of_the_original_is_recognised(data):
    message = refusal(json.dumps(data))
    assert "main.json of the original ML-STAC" in message
    assert "mlstac.load" in message
    assert "mlstac.convert" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (spoiled("id", drop=True), "id: is missing; add it"),
        (spoiled("id", value=7), "id: expected string, got 7; change it"),
        (spoiled("license", value="CC BY 4.0"), "license: "),
        (spoiled("extent", "spatial", drop=True), "extent: 'spatial' is not an object with 'bbox'; add it"),
        (spoiled("extent", "temporal", "interval", drop=True), "extent: temporal.interval is missing"),
        (spoiled("extent", "spatial", "bbox", value=[[500000, 4000000, 500100, 4000100]]), "extent.bbox: box"),
        (spoiled("extent", "spatial", "bbox", value=[[0, 0, 1]]), "has 3 numbers; write west, south, east, north"),
        (spoiled("extent", "spatial", "bbox", value=[[0, 5, 1, -5]]), "south above north"),
        (spoiled("extent", "spatial", "bbox", value=[[0, 0, 1, 1]] * 2), "one too few"),
        (
            spoiled("extent", "temporal", "interval", value=[["2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]]),
            "swap them",
        ),
        (spoiled("extent", "temporal", "interval", value=[["soon", None]]), "extent.interval[0][0]: expected datetime"),
        (spoiled("extent", "temporal", "interval", value=[[5, None]]), "got the number 5; write it as text"),
        (spoiled("ml:tasks", value=["segmentaton"]), "ml:tasks: task 'segmentaton' is not in the list; did you mean"),
        (spoiled("ml:tasks", value=[3]), "ml:tasks[0]: expected string, got 3"),
        (spoiled("ml:tensors", value=[]), "ml:tensors: expected dictionary, got []"),
        (spoiled("ml:tensors", "input", value=3), "ml:tensors.input"),
        (
            spoiled("ml:tensors", "input", "dtype", value="complex256"),
            "ml:tensors.input.dtype: dtype 'complex256' is not one",
        ),
        (
            spoiled("ml:tensors", "input", "shape", value=[13, -1, 3]),
            "ml:tensors.input.shape[1]: expected greater than",
        ),
        (spoiled("ml:tensors", "input", "shape", value=[3, 64, 64]), "12 bands are given and axis 0 ('band')"),
        (spoiled("ml:tensors", "input", "dims", value=["y", "x"]), "give one word an axis"),
        (spoiled("ml:tensors", "input", "role", value="target"), "ml:tensors.input.role: expected 'data' or 'label'"),
        (spoiled("ml:tensors", "a/b", value={}), "ml:tensors: tensor name 'a/b' holds a slash"),
        (spoiled("ml:placed", value="perhaps"), "ml:placed: expected boolean"),
        (spoiled("ml:train", "n_items", value=-1), "ml:train.n_items: expected greater than or equal to 0, got -1"),
        (spoiled("ml:train", "assets", value=["gone"]), "ml:train.assets names 'gone', which is not among assets"),
        (spoiled("ml:../up", value={"n_items": 1}), "ml:splits: split name '../up' is no plain folder name"),
        (spoiled("assets", "train-00000", "file:size", value="big"), "assets.train-00000.file:size: expected integer"),
        (spoiled("assets", "train-00000", "file:checksum", value="ZZ"), "assets.train-00000.file:checksum"),
        (spoiled("item_assets", value=3), "item_assets"),
        (
            spoiled("item_assets", "input", "bands", 0, "eo:common_name", value="coastal aerosol"),
            "item_assets.input.bands[0].eo",
        ),
        (
            spoiled("item_assets", "input", "bands", 0, "eo:center_wavelength", value=-1),
            "bands[0].eo:center_wavelength",
        ),
        (
            spoiled("item_assets", "target", "classification:classes", 1, "value", value="one"),
            "classification:classes[1].value",
        ),
        (
            spoiled("item_assets", "target", "classification:classes", 1, "value", value=0),
            "stands for more than one class",
        ),
        (spoiled("item_assets", "input", "nodata", value=True), "expected a number, got True"),
        (spoiled("item_assets", "input", "nodata", value="none"), "nodata: expected a number or one of 'nan', 'inf'"),
        (spoiled("item_assets", "input", "bands", value="rgb"), "item_assets.input.bands: expected list, got 'rgb'"),
        (spoiled("item_assets", "target", "classification:classes", value={"0": "land"}), "classes: expected list"),
        (spoiled("ml:tensors", "input", "dims", value="band y x"), "ml:tensors.input.dims: expected tuple"),
        (spoiled("ml:tensors", "input", "dtype", value="uint16"), "is not safetensors' name; write 'U16'"),
        (spoiled("ml:tasks", value="regression"), "ml:tasks: expected list"),
        (spoiled("ml:split_strategy", value=3), "ml:split_strategy: expected text or an object, got 3"),
        (spoiled("extent", "spatial", "bbox", value=[0, 0, 1, 1]), "extent.bbox[0]: expected list, got 0"),
        (spoiled("contacts", 0, "emails", value=["a@b"]), "contacts[0].emails[0]"),
        (spoiled("contacts", 0, "emails", 0, "value", value="nobody"), "contacts[0].emails[0].value"),
        (spoiled("contacts", 0, "links", 0, "type", drop=True), "has no type; add one"),
        (spoiled("providers", 0, "roles", value=["owner"]), "providers[0].roles[0]: expected 'producer', 'licensor'"),
        (spoiled("links", value="localhost"), "links: expected list, got 'localhost'"),
        (spoiled("links", value=[{"rel": "about"}]), "links[0].href: is missing"),
        (spoiled("stac_extensions", value="eo"), "stac_extensions: expected list"),
        (spoiled("stac_extensions", value=[{}]), "stac_extensions[0]: expected string"),
        (spoiled("sci:doi", value="https://doi.org/10.5281/x"), "sci:doi"),
    ],
)
def test_a_broken_field_is_named_by_its_place_in_the_document(text, says):
    assert says in refusal(text)


def test_many_broken_fields_are_counted_not_poured_out():
    document = flood().to_dict()
    document["providers"] = [{}] * 1000
    message = refusal(json.dumps(document))
    assert message.count("is missing") == 5
    assert message.endswith("and 995 more")


def test_a_huge_value_is_shown_short():
    assert len(refusal(spoiled("ml:tasks", value=["x" * 10**6]))) < 800
    assert len(refusal(spoiled("license", value="! " * 10**6))) < 400
    assert len(refusal(spoiled("ml:placed", value=["y" * 10**6] * 3))) < 400


@given(JSON_VALUES)
def test_any_json_is_read_or_refused_by_name(value):
    try:
        Collection.from_json(json.dumps(value))
    except CollectionError:
        return
    pytest.fail("random JSON was taken for a collection")


KEYS = sorted(flood().to_dict())


@given(st.sampled_from(KEYS), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused_by_name(key, value):
    document = flood().to_dict() | {key: value}
    try:
        collection = Collection.from_json(json.dumps(document))
    except CollectionError:
        return
    assert Collection.from_json(collection.to_json()) == collection


EMPTY = [{}, [], "", 0, False, None, [None], [{}], [[]], [""], {"": None}, {"a": {}}, {"a": []}, {"a": None}]


def places(value):
    """Each place in a document, as a function that puts something else there."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield partial(value.__setitem__, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_what_is_empty_is_read_as_it_is_written_or_refused_wherever_it_stands(value):
    for number in range(len(list(places(flood().to_dict())))):
        document = flood().to_dict()
        next(islice(places(document), number, None))(value)
        try:
            collection = Collection.from_dict(document)
        except CollectionError:
            continue
        assert Collection.from_dict(collection.to_dict()) == collection, document


@given(
    st.sampled_from(["ml:tensors", "item_assets", "assets", "extent", "summaries"]), st.text(max_size=5), JSON_VALUES
)
def test_any_value_one_level_down_is_read_or_refused_by_name(key, inner, value):
    document = flood().to_dict()
    document[key][inner] = value
    try:
        collection = Collection.from_dict(document)
    except CollectionError:
        return
    assert Collection.from_dict(collection.to_dict()) == collection


def test_a_dict_that_is_no_json_is_refused():
    with pytest.raises(CollectionError, match="surrogate"):
        Collection.from_dict(flood().to_dict() | {"x": "\ud800"})
    with pytest.raises(CollectionError, match="holds inf"):
        Collection.from_dict(flood().to_dict() | {"x": float("inf")})
    with pytest.raises(CollectionError, match="not an object"):
        Collection.from_dict([])


def test_an_unknown_field_that_json_has_not_is_refused_at_writing():
    with pytest.raises(CollectionError, match="'x' cannot be written as JSON"):
        Collection(id="x", **{"zz:when": object()}).to_json()


def test_what_is_no_catalog_is_refused():
    with pytest.raises(CollectionError, match=r"train/catalog.json is not a STAC Catalog"):
        Catalog.from_dict(flood().to_dict(), href="train/catalog.json")
    with pytest.raises(CollectionError, match="description: is missing; add it"):
        Catalog.from_json('{"type": "Catalog", "id": "x"}')
