"""Runs the command line as people do: the installed program, in a process of its own."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mlstac

MLSTAC = Path(sys.executable).with_name("mlstac")


@pytest.fixture(scope="session", autouse=True)
def _known_fonts():
    """Matplotlib's list of fonts is made beforehand: where that takes 5 s, it speaks of it on stderr."""
    importlib.import_module("matplotlib.font_manager")


@pytest.fixture
def run(tmp_path):
    """Run `mlstac ARGUMENTS` in an empty folder and give what came of it."""

    def run(*arguments):
        command = [str(MLSTAC), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)

    return run


@pytest.fixture
def run_with(tmp_path):
    """Run `mlstac ARGUMENTS` in an empty folder with more in the environment."""

    def run(environment, *arguments):
        return subprocess.run(
            [str(MLSTAC), *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    return run


@pytest.fixture(scope="session")
def flood(tmp_path_factory):
    """A placed and dated dataset of three splits, with bands and classes."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("datasets") / "flood"
    collection = mlstac.Collection(
        id="flood",
        title="Floods of Bolivia",
        description="Chips of Sentinel-2 with hand drawn water masks.",
        license="CC-BY-4.0",
        tasks=["semantic-segmentation"],
        contacts=[{"name": "Ana Pérez", "organization": "Universidad", "roles": ["author"]}],
        tensors={
            "image": mlstac.Tensor(dims="band y x", bands=["B04", "B03", "B02"], nodata=0, scale=1e-4),
            "water": mlstac.Tensor(dims="y x", role="label", classes={0: "land", 1: "water"}),
        },
    )
    with mlstac.Writer(folder, collection) as writer:
        for number in range(12):
            image = random.integers(1, 4000, (3, 32, 32), dtype=np.uint16)
            sample = mlstac.Sample(
                tensors={"image": image, "water": (image[0] > 2000).astype(np.uint8)},
                id=f"chip-{number:02}",
                crs="EPSG:32720",
                transform=(10.0, 0.0, 300_000.0 + 320 * number, 0.0, -10.0, 8_300_000.0),
                datetime=f"2018-02-{number + 1:02}T10:00:00Z",
            )
            writer.add(sample, split="train" if number < 8 else "test")
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """A dataset without place or time whose tensors vary from sample to sample."""
    folder = tmp_path_factory.mktemp("datasets") / "texts"
    samples = [{"points": np.zeros((number, 2), np.float32), "note": "n" * number} for number in range(1, 5)]
    mlstac.write(samples, folder, id="texts", license="CC0-1.0")
    return folder
