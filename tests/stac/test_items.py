"""Samples as Items that stand alone: valid, absolute, with all that the collection says; and the command for it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pystac
import pytest
from safetensors.numpy import load_file

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError

MLSTAC = Path(sys.executable).with_name("mlstac")


def plain(item):
    return item.to_dict(include_self_link=False, transform_hrefs=False)


@pytest.fixture(scope="module")
def items(flood):
    return list(mlstac.load(flood, split="all", framework="numpy").items())


def test_every_item_passes_the_schemas_of_stac_and_of_each_extension(items, judge):
    assert len(items) == 14
    for item in items:
        assert judge(plain(item)) == []


def test_every_extension_whose_fields_an_item_has_is_declared(items):
    names = {uri.split("/")[3] for uri in items[1].stac_extensions}
    assert names == {"classification", "eo", "file", "ml-aoi", "projection", "raster"}


def test_hrefs_are_absolute_and_lead_to_the_bytes(items, flood):
    for item in items:
        for name, asset in item.assets.items():
            assert Path(asset.href).is_absolute()
            raw = Path(asset.href).read_bytes()
            fields = asset.extra_fields
            stored = raw[fields["ml:offset"] : fields["ml:offset"] + fields["ml:length"]]
            assert stored in [row.tobytes() for row in load_file(asset.href)[name]]
        [link] = item.get_links("collection")
        assert Path(link.target) == flood / "collection.json"
        [origin] = item.get_links("derived_from")
        assert origin.target == f"https://host/items/{int(item.id.split()[1]) % 2}.json"


def test_over_http_hrefs_are_addresses_without_a_signature(flood, range_server):
    server = range_server(flood)
    host = server.url.removeprefix("http://")
    dataset = mlstac.load(f"http://user:secret@{host}collection.json?signature=abc", framework="numpy")
    [item, *_] = dataset.items()
    assert item.assets["image"].href == f"http://{host}train/00000.safetensors"
    assert "secret" not in json.dumps(plain(item))
    assert "signature" not in json.dumps(plain(item))


def test_assets_have_what_item_assets_says_and_their_own_words_first(items, flood):
    document = json.loads((flood / "collection.json").read_text())
    for item in items:
        for name, asset in plain(item)["assets"].items():
            for key, value in document["item_assets"][name].items():
                assert key in asset
                if key != "roles":
                    assert asset[key] == value
    assert items[1].assets["water"].roles == ["label"]
    assert "water" not in items[0].assets


def test_splits_are_told_in_ml_aois_words(items):
    told = {item.id.split("/")[0]: item.properties["ml-aoi:split"] for item in items}
    assert told == {"train": "train", "validation": "validate", "test": "test"}


def test_they_are_the_rows_in_the_order_of_the_dataset(flood):
    dataset = mlstac.load(flood, split="train+test", framework="numpy")
    chosen = dataset.subset([11, 0, 3, 3, 10]).filter(where='"eo:cloud_cover" < 25')
    ids = chosen.metadata.to_table(["id"])["id"].to_pylist()
    assert [item.id for item in chosen.items()] == ids
    assert len(ids) == 3


def test_they_are_made_as_they_are_asked_for(flood, monkeypatch):
    from mlstac.loading import _items

    monkeypatch.setattr(_items, "_CHUNK_ROWS", 2)
    dataset = mlstac.load(flood, framework="numpy")
    asked = dataset.items()
    monkeypatch.setattr(_items, "items", lambda *args, **more: pytest.fail("read before it was asked for"))
    monkeypatch.undo()
    assert [item.id for item in asked] == dataset.metadata.to_table(["id"])["id"].to_pylist()


def test_a_sample_without_a_time_is_no_item_and_says_so(tmp_path):
    samples = [
        mlstac.Sample({"x": np.zeros(1, np.uint8)}, id="dated", datetime="2020-01-01", bbox=(0, 0, 1, 1)),
        mlstac.Sample({"x": np.zeros(1, np.uint8)}, id="undated", bbox=(0, 0, 1, 1)),
    ]
    mlstac.write(samples, tmp_path / "some", id="some", license="MIT")
    dataset = mlstac.load(tmp_path / "some", framework="numpy")
    with pytest.raises(NotFoundError, match="sample 'undated' has no time"):
        list(dataset.items())
    assert [item.id for item in dataset.filter(datetime="../..").items()] == ["dated"]


def test_a_sample_without_a_place_is_an_item_without_one(tmp_path, judge):
    mlstac.write(
        [mlstac.Sample({"x": np.zeros(1)}, datetime="2020-01-01")], tmp_path / "some", id="some", license="MIT"
    )
    [item] = mlstac.load(tmp_path / "some", framework="numpy").items()
    assert item.geometry is None
    assert judge(plain(item)) == []


def test_pystac_has_the_collection_as_it_is_or_alone(flood, judge, tmp_path):
    collection = mlstac.open(flood)
    whole = collection.to_pystac()
    assert isinstance(whole, pystac.Collection)
    assert Path(whole.get_self_href()) == flood / "collection.json"
    assert [child.title for child in whole.get_children()] == ["train", "validation", "test"]
    alone = collection.to_pystac(alone=True)
    document = plain(alone)
    assert judge(document) == []
    assert {link["rel"] for link in document["links"]} == {"license"}
    assert all(Path(asset["href"]).is_file() for asset in document["assets"].values())
    assert document["item_assets"] == collection.to_dict()["item_assets"]
    with_no_address = mlstac.Collection(id="new", license="MIT").to_pystac(alone=True)
    assert with_no_address.id == "new"


def run(*arguments, cwd):
    command = [str(MLSTAC), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_prints_a_line_an_item(flood, items, tmp_path):
    done = run("export-items", flood, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = [pystac.Item.from_dict(json.loads(line)) for line in done.stdout.splitlines()]
    assert [plain(item) for item in printed] == [plain(item) for item in items]


def test_the_command_writes_what_it_is_asked_for(flood, tmp_path):
    done = run(
        *("export-items", flood, "--split", "train", "--where", "fold = 1", "--datetime", "2020-01-04/.."),
        *("--bbox", "-10,30,10,40", "-o", "out/items.ndjson"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "wrote 3 Items to out/items.ndjson" in done.stderr
    lines = (tmp_path / "out" / "items.ndjson").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["train/chip 3", "train/chip 5", "train/chip 7"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["items.ndjson"]


def test_the_command_fills_a_folder_that_an_api_can_take_in(flood, tmp_path, judge):
    done = run("export-items", flood, "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    collection = json.loads((tmp_path / "out" / "collection.json").read_text())
    files = sorted((tmp_path / "out" / "items").iterdir())
    assert len(files) == 14
    assert files[0].name == "test%2Fchip%200.json"
    for path in [tmp_path / "out" / "collection.json", *files]:
        document = json.loads(path.read_text())
        assert judge(document) == []
        assert document.get("collection", document["id"]) == collection["id"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--bbox", "1,2,x,4"], 2, "west,south,east,north"),
        (["-o", "items.csv"], 2, "end it in .ndjson"),
        (["--where", "cluod < 3"], 1, "no column of the catalog"),
        (["--split", "trian"], 1, "it has train, validation, test"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(flood, tmp_path, arguments, status, words):
    done = run("export-items", flood, *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_ids_never_become_paths_unchecked():
    from mlstac.cli._export_items import file_name

    names = ["../../etc/passwd", "..", ".hidden", "a/b", "x" * 500, "x" * 499 + "y", "ü" * 200, "con:1"]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(names)
    for name in made:
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name.encode()) < 255


def test_open_gives_the_rows_of_all_splits(flood):
    collection = mlstac.open(flood)
    assert (collection.train.n_items, collection.validation.n_items, collection.test.n_items) == (9, 2, 3)
    metadata = collection.metadata
    assert len(metadata) == 14
    assert metadata.columns[:2] == ["id", "split"]
    table = metadata.to_table(["id", "split"]).to_pylist()
    assert all(row["id"].startswith(row["split"]) for row in table)
    assert metadata[13]["split"] == metadata[-1]["split"] == "test"
    assert metadata[9]["split"] == "validation"
    assert metadata.to_pandas().groupby("split").size().to_dict() == {"test": 3, "train": 9, "validation": 2}
    with pytest.raises(NotFoundError, match="it has id, split"):
        metadata.to_table(["spilt"])


def test_a_column_of_that_name_stays_the_authors(tmp_path):
    sample = mlstac.Sample({"x": np.zeros(1)}, properties={"split": "mine"})
    mlstac.write([sample], tmp_path / "some", id="some", license="MIT")
    assert mlstac.open(tmp_path / "some").metadata[0]["split"] == "mine"


def test_metadata_is_of_collections_that_were_opened(flood, tmp_path):
    assert mlstac.open(flood) == mlstac.open(flood)
    with pytest.raises(InvalidArgumentError, match=r"mlstac\.open"):
        _ = mlstac.Collection.from_file(flood).metadata
    folder = shutil.copytree(flood, tmp_path / "copy")
    assert len(mlstac.open(folder / "collection.json").metadata) == 14


def test_metadata_is_read_with_the_credentials_that_opened_it(flood, fault_server):
    server = fault_server(flood)
    options = {"headers": {"X-Token": "good"}}
    assert len(mlstac.open(server.url, storage_options=options).metadata) == 14
    assert "good" not in repr(mlstac.open(server.url, storage_options=options)._read_rows)
