"""A map of where the samples of each split are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError
from mlstac.pictures._figure import (
    MARGIN,
    SMALL_PT,
    TITLE_PT,
    Axes,
    Box,
    Figure,
    Picture,
    add_axes,
    clip_text,
    line_height,
    new_picture,
    write_text,
)
from mlstac.pictures._layers import Key
from mlstac.pictures._legend import ROW_HEIGHT, arrange_legend, draw_legend
from mlstac.pictures._palette import FAINT, INK, split_colours

METRES_PER_DEGREE = 111_320.0
_MAP_WIDTH = 5.0
_TICKS_LEFT, _TICKS_BELOW = 0.72, 0.3
_STRIP = 0.24  # above the map: what it is, and its scale
# Smaller than this on paper, a footprint is drawn as a dot that can be seen.
_LEAST_INCHES = 0.03


class Map:
    """Footprints by split, as rings of longitude and latitude, and the part of the Earth that they need."""

    def __init__(self, footprints: Mapping[str, Sequence[Any]]) -> None:
        self.rings = {split: rings for split, shapes in footprints.items() if (rings := _rings(shapes))}
        if not self.rings:
            raise InvalidArgumentError(
                "there are no footprints to draw; give at least one geometry (longitude, latitude)"
            )
        self.counts = {split: len(footprints[split]) for split in self.rings}
        points = np.concatenate([ring for rings in self.rings.values() for ring in rings])
        self.west, self.south = points.min(axis=0).tolist()
        self.east, self.north = points.max(axis=0).tolist()
        self.middle = (self.south + self.north) / 2
        # A degree of longitude is shorter than one of latitude, but for the equator.
        self.squeeze = max(0.05, math.cos(math.radians(self.middle)))
        span = max((self.east - self.west) * self.squeeze, self.north - self.south, 1e-6)
        pad = 0.06 * span
        # Beyond the antimeridian only where a footprint is: 190° is how some write what crosses it.
        self.west = max(self.west - pad / self.squeeze, min(-180.0, self.west))
        self.east = min(self.east + pad / self.squeeze, max(180.0, self.east))
        self.south, self.north = max(-90.0, self.south - pad), min(90.0, self.north + pad)

    @property
    def proportion(self) -> float:
        """Height of the map for a width of 1, as it is on the ground (in the middle of the map)."""
        return float((self.north - self.south) / ((self.east - self.west) * self.squeeze))


def draw_footprints(footprints: Mapping[str, Sequence[Any]], *, title: str | None = None) -> Picture:
    """Draw a map of footprints, in one colour a split.

    Parameters
    ----------
    footprints : mapping of str to sequence
        Geometries of each split in longitude and latitude (WGS 84): shapely geometries, or WKB as the catalog has it.
    title : str, optional
        A line above the map.

    Returns
    -------
    Picture
        A matplotlib figure. A metre is as long to the east as to the north in the middle of the map.

    Raises
    ------
    InvalidArgumentError
        If there is no footprint at all.
    """
    chart = Map(footprints)
    height = map_height(chart, _MAP_WIDTH)
    picture = new_picture(_MAP_WIDTH + 2 * MARGIN, height + 2 * MARGIN + (title_height() if title else 0))
    paint_map(picture, chart, Box(MARGIN, MARGIN, _MAP_WIDTH, height), title=title or "")
    return picture


def title_height() -> float:
    """Height that a title takes above the map, in inches."""
    return line_height(TITLE_PT) + 0.12


def map_height(chart: Map, width: float) -> float:
    """Height of a map of some width, with ticks and legend but without title, in inches."""
    return _STRIP + _panel_height(chart, width) + _TICKS_BELOW + 0.12 + len(_legend(chart, width)) * ROW_HEIGHT


def paint_map(figure: Figure, chart: Map, box: Box, *, title: str) -> Axes:
    """Paint a map into a place of a figure, from its top; title, map, ticks, legend."""
    top = box.top
    if title:
        write_text(
            figure, box.left, top, clip_text(title, box.width, size=TITLE_PT, bold=True), size=TITLE_PT, bold=True
        )
        top += title_height()
    width, height = box.width - _TICKS_LEFT, _panel_height(chart, box.width)
    write_text(figure, box.left + _TICKS_LEFT, top, "footprints", colour=FAINT)
    axes = add_axes(figure, Box(box.left + _TICKS_LEFT, top + _STRIP, width, height))
    axes.set_gid("map")
    # A narrow map of a tall area is not stretched over the page: its axes take the width that they need.
    shown = min(width, height / chart.proportion)
    axes.set_xlim(*_widen(chart.west, chart.east, width / shown))
    axes.set_ylim(*_widen(chart.south, chart.north, height / (shown * chart.proportion)))
    axes.set_autoscale_on(False)
    _paint_rings(axes, chart, inches_per_degree=height / (axes.get_ylim()[1] - axes.get_ylim()[0]))
    _dress(axes, width, height)
    _paint_scale(figure, axes, chart, Box(box.left + _TICKS_LEFT, top, width, _STRIP))
    rows = _legend(chart, box.width)
    draw_legend(figure, rows, Box(box.left + _TICKS_LEFT, top + _STRIP + height + _TICKS_BELOW + 0.08, width, 0))
    return axes


def _panel_height(chart: Map, width: float) -> float:
    return (width - _TICKS_LEFT) * min(1.3, max(0.35, chart.proportion))


def _widen(low: float, high: float, factor: float) -> tuple[float, float]:
    middle, half = (low + high) / 2, (high - low) / 2 * max(1.0, factor)
    return middle - half, middle + half


def _rings(shapes: Sequence[Any]) -> list[NDArray[np.float64]]:
    """Outer rings of polygons, and the parts of what is more than one; a point or a line is its box."""
    import shapely

    geometries = np.asarray(
        [shapely.from_wkb(shape) if isinstance(shape, bytes) else shape for shape in shapes], dtype=object
    )
    parts = shapely.get_parts(geometries[[geometry is not None for geometry in geometries]])
    parts = parts[~shapely.is_empty(parts)]
    rings = []
    for part in parts:
        outline = part.exterior if part.geom_type == "Polygon" else shapely.box(*part.bounds).exterior
        rings.append(shapely.get_coordinates(outline))
    return rings


def _paint_rings(axes: Axes, chart: Map, *, inches_per_degree: float) -> None:
    colours = split_colours(chart.rings)
    for split, rings in chart.rings.items():
        sizes = np.array([(np.ptp(ring, axis=0) * (chart.squeeze, 1)).max() for ring in rings])
        small = sizes * inches_per_degree < _LEAST_INCHES
        shown = [ring for ring, is_small in zip(rings, small, strict=True) if not is_small]
        patches = PolyCollection(
            shown, facecolors=to_rgba(colours[split], 0.45), edgecolors=colours[split], linewidths=0.7
        )
        patches.set_gid(f"footprints/{split}")
        axes.add_collection(patches, autolim=False)
        if small.any():
            middles = np.array([ring.mean(axis=0) for ring, is_small in zip(rings, small, strict=True) if is_small])
            dots = axes.scatter(
                middles[:, 0], middles[:, 1], s=9, color=colours[split], edgecolors="white", linewidths=0.3
            )
            dots.set_gid(f"dots/{split}")


def _dress(axes: Axes, width: float, height: float) -> None:
    axes.set_facecolor("#F6F7F8")
    axes.grid(visible=True, color="white", linewidth=1.0)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL_PT, colors=FAINT, length=2.5, width=0.5)
    for axis, ends, inches in ((axes.xaxis, "EW", width / 0.95), (axes.yaxis, "NS", height / 0.5)):
        axis.set_major_locator(MaxNLocator(nbins=max(2, min(6, int(inches))), steps=[1, 2, 2.5, 5, 10]))
        ticks = axis.get_majorticklocs()
        axis.set_major_formatter(FuncFormatter(_degrees(ends, float(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0)))
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color=FAINT)


def _degrees(ends: str, step: float) -> Any:
    """Write degrees with as many decimals as tell neighbouring ticks apart: 67.68° W."""
    decimals = next((n for n in range(8) if abs(round(step, n) - step) < step * 1e-3), 8)

    def write(value: float, _position: int | None) -> str:
        value = (value + 180) % 360 - 180 if ends == "EW" and abs(value) > 180 else value
        side = ends[0] if value > 0 else ends[1] if value < 0 else ""
        return f"{abs(value):.{decimals}f}°{side and ' ' + side}"

    return write


def _paint_scale(figure: Figure, axes: Axes, chart: Map, strip: Box) -> None:
    """A bar of a round length on the ground, above the map; none where it would differ much over the map."""
    low, high = axes.get_xlim()
    if axes.get_ylim()[1] - axes.get_ylim()[0] > 20:
        return
    metres = (high - low) * chart.squeeze * METRES_PER_DEGREE
    length = _round_below(metres * 0.25)
    inches = strip.width * length / metres
    bar = add_axes(figure, Box(strip.left + strip.width - inches, strip.top + 0.07, inches, 0.035))
    bar.set(xticks=[], yticks=[], facecolor=INK)
    bar.set_gid("scale")
    for spine in bar.spines.values():
        spine.set_visible(False)
    words = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    write_text(figure, strip.left + strip.width - inches - 0.07, strip.top, words, align="right", colour=FAINT)


def _round_below(length: float) -> float:
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length)


def _legend(chart: Map, width: float) -> list[Any]:
    colours = split_colours(chart.rings)
    keys = [Key(colours[split], f"{split} ({count:,})") for split, count in chart.counts.items()]
    return arrange_legend(keys, width - _TICKS_LEFT)
