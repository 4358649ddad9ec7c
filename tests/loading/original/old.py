# ruff: noqa: E501  (documents are shown as they were written)
"""Datasets of the original ML-STAC, written byte by byte as its versions wrote them."""

import gzip
import json
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NAMES = {np.dtype("u1"): "U8", np.dtype("<u2"): "U16", np.dtype("<f4"): "F32", np.dtype("<i8"): "I64"}
DIGITS = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base61(number):
    """The name of a sample; written anew, to judge ours."""
    digits = []
    while number:
        digits.append(DIGITS[number % 61])
        number //= 61
    return "".join(reversed(digits or ["1"])).zfill(7)


def sample_bytes(tensors, metadata=None):
    """A safetensors file: length, header, data."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def words(number, *, version="0.0.23", **more):
    """The header's words of a placed sample, in the spelling of a version."""
    transform = f"{300000.0 + 160 * number} ,10.0 ,0.0 ,8300000.0 ,0.0 ,-10.0"
    day = f"2020-06-{number % 28 + 1:02}T10:30:00"
    said = {"id": base61(number), "crs": "EPSG:32720", "start_datetime": day, "end_datetime": day}
    if version == "0.0.23":
        return said | {"geotransform": f"[{transform}]", "isSTAC": "1", "isText": "0", "input": "", "target": ""} | more
    return said | {"geotransform": transform} | more


UNPLACED = {
    "geotransform": "[0 ,1 ,0 ,0 ,0 ,1]",
    "crs": "EPSG:4326",
    "start_datetime": "1970-01-01T00:00:00",
    "end_datetime": "1970-01-01T00:00:00",
    "isSTAC": "0",
    "isText": "0",
    "input": "",
    "target": "",
}
"""What 0.0.16 and later wrote where the author gave neither place nor time."""


def chip(number, *, side=16):
    """Tensors of one sample: an image and its mask, different in every sample."""
    random = np.random.default_rng(number)
    image = random.integers(1, 4000, (4, side, side), dtype=np.uint16)
    return {"input": image, "target": (image[0] > 2000).astype(np.uint8)}


def write_split(folder, samples, *, gz=True):
    """Files of a split: pairs of tensors and words."""
    folder.mkdir(parents=True)
    for number, (tensors, said) in enumerate(samples):
        data = sample_bytes(tensors, said)
        name = f"{base61(number)}.safetensors"
        if gz:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)


def chips(count, *, first=0, version="0.0.23", **more):
    """Samples of a split of placed chips."""
    return [(chip(first + number), words(first + number, version=version, **more)) for number in range(count)]


BANDS = [
    {"name": name, "index": index, "common_name": common, "description": "", "unit": "um"}
    for name, index, common in (("B02", 1, "blue"), ("B03", 2, "green"), ("B04", 3, "red"), ("B08", 7, "nir"))
]
CONTACT = {
    "name": "Ana Pérez",
    "organization": "UV",
    "emails": [{"value": "ana@uv.es", "roles": ["work"]}],
    "roles": ["x"],
}


