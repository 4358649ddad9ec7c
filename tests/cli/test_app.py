"""What holds of every command: help, versions, exit statuses, and where words go."""

import json
import re
import subprocess
import sys

import pytest

import mlstac
from tests.cli.conftest import MLSTAC

COMMANDS = [
    *(
        "info",
        "stats",
        "preview",
        "validate",
        "convert",
        "append",
        "card",
        "rebuild",
        "gc",
        "serve",
        "publish",
        "download",
    ),
    *("list-items", "export-items", "export-tdml", "demo", "version"),
]


def test_help_lists_every_command(run):
    done = run("--help")
    assert done.returncode == 0
    assert all(f" {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"mlstac {command}" in done.stdout
    assert done.stderr == ""
    assert re.findall(r"<\w+>|\{\w+\}", done.stdout) == []  # types, which say nothing


@pytest.mark.parametrize("columns", ["80", "120"])
def test_help_gives_each_option_a_word_for_its_value_and_flags_none(run_with, columns):
    said = run_with({"COLUMNS": columns}, "append", "--help").stdout
    assert re.search(r"--split +SPLIT +Put", said)
    assert re.search(r"--version +TEXT +Version", said)
    assert re.search(r"--json +Print JSON, for programs\.", said)
    assert re.search(r"Usage: mlstac append \[OPTIONS\] PLACE URL +\n", said)
    assert max(map(len, said.splitlines())) <= int(columns)


def test_help_loads_neither_arrays_nor_frameworks(tmp_path):
    heavy = ["numpy", "pyarrow", "torch", "tensorflow", "jax", "paddle", "matplotlib", "aiohttp"]
    program = (
        "import sys, mlstac.cli\nsys.argv = ['mlstac', 'info', '--help']\ntry:\n    mlstac.cli.main()\n"
        f"except SystemExit:\n    print(*set(sys.modules).intersection({heavy}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr.split() == []


def test_the_version_stands_alone_on_stdout(run):
    assert run("version").stdout == run("--version").stdout == f"{mlstac.__version__}\n"


def test_the_version_as_json_names_what_a_report_needs(run):
    said = json.loads(run("version", "--json").stdout)
    assert said["mlstac"] == mlstac.__version__
    assert said["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "numpy" in said["packages"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["info"], ["info", "a", "b"], ["serve", "no-such-folder"], ["preview", "a", "-n", "0"]],
    ids=" ".join,
)
def test_misuse_is_status_2_and_leaves_stdout_to_data(run, arguments):
    done = run(*arguments)
    assert done.returncode == 2
    if arguments:
        assert done.stdout == ""
        assert "Usage: mlstac" in done.stderr


@pytest.mark.parametrize("command", ["info", "preview"])
def test_a_known_error_is_one_line_on_stderr_and_status_1(run, command):
    done = run(command, "no-such-dataset")
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "no-such-dataset" in line


def test_an_unknown_error_shows_its_traceback(flood, tmp_path):
    program = (
        "import sys, mlstac.cli._info as info\n"
        "info.summarize = lambda collection: 1 / 0\n"
        f"sys.argv = ['mlstac', 'info', {str(flood)!r}, '--json']\n"
        "from mlstac.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_a_reader_that_stops_early_is_no_fault_of_ours(flood, tmp_path):
    line = f"{MLSTAC} info '{flood}' --json | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command",
    [
        ("info",),
        ("stats", "--recompute"),
        ("preview", "-o", "picture.png"),
        ("validate", "--deep"),
        ("export-items", "--split", "test"),
        ("export-tdml", "-o", "tdml.json"),
    ],
    ids=lambda words: words[0],
)
def test_commands_that_read_a_dataset_take_options_of_its_store(run, flood, fault_server, command):
    server = fault_server(flood, allow=lambda request: request.headers.get("authorization") == "Bearer key")
    name, *more = command
    refused = run(name, server.url, *more)
    assert refused.returncode == 1
    assert "access refused (401)" in refused.stderr
    done = run(name, server.url, *more, "-O", "headers.Authorization=Bearer key")
    assert done.returncode == 0, done.stderr
    assert "Bearer" not in done.stdout + done.stderr


def test_help_lists_the_commands_as_they_are_come_upon(run):
    from mlstac.cli._app import app

    said = run("--help").stdout
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    places = [said.index(f"│ {name} ") for name in names]
    assert places == sorted(places)
    assert names[:4] == ["info", "stats", "preview", "validate"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["info", "a", "-O", "foo"], "option 1 is not of the form NAME=VALUE"),
        (["publish", "a", "s3://b/c", "-O", "a=1", "-O", "a.b=1"], "option 2 gives a.b, but a has a value already"),
        (
            ["gc", "a", "--older-than", "soon"],
            "--older-than soon is not an age; write a number and s, min, h, d or w",
        ),
        (["convert", "a", "b", "--kind", "foo"], "--kind foo is not known; choose one of original, classes"),
        (["convert", "a", "b", "--compression", "zip"], "compression 'zip' is not known"),
        (["list-items", "a", "-O", "foo=1"], "headers, as in -O headers.X-Key=VALUE; foo is none"),
        (["list-items", "a", "-O", "headers=1"], "headers needs the name of one"),
        (["list-items", "a", "--bbox", "1,2"], "--bbox '1,2' is no west,south,east,north"),
        (["list-items", "a", "--bbox", "1,2,x,4"], "--bbox '1,2,x,4' is no west,south,east,north"),
    ],
)
def test_a_value_that_nobody_can_read_is_misuse_and_one_line(run, arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert said in line


def test_what_a_call_that_can_be_read_does_not_find_is_status_1(run):
    assert run("gc", "a", "--older-than", "1d").returncode == 1
    assert run("convert", "a/b/c", "out", "--kind", "images").returncode == 1
