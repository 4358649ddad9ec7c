"""Tutorials as a reader runs them."""

import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def run_tutorial(repository):
    """Runs a tutorial in a folder, in an empty home, away from the repository's other folders; gives its words."""

    def run(script, folder):
        environment = os.environ | {"HOME": str(folder), "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
        del environment["XDG_CACHE_HOME"]
        ran = subprocess.run(
            [sys.executable, "-W", "error", repository / "tutorials" / script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=560,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run