def main_json(version, links, counts):
    """A main.json as a version wrote it.

    Parameters
    ----------
    version : str
        ``beta`` (the public demo), ``0.0.8``, ``0.0.15``, ``0.0.23``.
    links : dict of str to str
    counts : dict of str to int
    """
    splits = {split: {"name": split, "n_items": counts[split], "link": links[split]} for split in links}
    if version == "beta":
        return {
            "type": "Collection", "stac_version": "1.0.0-beta.2", "id": "demo", "title": "A demo",
            "description": "The public demo", "license": "CC-BY-4.0", "providers": [{"name": "IPL"}],
            "extent": {"spatial": {"bbox": [[300000, 8300000, 300160, 8300160]]}, "temporal": {"interval": [[None, None]]}},
            "links": [], "ml:version": "0.1.0", "ml:task": "TensorSegmentation",
            "ml:curator": {"name": "Ana", "email": "ana@uv.es", "url": "https://uv.es"}, "ml:split_strategy": {},
            "ml:discuss": "https://host/discuss", "ml:raw": "https://host/raw",
            **{f"ml:{split}": {"n_items": counts[split], "url": links[split]} for split in links},
        }  # fmt: skip
    if version == "0.0.8":
        return {
            "id": "flood", "title": "Flood", "license": "CC-BY-4.0", "stac_version": "1.0.0", "mlstac_version": "0.0.8",
            "ml_task": "TensorSegmentation",
            **{f"ml_{'val' if split == 'validation' else split}": body for split, body in splits.items()},
        }  # fmt: skip
    if version == "0.0.15":
        return {
            "id": "A title of floods", "stac_version": "1.0.0", "links": "localhost", "description": "Chips",
            "license": "proprietary", "providers": {"providers": [{"name": "IPL", "roles": ["host"]}]}, "path": "/home/me",
            "size": 3, "metadata_train": "/home/me/train.parquet", "ml:task": "TensorSegmentation",
            "ml:labels": {"labels": {"land": 0, "water": 1}}, "ml:curator": CONTACT, "ml:spectral_bands": {"bands": BANDS},
            **{f"ml:{split}": body for split, body in splits.items()},
        }  # fmt: skip
    if version != "0.0.23":
        raise ValueError(version)
    axes = [{"axis": axis, "name": name, "description": None} for axis, name in enumerate(("C", "H", "W"))]
    return {
        "type": "Collection", "id": "flood", "stac_version": "1.0.0", "title": "Floods", "description": "Chips of floods",
        "license": "CC-BY-4.0", "keywords": ["flood", "s2"], "providers": [{"name": "IPL", "roles": ["host"], "url": "https://uv.es"}],
        "stac_extensions": ["https://stac-extensions.github.io/contacts/v0.1.1/schema.json"], "assets": None, "summaries": None,
        "extent": {"spatial": {"bbox": [[300000, 8300000, 300160, 8300160]]}, "temporal": {"interval": [["2020-01-01", None]]}},
        "links": [{"rel": "self", "href": "/home/me/main.json"}],
        "ml:version": "0.1.0", "ml:task": ["TensorSegmentation"], "ml:labels": {"labels": {"land": 0, "water": 1}},
        "ml:authors": {"authors": [CONTACT]}, "ml:curators": None,
        "ml:reviewers": {"reviewers": [{"reviewer": {**CONTACT, "name": "Rita"}, "score": 4}]},
        "ml:dimensions": {
            "input": {"dimensions": axes, "dtype": "U16", "shape": [4, 16, 16]},
            "target": {"dimensions": axes[1:], "dtype": "U8", "shape": [16, 16]},
            "extra": None,
        },
        "ml:spectral": {"bands": BANDS, "axis": 0, "sensor": "sentinel2"}, "ml:split_strategy": "random",
        "ml:raw_data_url": "https://host/raw", "ml:discussion_url": None, "ml:paper": "https://doi.org/10.1/x",
        "ml:size": 0.0001, "ml:metadata_train": "/home/me/train/metadata.parquet",
        **{f"ml:{split}": body for split, body in splits.items()},
    }  # fmt: skip


VERSIONS = ("beta", "0.0.8", "0.0.15", "0.0.23")
SPLITS = {"train": 11, "validation": 2, "test": 3}


def write_dataset(root, *, version="0.0.23", gz=True, links=None, counts=SPLITS):
    """A dataset of placed chips: main.json and a folder a split."""
    first = 0
    for split, count in counts.items():
        write_split(root / split, chips(count, first=first, version=version), gz=gz)
        first += count
    links = {split: (links or "https://elsewhere.example/data/{}/").format(split) for split in counts}
    (root / "main.json").write_text(json.dumps(main_json(version, links, counts)))
    return root


def write_container(path, members):
    """A .mlstac file: magic, length of the index, index, members; gives the index and its length."""
    index, data = {}, b""
    for stem, member in members.items():
        index[stem] = [len(data), len(member)]
        data += member
    text = json.dumps(index).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"#y" + struct.pack("<Q", len(text)) + text + data)
    return index, len(text)


def write_containers(root, splits, *, url="https://elsewhere.example/data", table=True):
    """A dataset of 0.1.8: containers a split, its main.json, and the table of each split.

    Parameters
    ----------
    root : Path
    splits : dict of str to list of dict of str to bytes
        Members of each container of each split.
    url : str
        Where the author published it.
    """
    catalog = {}
    for split, containers in splits.items():
        columns = {"datapoint_id": [], "begin": [], "length": [], "metadata_length": [], "url": [], "label_type": []}
        hrefs = []
        for number, members in enumerate(containers):
            hrefs.append(f"{url}/{split}/mls/{number:04}.mlstac")
            index, length = write_container(root / split / "mls" / f"{number:04}.mlstac", members)
            for stem, (begin, count) in index.items():
                values = (stem, begin, count, length, hrefs[-1], "high" if begin else "scribble")
                for name, value in zip(columns, values, strict=True):
                    columns[name].append(value)
        if table:
            pq.write_table(pa.table(columns), root / split / "mls" / "metadata.parquet")
        catalog[split] = {
            "name": split, "data_files": hrefs, "data_descriptions": [""] * len(hrefs), "data_checksum": [1] * len(hrefs),
            "metadata_file": f"{url}/{split}/mls/metadata.parquet" if table else None, "metadata_description": "",
        }  # fmt: skip
    said = {
        "type": "Collection", "stac_version": "1.0.0", "id": "clouds", "title": "Clouds", "license": "CC0-1.0",
        "description": "Clouds by hand", "providers": {"providers": [{"name": "ESA"}]}, "mlstac_version": "0.1.8",
        "ml_dataset_version": "2.0.0", "ml_task": ["Semantic Segmentation"], "ml_catalog": catalog,
        "ml_authors": {"authors": [CONTACT]}, "ml_target": {"labels": {"clear": 0, "cloud": 1}, "layers": None},
    }  # fmt: skip
    (root / "main.json").write_text(json.dumps(said))
    return root
