"""Stores that are not web servers: S3, memory, local files, through the same wall."""

import multiprocessing

import pytest

from mlstac.errors import (
    AccessError,
    FormatError,
    InvalidArgumentError,
    MissingFileError,
    ShardError,
    StorageError,
    UnavailableError,
)
from mlstac.storage import Cache, Download, Fetcher, Read, Retry, Store, download, file_size, read_bytes
from tests.storage.conftest import assert_fetches, ranges

SPANS = [(start, start + 7_000) for start in range(0, 900_000, 30_000)]


@pytest.fixture
def memory(content):
    import fsspec

    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/ds/a b#.bin", content)
    yield "memory://ds/a b#.bin"
    filesystem.rm("/ds", recursive=True)


@pytest.fixture
def local(tmp_path, content):
    (tmp_path / "a b#%.bin").write_bytes(content)
    return str(tmp_path / "a b#%.bin")


@pytest.fixture(params=["memory", "local", "s3"])
def store(request, content):
    """A URL that holds the content, and the storage options that lead there."""
    if request.param == "s3":
        options = request.getfixturevalue("moto_s3")
        return request.getfixturevalue("put_s3")(content, "ds/a b#é%20.bin"), options
    return request.getfixturevalue(request.param), {}


def test_an_option_that_the_store_does_not_know_is_named(moto_s3, put_s3, content):
    url = put_s3(content, "ds/options.bin")
    with (
        Fetcher(storage_options=moto_s3 | {"edpoint_url": "x"}) as fetcher,
        pytest.raises(InvalidArgumentError, match=r"storage_options are not those of s3://: .*'edpoint_url'"),
    ):
        fetcher.read_bytes(url)


def test_ranges_arrive_in_their_places(store, content, clock):
    url, options = store
    with Fetcher(storage_options=options, clock=clock) as fetcher:
        assert_fetches(fetcher, url, content, [*SPANS, (0, 1), (3, 3), (999_999, 1_000_000)], size=len(content))
        into = [(10, memoryview(bytearray(5))), (500, memoryview(bytearray(100_000)))]
        fetcher.fetch([Read(url, 100, 200_100, into)])
        assert [bytes(view) for _, view in into] == [content[110:115], content[600:100_600]]
        assert fetcher.stats()["retries"] == 0


def test_small_files_and_sizes(store, content):
    url, options = store
    assert read_bytes(url, storage_options=options) == content
    assert file_size(url, storage_options=options) == len(content)
    with pytest.raises(FormatError, match="more than the 1000"):
        read_bytes(url, storage_options=options, limit_bytes=1_000)


def test_a_missing_file_is_named(store, clock):
    url, options = store
    with Fetcher(storage_options=options, clock=clock) as fetcher:
        for call in (
            lambda: fetcher.fetch(ranges(url + "x", [(0, 10)])[0]),
            lambda: fetcher.read_bytes(url + "x"),
            lambda: fetcher.file_size(url + "x"),
        ):
            with pytest.raises(MissingFileError, match=r"\.binx: no such file"):
                call()
        assert clock.waits == []


@pytest.mark.parametrize("span", [(999_990, 1_000_010), (2_000_000, 2_000_010)])
def test_a_range_beyond_the_end_is_an_error_and_no_short_read(store, clock, span):
    url, options = store
    with Fetcher(storage_options=options, clock=clock) as fetcher, pytest.raises(ShardError, match="cut short"):
        fetcher.fetch(ranges(url, [span])[0])


def test_the_cache_serves_stores_too(store, content, tmp_path):
    url, options = store
    with Fetcher(storage_options=options, cache=Cache(tmp_path)) as fetcher:
        assert_fetches(fetcher, url, content, SPANS, size=len(content))
        before = fetcher.stats()["requests"]
        assert_fetches(fetcher, url, content, SPANS, size=len(content))
        assert fetcher.stats()["requests"] == before


def test_whole_files_are_downloaded(store, content, tmp_path):
    url, options = store
    download([Download(url, "a.bin", len(content))], tmp_path / "out", storage_options=options)
    assert (tmp_path / "out" / "a.bin").read_bytes() == content


def fetch_in_child(fetcher, url, content):
    assert_fetches(fetcher, url, content, SPANS)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_s3_works_in_children_after_use_in_the_parent(moto_s3, put_s3, content, method):
    url = put_s3(content, "a.bin")
    with Fetcher(storage_options=moto_s3, timeout_s=60) as fetcher:
        assert_fetches(fetcher, url, content, SPANS)
        process = multiprocessing.get_context(method).Process(target=fetch_in_child, args=(fetcher, url, content))
        process.start()
        process.join(100)
        assert process.exitcode == 0
        assert_fetches(fetcher, url, content, SPANS)


