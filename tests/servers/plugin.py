"""Fixtures of servers, for every room's tests."""

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mlstac.storage import Server, open_server
from tests.servers.fault import FaultServer
from tests.servers.hub import Hub


@pytest.fixture
def fault_server() -> Iterator[Callable[..., FaultServer]]:
    """``fault_server(folder or {name: bytes}, latency_s=…)`` -> a running `FaultServer`, stopped when the test ends."""
    with ExitStack() as stack:
        yield lambda files=None, **settings: stack.enter_context(FaultServer(files, **settings))


@pytest.fixture
def range_server() -> Iterator[Callable[..., Server]]:
    """``range_server(folder)`` -> the server that the library itself offers, stopped when the test ends."""
    with ExitStack() as stack:
        yield lambda folder, **settings: stack.enter_context(open_server(folder, **settings))


@pytest.fixture
def moto_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """An S3 of our own with the bucket ``bucket``; yields the storage options that lead to it."""
    server_module = pytest.importorskip("moto.server", reason="S3 needs moto[server]")
    pytest.importorskip("s3fs", reason="S3 needs s3fs")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "key": "key",
        "secret": "secret",
        "endpoint_url": f"http://{host}:{port}",
        "client_kwargs": {"region_name": "us-east-1"},
    }
    try:
        request = urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
        yield options
    finally:
        server.stop()


@pytest.fixture
def put_s3(moto_s3: dict[str, Any]) -> Callable[[Path | bytes, str], str]:
    """``put_s3(data, "folder/name")`` -> the ``s3://`` URL of an object with that content."""
    import s3fs

    filesystem = s3fs.S3FileSystem(**moto_s3, skip_instance_cache=True)

    def put(data: Path | bytes, key: str) -> str:
        filesystem.pipe_file(f"bucket/{key}", data if isinstance(data, bytes) else data.read_bytes())
        return f"s3://bucket/{key}"

    return put


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A stand-in of the Hugging Face Hub, which ``hf://`` means while the test runs; nobody is logged in."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
