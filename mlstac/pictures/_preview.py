"""One picture of a whole dataset: some samples, and where all of them are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlstac.collection import Tensor
from mlstac.pictures._figure import MARGIN, TITLE_PT, Box, Picture, clip_text, line_height, new_picture, write_text
from mlstac.pictures._footprints import Map, map_height, paint_map
from mlstac.pictures._samples import paint_page, prepare_page

_MAP_WIDTH, _LARGE_MAP = 4.0, 5.2
_BETWEEN = 0.45


def draw_preview(
    samples: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
    footprints: Mapping[str, Sequence[Any]],
    *,
    ids: Sequence[str] | None = None,
    columns: int | None = None,
    title: str | None = None,
) -> Picture:
    """Draw samples beside a map of the footprints of every split.

    Parameters
    ----------
    samples, tensors, ids, columns
        As :func:`draw_samples` takes them.
    footprints : mapping of str to sequence
        As :func:`draw_footprints` takes them. Without any, the samples stand alone.
    title : str, optional
        A line above everything.

    Returns
    -------
    Picture
        A matplotlib figure.
    """
    page = prepare_page(samples, tensors, ids=ids, columns=columns, title=None)
    chart = Map(footprints) if any(len(shapes) for shapes in footprints.values()) else None
    heading = line_height(TITLE_PT) + 0.18 if title else 0.0
    width, height = page.width, page.height
    map_width = 0.0
    if chart is not None:
        # As large as fits beside the samples, within reason.
        widths = np.linspace(_MAP_WIDTH, _LARGE_MAP, 12).tolist()
        map_width = max((w for w in widths if map_height(chart, w) <= height), default=_MAP_WIDTH)
        width += _BETWEEN + map_width
        height = max(height, map_height(chart, map_width))
    picture = new_picture(width + 2 * MARGIN, heading + height + 2 * MARGIN)
    if title:
        words = clip_text(title, width, size=TITLE_PT + 2, bold=True)
        write_text(picture, MARGIN, MARGIN, words, size=TITLE_PT + 2, bold=True)
    paint_page(picture, page, left=MARGIN, top=MARGIN + heading)
    if chart is not None:
        left = MARGIN + page.width + _BETWEEN
        paint_map(picture, chart, Box(left, MARGIN + heading, map_width, height), title="")
    return picture
