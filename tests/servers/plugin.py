"""Fixtures of servers, for every room's tests."""

import logging
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlstac.storage import Server, open_server
from tests.servers.fault import FaultServer
from tests.servers.gate import Gate
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


@cache
def _s3_application() -> Any:
    """What moto answers with: its tables of routes take longer to make than most tests of it, and keep no state."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line of each request
    return DomainDispatcherApplication(create_backend_app)


@cache
def _s3_descriptions(folders: str | None = None) -> Any:
    """What botocore knows of S3, read once: each client reads it anew, which takes longer than what most are asked."""
    from botocore.loaders import create_loader

    return create_loader(folders)


@pytest.fixture
def moto_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """An S3 of our own with the bucket ``bucket``, which is empty; yields the storage options that lead to it."""
    import botocore.session
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from moto.s3.responses import S3Response
    from werkzeug.serving import make_server

    # S3 looks at what is there and replaces it in one step; moto lets another thread in between
    put, one_at_a_time = S3Response.put_object, threading.Lock()

    def put_alone(response: Any) -> Any:
        with one_at_a_time:
            return put(response)

    monkeypatch.setattr(S3Response, "put_object", put_alone)
    monkeypatch.setattr(botocore.session, "create_loader", _s3_descriptions)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = make_server("127.0.0.1", 0, _s3_application(), threaded=True, request_handler=MotoRequestHandler)
    # moto's own thread looks twice a second whether it is to end
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.port}"
    options = {
        "key": "key",
        "secret": "secret",
        "endpoint_url": url,
        # over http nothing is verified; each client would read the certificates of all the world's authorities
        "client_kwargs": {"region_name": "us-east-1", "verify": False},
    }
    try:
        # What moto keeps belongs to the process, and the tests before this one have left theirs
        for method, path in (("POST", "moto-api/reset"), ("PUT", "bucket")):
            request = urllib.request.Request(f"{url}/{path}", method=method)
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
        yield options
    finally:
        server.shutdown()
        thread.join()


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


@pytest.fixture
def gate() -> Iterator[Callable[[str], Gate]]:
    """``gate(url)`` -> a running `Gate` before a server, stopped when the test ends."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(Gate(url))


AZURE_ACCOUNT = "devstoreaccount1"
# of every emulator of Azure, published in its documentation
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="session")
def azurite(repository: Path) -> Iterator[str]:
    """URL of an Azure blob store of our own, with the container ``container``."""
    program = repository / ".venv" / "npm" / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists() or shutil.which("node") is None:
        pytest.skip("Azure needs azurite, which npm installs (make env)")
    port = free_port()
    flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    with _running([str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port), *flags], port):
        url = f"http://127.0.0.1:{port}"
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(azure_connection(url)) as service:
            service.create_container("container")
        yield url


def azure_connection(url: str) -> str:
    """The connection string of the emulator at a URL."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
        f"BlobEndpoint={url}/{AZURE_ACCOUNT};"
    )


@pytest.fixture(scope="session")
def gcs() -> Iterator[str]:
    """URL of a Google Cloud Storage of our own, with the bucket ``bucket``."""
    port = free_port()
    start = "from gcp_storage_emulator.__main__ import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", start, "start", "--host", "127.0.0.1", "--port", str(port)]
    with _running([*command, "--in-memory", "--quiet"], port):
        url = f"http://127.0.0.1:{port}"
        request = urllib.request.Request(
            f"{url}/storage/v1/b?project=p", data=b'{"name": "bucket"}', headers={"Content-Type": "application/json"}
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
        yield url


def free_port() -> int:
    """Choose a port below those that systems give to whoever asks for any: between now and its use nobody gets it."""
    for port in random.SystemRandom().sample(range(15_000, 32_000), 200):
        with socket.socket() as listening:
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port from 15000 to 32000 is free")


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """Run a server of somebody else's, from when it answers at its port."""
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would fill, and hold the server up
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        try:
            ends, waiter = time.monotonic() + 240, threading.Event()
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > ends:
                        said.seek(0)
                        raise RuntimeError(f"{command[0]} did not start: {said.read().decode()[-500:]}") from None
                    waiter.wait(0.05)
            yield
        finally:
            process.terminate()
            process.wait()
