"""Datasets of the Hugging Face Hub: every address is one, and an epoch costs a request a shard."""

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

import mlstac
from mlstac.errors import AccessError, InvalidArgumentError, MissingFileError, StorageError
from mlstac.storage import Download, Fetcher, download, parse_hub
from mlstac.storage._signed import life_of
from tests.storage.conftest import QuickClock, assert_fetches

REPOSITORY = "org/chips"
OPEN = []


@pytest.fixture(autouse=True)
def _close(hub):
    """Close what a test opened while its server still runs."""
    yield
    while OPEN:
        OPEN.pop().close()


def load(source=f"hf://datasets/{REPOSITORY}", **options):
    OPEN.append(mlstac.load(source, framework="numpy", **options))
    return OPEN[-1]


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def chips(hub, tiny):
    """The tiny dataset as a repository; returns its commit."""
    return hub.put(REPOSITORY, files_of(tiny))


def forms(endpoint):
    page = f"{endpoint}/datasets/{REPOSITORY}"
    return [
        page,
        f"{page}/",
        f"{page}/tree/main",
        f"{page}/blob/main/collection.json",
        f"{page}/raw/main/collection.json",
        f"{page}/resolve/main/collection.json?download=true",
        f"{page}/resolve/main",
        f"{page}/viewer/default/train",
        f"hf://datasets/{REPOSITORY}",
        f"hf://datasets/{REPOSITORY}@main",
        f"hf://datasets/{REPOSITORY}@main/collection.json",
        f"hf://datasets/{REPOSITORY}/",
        REPOSITORY,
        f"{REPOSITORY}@main",
    ]


@pytest.mark.parametrize("form", range(14))
def test_every_address_of_a_dataset_is_the_same_dataset_at_the_same_commit(hub, chips, form, arrays):
    ds = load(forms(hub.url)[form])
    np.testing.assert_array_equal(ds[3]["input"], arrays["input"][3])
    files = {asked.path for asked in hub.asked if "/resolve/" in asked.path}
    assert files
    assert all(path.startswith(f"/datasets/{REPOSITORY}/resolve/{chips}/") for path in files)


@pytest.mark.parametrize(
    ("source", "repository", "revision", "path"),
    [
        ("https://huggingface.co/datasets/squad", "squad", None, ""),
        ("https://huggingface.co/datasets/squad/tree/main/plain", "squad", "main", "plain"),
        ("https://hf.co/datasets/a/b", "a/b", None, ""),
        ("http://www.huggingface.co/datasets/a/b/tree/v1.0/x%20y", "a/b", "v1.0", "x y"),
        ("https://huggingface.co/datasets/a/b/tree/refs%2Fpr%2F1/x", "a/b", "refs/pr/1", "x"),
        ("https://huggingface.co/datasets/a/b/resolve/refs/convert/parquet/x", "a/b", "refs/convert/parquet", "x"),
        ("hf://datasets/a/b@refs/pr/12/x/y", "a/b", "refs/pr/12", "x/y"),
        ("hf://datasets/a/b@refs%2Fpr%2F12", "a/b", "refs/pr/12", ""),
        ("hf://datasets/a/b/train", "a/b", None, "train"),
        ("a.b/c_d-e@v2", "a.b/c_d-e", "v2", ""),
    ],
)
def test_addresses_are_read(source, repository, revision, path):
    place = parse_hub(source, endpoint="https://huggingface.co")
    assert (place.repository, place.revision, place.path) == (repository, revision, path)
    assert place.endpoint == "https://huggingface.co"


@pytest.mark.parametrize(
    "source", ["https://example.org/datasets/a/b", "s3://a/b", "a", "a/b/c", "a/b c", "/a/b", "../a"]
)
def test_other_addresses_are_left_alone(source):
    assert parse_hub(source) is None


@pytest.mark.parametrize(
    "source",
    ["hf://org/model", "hf://spaces/a/b", "https://huggingface.co/org/model", "https://huggingface.co/datasets"],
)
def test_what_is_no_dataset_of_the_hub_is_refused_by_name(source):
    with pytest.raises(InvalidArgumentError, match="hf://datasets/org/name"):
        mlstac.load(source)


def test_a_folder_wins_over_a_repository_of_that_name(hub, tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny, tmp_path / "org" / "chips")
    monkeypatch.chdir(tmp_path)
    assert len(load(REPOSITORY)) == 17
    assert not hub.asked


