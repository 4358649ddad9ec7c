"""The demo's picture: validation chips, their targets and the network's answers, and where everything is."""

from pathlib import Path
from typing import Any

import numpy as np

import mlstac

_SHOWN = 8


def draw_demo(validation: Any, network: Any, url: str, path: Path) -> Path:
    """Draw some validation chips and a map of all footprints into a file.

    Parameters
    ----------
    validation : Dataset
        With framework torch, as stored.
    network : torch.nn.Module
        As :func:`train_network` gives it.
    url : str
        Of the dataset, for the footprints of its splits.
    path : Path
        A PNG file; replaced if it is there.
    """
    from mlstac.pictures import draw_preview, save

    # Those with most of both classes: a chip of one colour shows nothing of what was learned.
    share = validation.metadata.to_table(["clay_percent"])["clay_percent"].to_numpy()
    rows = np.sort(np.abs(share - 50).argsort(kind="stable")[:_SHOWN]).tolist()
    stored = validation.with_framework("numpy")
    answers = predict(network, validation.normalized(), rows)
    samples = [stored[row] | {"predicted": answer} for row, answer in zip(rows, answers, strict=True)]
    tensors = dict(validation.tensors)
    tensors["predicted"] = tensors["target"].model_copy()
    footprints = {
        name: mlstac.load(url, split=name, framework="numpy").metadata.to_table(["geometry"])["geometry"].to_pylist()
        for name in validation.collection.splits
    }
    ids = validation.metadata.to_table(["id"])["id"].take(rows).to_pylist()
    title = validation.collection.title
    return save(draw_preview(samples, tensors, footprints, ids=ids, title=title), path)


def predict(network: Any, dataset: Any, rows: list[int]) -> list[Any]:
    """The network's class of every pixel of some samples, as numpy arrays (y, x)."""
    import torch

    with torch.no_grad():
        return [network(dataset[row]["input"][None]).argmax(dim=1)[0].numpy() for row in rows]
