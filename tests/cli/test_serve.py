"""`mlstac serve`: the line that it prints loads what it serves."""

import json
import shutil
import signal
import subprocess
import urllib.request
from contextlib import contextmanager

import pytest
import rich.console

import mlstac
from mlstac.cli._serve import serve_folder
from tests.cli.conftest import MLSTAC


@contextmanager
def serving(*arguments):
    """Start `mlstac serve` on a free port; end it as Ctrl-C does."""
    command = [str(MLSTAC), "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


def test_the_printed_line_loads_what_is_served(flood):
    with serving(flood) as process:
        line = process.stdout.readline()
        assert line.endswith(', split="train")\n')
        dataset = eval(line.replace("split=", "framework='numpy', split="), {"mlstac": mlstac})
        local = mlstac.load(flood, split="train", framework="numpy")
        assert (dataset[3]["image"] == local[3]["image"]).all()


def test_json_names_every_dataset_of_a_folder(flood, texts, tmp_path):
    for folder in (flood, texts):
        shutil.copytree(folder, tmp_path / folder.name)
    (tmp_path / "notes").mkdir()
    with serving(tmp_path, "--json") as process:
        document = "".join(iter(process.stdout.readline, "}\n")) + "}"
        said = json.loads(document)
        assert [url.removeprefix(said["url"]) for url in said["datasets"]] == ["flood/", "texts/"]
        assert mlstac.open(said["datasets"][1]).id == "texts"
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert (process.returncode, process.stdout.read(), process.stderr.read()) == (0, "", "")


def test_a_browser_on_another_page_may_read_ranges(flood):
    with serving(flood) as process:
        url = process.stdout.readline().split('"')[1]
        request = urllib.request.Request(
            url + "collection.json", headers={"Range": "bytes=0-0", "Origin": "http://example.org"}
        )
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 206
            assert reply.read() == b"{"
            assert reply.headers["Access-Control-Allow-Origin"] in ("*", "http://example.org")


def test_ctrl_c_ends_it_well_and_says_what_it_did(flood):
    with serving(flood) as process:
        url = process.stdout.readline().split('"')[1]
        mlstac.open(url)
        assert "Ctrl-C" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=100)
        assert process.returncode == 0
        assert "answered 1 request with" in talk


@pytest.mark.parametrize("amid", ["mlstac.load", "Ctrl-C ends it"])
def test_ctrl_c_amid_what_it_says_first_ends_it_as_well(flood, capsys, monkeypatch, amid):
    say = rich.console.Console.print

    def press(console, *words, **options):
        say(console, *words, **options)
        if amid in str(words[0]):
            raise KeyboardInterrupt

    monkeypatch.setattr(rich.console.Console, "print", press)
    serve_folder(flood, host="127.0.0.1", port=0, as_json=False)
    said = capsys.readouterr()
    assert "mlstac.load" in said.out
    assert "answered 0 requests with" in said.err


def test_a_folder_without_a_dataset_is_served_and_said_to_have_none(tmp_path):
    with serving(tmp_path) as process:
        assert "no collection.json" in process.stderr.readline()


def test_a_port_that_is_taken_is_a_known_error(flood, run):
    with serving(flood) as process:
        port = process.stdout.readline().split('"')[1].rstrip("/").rsplit(":", 1)[1]
        done = run("serve", flood, "--port", port)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert port in line
        assert "choose another port" in line


def test_the_collection_itself_may_be_named(flood):
    with serving(flood / "collection.json") as process:
        assert "mlstac.load" in process.stdout.readline()


@pytest.mark.parametrize("name", ["a b", "ñandú#1"])
def test_a_folder_with_an_odd_name_can_be_loaded(flood, tmp_path, name):
    shutil.copytree(flood, tmp_path / name)
    with serving(tmp_path, "--json") as process:
        said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        assert mlstac.open(said["datasets"][0]).id == "flood"
