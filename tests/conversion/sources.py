"""Sources to convert, written by the libraries that they are of, or byte by byte."""

import io
import json
import struct
import warnings

import numpy as np
import rasterio

BANDS = ("B02", "B03", "B04")


def array(number, *, bands=3, side=16, dtype="uint16"):
    """Values of one image, different in every one."""
    return np.random.default_rng(number).integers(0, 250, (bands, side, side)).astype(dtype)


def write_tif(path, values, *, x=0, crs="EPSG:32630", nodata=None, names=None, **more):
    """A GeoTIFF of 10 m pixels; without a CRS it is a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = values.shape
    place = {} if crs is None else {"crs": crs, "transform": rasterio.Affine(10, 0, 500_000 + x, 0, -10, 4_600_000)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=bands,
            dtype=values.dtype,
            nodata=nodata,
            **place,
        ) as file:
            file.write(values)
            for band, name in enumerate(names or (), start=1):
                file.set_band_description(band, name)
            if "scale" in more:
                file.scales = [more["scale"]] * bands
                file.offsets = [more["offset"]] * bands
            if "taken" in more:
                file.update_tags(ns="IMAGERY", ACQUISITIONDATETIME=more["taken"])
    return path


def npy(values):
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def write_mds(folder, columns, rows, *, per_shard=3, pack=None):
    """MDS shards and their index, byte by byte.

    Parameters
    ----------
    folder : Path
    columns : dict of str to (str, int or None)
        Encoding and size of each column.
    rows : list of dict of str to bytes
        Encoded values.
    """
    folder.mkdir(parents=True)
    names, shards = sorted(columns), []
    for number, first in enumerate(range(0, len(rows), per_shard)):
        some = rows[first : first + per_shard]
        bodies = []
        for row in some:
            sizes = [len(row[name]) for name in names if columns[name][1] is None]
            bodies.append(struct.pack(f"<{len(sizes)}I", *sizes) + b"".join(row[name] for name in names))
        config = json.dumps({"column_names": names}).encode()
        start = 4 + 4 * (len(some) + 1) + len(config)
        offsets = np.cumsum([start, *map(len, bodies)]).astype("<u4").tobytes()
        data = struct.pack("<I", len(some)) + offsets + config + b"".join(bodies)
        base = f"shard.{number:05}.mds"
        packed = None
        if pack is None:
            (folder / base).write_bytes(data)
        else:
            suffix, squeeze = pack
            packed = {"basename": f"{base}.{suffix}", "bytes": 0, "hashes": {}}
            (folder / packed["basename"]).write_bytes(squeeze(data))
        shards.append(
            {
                "column_names": names, "column_encodings": [columns[name][0] for name in names],
                "column_sizes": [columns[name][1] for name in names], "compression": pack and pack[0], "format": "mds",
                "hashes": [], "raw_data": {"basename": base, "bytes": len(data), "hashes": {}}, "samples": len(some),
                "size_limit": 1 << 26, "version": 2, "zip_data": packed,
            }
        )  # fmt: skip
    (folder / "index.json").write_text(json.dumps({"shards": shards, "version": 2}))


def dynamic(values):
    """A value of the encoding ``ndarray``, which says its own dtype and shape."""
    kinds = {"uint8": 8, "int16": 17, "uint16": 16, "float32": 34}
    width = 0 if max(values.shape) < 256 else 1
    shape = np.array(values.shape, ("u1", "<u2")[width]).tobytes()
    return bytes([kinds[values.dtype.name], values.ndim << 2 | width]) + shape + values.tobytes()
