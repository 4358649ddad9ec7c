"""`mlstac publish` and `mlstac download`: there and back, from a shell."""

import json

import pytest

import mlstac
from mlstac.storage import Store, open_server


def options_of(moto_s3):
    region = f"client_kwargs.region_name={moto_s3['client_kwargs']['region_name']}"
    return ["-O", f"endpoint_url={moto_s3['endpoint_url']}", "-O", region, "-O", "key=key", "-O", "secret=secret"]


def files_of(folder):
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}


def test_there_and_back_by_s3(run_with, moto_s3, flood, tmp_path):
    options = options_of(moto_s3)
    dry = run_with({}, "publish", flood, "s3://bucket/flood", "--dry-run", *options)
    assert dry.returncode == 0, dry.stderr
    lines = dry.stdout.splitlines()
    assert len(lines) == len(files_of(flood))
    assert all(line.startswith("upload ") for line in lines)
    assert lines[-1].endswith("  s3://bucket/flood/collection.json")
    assert f"would upload {len(lines)} files" in dry.stderr
    done = run_with({}, "publish", flood, "s3://bucket/flood", *options)
    assert done.stdout == "s3://bucket/flood\n", done.stderr
    assert f"uploaded {len(lines)} files" in done.stderr
    again = json.loads(run_with({}, "publish", flood, "s3://bucket/flood", "--json", *options).stdout)
    assert {file["action"] for file in again["files"]} == {"keep"}
    assert again["upload_bytes"] == 0
    back = run_with({}, "download", "s3://bucket/flood", "back", *options)
    assert back.stdout == "back\n", back.stderr
    assert files_of(tmp_path / "back") == files_of(flood)


def test_there_and_back_by_the_hub(run_with, hub, flood, tmp_path):
    done = run_with(hub.environment, "publish", flood, "hf://datasets/me/flood", "--private", "--tag", "v1", "--json")
    assert done.returncode == 0, done.stderr
    assert "%|" not in done.stderr  # of the Hub's client neither
    said = json.loads(done.stdout)
    assert said["url"] == "hf://datasets/me/flood"
    assert hub.repositories["me/flood"].tags == {"v1": said["commit"]}
    back = run_with(hub.environment, "download", "me/flood@v1", tmp_path / "back", "--split", "test", "--json")
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["path"] == str(tmp_path / "back")
    assert len(mlstac.load(tmp_path / "back", split="test", framework="numpy")) == 4
    assert not list((tmp_path / "back" / "train").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("place", "more", "said"),
    [
        ("s3://bucket/x", ["--tag", "v1"], "--tag is for the Hugging Face Hub, and s3://bucket/x is not there"),
        ("s3://bucket/x", ["--public"], "--private is for the Hugging Face Hub"),
        ("s3://bucket/x", ["--revision", "next"], "--revision is for the Hugging Face Hub"),
        ("folder", [], "'folder' is a path on this machine; to put a dataset there, copy its folder"),
    ],
)
def test_what_nobody_can_mean_is_misuse_and_nothing_goes_up(run, moto_s3, flood, place, more, said):
    done = run("publish", flood, place, *more, *options_of(moto_s3))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert said in line
    with Store("s3://bucket/x", storage_options=moto_s3) as store:
        assert not store.list()


def test_an_error_is_one_line_without_the_secret(run_with, flood, hub):
    done = run_with({"HF_ENDPOINT": hub.url}, "publish", flood, "hf://datasets/me/flood", "-O", "token=hf_hidden")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line]
    assert "hf auth login" in line
    assert "hf_hidden" not in done.stdout + done.stderr
    done = run_with({}, "publish", flood, "s3://b/x", "-O", "hidden")
    assert done.returncode == 2
    assert "NAME=VALUE" in done.stderr
    assert "hidden" not in done.stderr


def test_an_address_at_which_nothing_can_be_is_one_line(run, flood):
    done = run("publish", flood, "s3://")
    words = "error: s3:// names no bucket; give it and the dataset's place in it: s3://bucket/folder\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", words)
    done = run("append", "s3:/bucket/flood", flood)
    words = "error: 's3:/bucket/flood' is no URL, for two slashes follow its scheme; give 's3://bucket/flood'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", words)


def test_a_split_that_was_not_downloaded_names_the_command_that_fetches_it(run, flood, tmp_path):
    with open_server(flood) as server:
        assert run("download", server.url, tmp_path / "copy", "--split", "test").returncode == 0
        done = run("preview", tmp_path / "copy", "--split", "train", "-o", tmp_path / "a.png")
        call = f"mlstac download {server.url} {tmp_path / 'copy'} --split train"
        assert done.stderr == f"error: split 'train' was not downloaded to {tmp_path / 'copy'}; fetch it: {call}\n"
        assert run(*call.split()[1:]).returncode == 0
    assert len(mlstac.load(tmp_path / "copy")) == 8
