"""SIGKILL at every dealing with the file system, then the same call again: all in a process of its own, which forks."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


@pytest.fixture
def quick_folder(tmp_path):
    """A folder in memory where there is one: flushing to a disk some thousand times takes minutes."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "arguments",
    [
        *(["new", "1"], ["overwrite", "3"], ["parts", "4"], ["append", "2"], ["widen", "5"], ["adopt", "5"]),
        *(["new", "3", "zstd"], ["parts", "11", "zstd"], ["append", "9", "zstd"]),
    ],
    ids=" ".join,
)
def test_a_run_killed_anywhere_shows_old_or_new_and_a_rerun_ends_byte_for_byte_alike(
    quick_folder, repository, arguments
):
    program = repository / "tests" / "authoring" / "kill_everywhere.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(program), str(quick_folder), *arguments],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["points"] > 60 // int(arguments[1]), "the hook saw too little to mean anything"
    assert report["killed"] == report["points"]
    assert report["half"] == []
    assert report["wrong"] == []
    assert len(report["done"]) <= 12  # after the collection took its name, letting go is all that is left
