"""Publishing to the Hugging Face Hub: files first, one commit that shows them, by the Hub's own client.

The client reads its environment when it is imported, so it runs in processes of its own.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from tqdm import tqdm

import mlstac
from mlstac.authoring._hub_bars import without_bars
from mlstac.authoring._hub_seat import counted_addition
from tests.authoring.test_publish import author, files_of, samples
from tests.servers.hub import File

REPOSITORY = "me/chips"
URL = f"hf://datasets/{REPOSITORY}"

_PROGRAM = """
import json, sys
import mlstac

folder, url, settings = json.loads(sys.argv[1])
try:
    done = mlstac.publish(folder, url, **settings)
except mlstac.errors.MlstacError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
else:
    uploads = [file.name for file in done.uploads]
    print(json.dumps({"url": done.url, "commit": done.commit, "uploads": uploads, "files": len(done.files)}))
"""


@pytest.fixture
def chips(tmp_path):
    return author(tmp_path / "chips")


@pytest.fixture
def publish(hub):
    """Call `mlstac.publish` in a process of its own and give what came of it."""

    def publish(folder, url=URL, environment=(), **settings):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps([str(folder), url, settings])],
            env={**os.environ, **hub.environment, **dict(environment)},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert hub.token not in done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return publish


def assert_same(folder, source=URL, **settings):
    local = mlstac.load(folder, framework="numpy")
    remote = mlstac.load(source, framework="numpy", **settings)
    assert len(remote) == len(local) > 0
    for number in range(len(local)):
        for name in ("image", "label"):
            np.testing.assert_array_equal(remote[number][name], local[number][name])
    remote.close()


def test_what_is_published_loads_as_it_was_written_and_shows_in_one_commit(hub, publish, chips):
    done = publish(chips)
    repository = hub.repositories[REPOSITORY]
    assert len(repository.commits) == 2  # that of its making, and ours
    files = repository.commits[done["commit"]]
    assert {name: file.data for name, file in files.items() if name != ".gitattributes"} == {
        name: (chips / name).read_bytes() for name in files_of(chips)
    }
    assert files["train/00000.safetensors"].lfs
    assert done["url"] == URL
    assert not repository.private
    assert_same(chips)
    # again: nothing changed, so there is no commit; then a line does
    again = publish(chips)
    assert (again["uploads"], again["commit"]) == ([], done["commit"])
    (chips / "README.md").write_text("# better\n")
    assert publish(chips)["uploads"] == ["README.md", "collection.json"]
    assert len(repository.commits) == 3
    assert_same(chips)


def test_private_branch_tag_and_folder(hub, publish, chips, tmp_path, monkeypatch):
    done = publish(chips, f"{URL}@next/eo", private=True, tag="v1", message="First chips")
    repository = hub.repositories[REPOSITORY]
    assert repository.private
    assert repository.tags == {"v1": done["commit"]}
    assert repository.refs["next"] == done["commit"]
    assert "eo/collection.json" in repository.commits[done["commit"]]
    assert done["url"] == f"{URL}@next/eo"
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert_same(chips, f"{URL}/eo", revision="v1")
    (chips / "README.md").write_text("# better\n")
    sent = len(repository.commits)
    refused = publish(chips, f"{URL}/eo", revision="next", tag="v1")
    assert refused["error"] == "InvalidArgumentError"
    assert f"has a tag 'v1' already, of commit {done['commit']}" in refused["message"]
    assert publish(chips, f"{URL}/eo", revision="next", tag="v1", dry_run=True)["error"] == "InvalidArgumentError"
    assert len(repository.commits) == sent  # nothing was uploaded
    again = publish(chips, f"{URL}/eo", revision="next", tag="v2")
    assert repository.tags == {"v1": done["commit"], "v2": again["commit"]}
    assert publish(chips, f"{URL}/eo", revision="next", tag="v2")["commit"] == again["commit"]  # as it is


@pytest.mark.parametrize(
    ("status", "error"), [(500, "UnavailableError"), (403, "AccessError"), (409, "UnavailableError")]
)
def test_a_tag_that_fails_leaves_the_commit_and_the_card_and_says_how_to_tag_it(hub, publish, tmp_path, status, error):
    folder = tmp_path / "chips"
    mlstac.write(list(samples(0, 3)), folder, id="chips", license="MIT")
    hub.fail("/tag/", status, method="POST", times=50)
    done = publish(folder, tag="v1", environment={"PYTHONPATH": os.getcwd()})
    repository = hub.repositories[REPOSITORY]
    head = repository.refs["main"]
    assert done["error"] == error
    assert f"{hub.url}/datasets/{REPOSITORY} has the commit {head}, which readers see" in done["message"]
    assert f"`hf repos tag create {REPOSITORY} v1 --revision {head} --repo-type dataset`" in done["message"]
    assert "nothing is shown" not in done["message"]
    assert repository.commits[head]["README.md"].data == (folder / "README.md").read_bytes()
    assert f'mlstac.load("{URL}"' in (folder / "README.md").read_text()
    hub.faults.clear()
    again = publish(folder, tag="v1")
    assert (again["uploads"], repository.tags) == ([], {"v1": head})


def test_a_dry_run_makes_nothing(hub, publish, chips):
    done = publish(chips, dry_run=True)
    assert set(done["uploads"]) == files_of(chips)
    assert hub.repositories == {}
    assert not [asked for asked in hub.asked if asked.method in ("PUT", "POST")]


def test_a_bar_draws_the_bytes_as_they_go(hub, tmp_path):
    chips, noise = tmp_path / "chips", np.random.default_rng(0).integers(0, 9999, (2, 3, 800, 800), np.uint16)
    mlstac.write(({"image": image} for image in noise), chips, license="MIT", card=False)
    size = sum((chips / name).stat().st_size for name in files_of(chips))

    def draw(progress):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps([str(chips), URL, {"progress": progress}])],
            env={**os.environ, **hub.environment, "TQDM_MININTERVAL": "0", "TQDM_UNIT_SCALE": "1", "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert json.loads(done.stdout.splitlines()[-1])["commit"], done.stderr
        return done.stderr

    said = draw(True)
    shares = [int(share) for share in re.findall(r"upload: +(\d+)%", said)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 100)
    assert [share for share in shares if 5 < share < 95]  # told on the way, and not at the end alone
    assert f"{tqdm.format_sizeof(size)}/{tqdm.format_sizeof(size)}" in said
    (chips / "README.md").write_text("# better\n")
    assert "%|" not in draw(False)


_WRITE = """
import sys
import numpy as np
import mlstac

