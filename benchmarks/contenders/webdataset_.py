"""WebDataset: tar shards of 64 MB, read in sequence, shuffled by shard and through its buffer of 1,000 samples."""

from collections.abc import Iterator
from pathlib import Path

import torch
import webdataset as wds

from benchmarks.contenders import Batch, Case
from benchmarks.samples import make_samples


def write(folder: Path, kind: str, count: int) -> None:
    """Write tar shards and their names."""
    with wds.ShardWriter(str(folder / "shard-%05d.tar"), maxsize=1 << 26, maxcount=1 << 30, verbose=0) as writer:
        for number, sample in enumerate(make_samples(kind, count)):
            writer.write({"__key__": f"{number:07}", "image.npy": sample["image"], "label.npy": sample["label"]})
    (folder / "shards.txt").write_text("\n".join(sorted(path.name for path in folder.glob("*.tar"))))


def epoch(case: Case) -> Iterator[Batch]:
    """Batches of one epoch; remote shards come through its curl pipe."""
    names = _names(case)
    if "://" in case.source:
        urls = [f"pipe:curl -s {case.source}/{name}" for name in names]
    else:
        urls = [f"{case.source}/{name}" for name in names]
    dataset = wds.WebDataset(
        urls, shardshuffle=len(urls) if case.shuffle else False, seed=case.seed, empty_check=False, nodesplitter=None
    )
    if case.shuffle:
        dataset = dataset.shuffle(1_000)
    dataset = dataset.decode().to_tuple("image.npy", "label.npy").batched(case.batch, partial=True)
    for image, label in wds.WebLoader(dataset, batch_size=None, num_workers=case.workers):
        yield torch.as_tensor(image), torch.as_tensor(label)


def _names(case: Case) -> list[str]:
    if "://" not in case.source:
        return (Path(case.source) / "shards.txt").read_text().split()
    import fsspec

    with fsspec.open(f"{case.source}/shards.txt") as file:
        return bytes(file.read()).decode().split()
