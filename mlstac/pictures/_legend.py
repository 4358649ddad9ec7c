"""A legend in rows of its own under the picture: swatches with names, and scales of numbers."""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Rectangle

from mlstac.pictures._figure import Box, Figure, add_axes, clip_text, text_width, write_text
from mlstac.pictures._layers import RAMP, Bar, Entry, Key
from mlstac.pictures._palette import FAINT, INK

ROW_HEIGHT = 0.24
_SWATCH = 0.15
_GAP = 0.28
_BAR_WIDTH = 1.1


def arrange_legend(entries: Sequence[Entry], width: float) -> list[list[tuple[Entry, float]]]:
    """Break entries into rows.

    Parameters
    ----------
    entries : sequence
        In order. A heading does not stay alone at a row's end.
    width : float
        Inches that a row may have.

    Returns
    -------
    list of list of (entry, float)
        Rows of entries with the place of each from the left, in inches.
    """
    rows: list[list[tuple[Entry, float]]] = [[]]
    left = 0.0
    for place, entry in enumerate(entries):
        needed = _entry_width(entry, width)
        following = entries[place + 1] if isinstance(entry, str) and place + 1 < len(entries) else None
        if left and left + needed + (_entry_width(following, width) if following is not None else 0) > width:
            rows.append([])
            left = 0.0
        rows[-1].append((entry, left))
        left += needed
    return rows if rows[0] else []


def draw_legend(figure: Figure, rows: Sequence[Sequence[tuple[Entry, float]]], box: Box) -> None:
    """Draw arranged rows from the top of a place downwards."""
    for place, row in enumerate(rows):
        top = box.top + place * ROW_HEIGHT
        for entry, offset in row:
            _draw_entry(figure, entry, box.left + offset, top, box.width)


def _entry_width(entry: Entry, width: float) -> float:
    if isinstance(entry, str):
        return text_width(entry) + 0.18
    if isinstance(entry, Key):
        return min(_SWATCH + 0.08 + text_width(entry.text), width) + _GAP
    low, high = _bar_ends(entry)
    return text_width(entry.text) + text_width(low) + _BAR_WIDTH + text_width(high) + 0.3 + _GAP


def _draw_entry(figure: Figure, entry: Entry, left: float, top: float, width: float) -> None:
    if isinstance(entry, str):
        write_text(figure, left, top, entry, colour=FAINT)
    elif isinstance(entry, Key):
        axes = add_axes(figure, Box(left, top, _SWATCH, _SWATCH))
        axes.set_axis_off()
        height, bottom = (0.24, 0.38) if entry.is_line else (1.0, 0.0)
        axes.add_patch(
            Rectangle(
                (0, bottom), 1, height, facecolor=entry.colour, edgecolor=FAINT, linewidth=0.0 if entry.is_line else 0.6
            )
        )
        write_text(figure, left + _SWATCH + 0.08, top, clip_text(entry.text, width - _SWATCH - 0.08), colour=INK)
    else:
        low, high = _bar_ends(entry)
        write_text(figure, left, top, entry.text, colour=FAINT)
        left += text_width(entry.text) + 0.15
        write_text(figure, left, top, low)
        left += text_width(low) + 0.08
        axes = add_axes(figure, Box(left, top + 0.01, _BAR_WIDTH, _SWATCH - 0.03))
        axes.imshow(np.linspace(0, 1, 256)[None], cmap=RAMP, aspect="auto")
        axes.set_axis_off()
        write_text(figure, left + _BAR_WIDTH + 0.07, top, high)


def _bar_ends(bar: Bar) -> tuple[str, str]:
    return f"{bar.low:.4g}", f"{bar.high:.4g}"
