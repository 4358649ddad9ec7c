"""`--json`, alike in every command: one document on stdout, and nothing on stderr where all went well."""

import inspect
import json
import shutil

import pytest

import mlstac
from mlstac.cli._app import app
from tests.cli.test_publish import options_of
from tests.conversion.sources import array, write_tif

STORE = "s3://bucket/json"
COMMANDS = {
    "info": ["flood"],
    "stats": ["flood", "--split", "test"],
    "preview": ["flood", "-n", "1"],
    "validate": ["flood"],
    "convert": ["chips", "converted"],
    "append": ["grown", "flood", "--id-prefix", "more-"],
    "card": ["flood", "--no-pictures"],
    "rebuild": ["flood"],
    "gc": ["flood"],
    "publish": ["flood", STORE],
    "download": [STORE, "downloaded"],
    "export-tdml": ["flood"],
    "version": [],
}


def test_every_command_with_json_is_looked_at():
    named = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if "as_json" in inspect.signature(command.callback).parameters
    }
    assert named == {*COMMANDS, "serve"}


@pytest.mark.parametrize("command", COMMANDS)
def test_stdout_is_one_document_and_stderr_is_quiet(run, flood, moto_s3, tmp_path, command):
    shutil.copytree(flood, tmp_path / "flood")
    shutil.copytree(flood, tmp_path / "grown")
    write_tif(tmp_path / "chips" / "a.tif", array(1))
    options = options_of(moto_s3) if STORE in COMMANDS[command] else []
    if command == "download":  # what is here is not downloaded
        mlstac.publish(flood, STORE, storage_options=moto_s3)
    done = run(command, *COMMANDS[command], *options, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert isinstance(json.loads(done.stdout), dict)