def test_a_name_that_is_neither_folder_nor_repository_says_both(hub):
    with pytest.raises(
        AccessError, match=r"'no/such' is no path on this machine; as a dataset of the Hub: .*no such dataset"
    ):
        mlstac.load("no/such")


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_costs_one_request_a_shard(hub, chips, arrays, shuffle):
    ds = load()
    for epoch in range(2):
        seen = np.concatenate([b["target"] for b in ds.batches(4, shuffle=shuffle, seed=1, epoch=epoch)])
        np.testing.assert_array_equal(np.sort(seen), arrays["target"])
    shards = {asked.path for asked in hub.asked if asked.path.endswith(".safetensors") and "/resolve/" in asked.path}
    assert len(shards) >= 4
    assert hub.resolves <= len(shards) + 5
    assert hub.count(r"/resolve/.*\.safetensors") == len(shards)
    assert hub.count("^/cdn/") >= 2 * len(shards)


def test_many_reads_at_once_of_one_shard_ask_once_where_it_is(hub):
    content = np.random.default_rng(0).bytes(300_000)
    hub.put("a/b", {"x.safetensors": content})
    spans = [(start, start + 1_000) for start in range(0, 200_000, 2_000)]
    with Fetcher(clock=QuickClock()) as fetcher:
        assert_fetches(fetcher, f"{hub.url}/datasets/a/b/resolve/main/x.safetensors", content, spans)
    assert hub.resolves == 1
    assert hub.count("^/cdn/") == 100


def test_reads_of_a_file_without_lfs_do_not_wait_for_each_other(hub):
    content = np.random.default_rng(0).bytes(300_000)
    hub.put("a/b", {"x.bin": content})
    spans = [(start, start + 1_000) for start in range(0, 60_000, 2_000)]
    with Fetcher(clock=QuickClock()) as fetcher:
        assert_fetches(fetcher, f"{hub.url}/datasets/a/b/resolve/main/x.bin", content, spans)
        assert fetcher.stats()["in_flight_peak"] > 1
    assert hub.resolves == 30


def test_a_signature_that_ended_is_asked_for_once_more_not_once_a_read(hub):
    content = np.random.default_rng(0).bytes(300_000)
    hub.put("a/b", {"x.safetensors": content})
    url = f"{hub.url}/datasets/a/b/resolve/main/x.safetensors"
    spans = [(start, start + 1_000) for start in range(0, 100_000, 2_000)]
    with Fetcher(clock=QuickClock()) as fetcher:
        assert_fetches(fetcher, url, content, spans)
        hub.expire()
        assert_fetches(fetcher, url, content, spans)
    assert hub.resolves == 2


def test_a_signature_is_renewed_shortly_before_its_end(hub):
    content = np.random.default_rng(0).bytes(3_000)
    hub.put("a/b", {"x.safetensors": content})
    url = f"{hub.url}/datasets/a/b/resolve/main/x.safetensors"
    clock = QuickClock()
    with Fetcher(clock=clock) as fetcher:
        assert_fetches(fetcher, url, content, [(0, 10)])
        clock.passed_s += 3_500  # of an hour
        assert_fetches(fetcher, url, content, [(0, 10)])
        assert hub.resolves == 1
        clock.passed_s += 50
        assert_fetches(fetcher, url, content, [(0, 10)])
        assert hub.resolves == 2


def test_the_life_of_a_signature_is_read_from_it():
    date = {"date": "Tue, 14 Nov 2023 22:13:20 GMT"}  # 1,700,000,000
    common = {"headers": date, "wall": 0.0, "unknown_s": 300.0}
    assert life_of("https://c/x?Expires=1700003600&Signature=s", **common) == 3540
    assert life_of("https://c/x?X-Amz-Date=20231114T221320Z&X-Amz-Expires=3600", **common) == 3540
    assert life_of("https://c/x?X-Goog-Date=20231114T221320Z&X-Goog-Expires=100", **common) == 90
    assert life_of("https://c/x?se=2023-11-14T22%3A23%3A20Z&sig=s", **common) == 540
    assert life_of("https://c/x?Expires=1699990000", **common) == 0
    assert life_of("https://c/x?Expires=soon", **common) == 300
    assert life_of("https://c/x", **common) == 300
    assert life_of("https://c/x?Expires=1100", headers={}, wall=1000.0, unknown_s=0.0) == 90


