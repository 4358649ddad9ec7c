"""Items listed from an API of this machine, page after page, and from real static catalogs of several providers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pystac
import pytest
import shapely

import mlstac
from mlstac.errors import (
    AccessError,
    FormatError,
    InvalidArgumentError,
    MissingFileError,
    MlstacError,
    UnavailableError,
)
from tests.servers.stac_api import CLASSES, StacApi

# pystac brings Items of older versions up to date, and says what it cannot tell of them
pytestmark = pytest.mark.filterwarnings("ignore:Could not parse bucket/account:UserWarning")


def make_item(number, url="https://host/items"):
    box = shapely.box(number, 40, number + 0.5, 41)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"scene-{number}",
        "collection": "even" if number % 2 == 0 else "odd",
        "geometry": shapely.geometry.mapping(box),
        "bbox": list(box.bounds),
        "properties": {"datetime": f"2020-{number + 1:02}-15T10:00:00Z"},
        "links": [{"rel": "self", "href": f"{url}/scene-{number}.json"}],
        "assets": {},
    }


@pytest.fixture
def serve():
    """Start a STAC API."""
    started = []

    def start(count=7, **options):
        started.append(StacApi([make_item(number) for number in range(count)], **options))
        return started[-1]

    yield start
    for api in started:
        api.close()


def names(items):
    return [item.id for item in items]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_every_page_of_an_api_is_listed(serve, method):
    api = serve(7, page=2, method=method)
    items = list(mlstac.list_items(api.url))
    assert names(items) == [f"scene-{number}" for number in range(7)]
    assert all(isinstance(item, pystac.Item) for item in items)
    assert len(api.asked) == 4
    assert items[3].get_self_href() == "https://host/items/scene-3.json"


def test_a_folder_is_told_from_what_is_in_it(tmp_path):
    with pytest.raises(MissingFileError, match=r"is a folder; give the catalog\.json"):
        list(mlstac.list_items(tmp_path))


def test_pages_are_asked_for_as_items_are(serve):
    api = serve(7, page=2)
    items = mlstac.list_items(api.url)
    assert api.asked == []
    next(items)
    assert len(api.asked) == 1
    assert names(mlstac.list_items(api.url, limit=2)) == ["scene-0", "scene-1"]
    assert len(api.asked) == 2
    assert list(mlstac.list_items(api.url, limit=0)) == []


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"bbox": (1.8, 40, 3.2, 41)}, [2, 3]),
        ({"intersects": shapely.Point(4.2, 40.5).buffer(0.1)}, [4]),
        ({"datetime": "2020-03/2020-04"}, [2, 3]),
        ({"datetime": "2020-06/.."}, [5, 6]),
        ({"datetime": "../.."}, range(7)),
        ({"ids": ["scene-1", "scene-6"]}, [1, 6]),
        ({"collections": "odd"}, [1, 3, 5]),
        ({"collections": ["odd", "even"], "datetime": (None, "2020-02")}, [0, 1]),
    ],
)
def test_an_api_is_asked_as_a_dataset_is(serve, method, arguments, wanted):
    api = serve(7, page=2, method=method)
    assert names(mlstac.list_items(api.url, **arguments)) == [f"scene-{number}" for number in wanted]


def test_a_condition_goes_to_the_api_as_cql2_text(serve):
    api = serve()
    list(mlstac.list_items(api.url, where="cloud_cover < 10", limit=1))
    assert (api.asked[0]["filter"], api.asked[0]["filter-lang"]) == ("cloud_cover < 10", "cql2-text")


def test_an_api_that_takes_no_conditions_is_not_asked_one(serve):
    api = serve(classes=CLASSES)
    with pytest.raises(InvalidArgumentError, match=r"takes no conditions.*leave where= out"):
        list(mlstac.list_items(api.url, where="cloud_cover < 10"))
    assert api.asked == []


def test_a_collection_of_an_api_is_asked_of_its_api(serve):
    api = serve()
    assert names(mlstac.list_items(api.url + "collections/odd")) == ["scene-1", "scene-3", "scene-5"]


def test_a_key_is_sent_and_a_missing_one_is_told(serve):
    api = serve(key="good")
    assert len(list(mlstac.list_items(api.url, headers={"X-Key": "good"}))) == 7
    with pytest.raises(AccessError, match="headers="):
        list(mlstac.list_items(api.url))


def test_a_key_goes_to_no_other_host(serve, tmp_path, range_server):
    other = serve(key="good")
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "x"}
    links = [{"rel": "item", "href": other.url + "item.json"}]
    (tmp_path / "catalog.json").write_text(json.dumps(catalog | {"links": links}))
    with pytest.raises(AccessError, match="headers= are for the first"):
        list(mlstac.list_items(range_server(tmp_path).url + "catalog.json", headers={"X-Key": "good"}))
    assert other.asked == []


def test_a_remote_catalog_opens_no_file(tmp_path, range_server):
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(make_item(1)))
    (tmp_path / "served").mkdir()
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "x"}
    links = [{"rel": "item", "href": secret.as_uri()}]
    (tmp_path / "served" / "catalog.json").write_text(json.dumps(catalog | {"links": links}))
    with pytest.raises(AccessError, match="opens no file"):
        list(mlstac.list_items(range_server(tmp_path / "served").url + "catalog.json"))


def test_the_command_prints_a_line_an_item(serve, tmp_path):
    api = serve(5)
    command = [str(Path(sys.executable).with_name("mlstac")), "list-items", api.url]
    options = ["--bbox", "0,40,3.2,41", "--datetime", "2020-02/..", "--collection", "odd", "--limit", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["scene-1"]
    failed = subprocess.run([*command[:-1], api.url + "x"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert failed.returncode == 1
    assert "404" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_command_gives_headers_to_the_api(serve, tmp_path):
    api = serve(3, key="good")
    command = [str(Path(sys.executable).with_name("mlstac")), "list-items", api.url]

    def run(*options):
        return subprocess.run([*command, *options], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert len(run("-O", "headers.X-Key=good").stdout.splitlines()) == 3
    refused = run("-O", "headers.X-Key=very-secret")
    assert refused.returncode == 1
    assert "very-secret" not in refused.stderr
    wrong = run("-O", "key=very-secret")
    assert wrong.returncode == 2
    assert "as in -O headers.X-Key=VALUE; key is none" in wrong.stderr
    assert "very-secret" not in wrong.stderr


def test_samples_made_of_listed_items_link_to_them(serve, tmp_path):
    api = serve(3)
    samples = [
        mlstac.Sample({"x": np.zeros(1)}, geometry=item.geometry, datetime=item.datetime, derived_from=item)
        for item in mlstac.list_items(api.url)
    ]
    mlstac.write(samples, tmp_path / "cut", id="cut", license="MIT")
    again = mlstac.load(tmp_path / "cut", framework="numpy").items()
    assert [item.get_links("derived_from")[0].target for item in again] == [
        f"https://host/items/scene-{number}.json" for number in range(3)
    ]


@pytest.mark.parametrize("over_http", [False, True])
def test_a_real_static_catalog_is_walked(shared, range_server, over_http):
    folder = shared / "data" / "stac-items-sentinel2"
    source = range_server(folder).url + "catalog.json" if over_http else str(folder / "catalog.json")
    theirs = {item.id: item for item in pystac.Catalog.from_file(source).get_items(recursive=True)}
    found = list(mlstac.list_items(source))
    assert {item.id for item in found} == set(theirs)
    assert theirs
    for item in found:
        assert item.get_self_href() == theirs[item.id].get_self_href()
        assert names(mlstac.list_items(source, bbox=item.bbox, datetime=item.datetime)) == [item.id]
        assert names(mlstac.list_items(source, ids=item.id)) == [item.id]
    assert list(mlstac.list_items(source, datetime="1970/1980")) == []


def test_a_real_item_collection_is_listed_and_filtered_as_shapely_does(shared):
    source = shared / "data" / "stac-items-rustac" / "item-collection.json"
    features = json.loads(source.read_text())["features"]
    assert names(mlstac.list_items(source)) == [feature["id"] for feature in features]
    region = shapely.geometry.shape(features[0]["geometry"]).centroid.buffer(0.01)
    wanted = [f["id"] for f in features if shapely.geometry.shape(f["geometry"]).intersects(region)]
    assert names(mlstac.list_items(source, intersects=region)) == wanted
    assert 0 < len(wanted) <= len(features)


def test_real_items_of_other_providers_are_read(shared):
    files = [
        path
        for name in ("stac-items-odc-stac", "stac-items-stacchip")
        for path in sorted((shared / "data" / name).glob("*.json"))
        if json.loads(path.read_text())["type"] == "Feature"
    ]
    assert len(files) >= 5
    for path in files:
        [item] = mlstac.list_items(path)
        assert item.id == json.loads(path.read_text())["id"]
        assert mlstac.Sample({"x": np.zeros(1)}, derived_from=item).derived_from[0].href == item.get_self_href()


def write_catalog(folder, count):
    catalog = pystac.Catalog("tiny", "Tiny.")
    catalog.add_items(pystac.Item.from_dict(make_item(number)) for number in range(count))
    catalog.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, range(5)),
        ({"bbox": (1.8, 40, 3.2, 41)}, [2, 3]),
        ({"datetime": "2020-03/2020-04"}, [2, 3]),
        ({"bbox": (0, 40, 3.2, 41), "intersects": shapely.Point(2.2, 40.5).buffer(0.1)}, [2]),
        ({"collections": "odd"}, [1, 3]),
        ({"limit": 2}, [0, 1]),
    ],
)
def test_a_static_catalog_is_asked_as_an_api_is(tmp_path, arguments, wanted):
    source = write_catalog(tmp_path / "catalog", 5)
    assert names(mlstac.list_items(source, **arguments)) == [f"scene-{number}" for number in wanted]


def test_a_catalog_that_was_moved_is_read_where_it_lies(tmp_path):
    source = write_catalog(tmp_path / "catalog", 2)
    shutil.move(tmp_path / "catalog", tmp_path / "moved")
    for item in mlstac.list_items(tmp_path / "moved" / source.name):
        assert Path(item.get_self_href()).is_file()


@pytest.mark.parametrize(
    ("document", "error", "words"),
    [
        ("not JSON", FormatError, "JSONDecodeError"),
        ('{"type": "Thing"}', FormatError, "no STAC Catalog"),
        ("[]", FormatError, "no STAC Catalog"),
        ('{"type": "Feature", "id": "x"}', FormatError, "no STAC"),
    ],
)
def test_what_is_no_stac_is_refused(tmp_path, document, error, words):
    (tmp_path / "x.json").write_text(document)
    with pytest.raises(error, match=words):
        list(mlstac.list_items(tmp_path / "x.json"))


def test_what_cannot_be_had_or_meant_is_told(serve, tmp_path):
    with pytest.raises(MissingFileError):
        list(mlstac.list_items(tmp_path / "nowhere.json"))
    api = serve()
    with pytest.raises(MissingFileError, match="404"):
        list(mlstac.list_items(api.url + "nowhere"))
    with pytest.raises(InvalidArgumentError, match="one of bbox= and intersects="):
        list(mlstac.list_items(api.url, bbox=(0, 0, 1, 1), intersects=shapely.Point(0, 0)))
    with pytest.raises(InvalidArgumentError, match="ends before it begins"):
        mlstac.list_items(api.url, datetime="2021/2020")
    with pytest.raises(InvalidArgumentError, match="negative"):
        mlstac.list_items(api.url, limit=-1)
    with pytest.raises(InvalidArgumentError, match="is none"):
        list(mlstac.list_items(write_catalog(tmp_path / "catalog", 1), where="a < 1"))
    url = api.url
    api.close()
    with pytest.raises(UnavailableError):
        list(mlstac.list_items(url))


@pytest.mark.parametrize(
    ("name", "words", "error"),
    [
        ("none.json", None, MissingFileError),
        ("list.json", "[]", FormatError),
        ("broken.json", '{"type":', FormatError),
        ("away.json", '{"type": "Catalog", "links": [{"rel": "child", "href": "file:///x?sig=hidden"}]}', None),
        (None, None, UnavailableError),
    ],
)
def test_no_error_shows_what_opens_a_catalog(range_server, tmp_path, name, words, error):
    if words is not None:
        (tmp_path / name).write_text(words)
    # nobody listens at port 1
    place = f"http://127.0.0.1:1/{name}" if name is None else range_server(tmp_path).url + name
    with pytest.raises(MlstacError if error is None else error) as raised:
        list(mlstac.list_items(place.replace("://", "://me:hidden@") + "?sig=hidden"))
    assert "hidden" not in str(raised.value)
    assert "127.0.0.1" in str(raised.value)
    assert raised.value.__suppress_context__  # nor does a traceback
