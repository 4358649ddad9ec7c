"""Collections on disk and behind URLs."""

import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from mlstac.collection import Collection
from mlstac.collection._files import without_secrets
from mlstac.errors import (
    AccessError,
    CollectionError,
    InvalidArgumentError,
    MissingFileError,
    StorageError,
    UnavailableError,
)
from tests.collection.examples import flood


def test_a_file_its_folder_and_its_url_are_one_thing(tmp_path):
    flood().save(tmp_path)
    path = tmp_path / "collection.json"
    for source in (path, str(path), tmp_path, str(tmp_path), path.as_uri(), tmp_path.as_uri()):
        read = Collection.from_file(source)
        assert read == flood() or read.to_dict() == flood().to_dict()
        assert read.href == str(path)


def test_a_collection_is_read_through_fsspec():
    with fsspec.open("memory://flood/collection.json", "wb") as file:
        file.write(flood().to_json().encode())
    for url in ("memory://flood", "memory://flood/", "memory://flood/collection.json"):
        read = Collection.from_file(url)
        assert read.to_dict() == flood().to_dict()
        assert read.href == "memory://flood/collection.json"
    with pytest.raises(MissingFileError, match=r"there is nothing at memory://gone/collection\.json"):
        Collection.from_file("memory://gone")


def test_saving_replaces_the_file_in_one_step_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "collection.json"
    flood(id="old").save(path)
    with path.open("rb") as held:
        flood(id="new").save(path)
        assert b'"id": "old"' in held.read()  # an open reader keeps the old file: it was not written over
    assert Collection.from_file(path).id == "new"
    assert os.listdir(tmp_path) == ["collection.json"]


def test_a_collection_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "collection.json"
    flood().save(path)
    before = path.read_bytes()
    with pytest.raises(CollectionError, match="cannot be written as JSON"):
        Collection(id="x", **{"zz:own": {1, 2}}).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["collection.json"]


def test_saving_where_no_file_can_be_says_so(tmp_path):
    with pytest.raises(MissingFileError, match=r"the folder .* is not there; make it first"):
        flood().save(tmp_path / "gone" / "collection.json")
    with pytest.raises(InvalidArgumentError, match="s3://bucket/flood is a URL"):
        flood().save("s3://key:secret@bucket/flood")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        flood().save(tmp_path / "file" / "collection.json")


def test_text_on_disk_is_utf8_with_plain_newlines(tmp_path):
    flood(title="Überflutung 水").save(tmp_path)
    text = (tmp_path / "collection.json").read_bytes()
    assert "Überflutung 水".encode() in text
    assert b"\r" not in text
    assert text.endswith(b"}\n")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="there is no file"):
        Collection.from_file(tmp_path / "gone")
    with pytest.raises(MissingFileError, match="it is empty"):
        Collection.from_file(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(MissingFileError, match=r"has no collection.json \(it has notes.txt\)"):
        Collection.from_file(tmp_path)
    with pytest.raises(MissingFileError, match="there is no file"):
        Collection.from_file(tmp_path / "notes.txt" / "collection.json")
    with pytest.raises(MissingFileError, match="is no path"):
        Collection.from_file("x" * 5000)


def test_a_folder_of_geotiffs_names_convert(tmp_path):
    (tmp_path / "scene.TIF").write_bytes(b"II*\0")
    with pytest.raises(MissingFileError, match=rf"mlstac convert {tmp_path} OUT"):
        Collection.from_file(tmp_path)


def test_a_folder_of_the_original_names_its_main_json(tmp_path):
    (tmp_path / "main.json").write_text("{}")
    with pytest.raises(MissingFileError, match=r"main\.json of the original ML-STAC"):
        Collection.from_file(tmp_path)


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(CollectionError, match="no regular file"):
        Collection.from_file(tmp_path / "pipe")


def test_a_file_of_another_kind_is_named_with_its_path(tmp_path):
    (tmp_path / "collection.json").write_text("<html>")
    with pytest.raises(CollectionError, match=r"collection.json is not JSON"):
        Collection.from_file(tmp_path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@host/a.json", "https://host/a.json"),
        ("https://host/a.json?X-Amz-Signature=abc#f", "https://host/a.json"),
        ("s3://bucket/a@b/c.json", "s3://bucket/a@b/c.json"),
        ("hf://datasets/me/flood@main/collection.json", "hf://datasets/me/flood@main/collection.json"),
    ],
)
def test_secrets_in_a_url_are_not_shown(url, shown):
    assert without_secrets(url) == shown


class _Status(BaseHTTPRequestHandler):
    """Answer with the status that the path names, or with the collection."""

    def do_GET(self):
        word = self.path.strip("/").split("/")[0].split("?")[0]
        body = flood().to_json().encode() if word == "200" else b"no"
        self.send_response(int(word))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the name that http.server calls

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def status_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Status) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_collection_is_read_over_http(status_server):
    read = Collection.from_file(f"{status_server}/200/?token=abc")
    assert read.to_dict() == flood().to_dict()
    assert read.href == f"{status_server}/200/"


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, MissingFileError), (401, AccessError), (403, AccessError), (500, UnavailableError)],
)
def test_a_server_that_refuses_or_fails_is_named(status_server, status, error):
    with pytest.raises(error, match=f"{status_server}/{status}/collection.json") as caught:
        Collection.from_file(f"{status_server}/{status}/collection.json?token=secret")
    assert "secret" not in str(caught.value)
    if status != 404:
        assert f"HTTP {status}" in str(caught.value)


def test_a_refused_connection_is_named():
    # a port that nobody is ever given, unlike one that has just become free
    with pytest.raises(UnavailableError, match="cannot be read"):
        Collection.from_file("http://127.0.0.1:1/flood")


def test_an_unknown_scheme_is_named():
    with pytest.raises(InvalidArgumentError, match=r"gopher://host/x/collection\.json cannot be opened"):
        Collection.from_file("gopher://host/x")
