"""A small dataset of images whose label can be learned: the brightest of three bands."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import mlstac

COUNT = 60


@pytest.fixture
def run():
    """Run a script by itself: workers are forked, and a process with every framework's threads in it is not to be."""

    def run_script(script: str, *arguments: object, **environment: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
            env=os.environ | environment,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run_script


def make_samples():
    random = np.random.default_rng(5)
    for index in range(COUNT):
        image = random.integers(0, 1000, (3, 8, 8), np.uint16)
        image[index % 3] += 3000
        yield {"input": image, "label": np.int32(index % 3)}


@pytest.fixture(scope="session")
def bands(tmp_path_factory):
    """Folder of the dataset."""
    folder = tmp_path_factory.mktemp("idioms") / "bands"
    mlstac.write(make_samples(), folder, id="bands", license="CC0-1.0", tasks=["scene-classification"])
    return folder


@pytest.fixture(scope="session")
def truth_file(truth, tmp_path_factory):
    """The same as a file, for scripts."""
    path = tmp_path_factory.mktemp("truth") / "truth.npz"
    np.savez(path, **truth)
    return path


@pytest.fixture(scope="session")
def truth():
    """The samples as they were made, the judge of what arrives."""
    samples = list(make_samples())
    return {
        "input": np.stack([sample["input"] for sample in samples]),
        "label": np.array([sample["label"] for sample in samples]),
    }