def test_the_commit_is_pinned_for_the_life_of_a_dataset(hub, chips, arrays, tiny):
    ds = load()
    # the branch moves on: its shards are other files now
    other = {name: data if name.endswith(".json") else b"\0" * len(data) for name, data in files_of(tiny).items()}
    hub.put(REPOSITORY, other)
    np.testing.assert_array_equal(ds[11]["input"], arrays["input"][11])
    api = hub.count("^/api/")
    again = pickle.loads(pickle.dumps(ds))
    OPEN.append(again)
    np.testing.assert_array_equal(again[12]["input"], arrays["input"][12])
    assert hub.count("^/api/") == api  # a worker asks nobody which commit is meant


def test_a_revision_may_be_a_branch_a_tag_or_a_commit(hub, chips, arrays):
    hub.repositories[REPOSITORY].tags["v1"] = chips
    hub.put(REPOSITORY, {"README.md": b"emptied"})
    for options in ({"revision": "v1"}, {"revision": chips}, {"source": f"hf://datasets/{REPOSITORY}@v1"}):
        np.testing.assert_array_equal(load(**options)[0]["input"], arrays["input"][0])
    assert mlstac.open(REPOSITORY, revision="v1").id == load(revision="v1").collection.id
    with pytest.raises(MissingFileError, match=r"collection\.json: no such file"):
        load()
    with pytest.raises(MissingFileError, match="Invalid rev id: v9"):
        load(revision="v9")
    with pytest.raises(InvalidArgumentError, match="give one"):
        load(f"{REPOSITORY}@v1", revision="v2")


def test_revision_is_for_the_hub_alone(tiny, hub):
    with pytest.raises(InvalidArgumentError, match="leave it out"):
        mlstac.load(tiny, revision="main")


def test_the_token_goes_to_the_hub_and_never_to_the_host_of_the_bytes(hub, tiny, arrays, monkeypatch, caplog):
    hub.put(REPOSITORY, files_of(tiny), private=True)
    with pytest.raises(AccessError, match="hf auth login") as refused:
        load()
    assert f"{hub.url}/datasets/{REPOSITORY}" in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    ds = load()
    hub.asked.clear()
    np.testing.assert_array_equal(ds[5]["input"], arrays["input"][5])
    assert {asked.host for asked in hub.asked} == {"127.0.0.1", "localhost"}
    for asked in hub.asked:
        assert asked.token == (f"Bearer {hub.token}" if asked.host == "127.0.0.1" else None)
    assert hub.token.encode() not in pickle.dumps(ds)
    assert hub.token not in repr(ds) + caplog.text


def test_a_token_may_be_given_saved_or_withheld(hub, tiny, tmp_path, monkeypatch):
    hub.put(REPOSITORY, files_of(tiny), private=True)
    assert len(load(storage_options={"token": hub.token})) == 17
    (tmp_path / "hf-home").mkdir()
    (tmp_path / "hf-home" / "token").write_text(hub.token + "\n")
    assert len(load()) == 17
    with pytest.raises(AccessError):
        load(storage_options={"token": False})
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    with pytest.raises(AccessError):
        load()


def test_another_hub_may_be_named_and_a_saved_token_stays_at_home(hub, tiny, monkeypatch):
    hub.put(REPOSITORY, files_of(tiny))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert len(load(storage_options={"endpoint": hub.url})) == 17
    assert {asked.token for asked in hub.asked} == {f"Bearer {hub.token}"}
    hub.asked.clear()
    # by its plain URL it is a host like any other
    commit = hub.repositories[REPOSITORY].refs["main"]
    assert len(load(f"{hub.url}/datasets/{REPOSITORY}/resolve/{commit}/")) == 17
    assert {asked.token for asked in hub.asked} == {None}


def test_terms_that_were_not_accepted_are_named_with_their_page(hub, tiny):
    hub.put(REPOSITORY, files_of(tiny), gated=True)
    with pytest.raises(AccessError, match="accept the terms") as refused:
        load()
    assert f"{hub.url}/datasets/{REPOSITORY} " in str(refused.value)
    assert "hf auth login" in str(refused.value)


