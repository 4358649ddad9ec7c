"""What a reader is told when something is wrong: the class, the file, and what to do; and nothing is left behind."""

import os
import pickle
import subprocess
import sys

import pytest

import mlstac
from mlstac.errors import (
    AccessError,
    CatalogError,
    ChecksumError,
    CollectionError,
    InvalidArgumentError,
    MissingFileError,
    MlstacError,
    NotFoundError,
    UnavailableError,
    UnknownFrameworkError,
    VersionError,
)
from tests.loading.broken import copy, edit_collection, edit_rows, made, source, use

__all__ = ["copy", "made", "source"]  # fixtures


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_dataset_is_sound_before_it_is_broken(source):
    samples, batches = use(source(), verify=True)
    assert (len(samples), len(batches)) == (12, 3)


BROKEN_COLLECTIONS = {
    "no JSON": ("{", CollectionError, r"collection\.json"),
    "an HTML page": ("<!DOCTYPE html><html>", CollectionError, r"collection\.json"),
    "empty": ("", CollectionError, r"collection\.json"),
    "not text": ("\x00\xff", CollectionError, r"collection\.json"),
    "a list": ("[1, 2]", CollectionError, r"collection\.json"),
    "an Item": ('{"type": "Feature", "stac_version": "1.1.0"}', CollectionError, r"collection\.json.*Feature"),
    "a Catalog": ('{"type": "Catalog", "id": "x"}', CollectionError, r"collection\.json.*Catalog"),
    "nested too deep": ("[" * 100_000, CollectionError, r"collection\.json"),
    "a key twice": ('{"type": "Collection", "type": "Collection"}', CollectionError, r"collection\.json.*'type'"),
}


@pytest.mark.parametrize("what", BROKEN_COLLECTIONS)
def test_a_collection_that_is_none_is_named(copy, source, what):
    text, error, said = BROKEN_COLLECTIONS[what]
    (copy / "collection.json").write_bytes(text.encode("latin-1"))
    url = source()
    for read in (mlstac.load, mlstac.open):
        with pytest.raises(error, match=rf"(?s){said}"):
            read(url)


def test_a_stac_collection_without_tensors_is_told_from_a_dataset(copy, source):
    def strip(document):
        for name in [name for name in document if name.startswith("ml:")]:
            del document[name]

    edit_collection(copy, strip)
    with pytest.raises(CollectionError, match=r"(?s)ml:"):
        mlstac.load(source())


@pytest.mark.parametrize("version", ["2.0.0", "99.1.0"])
def test_an_unknown_major_version_says_what_is_known_and_how_to_mend(copy, source, version):
    edit_collection(copy, lambda c: c.update({"ml:version": version}))
    with pytest.raises(VersionError, match=rf"collection\.json.*{version}.*1\..*(upgrade|newer|install)"):
        mlstac.load(source())


def test_an_unknown_minor_version_is_read(copy, source):
    edit_collection(copy, lambda c: c.update({"ml:version": "1.99.0", "ml:new-word": {"x": 1}}))
    assert len(use(source())[0]) == 12


@pytest.mark.parametrize("version", ["one", 1, None, {}])
def test_a_version_that_is_none_is_refused(copy, source, version):
    edit_collection(copy, lambda c: c.update({"ml:version": version}))
    with pytest.raises(CollectionError, match=r"(?s)collection\.json.*version"):
        mlstac.load(source())


def test_a_missing_collection_is_named_with_the_mend(copy, fault_server):
    (copy / "collection.json").unlink()
    with pytest.raises(MissingFileError, match=r"has no collection\.json.*interrupted"):
        mlstac.load(copy)
    with pytest.raises(MissingFileError, match=r"http.*collection\.json.*check the URL"):
        mlstac.load(fault_server(copy).url)


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".jp2", ".png", ".nc"])
def test_a_folder_of_images_names_convert(tmp_path, suffix):
    (tmp_path / f"scene{suffix}").write_bytes(b"II*\0")
    for folder in (tmp_path, str(tmp_path) + "/"):
        with pytest.raises(MissingFileError, match=r"mlstac convert .* OUT"):
            mlstac.load(folder)
    assert [path.name for path in tmp_path.iterdir()] == [f"scene{suffix}"]


@pytest.mark.parametrize("what", ["", None, 3, b"bytes", ["a", "b"], object()])
def test_what_is_no_source_is_refused(what):
    with pytest.raises((InvalidArgumentError, TypeError), match=r"source|load"):
        mlstac.load(what)


def test_an_unknown_split_lists_those_that_there_are(copy, source):
    with pytest.raises(NotFoundError, match=r"'val'.*it has train"):
        mlstac.load(source(), "val")


def test_an_unknown_framework_lists_the_known_and_reads_nothing(made, fault_server):
    server = fault_server(made)
    with pytest.raises(UnknownFrameworkError, match=r"'pytorch'.*numpy.*torch.*tensorflow.*jax.*paddle"):
        mlstac.load(server.url, framework="pytorch")
    assert server.count <= 1


MISSING_FRAMEWORK = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == sys.argv[2]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
import mlstac
ds = mlstac.load(sys.argv[1], framework="numpy")
for make in (lambda: mlstac.load(sys.argv[1], framework=sys.argv[2]), lambda: ds.with_framework(sys.argv[2])):
    try:
        make()
    except ImportError as error:
        print(type(error).__name__, error)
