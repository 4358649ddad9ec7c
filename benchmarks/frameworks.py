"""How fast each framework gets its batches, beside numpy batches and that framework's fastest conversion of them.

``python -m benchmarks.frameworks [--framework torch] [--rounds 5] [--folder DIR]``: batches of 64 uint16 chips of
13 x 64 x 64 (6.8 MB each) from a local dataset, all rivals in turn in every round, the best round of each counts. Each
framework runs in a process of its own. A dataset of 872 MB is written first (20 s) and kept in the folder if one is
given. The bytes of an epoch are compared with numpy's before anything is timed. Goals, as ratios:

=========================================  =====================================================  =======
rival                                      of                                                     at least
=========================================  =====================================================  =======
``batches`` of the framework               numpy ``batches`` + its fastest conversion             0.9
torch ``DataLoader``, no workers           ``batches`` of torch                                   0.8
``to_tf``                                  ``batches`` of tensorflow                              0.7
=========================================  =====================================================  =======
"""

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import mlstac
from benchmarks.samples import make_samples
from mlstac.frameworks import WidenedWarning

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax", "paddle")
GOALS = {"batches": 0.9, "DataLoader": 0.8, "to_tf": 0.7}
BATCH = 64


def fastest_conversion(framework: str) -> Callable[[Any], Any]:
    """What makes a tensor of an aligned numpy array of ours in the least time, each framework's own call."""
    if framework == "torch":
        import torch

        return torch.from_numpy
    if framework == "tensorflow":
        import tensorflow as tf

        return lambda array: tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    if framework == "jax":
        import jax

        return jax.device_put
    if framework == "paddle":
        import paddle

        return lambda array: paddle.Tensor(array.astype(np.int32), place=paddle.CPUPlace(), zero_copy=True)
    return lambda array: array


def make_rivals(framework: str, folder: Path) -> dict[str, Callable[[], Iterable[Any]]]:
    """Name -> one epoch of image batches."""
    plain = mlstac.load(folder, framework="numpy").select(tensors=["image"])
    dataset = mlstac.load(folder, framework=framework, narrow=framework == "jax").select(tensors=["image"])
    convert = fastest_conversion(framework)
    rivals: dict[str, Callable[[], Iterable[Any]]] = {
        "batches": lambda: (batch["image"] for batch in dataset.batches(BATCH)),
        "numpy + conversion": lambda: (convert(batch["image"]) for batch in plain.batches(BATCH)),
    }
    if framework == "torch":
        from torch.utils.data import DataLoader

        rivals["DataLoader"] = lambda: (batch["image"] for batch in DataLoader(dataset, batch_size=BATCH))
    if framework == "tensorflow":
        data = dataset.to_tf(BATCH)  # made once and iterated every epoch, as Keras does
        rivals["to_tf"] = lambda: (batch["image"] for batch in data)
    return rivals


def check(rivals: dict[str, Callable[[], Iterable[Any]]], folder: Path) -> None:
    """Raise unless every rival gives the samples as they were written, in order."""
    for name, epoch in rivals.items():
        got = (image for batch in epoch() for image in np.asarray(batch))
        for number, (sample, image) in enumerate(zip(make_samples("chips", 200), got, strict=False)):
            if not np.array_equal(sample["image"], image):
                raise AssertionError(f"{name} of {folder} gives another sample {number}")


def measure(framework: str, folder: Path, rounds: int) -> None:
    """Print the figures of one framework."""
    warnings.simplefilter("ignore", WidenedWarning)
    rivals = make_rivals(framework, folder)
    check(rivals, folder)
    best = dict.fromkeys(rivals, 0.0)
    for _ in range(rounds):
        for name, epoch in rivals.items():
            start = time.perf_counter()
            count = sum(len(batch) for batch in epoch())
            best[name] = max(best[name], count / (time.perf_counter() - start))
    for name, rate in best.items():
        against = "numpy + conversion" if name == "batches" else "batches"
        goal = f"  {rate / best[against]:5.2f} of {against} (goal {GOALS[name]})" if name in GOALS else ""
        print(f"{framework:11} {name:19} {rate:10,.0f} chips/s{goal}", flush=True)


def main() -> None:
    """Write the dataset where it is not, and measure each framework in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=FRAMEWORKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.folder or Path(scratch)) / "chips"
        if not (folder / "collection.json").exists():
            mlstac.write(make_samples("chips", 8192), folder, id="chips", license="CC0-1.0")
        if arguments.framework:
            measure(arguments.framework, folder, arguments.rounds)
            return
        for framework in FRAMEWORKS:
            command = [sys.executable, "-m", "benchmarks.frameworks", "--framework", framework]
            subprocess.run([*command, "--rounds", str(arguments.rounds), "--folder", str(folder.parent)], check=True)


if __name__ == "__main__":
    main()
