"""Writing straight to a URL: the dataset is there whole or not at all, and a broken run goes on."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import mlstac
from mlstac.authoring._remote import RemoteTarget
from mlstac.errors import AccessError, ExistsError, MissingFileError
from mlstac.storage import Store
from tests.authoring.test_publish import samples


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The user's cache, in which the working folders are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bucket(moto_s3, gate):
    """A gate before an empty S3, and the options that lead through it."""
    before = gate(moto_s3["endpoint_url"])
    with Store("s3://bucket/chips", storage_options=moto_s3) as store:
        for name in store.list():  # moto's memory is the process's
            store.remove(name)
    return before, moto_s3 | {"endpoint_url": before.url}


def write(options, *, url="s3://bucket/chips", **settings):
    return mlstac.write(
        {"train": samples(0, 9), "test": samples(50, 52)},
        url,
        license="MIT",
        shard_size="15kB",
        storage_options=options,
        **settings,
    )


def working_folders(cache):
    return list((cache / "mlstac" / "writing").iterdir()) if (cache / "mlstac" / "writing").exists() else []


def assert_there(options, url="s3://bucket/chips"):
    ds = mlstac.load(url, framework="numpy", storage_options=options)
    assert len(ds) == 9
    for number in range(9):
        np.testing.assert_array_equal(ds[number]["image"], np.full((3, 24, 24), number, np.uint16))
    ds.close()


def test_what_is_written_to_a_url_loads_from_it_and_leaves_nothing_here(bucket, cache):
    _, options = bucket
    collection = write(options)
    assert collection.id == "chips"
    assert collection.train.n_items == 9
    assert_there(options)
    assert not working_folders(cache)
    with pytest.raises(ExistsError, match="already holds a dataset"):
        write(options)
    assert not working_folders(cache)
    assert mlstac.write(samples(3, 5), "s3://bucket/chips", id="other", storage_options=options, overwrite=True)
    assert len(mlstac.load("s3://bucket/chips", framework="numpy", storage_options=options)) == 2


def test_a_writer_writes_to_a_url_too(bucket):
    _, options = bucket
    with mlstac.Writer("s3://bucket/w", {"id": "w", "license": "MIT"}, storage_options=options) as writer:
        for sample in samples(0, 9):
            writer.add(sample)
    assert_there(options, "s3://bucket/w")


def test_a_failed_upload_raises_and_the_same_call_goes_on(bucket, cache):
    before, options = bucket
    before.fail("PUT", r"train/00002\.safetensors", 403, code="AccessDenied")
    with pytest.raises(AccessError, match=r"00002\.safetensors"):
        write(options)
    assert len(working_folders(cache)) == 1
    before.faults.clear()
    before.passed.clear()
    write(options)
    assert_there(options)
    uploads = [path for method, path in before.passed if method == "PUT"]
    assert any("00002.safetensors" in path for path in uploads)
    assert not working_folders(cache)


_KILLED = """
import json, os, signal, sys
import mlstac
from tests.authoring.test_publish import samples

def until_death():
    yield from samples(0, 7)
    os.kill(os.getpid(), signal.SIGKILL)

mlstac.write({"train": until_death()}, "s3://bucket/chips", license="MIT", shard_size="7kB",
             storage_options=json.loads(sys.argv[1]))
"""


def test_another_spelling_of_the_url_goes_on_with_the_same_run(bucket, cache):
    before, options = bucket
    before.fail("PUT", r"train/00002\.safetensors", 403, code="AccessDenied")
    with pytest.raises(AccessError, match=r"00002\.safetensors"):
        write(options)
    before.faults.clear()
    before.passed.clear()
    more = {name: value for name, value in options.items() if name != "endpoint_url"}
    write(more | {"client_kwargs": {"endpoint_url": f"{before.url}/"}}, url="S3://bucket/chips/collection.json")
    assert_there(options)
    uploads = [path for method, path in before.passed if method == "PUT"]
    assert not any("train/00000.safetensors" in path for path in uploads)  # that was there
    assert not working_folders(cache)


def test_a_killed_run_shows_nothing_and_goes_on_after_its_last_whole_shard(bucket, cache):
    before, options = bucket
    died = subprocess.run(
        [sys.executable, "-c", _KILLED, json.dumps(options)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    there = shards_at(options)
    assert 1 <= len(there) <= 3  # of three that were handed over the first was whole by then
    with pytest.raises(MissingFileError):
        mlstac.load("s3://bucket/chips", framework="numpy", storage_options=options)
    [folder] = working_folders(cache)
    assert len(list(folder.rglob("*.safetensors"))) <= 1
    seen = []

    def rest(skip):
        seen.append(skip)
        return samples(skip, 9)

    before.passed.clear()
    mlstac.write({"train": rest}, "s3://bucket/chips", license="MIT", shard_size="7kB", storage_options=options)
    assert seen[0] >= 2
    assert_there(options)
    sent = {path.split()[0] for method, path in before.passed if method == "PUT"}
    assert not [
        name for name in list(there)[: seen[0] // 2] if any(name in path for path in sent)
    ]  # those in the journal
    assert len(shards_at(options)) == 5


def shards_at(options, url="s3://bucket/chips"):
    with Store(url, storage_options=options) as store:
        return {name: stored for name, stored in store.list().items() if ".safetensors" in name}


def size_of(path):
    """Bytes of a file, 0 where it was removed since it was listed: shards are, by a thread of their own, once sent."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_the_disk_here_holds_no_more_than_two_shards(bucket, cache):
    _, options = bucket
    held = []

    def watched():
        for sample in samples(0, 60):
            held.append(sum(size_of(path) for path in (cache / "mlstac").rglob("*.safetensors*")))
            yield sample

    mlstac.write(watched(), "s3://bucket/chips", license="MIT", shard_size="15kB", storage_options=options)
    assert max(held) <= 2 * 16_000
    assert len(shards_at(options)) == 15
    assert not working_folders(cache)