def test_a_budget_that_is_used_up_is_waited_for(hub, caplog):
    content = np.random.default_rng(0).bytes(3_000)
    hub.put("a/b", {f"{n}.safetensors": content for n in range(6)})
    hub.quota, hub.window_s = 4, 200
    clock = QuickClock()
    with Fetcher(clock=clock) as first, Fetcher(clock=clock) as second:  # both of one process
        for n in range(6):
            fetcher = first if n % 2 else second
            hub.quota = hub.quota or 1_000  # the next window
            assert_fetches(fetcher, f"{hub.url}/datasets/a/b/resolve/main/{n}.safetensors", content, [(0, 100)])
        assert [round(wait) for wait in clock.waits] == [200]
        assert first.stats()["throttled"] + second.stats()["throttled"] == 0
    assert "takes no more requests for now" in caplog.text


def test_a_refusal_for_too_many_requests_holds_back_every_reader_of_the_process(hub):
    content = np.random.default_rng(0).bytes(3_000)
    hub.put("a/b", {f"{n}.safetensors": content for n in range(3)})
    hub.fail(r"/resolve/main/0", 429, Retry_After="150")
    clock = QuickClock()
    with Fetcher(clock=clock) as first, Fetcher(clock=clock) as second:
        assert_fetches(first, f"{hub.url}/datasets/a/b/resolve/main/0.safetensors", content, [(0, 100)])
        assert sum(clock.waits) == pytest.approx(150, abs=1)
        assert_fetches(second, f"{hub.url}/datasets/a/b/resolve/main/1.safetensors", content, [(0, 100)])
        assert sum(clock.waits) == pytest.approx(150, abs=1)


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 500}, {"status": 200, "cut": 40}])
def test_faults_of_the_host_of_the_bytes_cost_no_further_asking(hub, fault):
    content = np.random.default_rng(0).bytes(3_000)
    hub.put("a/b", {"x.safetensors": content})
    url = f"{hub.url}/datasets/a/b/resolve/main/x.safetensors"
    with Fetcher(clock=QuickClock()) as fetcher:
        assert_fetches(fetcher, url, content, [(0, 100)])
        hub.fail("^/cdn/", times=3, **fault)
        assert_fetches(fetcher, url, content, [(100, 2_000)])
        assert fetcher.stats()["retries"] == 3
    assert hub.resolves == 1


@pytest.mark.parametrize("name", ["collection.json", "train/catalog-00000.parquet", "train/00000.safetensors"])
@pytest.mark.parametrize("remote", [True, False])
def test_a_pointer_in_the_place_of_bytes_is_named(hub, tiny, tmp_path, name, remote, fault_server):
    shutil.copytree(tiny, tmp_path / "clone")
    size = (tmp_path / "clone" / name).stat().st_size
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize {size}\n"
    (tmp_path / "clone" / name).write_text(pointer)
    source = fault_server(tmp_path / "clone").url if remote else str(tmp_path / "clone")
    with pytest.raises(MissingFileError, match="Git LFS pointer") as refused:
        load(source)[0]
    assert name in str(refused.value)
    assert "git lfs pull" in str(refused.value)


def test_a_server_that_is_no_hub_is_said_to_be_none(fault_server, monkeypatch, hub):
    server = fault_server({f"api/datasets/{REPOSITORY}/revision/main": b"<html>"})
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    with pytest.raises(StorageError, match="HF_ENDPOINT"):
        load()


def test_whole_files_are_downloaded_with_one_request_each(hub, tmp_path):
    content = np.random.default_rng(0).bytes(20_000_000)
    hub.put("a/b", {"x.safetensors": content})
    url = f"{hub.url}/datasets/a/b/resolve/main/x.safetensors"
    download([Download(url, "x.safetensors", len(content))], tmp_path)
    assert (tmp_path / "x.safetensors").read_bytes() == content
    assert hub.resolves == 1


def test_reading_needs_no_client_of_the_hub(hub, chips):
    """What is imported is asked of a fresh interpreter."""
    code = (
        "import sys, json, mlstac\n"
        f"ds = mlstac.load('{REPOSITORY}', framework='numpy')\n"
        "print(json.dumps([int(ds[2]['target']), 'huggingface_hub' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert json.loads(done.stdout) == [20, False]