def samples(start, stop):
    for number in range(start, stop):
        yield mlstac.Sample({"x": np.full((4, 8, 8), number, np.int32)})

said = {"license": "MIT", "card": False, **({} if sys.argv[2] == "None" else {"progress": sys.argv[2] == "True"})}
mlstac.write(samples(0, 3), sys.argv[1], id="x", **said)
mlstac.append(sys.argv[1], samples(3, 5), card=False, progress=said.get("progress"))
"""


@pytest.mark.parametrize("progress", [True, False, None])
def test_the_bars_of_the_client_are_not_drawn_beside_ours_nor_where_nobody_looks(hub, chips, progress, tmp_path):
    def said(*command):
        environment = {**os.environ, **hub.environment, "COLUMNS": "100", "XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", *command], env=environment, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    published = said(_PROGRAM, json.dumps([str(chips), URL, {"progress": progress}]))
    written = said(_WRITE, "hf://datasets/me/written", str(progress))
    assert len(hub.repositories) == 2
    if progress:
        assert set(re.findall(r"([^\r\n]*?):? +\d+%\|", published)) == {"upload"}
        assert "upload: 100%|" in written
        assert "LFS" not in published + written
    else:
        assert (published, written) == ("", "")


@pytest.fixture
def bars():
    """The bars of the Hub's client in this process, all shown before and after."""
    from huggingface_hub import constants, utils

    assert constants.HF_HUB_DISABLE_PROGRESS_BARS is None
    utils.enable_progress_bars()
    yield utils
    utils.enable_progress_bars()


def test_the_bars_of_the_client_are_as_before_once_the_last_of_two_uploads_is_over(bars):
    import huggingface_hub

    bars.disable_progress_bars("mine")
    bars.enable_progress_bars("mine.small")
    first, second = without_bars(huggingface_hub), without_bars(huggingface_hub)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert bars.are_progress_bars_disabled()
    second.__exit__(None, None, None)
    assert not bars.are_progress_bars_disabled()
    assert bars.are_progress_bars_disabled("mine")
    assert not bars.are_progress_bars_disabled("mine.small")


