"""What a dataset is, in sixteen letters: equal for the same catalogs and samples, wherever they lie."""

import json
import zlib
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


def freeze_collection(collection: Collection) -> bytes:
    """What a collection says, small enough to go with a pickled dataset."""
    return zlib.compress(collection.to_json().encode(), 9)


def thaw_collection(words: bytes, *, href: str) -> Collection:
    """The collection that `freeze_collection` was given."""
    return Collection.from_json(zlib.decompress(words), href=href)


def still_stands(then: Collection, now: Collection, splits: tuple[str, ...]) -> bool:
    """Whether a dataset that may have grown meanwhile can still be read as it was.

    No part of a catalog changes once a collection names it, and those that are superseded stay until they are
    collected. A part of the same name that is another one belongs to a dataset that was put in the place of this.
    """
    by_href = {asset.href: asset for asset in now.assets.values()}
    for name in splits:
        for asset in (then.assets[key] for key in then.splits[name].assets):
            found = by_href.get(asset.href, asset)
            if (found.size, found.checksum) != (asset.size, asset.checksum):
                return False
    return then.id == now.id
