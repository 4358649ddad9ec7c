"""MosaicML Streaming: MDS shards of 64 MB, read by StreamingDataset through torch's DataLoader.

It speaks no plain HTTP, so remotely it reads ``s3://`` with the link's address as the endpoint: a path-style GET of an
object is the same request. With two forked workers it has been seen to return wrong bytes, since they inherit one
connection of the parent; the client is dropped before the fork here, to its good.
"""

import os
import sys
import types
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch

from benchmarks.contenders import Batch, Case
from benchmarks.samples import KINDS, make_samples


def _stand_in(attribute: str) -> type:
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    return type(attribute, (), {})


# torchvision's wheel does not load beside a CPU-only torch; streaming imports it for datasets that are not used here
try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
        stub = types.ModuleType(name)
        stub.__spec__ = ModuleSpec(name, None)
        stub.__getattr__ = _stand_in  # type: ignore[method-assign]
        sys.modules[name] = stub

from streaming import MDSWriter, StreamingDataset  # noqa: E402


def write(folder: Path, kind: str, count: int) -> None:
    """Write MDS shards."""
    spec = KINDS[kind]
    image = f"ndarray:{spec.image[1]}:{','.join(map(str, spec.image[0]))}"
    label = f"ndarray:{spec.label[1]}:{','.join(map(str, spec.label[0]))}" if spec.label[0] else "int"
    with MDSWriter(out=str(folder), columns={"image": image, "label": label}, progress_bar=False) as writer:
        for sample in make_samples(kind, count):
            row = {"image": sample["image"], "label": sample["label"] if spec.label[0] else int(sample["label"])}
            writer.write(row)


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one epoch; its own shuffle, over all shards."""
    dataset = _open(case)
    loader = torch.utils.data.DataLoader(dataset, batch_size=case.batch, num_workers=case.workers)
    for batch in loader:
        yield batch["image"], batch["label"]


def take(case: Case, numbers: list[int]) -> Iterator[Batch]:
    """Single samples."""
    dataset = _open(case)
    for number in numbers:
        sample = dataset[number]
        yield torch.from_numpy(sample["image"])[None], torch.from_numpy(np.asarray(sample["label"]))[None]


def _open(case: Case) -> StreamingDataset:
    options = {"shuffle": case.shuffle, "batch_size": case.batch, "shuffle_seed": case.seed}
    if "://" not in case.source:
        return StreamingDataset(local=case.source, **options)
    parts = urlsplit(case.source)
    os.environ |= {"S3_ENDPOINT_URL": f"{parts.scheme}://{parts.netloc}", "AWS_ACCESS_KEY_ID": "x",
                   "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    dataset = StreamingDataset(local=case.cache, remote=f"s3:/{parts.path}", **options)
    for stream in dataset.streams:
        stream._downloader.clean_up()
    return dataset