def s3_through(server, **more):
    return {
        "key": "key",
        "secret": "very-secret",
        "endpoint_url": server.url.rstrip("/"),
        "client_kwargs": {"region_name": "us-east-1"},
        "config_kwargs": {"s3": {"addressing_style": "path"}, **more},
    }


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500},
        {"kind": "close"},
        {"kind": "reset", "after": 1_000},
        {"kind": "cut", "after": 1_000},
    ],
)
def test_faults_of_s3_are_got_over_by_our_own_bounds(fault_server, content, clock, fault):
    server = fault_server({"bucket/a.bin": content})
    server.fail(times=3, **fault)
    with Fetcher(storage_options=s3_through(server), clock=clock, max_requests=1) as fetcher:
        assert_fetches(fetcher, "s3://bucket/a.bin", content, SPANS[:4])
        # aiohttp, below s3fs, itself repeats a request whose connection was closed without a word, once
        assert fetcher.stats()["retries"] == (1 if fault["kind"] == "close" else 3)
    assert server.count == 4 + 3
    server.fail(times=None, **(fault | {"after": 0} if "after" in fault else fault))
    before = server.count
    with (
        Fetcher(storage_options=s3_through(server), clock=clock, retry=Retry(tries=3), max_requests=1) as fetcher,
        pytest.raises(UnavailableError, match="3 tries"),
    ):
        fetcher.fetch(ranges("s3://bucket/a.bin", SPANS[:1])[0])
    assert server.count == before + (6 if fault["kind"] == "close" else 3)


def test_an_s3_server_that_ignores_ranges_is_refused(fault_server, content, clock):
    server = fault_server({"bucket/a.bin": content})
    server.fail("ignore_range", times=None)
    with (
        Fetcher(storage_options=s3_through(server), clock=clock) as fetcher,
        pytest.raises(ShardError, match="ignores"),
    ):
        fetcher.fetch(ranges("s3://bucket/a.bin", [(0, 100)])[0])


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_to_s3_is_named_without_the_secret(fault_server, content, clock, status):
    server = fault_server({"bucket/a.bin": content})
    server.fail("status", status=status, times=None)
    with (
        Fetcher(storage_options=s3_through(server), clock=clock) as fetcher,
        pytest.raises(AccessError, match="storage_options") as refused,
    ):
        fetcher.fetch(ranges("s3://bucket/a.bin", [(0, 100)])[0])
    assert "very-secret" not in str(refused.value)
    assert server.count == 2  # once more with credentials read anew


def test_a_provider_of_options_is_asked_again_when_its_key_expires(fault_server, content, clock):
    good = "first"
    server = fault_server(
        {"bucket/a.bin": content}, allow=lambda request: f"/{good}/"[1:] in request.headers["authorization"]
    )
    keys = iter(["first", "second", "third"])
    with Fetcher(storage_options=lambda: s3_through(server) | {"key": next(keys)}, clock=clock) as fetcher:
        assert_fetches(fetcher, "s3://bucket/a.bin", content, SPANS[:4])
        good = "second"
        assert_fetches(fetcher, "s3://bucket/a.bin", content, SPANS[:4])
    assert next(keys) == "third"


def test_public_data_needs_no_credentials(fault_server, content, clock, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    server = fault_server({"bucket/a.bin": content})
    options = {name: value for name, value in s3_through(server).items() if name not in ("key", "secret")}
    with Fetcher(storage_options=options, clock=clock) as fetcher:
        assert_fetches(fetcher, "s3://bucket/a.bin", content, SPANS[:4])
    assert all("authorization" not in request.headers for request in server.requests)


def test_public_data_of_google_needs_no_credentials(gate, gcs, content, clock, monkeypatch, tmp_path):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))  # where gcsfs keeps tokens
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    before = gate(gcs)
    with Store("gs://bucket/public", storage_options={"token": "anon", "endpoint_url": gcs, "project": "p"}) as store:
        store.put("a.bin", content)
    with Fetcher(storage_options={"endpoint_url": before.url, "project": "p"}, clock=clock) as fetcher:
        assert_fetches(fetcher, "gs://bucket/public/a.bin", content, SPANS[:4])
    assert before.passed


def test_an_unknown_scheme_is_refused():
    with Fetcher() as fetcher, pytest.raises(StorageError, match="scheme 'nonsense' is not known"):
        fetcher.fetch(ranges("nonsense://x/y", [(0, 1)])[0])
