"""What a dataset is, in sixteen letters: equal for the same catalogs and samples, wherever they lie."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from mlstac.collection import Collection


def fingerprint_collection(collection: Collection, splits: tuple[str, ...]) -> str:
    """Fingerprint of some splits of a collection: their names, lengths, and catalog parts with size and checksum."""
    parts = []
    for name in splits:
        split = collection.splits[name]
        assets = [collection.assets[asset] for asset in split.assets if asset in collection.assets]
        parts.append([name, split.n_items, [[asset.size, asset.checksum] for asset in assets]])
    text = json.dumps([collection.id, parts], separators=(",", ":"))
    return xxhash.xxh3_64_hexdigest(text.encode())


def fingerprint_document(document: Mapping[str, Any], splits: tuple[str, ...]) -> str:
    """Fingerprint of some splits of a dataset of the original ML-STAC: its main.json is all that says what it is."""
    text = json.dumps([document, splits], separators=(",", ":"), sort_keys=True, default=str)
    return xxhash.xxh3_64_hexdigest(text.encode())


def fingerprint_rows(fingerprint: str, rows: NDArray[np.int64]) -> str:
    """Fingerprint of some samples of a dataset, in their order."""
    return xxhash.xxh3_64_hexdigest(fingerprint.encode() + rows.astype("<i8").tobytes())
