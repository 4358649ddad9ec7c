"""A file takes the place of the one that was seen, or of none: what each store enforces, and what it cannot."""

import hashlib
import threading
import uuid

import pytest

from mlstac.errors import ChangedError, MissingFileError
from mlstac.storage import Store
from tests.servers.plugin import azure_connection

N = 4


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["s3", "azure", "gcs", "memory"])
def place(request):
    """URL of an empty folder, and the options that lead to it."""
    folder = f"data/{uuid.uuid4().hex[:8]}"
    if request.param == "s3":
        return f"s3://bucket/{folder}", request.getfixturevalue("moto_s3")
    if request.param == "azure":
        return f"az://container/{folder}", {"connection_string": azure_connection(request.getfixturevalue("azurite"))}
    if request.param == "gcs":
        url = request.getfixturevalue("gcs")
        return f"gs://bucket/{folder}", {"token": "anon", "endpoint_url": url, "project": "p"}
    return f"memory://{folder}", {}


def test_what_was_seen_is_replaced_and_nothing_else(place):
    url, options = place
    with Store(url, storage_options=options) as store:
        store.replace("c.json", b"one", expected=None)
        store.replace("c.json", b"two", expected=digest(b"one"))
        for expected in (None, digest(b"one")):
            with pytest.raises(ChangedError, match=r"c\.json was changed by somebody else"):
                store.replace("c.json", b"three", expected=expected)
        assert store.read("c.json") == b"two"
        store.remove("c.json")
        with pytest.raises(ChangedError):
            store.replace("c.json", b"three", expected=digest(b"two"))
        assert store.size("c.json") is None


class LateStore(Store):
    """A store where somebody writes between the last look and the put."""

    def __init__(self, url, *, storage_options, meanwhile):
        super().__init__(url, storage_options=storage_options)
        self._meanwhile = meanwhile

    def read(self, name):
        found = super().read(name)
        if meanwhile := self._meanwhile:
            self._meanwhile = None
            meanwhile(name)
        return found


@pytest.mark.parametrize("before", [None, b"one"])
@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_who_writes_between_the_look_and_the_put_is_not_written_over(request, kind, before):
    if kind == "s3":
        url, options = "s3://bucket/late", request.getfixturevalue("moto_s3")
    else:
        azure = azure_connection(request.getfixturevalue("azurite"))
        url, options = f"az://container/{uuid.uuid4().hex}", {"connection_string": azure}
    with Store(url, storage_options=options) as other:
        if before is not None:
            other.put("c.json", before)
        else:
            other.remove("c.json")

        def meanwhile(name):
            other.put(name, b"theirs")

        with (
            LateStore(url, storage_options=options, meanwhile=meanwhile) as store,
            pytest.raises(ChangedError, match="somebody else"),
        ):
            store.replace("c.json", b"ours", expected=None if before is None else digest(before))
        assert other.read("c.json") == b"theirs"


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_of_many_who_replace_one_state_at_once_one_does(request, kind):
    if kind == "s3":
        url, options = "s3://bucket/race", request.getfixturevalue("moto_s3")
    else:
        azure = azure_connection(request.getfixturevalue("azurite"))
        url, options = f"az://container/{uuid.uuid4().hex}", {"connection_string": azure}
    start, won, lost = threading.Barrier(N), [], []

    def run(number):
        with Store(url, storage_options=options) as store:
            start.wait()
            try:
                store.replace("c.json", b"%d" % number, expected=digest(b"first"))
                won.append(number)
            except ChangedError:
                lost.append(number)

    with Store(url, storage_options=options) as store:
        store.put("c.json", b"first")
        threads = [threading.Thread(target=run, args=(number,)) for number in range(N)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert len(lost) == N - 1
        assert store.read("c.json") == b"%d" % won[0]


def test_google_is_told_which_generation_is_meant_and_its_refusal_is_heard(gcs, gate, monkeypatch):
    monkeypatch.setattr("gcsfs.retry.random.random", lambda: -1000.0)  # its waits
    before = gate(gcs)
    options = {"token": "anon", "endpoint_url": before.url, "project": "p"}
    with Store(f"gs://bucket/{uuid.uuid4().hex}", storage_options=options) as store:
        store.put("c.json", b"one")
        generation = store._fs.info(store._path("c.json"))["generation"]
        before.passed.clear()
        store.replace("c.json", b"two", expected=digest(b"one"))
        [put] = [path for method, path in before.passed if method == "POST"]
        assert f"ifGenerationMatch={generation}" in put  # the emulator itself takes no notice of it
        assert store.read("c.json") == b"two"
        before.fail("POST", "ifGenerationMatch", 412, code="conditionNotMet")
        with pytest.raises(ChangedError):
            store.replace("c.json", b"three", expected=digest(b"two"))
        assert store.read("c.json") == b"two"


def test_an_answer_that_was_lost_is_not_taken_for_somebody_elses(moto_s3, gate):
    before = gate(moto_s3["endpoint_url"])
    options = moto_s3 | {"endpoint_url": before.url}
    with Store("s3://bucket/lost", storage_options=options, wait=lambda seconds: None) as store:
        store.put("c.json", b"one")
        put = store._fs.pipe_file

        def deaf(*arguments, **keywords):
            put(*arguments, **keywords)
            store._fs.pipe_file = put
            raise ConnectionError("the answer was lost")

        store._fs.pipe_file = deaf
        store.replace("c.json", b"two", expected=digest(b"one"))
        assert store.read("c.json") == b"two"


def test_a_file_is_fetched_whole_or_named(place, tmp_path):
    url, options = place
    with Store(url, storage_options=options) as store:
        store.put("a", b"x" * 100_000)
        store.fetch("a", tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == b"x" * 100_000
        with store.open("a") as file:
            file.seek(99_990)
            assert file.read(20) == b"x" * 10
        with pytest.raises(MissingFileError, match="b is not there"):
            store.fetch("b", tmp_path / "b")
