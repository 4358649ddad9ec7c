"""The server that the library offers, judged by other clients."""

import http.client
import os
import pathlib
import socket
import threading
import urllib.error
import urllib.request

import pytest

from mlstac.errors import MissingFileError, StorageError
from mlstac.storage import Fetcher, file_size, join, open_server, read_bytes
from tests.servers.plugin import free_port
from tests.storage.conftest import assert_fetches
from tests.waiting import PATIENCE_S, ctrl_c, wait_until


@pytest.fixture
def folder(tmp_path, content):
    (tmp_path / "served" / "train").mkdir(parents=True)
    (tmp_path / "served" / "train" / "a b#é.bin").write_bytes(content)
    (tmp_path / "served" / "empty.bin").touch()
    (tmp_path / "served" / ".hidden").write_text("x")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "served" / "link.txt").symlink_to(tmp_path / "secret.txt")
    return tmp_path / "served"


@pytest.fixture
def server(folder, range_server):
    return range_server(folder)


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection(server.url[7:].strip("/"))
    connection.putrequest(method, path)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply, body


FILE = "/train/a%20b%23%C3%A9.bin"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-99", 10, 100),
        ("bytes=999990-", 999_990, 1_000_000),
        ("bytes=-10", 999_990, 1_000_000),
    ],
)
def test_ranges_are_answered(server, content, asked, start, stop):
    reply, body = ask(server, FILE, Range=asked)
    assert reply.status == 206
    assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000000"
    assert body == content[start:stop]


def test_a_range_beyond_the_end_is_416(server):
    reply, _ = ask(server, FILE, Range="bytes=1000000-1000010")
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */1000000")


def test_an_etag_saves_the_body(server, content):
    reply, body = ask(server, FILE)
    assert body == content
    assert ask(server, FILE, If_None_Match=reply.headers["ETag"])[0].status == 304


def test_head_sends_no_body(server):
    reply, body = ask(server, FILE, "HEAD")
    assert (reply.status, reply.headers["Content-Length"], body) == (200, "1000000", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(server, method):
    assert ask(server, FILE, method)[0].status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/train/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/link.txt",
        "/%00",
        "/train/%2e%2e/%2e%2e/secret.txt",
        "//etc/passwd",
    ],
)
def test_nothing_outside_the_folder_is_served(server, path):
    reply, body = ask(server, path)
    assert reply.status in (400, 404)
    assert b"secret" not in body


def test_pages_of_other_hosts_may_read(server, folder, range_server):
    reply, _ = ask(server, FILE, "OPTIONS", Origin="https://x.org", Access_Control_Request_Headers="range")
    assert reply.status == 204
    assert "Range" in reply.headers["Access-Control-Allow-Headers"]
    reply, _ = ask(server, FILE, Range="bytes=0-1", Origin="https://x.org")
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in reply.headers["Access-Control-Expose-Headers"]
    closed = range_server(folder, cors=False)
    assert "Access-Control-Allow-Origin" not in ask(closed, FILE)[0].headers


def test_folders_are_listed(server, folder):
    (folder / "train" / "<b>.txt").touch()
    reply, body = ask(server, "/train/")
    assert reply.headers["Content-Type"].startswith("text/html")
    assert b'href="a%20b%23%C3%A9.bin"' in body
    assert b"<b>" not in body
    assert ask(server, "/train")[0].headers["Location"] == "/train/"
    assert b"hidden" not in ask(server, "/")[1]


def test_requests_and_bytes_are_counted(server):
    ask(server, FILE, Range="bytes=0-99")
    ask(server, "/none")
    assert server.requests == 2
    assert 100 <= server.bytes_sent < 200


def test_our_own_client_reads_it(server, content):
    url = join(server.url, "train/a b#é.bin")
    with Fetcher() as fetcher:
        assert_fetches(fetcher, url, content, [(0, 10), (500, 100_500), (0, 1_000_000)], size=1_000_000)
    assert read_bytes(url) == content
    assert file_size(join(server.url, "empty.bin")) == 0


def test_fsspec_reads_it(server, content):
    import fsspec

    filesystem = fsspec.filesystem("http", skip_instance_cache=True)
    assert filesystem.cat_file(server.url + FILE[1:], start=10, end=20) == content[10:20]


