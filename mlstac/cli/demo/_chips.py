"""From a scene to samples: chips, their targets, and a split by location."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.cli.demo._scene import Scene
from mlstac.collection import Collection, Tensor
from mlstac.sample import Sample

CHIP = 20
"""Pixels along each side of a chip: 200 m of ground."""

# Columns of chips from west to east. Chips that touch look alike: a split by chance would put near copies of training
# chips into validation, and the accuracy would be too good.
_TRAIN_COLUMNS, _VALIDATION_COLUMNS = 9, 3


class Chip(NamedTuple):
    """One sample and the split that it belongs to."""

    sample: Sample
    split: str


def clay_ratio(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """Divide SWIR1 by SWIR2: clay minerals absorb around 2.2 µm, so the ratio is high where the ground is rich in them.

    Parameters
    ----------
    image : numpy.ndarray, shape (6, height, width)
        Bands in the order of the scene.

    Returns
    -------
    numpy.ndarray, shape (height, width), float64
    """
    swir1, swir2 = image[4:6].astype(np.float64)
    ratio: NDArray[np.float64] = swir1 / swir2
    return ratio


def train_threshold(scene: Scene) -> float:
    """The ratio's median over the training columns alone: nothing that defines the target may look at the others."""
    return float(np.median(clay_ratio(scene.image[:, :, : _TRAIN_COLUMNS * CHIP])))


def cut_chips(scene: Scene) -> Iterator[Chip]:
    """Cut the scene into chips, row by row from the north west, each with its mask, place and numbers."""
    threshold = train_threshold(scene)
    _, height, width = scene.image.shape
    a, b, c, d, e, f = scene.transform
    for row in range(height // CHIP):
        for column in range(width // CHIP):
            image = scene.image[:, row * CHIP : (row + 1) * CHIP, column * CHIP : (column + 1) * CHIP]
            mask = (clay_ratio(image) > threshold).astype(np.uint8)
            right, down = column * CHIP, row * CHIP
            yield Chip(
                Sample(
                    {"input": image, "target": mask},
                    id=f"r{row:02d}c{column:02d}",
                    crs=scene.crs,
                    transform=(a, b, c + a * right + b * down, d, e, f + d * right + e * down),
                    properties={"row": row, "column": column, "clay_percent": round(float(mask.mean()) * 100, 1)},
                ),
                _split(column),
            )


def _split(column: int) -> str:
    if column < _TRAIN_COLUMNS:
        return "train"
    return "validation" if column < _TRAIN_COLUMNS + _VALIDATION_COLUMNS else "test"


def describe_demo(scene: Scene) -> Collection:
    """What the demo's dataset says of itself. The scene's files have no date and no processing level: nor has this."""
    return Collection(
        id="clay-demo",
        title="Clay-rich ground in Santa Cruz, Argentina",
        description=(
            "150 chips of 200 x 200 m from one Sentinel-2 scene of bare, arid land. The target marks where "
            f"SWIR1 / SWIR2 is above {train_threshold(scene):.4f}, its median over the training columns. SWIR bands "
            "have 20 m pixels, each repeated over four of 10 m. Made to show a pipeline, not to map clay: the target "
            "is computed from the input."
        ),
        license="other",
        links=[
            {
                "rel": "license",
                "href": "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
                "title": "Legal notice on the use of Copernicus Sentinel data",
            }
        ],
        keywords=["sentinel-2", "clay", "demo"],
        providers=[
            {
                "name": "European Union, Copernicus Sentinel-2",
                "roles": ["producer"],
                "url": "https://www.copernicus.eu",
            },
            {
                "name": "xarray-spatial 0.5.3",
                "roles": ["processor"],
                "url": "https://github.com/xarray-contrib/xarray-spatial",
            },
        ],
        tasks=["semantic-segmentation"],
        split_strategy="columns of chips from west to east: 0-8 train, 9-11 validation, 12-14 test",
        tensors={
            "input": Tensor(dims="band y x", bands=scene.bands, description="Sentinel-2, digital numbers"),
            "target": Tensor(
                dims="y x",
                role="label",
                # Clay in the colour of clay: the palette's own blue would look like water.
                classes=[
                    {"value": 0, "name": "other", "color_hint": "E9E3D5"},
                    {"value": 1, "name": "clay", "color_hint": "B5562B"},
                ],
            ),
        },
    )
