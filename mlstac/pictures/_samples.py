"""Samples as a grid of pictures: each image beside its labels, with a legend."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from mlstac.collection import Tensor
from mlstac.errors import InvalidArgumentError
from mlstac.pictures._colour import to_frames
from mlstac.pictures._figure import (
    LABEL_PT,
    MARGIN,
    SMALL_PT,
    TITLE_PT,
    Axes,
    Box,
    Figure,
    Picture,
    add_axes,
    line_height,
    new_picture,
    write_text,
)
from mlstac.pictures._layers import as_numbers
from mlstac.pictures._legend import ROW_HEIGHT, draw_legend
from mlstac.pictures._page import Page, Panel, box_labels, plan_page
from mlstac.pictures._palette import EMPTY, FAINT
from mlstac.pictures._views import View


def draw_samples(
    samples: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
    *,
    ids: Sequence[str] | None = None,
    columns: int | None = None,
    title: str | None = None,
) -> Picture:
    """Draw samples as a grid.

    Images come in natural colours where their bands allow it, on one stretch for all samples; maps of classes with a
    legend of the classes' names; series of images date by date; boxes upon the image; a class or a text above it.

    Parameters
    ----------
    samples : sequence of mapping
        Values by tensor name, as a dataset gives them for ``framework="numpy"``: arrays of stored values with axes as
        the tensor's ``dims`` say, or text, bytes and JSON. A tensor that a sample lacks is left out or None, and its
        place stays empty.
    tensors : mapping
        The tensors' descriptions by name, e.g. ``collection.tensors``.
    ids : sequence of str, optional
        The samples' names, one each.
    columns : int, optional
        Samples in a row; by default as many as make a page of pleasant proportions.
    title : str, optional
        A line above everything.

    Returns
    -------
    Picture
        A matplotlib figure; ``mlstac.pictures.save`` writes it to a file, a notebook shows it.

    Raises
    ------
    InvalidArgumentError
        If there is nothing to draw, or not one id a sample.
    """
    page = prepare_page(samples, tensors, ids=ids, columns=columns, title=title)
    picture = new_picture(page.width + 2 * MARGIN, page.height + 2 * MARGIN)
    paint_page(picture, page, left=MARGIN, top=MARGIN)
    return picture


def prepare_page(
    samples: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
    *,
    ids: Sequence[str] | None = None,
    columns: int | None = None,
    title: str | None = None,
) -> Page:
    """Check what was given to draw, and lay it out."""
    if not samples:
        raise InvalidArgumentError("there are no samples to draw; give at least one")
    if ids is not None and len(ids) != len(samples):
        raise InvalidArgumentError(f"{len(ids)} ids are given for {len(samples)} samples; give one each, or none")
    if columns is not None and columns < 1:
        raise InvalidArgumentError(f"columns is {columns}; give the number of samples in a row, 1 at the least")
    return plan_page(samples, tensors, ids=ids, columns=columns, title=title)


def paint_page(figure: Figure, page: Page, *, left: float, top: float) -> None:
    """Paint a planned page upon a figure, its top left corner in inches from the figure's."""
    line = top
    if page.title:
        write_text(figure, left, line, page.title, size=TITLE_PT, bold=True)
        line += line_height(TITLE_PT) + 0.04
    for words in page.subtitle:
        write_text(figure, left, line, words, colour=FAINT)
        line += line_height(LABEL_PT)
    for number in range(len(page.samples)):
        _paint_sample(figure, page, number, left=left, top=top)
    legend_top = top + page.height - len(page.legend) * ROW_HEIGHT
    draw_legend(figure, page.legend, Box(left, legend_top, page.width, len(page.legend) * ROW_HEIGHT))


def _paint_sample(figure: Figure, page: Page, number: int, *, left: float, top: float) -> None:
    sample, (right, down) = page.samples[number], page.place(number)
    left, top = left + right, top + down
    line = top
    if page.headings[number]:
        write_text(figure, left, line, page.headings[number], bold=True)
    if any(page.headings):
        line += line_height(LABEL_PT) + 0.02
    for words in page.captions[number]:
        write_text(figure, left, line, words, size=SMALL_PT, colour=FAINT)
        line += line_height(SMALL_PT)
    boxes_on = next((panel for panel in page.panels if panel.view.kind == "image"), None)
    for place, panel in enumerate(page.panels):
        box = Box(left + page.panel_left(place), top + page.head_height, page.panel_width, page.panel_height)
        value = sample.get(panel.view.name)
        axes = add_axes(figure, _fit(box, panel, value))
        _dress(axes)
        axes.set_gid(f"{number}/{panel.view.name}/{panel.frame}")
        if value is None or np.size(value) == 0:
            words = "absent" if value is None else "empty"
            axes.text(
                0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, fontsize=SMALL_PT, color=FAINT
            )
            continue
        if panel.view.kind != "profile" and panel.frame >= len(to_frames(as_numbers(value), panel.view.tensor)):
            axes.set_axis_off()  # a shorter series than another sample's
            continue
        page.layers[panel.view.name].paint(axes, value, panel.frame)
        if panel is boxes_on:
            _paint_boxes(axes, page, sample)
        if page.has_feet and (date := _date(sample, panel)):
            middle = box.left + box.width / 2
            write_text(figure, middle, box.top + box.height + 0.03, date, size=SMALL_PT, colour=FAINT, align="center")


def _fit(box: Box, panel: Panel, value: Any) -> Box:
    """The largest box of the picture's own proportions, at the top and in the middle of the panel."""
    if panel.view.kind == "profile" or value is None or np.size(value) == 0:
        return box
    *_, height, width = to_frames(as_numbers(value), panel.view.tensor).shape
    inches = min(box.width / max(1, width), box.height / max(1, height))
    return Box(
        box.left + (box.width - width * inches) / 2, box.top, max(width * inches, 0.02), max(height * inches, 0.02)
    )


def _dress(axes: Axes) -> None:
    """No ticks, a hairline around, and the colour of no data behind."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(EMPTY)
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color=FAINT)


def _paint_boxes(axes: Axes, page: Page, sample: Mapping[str, Any]) -> None:
    """Draw boxes (left, top, right, bottom in pixels) in the colours of their classes."""
    view = next((view for view in page.views if view.kind == "boxes"), None)
    if view is None or sample.get(view.name) is None:
        return
    boxes = np.asarray(sample[view.name], dtype=np.float64)
    labels = _labels_of(page.views, sample, len(boxes))
    for (west, north, east, south), label in zip(boxes, labels, strict=True):
        colour = page.box_colours.get(label, "#E69F00")
        # Pixel edges are half a pixel before the pixel's middle, which is where imshow has whole numbers.
        corner = (west - 0.5, north - 0.5)
        # A white line under the coloured one: seen on dark and on bright ground.
        for line, width in (("white", 2.4), (colour, 1.3)):
            axes.add_patch(Rectangle(corner, east - west, south - north, fill=False, edgecolor=line, linewidth=width))


def _labels_of(views: Sequence[View], sample: Mapping[str, Any], count: int) -> list[int]:
    view = box_labels(views)
    labels = [] if view is None or sample.get(view.name) is None else np.ravel(sample[view.name]).tolist()
    return [int(label) for label in labels] if len(labels) == count else [0] * count


def _date(sample: Mapping[str, Any], panel: Panel) -> str:
    """The day of one frame of a series, from the tensor ``<name>_time`` in microseconds since 1970, UTC."""
    times = sample.get(f"{panel.view.name}_time")
    if times is None or panel.frame >= len(times):
        return ""
    return str(np.datetime64(int(times[panel.frame]), "us").astype("datetime64[D]"))
