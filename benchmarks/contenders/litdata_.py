"""LitData: chunks of 64 MB written by ``optimize``, read by StreamingDataset and StreamingDataLoader.

Remotely it reads ``s3://`` with the link's address as the endpoint. Its client is built without leave for plain HTTP,
so the option is added here, to its good.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import litdata
import numpy as np
import torch
from litdata.streaming import downloader

from benchmarks.contenders import Batch, Case
from benchmarks.samples import make_sample


def _sample(number: int, kind: str) -> dict[str, np.ndarray]:
    return make_sample(kind, number)


def write(folder: Path, kind: str, count: int) -> None:
    """Write chunks with one worker."""
    os.environ.setdefault("DATA_OPTIMIZER_CACHE_FOLDER", str(folder.parent / "litdata-scratch"))
    litdata.optimize(
        partial(_sample, kind=kind), list(range(count)), str(folder), chunk_bytes="64MB", num_workers=1, verbose=False
    )


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one epoch; it shuffles inside groups of a few chunks."""
    loader = litdata.StreamingDataLoader(_open(case), batch_size=case.batch, num_workers=case.workers)
    for batch in loader:
        yield batch["image"], batch["label"]


def take(case: Case, numbers: list[int]) -> Iterator[Batch]:
    """Single samples."""
    dataset = _open(case)
    for number in numbers:
        sample = dataset[number]
        yield torch.as_tensor(sample["image"])[None], torch.as_tensor(np.asarray(sample["label"]))[None]


def _open(case: Case) -> "litdata.StreamingDataset":
    if "://" not in case.source:
        return litdata.StreamingDataset(case.source, shuffle=case.shuffle, seed=case.seed)
    downloader._OBSTORE_CLIENT_OPTIONS = {**downloader._OBSTORE_CLIENT_OPTIONS, "allow_http": True}
    parts = urlsplit(case.source)
    options = {
        "endpoint_url": f"{parts.scheme}://{parts.netloc}",
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
        "region_name": "us-east-1",
    }
    return litdata.StreamingDataset(
        f"s3:/{parts.path}",
        cache_dir=case.cache,
        shuffle=case.shuffle,
        seed=case.seed,
        storage_options=options,
        max_cache_size="20GB",
    )