@pytest.mark.parametrize("found", ["ours", "theirs"])
def test_a_shard_that_was_sent_and_not_yet_written_down_is_ours_only_if_it_is_the_same(bucket, cache, found):
    _, options = bucket
    before = cut_off(options)
    [folder] = working_folders(cache)
    first, second = sorted(shards_at(options))[:2]
    # as a process leaves it that is killed between upload and journal
    with Store("s3://bucket/chips", storage_options=options) as store:
        (folder / "train").mkdir(exist_ok=True)
        store.fetch(second, folder / second)
        for fragment in sorted(folder.rglob("journal/*/*.parquet"))[1:]:
            fragment.unlink()
        if found == "theirs":
            store.put(second, b"somebody else's")
    mlstac.write(
        {"train": samples(0, 9)}, "s3://bucket/chips", license="MIT", shard_size="7kB", storage_options=options
    )
    assert_there(options)
    now = shards_at(options)
    assert now[first] == before[first]
    with Store("s3://bucket/chips", storage_options=options) as store:
        assert (store.read(second) == b"somebody else's") == (found == "theirs")
    ds = mlstac.load("s3://bucket/chips", framework="numpy", storage_options=options)
    rows = ds.metadata.to_table(["assets"])["assets"].to_pylist()
    names = {row["image"]["href"] for row in rows}
    assert ("./" + second.partition("/")[2] in names) == (found == "ours")
    ds.close()


def cut_off(options):
    """Leave an unfinished run at the URL; what is there of it."""

    def broken():
        yield from samples(0, 7)
        raise RuntimeError("the disk of the camera is gone")

    with pytest.raises(RuntimeError):
        mlstac.write({"train": broken()}, "s3://bucket/chips", license="MIT", shard_size="7kB", storage_options=options)
    return shards_at(options)


def test_a_bucket_that_is_not_there_or_refuses_is_told_before_the_first_sample(bucket):
    before, options = bucket
    taken = []

    def counted():
        for sample in samples(0, 3):
            taken.append(sample)
            yield sample

    for method in ("GET", "HEAD"):
        before.fail(method, "", 403, code="AccessDenied")
    with pytest.raises(AccessError, match="storage_options"):
        mlstac.write(counted(), "s3://bucket/chips", license="MIT", storage_options=options)
    assert not taken


def test_what_is_written_to_the_hub_shows_in_one_commit(hub, cache):
    program = (
        "import mlstac\n"
        "from tests.authoring.test_publish import samples\n"
        "made = mlstac.write(samples(0, 9), 'hf://datasets/me/chips@main', license='MIT', shard_size='7kB')\n"
        "assert made.id == 'chips', made.id\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **hub.environment, "PYTHONPATH": os.getcwd()},
        check=True,
        timeout=100,
    )
    assert len(hub.repositories["me/chips"].commits) == 2
    assert_there(None, "hf://datasets/me/chips")
    assert not working_folders(cache)


def test_the_working_folder_goes_before_another_writer_may_take_it(bucket, cache, monkeypatch):
    _, options = bucket
    settle, refused = RemoteTarget.settle, []

    def look(target):
        monkeypatch.setattr(RemoteTarget, "settle", settle)
        with pytest.raises(ExistsError, match="another writer is at work") as seen:
            write(options, overwrite=True)
        refused.append(seen)
        settle(target)

    monkeypatch.setattr(RemoteTarget, "settle", look)
    write(options)
    assert len(refused) == 1
    assert not working_folders(cache)
    assert_there(options)
