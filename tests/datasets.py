"""Datasets made of the real imagery in ``../shared/data``, as samples ready to be written.

Each function takes the folder ``shared`` (the fixture) and gives samples by split; ``write_*`` author them into a
folder.
"""

import json
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

import mlstac.authoring
from mlstac.collection import Collection, Tensor
from mlstac.sample import Sample

FLOOD_SIDE = 64
FLOOD_TIME = "2019-09-18"
SERIES_SIDE = 32


def window_transform(file, window):
    """The transform of a window, reckoned by hand: rasterio's own warns of itself with the newest affine."""
    a, b, c, d, e, f = tuple(file.transform)[:6]
    column, row = window.col_off, window.row_off
    return a, b, c + column * a + row * b, d, e, f + column * d + row * e


def flood_chips(shared):
    """Row, column, split and arrays of the 64 flood chips: columns 0-4 are train, 5 validation, 6-7 test."""
    folder = Path(shared) / "data" / "s2-s1-flood"
    with (
        rasterio.open(folder / "Spain_7370579_S2Hand.tif") as s2,
        rasterio.open(folder / "Spain_7370579_S1Hand.tif") as s1,
        rasterio.open(folder / "Spain_7370579_LabelHand.tif") as label,
    ):
        for row in range(8):
            for column in range(8):
                window = Window(column * FLOOD_SIDE, row * FLOOD_SIDE, FLOOD_SIDE, FLOOD_SIDE)
                mask = label.read(1, window=window)
                yield {
                    "row": row,
                    "column": column,
                    "split": "train" if column < 5 else "validation" if column == 5 else "test",
                    "crs": s2.crs,
                    "transform": window_transform(s2, window),
                    "s2": s2.read(window=window).astype(np.uint16),
                    "s1": s1.read(window=window),
                    "mask": np.where(mask < 0, 255, mask).astype(np.uint8),
                }


def flood_samples(shared):
    """The flood chips as samples by split, with place, time and a column."""
    splits = {"train": [], "validation": [], "test": []}
    for chip in flood_chips(shared):
        splits[chip["split"]].append(
            Sample(
                tensors={name: chip[name] for name in ("s2", "s1", "mask")},
                id=f"spain-{chip['row']}-{chip['column']}",
                crs=chip["crs"],
                transform=chip["transform"],
                datetime=FLOOD_TIME,
                properties={"row": chip["row"], "column": chip["column"], "water": float(np.mean(chip["mask"] == 1))},
            )
        )
    return splits


def flood_collection(**fields):
    """The flood dataset's description."""
    return Collection(
        id="flood",
        title="Flood near Orihuela",
        description="Sentinel-2 and Sentinel-1 chips of a flood in south-east Spain, with water drawn by hand.",
        license="other",
        tasks=["semantic-segmentation"],
        tensors={
            "s2": Tensor(dims="band y x", bands="sentinel-2-l1c", nodata=0, scale=1e-4),
            "s1": Tensor(dims="band y x", bands=["VV", "VH"], nodata=float("nan"), unit="dB"),
            "mask": Tensor(dims="y x", role="label", classes={0: "other", 1: "water"}, nodata=255),
        },
        **fields,
    )


def write_flood(shared, path, **options):
    """Author the flood dataset: 40 + 8 + 16 chips of 64 x 64."""
    return mlstac.authoring.write(flood_samples(shared), path, flood_collection(), **options)


def series_samples(shared):
    """Nine chips of five dates and 13 bands with their land cover: rows 0-59 are train, then validation, test."""
    folder = Path(shared) / "data" / "s2-timeseries-lulc"
    dates = json.loads((folder / "reference_scenes_dates.json").read_text())["scenes"]
    order = sorted(range(5), key=dates.__getitem__)
    cube = np.round(np.load(folder / "REFERENCE_SCENES.npy")[order] * 10000).astype(np.uint16).transpose(0, 3, 1, 2)
    cover = np.load(folder / "LULC.npy")[:, :, 0].astype(np.uint8)
    west, south, east, north = 465181.0522318204, 5079244.8912012065, 466180.53145382757, 5080254.63349641
    pixel = ((east - west) / 100, (north - south) / 101)
    splits = {"train": [], "validation": [], "test": []}
    for row, split in enumerate(("train", "validation", "test")):
        for column in range(3):
            y, x = row * SERIES_SIDE, column * SERIES_SIDE
            window = (slice(y, y + SERIES_SIDE), slice(x, x + SERIES_SIDE))
            splits[split].append(
                Sample(
                    tensors={"s2": cube[:, :, *window], "cover": cover[window]},
                    id=f"slovenia-{row}-{column}",
                    crs="EPSG:32633",
                    transform=(pixel[0], 0, west + x * pixel[0], 0, -pixel[1], north - y * pixel[1]),
                    datetimes=[dates[at] for at in order],
                )
            )
    return splits


def write_series(shared, path, **options):
    """Author the time series: 3 + 3 + 3 chips of 5 dates, 13 bands, 32 x 32."""
    collection = Collection(
        id="series",
        license="MIT",
        tensors={
            "s2": Tensor(dims="time band y x", bands="sentinel-2-l1c", scale=1e-4),
            "cover": Tensor(
                dims="y x",
                role="label",
                nodata=0,
                classes={0: "no data", 1: "cultivated", 2: "forest", 3: "grassland", 4: "shrubland", 8: "artificial"},
            ),
        },
    )
    return mlstac.authoring.write(series_samples(shared), path, collection, **options)


TEN_METRES = ("B02", "B03", "B04", "B08")
TWENTY_METRES = ("B05", "B06", "B07", "B8A", "B11", "B12")
GRIDS_SIDE = 64


def grids_samples(shared, *, n=4):
    """Chips of the 10 m and 20 m bands of one scene as two tensors of different grids; n by n of them."""
    folder = Path(shared) / "data" / "s2-majortom"
    samples = []
    for row in range(n):
        for column in range(n):
            tensors, transforms = {}, {}
            for name, bands, side in (("m10", TEN_METRES, GRIDS_SIDE), ("m20", TWENTY_METRES, GRIDS_SIDE // 2)):
                window = Window(column * side, row * side, side, side)
                read = []
                for band in bands:
                    with rasterio.open(folder / f"{band}.tif") as file:
                        read.append(file.read(1, window=window))
                        transforms[name] = window_transform(file, window)
                        crs = file.crs
                tensors[name] = np.stack(read)
            samples.append(
                Sample(
                    tensors=tensors,
                    id=f"mekong-{row}-{column}",
                    crs=crs,
                    transform=transforms,
                    datetime="2020-02-23T03:27:39Z",
                )
            )
    return samples


def write_grids(shared, path, **options):
    """Author the scene of two grids: 16 chips, all of them train."""
    collection = Collection(
        id="mekong",
        license="CC-BY-SA-4.0",
        tensors={
            "m10": Tensor(dims="band y x", bands=list(TEN_METRES), scale=1e-4),
            "m20": Tensor(dims="band y x", bands=list(TWENTY_METRES), scale=1e-4),
        },
    )
    return mlstac.authoring.write(grids_samples(shared), path, collection, **options)
