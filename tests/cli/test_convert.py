"""`mlstac convert`, as people run it."""

import json

import mlstac
from mlstac.storage import Store
from tests.conversion.sources import array, write_tif
from tests.loading.original.old import write_dataset


def test_a_folder_becomes_a_dataset(run, tmp_path):
    for number in range(4):
        write_tif(tmp_path / "in" / "ab"[number % 2] / f"{number}.tif", array(number))
    done = run("convert", "in", "out", "--bands", "B02,B03,B04", "--license", "MIT")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out\n"
    assert "wrote 4 samples: train 4" in done.stderr
    collection = mlstac.open(tmp_path / "out")
    assert [band.name for band in collection.tensors["input"].bands] == ["B02", "B03", "B04"]
    assert collection.license == "MIT"


def test_json_is_for_programs(run, tmp_path):
    write_dataset(tmp_path / "in")
    done = run("convert", "in/main.json", "out", "--json")
    said = json.loads(done.stdout)
    assert said["splits"] == {"train": 11, "validation": 2, "test": 3}
    assert said["tensors"]["input"] == {"dtype": "U16", "shape": [4, 16, 16]}
    assert done.stderr == ""


def test_what_cannot_be_converted_is_one_line(run, tmp_path):
    (tmp_path / "in").mkdir()
    done = run("convert", "in", "out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Known are: original" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dataset_is_converted_straight_to_a_store(run, tmp_path, moto_s3):
    for number in range(4):
        write_tif(tmp_path / "in" / "ab"[number % 2] / f"{number}.tif", array(number))
    url = "s3://bucket/converted"
    options = [f"{name}={moto_s3[name]}" for name in ("key", "secret", "endpoint_url")]
    done = run("convert", "in", url, *(word for option in options for word in ("-O", option)))
    assert done.returncode == 0, done.stderr
    assert done.stdout == url + "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    with Store(url, storage_options=moto_s3) as store:
        assert "collection.json" in store.list()
    ds = mlstac.load(url, framework="numpy", storage_options=moto_s3)
    assert (ds.collection.id, len(ds)) == ("converted", 4)
    ds.close()


def test_options_of_the_store_do_not_go_to_the_host_of_the_source(tmp_path, moto_s3, range_server):
    served = range_server(tmp_path).url
    write_dataset(tmp_path, links=served + "{}/")
    url = "s3://bucket/original"
    mlstac.convert(served + "main.json", url, storage_options=lambda: moto_s3)
    ds = mlstac.load(url, framework="numpy", storage_options=moto_s3)
    assert len(ds) == 11
    ds.close()


def test_a_token_opens_both_where_both_are_of_one_hub_in_two_spellings(run_with, hub, tmp_path):
    root = write_dataset(tmp_path / "old", version="beta", links=f"{hub.url}/datasets/me/old/resolve/main/{{}}/")
    hub.put("me/old", {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}, private=True)
    out = {**hub.environment, "HF_TOKEN": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for source in ("me/old", f"{hub.url}/datasets/me/old/tree/main"):
        refused = run_with(out, "convert", source, "hf://datasets/me/new", "-O", "token=hf_wrong")
        assert refused.returncode == 1
        assert "hf_wrong" not in refused.stdout + refused.stderr
        hub.repositories.pop("me/new", None)
        done = run_with(out, "convert", source, "hf://datasets/me/new", "-O", f"token={hub.token}")
        assert done.returncode == 0, done.stderr
        assert hub.token not in done.stdout + done.stderr
        assert "wrote 16 samples" in done.stderr
    assert {asked.token for asked in hub.asked if asked.host == "localhost"} == {None}
