"""A sample made of STAC Items keeps links to them, through shards, catalogs, resumes and other tools."""

import datetime as dt

import numpy as np
import pystac
import pytest
from stac_geoparquet.arrow import stac_table_to_items

import mlstac
from mlstac.errors import ExistsError, InvalidSampleError, MlstacError

HREF = "https://host/items/S2A_30TXM.json"
LINK = {"rel": "derived_from", "href": HREF, "type": "application/geo+json"}


def make_item(href=HREF):
    item = pystac.Item("S2A_30TXM", None, None, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), {})
    item.set_self_href(href)
    return item


def write(folder, *origins, placed=True, **options):
    place = {"bbox": (0, 0, 1, 1), "datetime": "2020-01-01T10:00:00Z"} if placed else {}
    samples = [
        mlstac.Sample({"x": np.full(1, number, np.uint8)}, derived_from=origin, **place)
        for number, origin in enumerate(origins)
    ]
    return mlstac.write(samples, folder, id="cut", license="CC0-1.0", **options)


def links_of(folder):
    rows = mlstac.load(folder, framework="numpy").metadata.to_table(["links"])["links"].to_pylist()
    return [[link for link in row or () if link["rel"] == "derived_from"] for row in rows]


@pytest.mark.parametrize(
    "origin", [HREF, make_item(), make_item().to_dict(), [make_item()], (HREF, make_item(), HREF)[:2]]
)
def test_an_item_is_given_in_any_of_its_forms(tmp_path, origin):
    write(tmp_path / "cut", origin)
    assert links_of(tmp_path / "cut") == [[LINK]]


def test_some_samples_have_several_and_some_none(tmp_path):
    write(tmp_path / "cut", [HREF, "s3://bucket/other"], None, "https://host/third.json")
    hrefs = [[link["href"] for link in links] for links in links_of(tmp_path / "cut")]
    assert hrefs == [[HREF, "s3://bucket/other"], [], ["https://host/third.json"]]


def test_rows_that_are_items_keep_the_link_to_their_collection_first(tmp_path):
    write(tmp_path / "cut", HREF, None)
    links = mlstac.load(tmp_path / "cut", framework="numpy").metadata.to_table(["links"])["links"].to_pylist()
    assert [[link["rel"] for link in row] for row in links] == [["collection", "derived_from"], ["collection"]]


def test_rows_that_are_no_items_have_the_links_alone(tmp_path):
    write(tmp_path / "cut", HREF, None, placed=False)
    assert links_of(tmp_path / "cut") == [[LINK], []]
    write(tmp_path / "plain", None, placed=False)
    assert "links" not in mlstac.load(tmp_path / "plain", framework="numpy").metadata.columns


def test_stac_geoparquets_reader_gives_the_links_back(tmp_path):
    write(tmp_path / "cut", HREF, [HREF, "https://host/other.json"])
    import pyarrow.parquet as pq

    items = list(stac_table_to_items(pq.read_table(tmp_path / "cut" / "train" / "catalog-00000.parquet")))
    found = [pystac.Item.from_dict(item).get_links("derived_from") for item in items]
    assert [[link.target for link in links] for links in found] == [[HREF], [HREF, "https://host/other.json"]]


def test_splits_with_and_without_links_share_one_schema(tmp_path):
    linked = [mlstac.Sample({"x": np.zeros(1, np.uint8)}, derived_from=HREF)]
    mlstac.write({"train": linked, "test": [{"x": np.ones(1, np.uint8)}]}, tmp_path / "cut", id="cut", license="MIT")
    both = mlstac.load(tmp_path / "cut", split="train+test", framework="numpy").metadata.to_table(["links"])
    assert both["links"].to_pylist() == [[LINK], None]


def test_other_links_are_other_samples_to_a_run_that_goes_on(tmp_path):
    """A run that was cut off compares what it is given with what is there; a link is part of it."""

    def samples(href):
        for number in range(20):
            yield mlstac.Sample({"x": np.full(1000, number, np.uint8)}, derived_from=f"{href}/{number}.json")

    def cut_off(href):
        yield from list(samples(href))[:15]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mlstac.write(cut_off("https://host"), tmp_path / "cut", id="cut", license="MIT", shard_size=4000)
    with pytest.raises(MlstacError):
        mlstac.write(samples("https://other"), tmp_path / "cut", id="cut", license="MIT", shard_size=4000)
    mlstac.write(samples("https://host"), tmp_path / "cut", id="cut", license="MIT", shard_size=4000)
    assert len(links_of(tmp_path / "cut")) == 20
    with pytest.raises(ExistsError):
        write(tmp_path / "cut", HREF)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ({"type": "Feature", "id": "lost", "links": []}, "Item 'lost' without a self link"),
        (pystac.Item("lost", None, None, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), {}), "without a self link"),
        (3, "type int"),
        ([3], "holds a int"),
        ("https://host/\n.json", "no address"),
        ("x" * 10_000, "no address"),
    ],
)
def test_what_is_no_item_is_refused(origin, words):
    with pytest.raises(InvalidSampleError, match=words):
        mlstac.Sample({"x": np.zeros(1)}, derived_from=origin)


@pytest.mark.parametrize("form", ["path", "text", "url", "item"])
def test_a_file_of_this_machine_is_named_from_the_catalogs_folder_and_not_from_its_root(tmp_path, form):
    file = tmp_path / "items" / "scene one.json"
    file.parent.mkdir()
    item = make_item(str(file))
    item.save_object(include_self_link=True)
    origin = {"path": file, "text": str(file), "url": file.as_uri(), "item": item}[form]
    write(tmp_path / "cut", origin, "../beside.json")
    hrefs = [[link["href"] for link in links] for links in links_of(tmp_path / "cut")]
    assert hrefs == [["../../items/scene one.json"], ["../beside.json"]]
    assert pystac.Item.from_file(tmp_path / "cut" / "train" / hrefs[0][0]).id == "S2A_30TXM"
    for part in (tmp_path / "cut").rglob("*.parquet"):
        assert str(tmp_path).encode() not in part.read_bytes()


def test_a_file_of_this_machine_is_refused_where_nothing_leads_to_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sample = mlstac.Sample({"x": np.zeros(1, np.uint8)}, id="a", derived_from=str(tmp_path / "item.json"))
    with pytest.raises(InvalidSampleError, match=r"sample 'a' is derived_from a file of this machine.*URL") as seen:
        mlstac.write([sample], f"memory://{tmp_path.name}/cut", license="MIT")
    assert str(tmp_path) not in str(seen.value)


def _one(href):
    return [mlstac.Sample({"x": np.zeros(1, np.uint8)}, derived_from=href)]


def test_parts_name_such_a_file_alike(tmp_path):
    mlstac.write_parts([lambda: _one(str(tmp_path / "item.json"))], tmp_path / "cut", id="cut", license="MIT")
    assert [link["href"] for [link] in links_of(tmp_path / "cut")] == ["../../item.json"]