print(int(ds[3]["number"]))
"""


@pytest.mark.parametrize(("framework", "package"), [("torch", "torch"), ("paddle", "paddlepaddle")])
def test_a_framework_that_is_not_installed_is_named_with_its_package(made, framework, package):
    done = subprocess.run(
        [sys.executable, "-c", MISSING_FRAMEWORK, str(made), framework],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    first, second, sample = done.stdout.splitlines()
    for line in (first, second):
        assert line.startswith("MissingFrameworkError")
        assert f"pip install {package}" in line
        assert "mlstac[" not in line
    assert sample == "3"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "change",
    [
        {"ml:tensors": []},
        {"ml:tensors": {"image": {"dtype": "U17", "shape": [2, 8, 8]}}},
        {"ml:tensors": {"../x": {"dtype": "U16", "shape": [2]}}},
        {"ml:tensors": {"image": {"dtype": "U16", "shape": [-2]}}},
        {"ml:tensors": {"image": {"dtype": "U16", "shape": "2"}}},
        {"ml:train": {"n_items": -1, "assets": []}},
        {"ml:train": {"n_items": "many", "assets": ["train-00000"]}},
        {"ml:train": {"n_items": 12, "assets": ["nothing"]}},
        {"assets": {"train-00000": {"href": 3}}},
        {"assets": 7},
    ],
)
def test_a_collection_whose_words_make_no_sense_is_refused(copy, source, change):
    edit_collection(copy, lambda c: c.update(change))
    with pytest.raises(CollectionError):
        mlstac.load(source(), framework="numpy")


def test_no_server_is_told_within_few_tries():
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9/.*check host and port"):
        mlstac.load("http://127.0.0.1:9/set")


def test_errors_of_loading_survive_pickling(copy):
    (copy / "train" / "00001.safetensors").unlink()
    for read in (
        lambda: mlstac.load(copy, framework="numpy")[5],
        lambda: mlstac.load(copy, "nothing"),
        lambda: mlstac.load(copy / "nowhere"),
        lambda: mlstac.load(copy, framework="pytorch"),
    ):
        with pytest.raises(MlstacError) as caught:
            read()
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_failing_leaves_the_dataset_and_the_folder_as_they_were(copy, tmp_path, fault_server, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (copy / "train" / "00001.safetensors").unlink()
    before = files(tmp_path)
    for url in (str(copy), fault_server(copy).url):
        with pytest.raises(MissingFileError):
            use(url)
    assert files(tmp_path) == before


def test_a_download_that_fails_leaves_no_collection(copy, fault_server, tmp_path):
    (copy / "train" / "00001.safetensors").unlink()
    with pytest.raises(MissingFileError, match=r"00001\.safetensors"):
        mlstac.load(fault_server(copy).url, stream=False, data_dir=tmp_path / "here")
    assert not (tmp_path / "here" / "collection.json").exists()
    with pytest.raises(MissingFileError, match=r"collection\.json"):
        mlstac.load(tmp_path / "here")


def test_a_download_never_writes_outside_its_folder(copy, fault_server, tmp_path):
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update(href="../escaped.parquet"))
    with pytest.raises(AccessError):
        mlstac.load(fault_server(copy).url, stream=False, data_dir=tmp_path / "deep" / "here")
    assert "escaped.parquet" not in {path.name for path in tmp_path.rglob("*")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(copy):
    (copy / "collection.json").chmod(0)
    with pytest.raises(AccessError, match=r"collection\.json"):
        mlstac.load(copy)


def test_no_error_shows_a_secret(made, fault_server):
    server = fault_server(made)
    url = server.url.replace("http://", "http://user:hunter2@") + "?token=hunter3"
    options = {"headers": {"Authorization": "Bearer hunter4"}}
    server.fail("status", status=403, times=None)
    with pytest.raises(AccessError) as caught:
        mlstac.load(url, storage_options=options)
    assert "hunter" not in str(caught.value)
    server.heal()
    ds = mlstac.load(server.url, storage_options=options)
    assert "hunter" not in repr(ds)
    server.fail("status", status=403, times=None)
    with pytest.raises(AccessError) as caught:
        ds[0]
    assert "hunter" not in str(caught.value)


def test_no_error_of_a_catalog_or_a_checksum_shows_a_secret(copy, fault_server):
    shard = copy / "train" / "00000.safetensors"
    raw = shard.read_bytes()
    shard.write_bytes(raw[:-300] + bytes(byte ^ 1 for byte in raw[-300:]))

    def change(rows):
        rows[5]["assets"]["number"]["ml:offset"] = -1

    edit_rows(copy, change)
    url = fault_server(copy).url.replace("http://", "http://user:hunter2@") + "?token=hunter3"
    said = []
    for tensor, error in (("image", ChecksumError), ("number", CatalogError)):
        with pytest.raises(error, match=r"http.*(00000\.safetensors|catalog-00000\.parquet)") as caught:
            list(mlstac.load(url, framework="numpy").select([tensor]).batches(4))
        said.append(str(caught.value))
    assert "hunter" not in "".join(said)