def test_closing_frees_the_port_and_the_thread(folder, our_threads):
    port = free_port()  # one that the system gives to nobody else between the two
    with open_server(folder, port=port) as server:
        read_bytes(server.url + "empty.bin")
    assert "mlstac-server" not in our_threads()
    wait_until(lambda: not our_threads(), "the thread that looked at the file has ended too")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url, timeout=60)
    with open_server(folder, port=port) as again:
        assert again.url == server.url
    server.close()


def test_closing_amid_the_opening_of_a_file_leaves_none_open(folder, monkeypatch, left_open, our_threads):
    server, open_file, opened, release = open_server(folder), pathlib.Path.open, threading.Event(), threading.Event()

    def open_slowly(path, *words):
        file = open_file(path, *words)
        opened.set()
        release.wait(PATIENCE_S)
        return file

    def release_after(steps):
        if steps:
            server._thread.call(release_after, steps - 1)
        else:
            release.set()

    monkeypatch.setattr(pathlib.Path, "open", open_slowly)
    with socket.create_connection(("127.0.0.1", int(server.url.split(":")[2].strip("/")))) as client:
        client.sendall(f"GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert opened.wait(PATIENCE_S)
        server._thread.call(server.close)  # in the loop it is begun, and not waited for
        server._thread.call(release_after, 3)  # whatever is cancelled at once is cancelled by then
        server.close()
        wait_until(lambda: not our_threads(), "the thread that opened the file has ended")
    assert left_open == []


def test_closing_amid_the_making_of_connections_leaves_none_open(folder, left_open):
    server = open_server(folder)
    begun, release = threading.Event(), threading.Event()
    server._thread.call(lambda: (begun.set(), release.wait(PATIENCE_S)))
    assert begun.wait(PATIENCE_S)
    address = ("127.0.0.1", int(server.url.split(":")[2].strip("/")))
    clients = [socket.create_connection(address) for _ in range(5)]  # the system makes them; nobody has taken them yet
    server._thread.call(release.wait)
    closer = threading.Thread(target=server.close)
    closer.start()
    release.set()
    closer.join()
    for client in clients:
        client.close()
    assert left_open == []


def test_a_port_that_is_taken_is_named(folder, server, our_threads):
    with pytest.raises(StorageError, match="choose another port"):
        open_server(folder, port=int(server.url.split(":")[2].strip("/")))
    assert not our_threads()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="is not a folder"):
        open_server(tmp_path / "none")


def test_waiting_ends_when_it_is_closed(folder):
    server = open_server(folder)
    closer = threading.Thread(target=server.close)
    closer.start()
    server.wait()
    closer.join()


class Waiting(threading.Event):
    """Tells when somebody begins to wait for it."""

    def __init__(self):
        super().__init__()
        self.begun = threading.Event()

    def wait(self, timeout=None):
        self.begun.set()
        return super().wait(timeout)


def test_waiting_heeds_a_ctrl_c_that_wakes_nobody(folder):
    """As one does that comes between Python's last look and the wait: here another thread takes the signal."""
    with ctrl_c(unnoticed=True) as press, open_server(folder) as server:
        closed = server._closed = Waiting()

        def press_while_it_waits():
            closed.begun.wait(PATIENCE_S)
            press()

        other, rescue = threading.Thread(target=press_while_it_waits), threading.Timer(PATIENCE_S / 2, closed.set)
        other.start()
        rescue.start()
        with pytest.raises(KeyboardInterrupt):
            server.wait()
        rescue.cancel()
        assert not closed.is_set()
        other.join()


def test_a_file_that_is_replaced_has_another_etag(server, folder):
    before = ask(server, "/empty.bin")[0].headers["ETag"]
    (folder / "empty.bin").write_bytes(b"x")
    os.utime(folder / "empty.bin", (1, 1))
    assert ask(server, "/empty.bin")[0].headers["ETag"] != before


def test_hidden_names_are_not_served(tmp_path):
    (tmp_path / ".mlstac" / "journal").mkdir(parents=True)
    (tmp_path / ".mlstac" / "journal" / "run.json").write_text("{}")
    (tmp_path / "collection.json").write_text("{}")
    with open_server(tmp_path) as server:
        assert urllib.request.urlopen(server.url + "collection.json", timeout=60).status == 200
        for path in (".mlstac/", ".mlstac/journal/run.json", "%2Emlstac/journal/"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(server.url + path, timeout=60)
