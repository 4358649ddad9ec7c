"""The Makefile: what it says to a machine that is not ready, and that nothing is installed twice."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(tmp_path):
    """Run make in a copy of what it reads, as if called from a terminal."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"
    }

    def make(*arguments, **settings):
        return subprocess.run(
            ["make", *arguments],
            cwd=tmp_path,
            env=environment | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    return make


def write_python(path, version):
    """A stand-in for an interpreter of some version, as far as the Makefile asks."""
    path.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "Python {version}" && exit 0\nexit 1\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_make_alone_lists_the_targets(make):
    done = make()
    assert done.returncode == 0
    for target in ("demo", "test", "lint", "format", "schema", "bench", "env", "clean"):
        assert f"make {target} " in done.stdout


@pytest.mark.parametrize("target", ["demo", "test", "lint"])
def test_an_old_python_is_refused_before_anything_is_made(make, tmp_path, target):
    old = write_python(tmp_path / "python3.9", "3.9.2")
    done = make(target, f"PYTHON={old}")
    assert done.returncode != 0
    assert "needs Python >= 3.11" in done.stderr
    assert "is Python 3.9.2; name another: make" in done.stderr
    assert not list(tmp_path.glob(".venv*"))


def test_a_missing_python_is_refused_with_the_mend(make):
    done = make("test", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "no-such-python was not found" in done.stderr
    assert "PYTHON=/path/to/python3" in done.stderr


@pytest.mark.parametrize(("target", "environment"), [("test", ".venv"), ("demo", ".venv-demo")])
def test_an_environment_is_made_again_only_when_its_pins_change(make, tmp_path, target, environment):
    stamp = tmp_path / environment / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    assert "pip install" not in make("--dry-run", target).stdout
    later = time.time() + 10
    os.utime(tmp_path / "constraints.txt", (later, later))
    assert "pip install" in make("--dry-run", target).stdout


def test_the_demo_installs_no_more_than_it_needs(make):
    said = make("--dry-run", "demo").stdout
    assert "--constraint constraints.txt" in said
    assert '".[demo]"' in said
    assert '".[dev]"' not in said


def test_what_tests_import_is_compiled_once_though_the_caller_keeps_no_bytecode(make, tmp_path):
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "${PYTHONDONTWRITEBYTECODE-unset}"\n', encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    done = make("test", PYTHONDONTWRITEBYTECODE="1")
    assert (done.returncode, done.stdout) == (0, "unset\n")


@pytest.mark.parametrize("target", ["test", "demo"])
def test_what_pip_leaves_uncompiled_is_compiled_after_all_of_it(make, target):
    lines = make("--dry-run", target).stdout.splitlines()
    pip = [number for number, line in enumerate(lines) if "pip install" in line]
    compiling = [number for number, line in enumerate(lines) if "-m compileall" in line]
    assert all("--no-compile" in lines[number] for number in pip)
    assert len(compiling) == 1
    assert max(pip) < compiling[0]