def test_bars_of_the_client_that_were_off_stay_off_and_those_turned_on_meanwhile_stay_on(bars):
    import huggingface_hub

    bars.disable_progress_bars()
    with without_bars(huggingface_hub):
        pass
    assert bars.are_progress_bars_disabled()
    bars.enable_progress_bars()
    with without_bars(huggingface_hub):
        bars.enable_progress_bars()
        bars.disable_progress_bars("mine")
    assert not bars.are_progress_bars_disabled()
    assert bars.are_progress_bars_disabled("mine")


def test_a_file_that_is_sent_once_more_is_drawn_once(tmp_path):
    import huggingface_hub

    (tmp_path / "shard").write_bytes(b"s" * 1000)
    told = []
    addition = counted_addition(huggingface_hub, "shard", tmp_path / "shard", told.append)
    for length in (400, 1000):  # broken off, and again from the start
        with addition.as_file(with_tqdm=True) as file:
            while file.tell() < length:
                assert file.read(200)
    addition.told(1000)
    assert told == [200] * 5


def test_a_file_that_two_threads_send_is_drawn_once(tmp_path):
    import huggingface_hub

    (tmp_path / "shard").write_bytes(b"s" * 1000)
    told, both = [], threading.Barrier(2, timeout=10)

    def tell(count):
        told.append(count)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2 if len(told) == 1 else 0)  # the other, if it is let in meanwhile

    addition = counted_addition(huggingface_hub, "shard", tmp_path / "shard", tell)

    def read():
        with addition.as_file(with_tqdm=True) as file:
            file.read()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [1000]


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("PUT", "^/cdn/", 403, "AccessError"),
        ("POST", "/info/lfs/objects/batch", 500, "UnavailableError"),
        ("POST", "/commit/", 500, "UnavailableError"),
        ("POST", "/commit/", 403, "AccessError"),
        ("POST", "/commit/", 412, "ChangedError"),
        ("POST", "/preupload/", 403, "AccessError"),
    ],
)
def test_a_failure_raises_and_shows_no_dataset(hub, publish, chips, method, path, status, error):
    hub.fail(path, status, method=method, times=50)
    done = publish(chips, environment={"PYTHONPATH": os.getcwd()})
    assert done["error"] == error
    assert f"{hub.url}/datasets/{REPOSITORY}" in done["message"]
    assert "Signature" not in done["message"]
    for files in hub.repositories[REPOSITORY].commits.values():
        assert "collection.json" not in files
    hub.faults.clear()
    publish(chips)
    assert_same(chips)


def test_uploads_of_a_broken_run_are_not_made_again(hub, publish, chips):
    hub.fail("/commit/", 500, method="POST")
    assert publish(chips)["error"] == "UnavailableError"
    sent = hub.count("^/cdn/", "PUT")
    assert sent > 3
    publish(chips)
    assert hub.count("^/cdn/", "PUT") == sent


def test_a_token_that_is_refused_is_told_with_the_login(hub, publish, chips):
    done = publish(chips, storage_options={"token": "hf_wrong_secret"})
    assert done["error"] == "AccessError"
    assert "hf auth login" in done["message"]
    assert "hf_wrong_secret" not in done["message"]
    done = publish(chips, environment={"HF_TOKEN": ""})
    assert done["error"] == "AccessError"


def test_another_dataset_is_not_replaced_by_mistake(hub, publish, chips, tmp_path):
    publish(chips)
    done = publish(author(tmp_path / "birds", id="birds"))
    assert done["error"] == "ExistsError"
    assert_same(chips)


def test_a_server_that_is_gone_is_told(hub, publish, chips):
    done = publish(chips, environment={"HF_ENDPOINT": "http://127.0.0.1:1"})
    assert done["error"] == "UnavailableError"
    assert "make the same call again" in done["message"]


def test_a_card_that_was_edited_on_the_hub_stays(hub, publish, tmp_path):
    folder = tmp_path / "made"
    mlstac.write(samples(0, 3), folder, id="chips", license="MIT")
    made = publish(folder)
    repository = hub.repositories[REPOSITORY]
    files = repository.commits[made["commit"]]
    assert files["README.md"].data == (folder / "README.md").read_bytes()
    repository.commit(files | {"README.md": File(b"# Mine\n", lfs=False)})
    mlstac.append(folder, samples(3, 5))
    again = publish(folder)
    assert "README.md" not in again["uploads"]
    assert repository.commits[again["commit"]]["README.md"].data == b"# Mine\n"
    assert_same(folder)
