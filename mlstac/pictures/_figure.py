"""Figures of matplotlib that nobody else's settings can reach, measured in inches.

Everything is placed in inches from the top left corner, as a page is laid out: what has its own place cannot overlap,
whatever the number of samples. ``pyplot`` is not used: it would keep every figure alive, and choose a window system.
"""

import bisect
import io
from pathlib import Path
from typing import NamedTuple

from mlstac.errors import MissingPackageError

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path
except ModuleNotFoundError as error:
    if (
        error.name is None or error.name.partition(".")[0] != "matplotlib"
    ):  # installed but broken: its own words say more
        raise
    raise MissingPackageError(
        "pictures need matplotlib, which is not installed; run: pip install matplotlib"
    ) from error

from mlstac.pictures._palette import FAINT, INK

DPI = 150
TITLE_PT, LABEL_PT, SMALL_PT = 12.0, 8.5, 7.5
MARGIN = 0.25


class Box(NamedTuple):
    """A place on the page, in inches from its top left corner."""

    left: float
    top: float
    width: float
    height: float


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself, whether or not it runs ``%matplotlib inline``."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


def new_picture(width: float, height: float) -> Picture:
    """Make an empty white page, in inches."""
    picture = Picture(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(picture)
    return picture


def add_axes(figure: Figure, box: Box) -> Axes:
    """Make axes that fill a place on the page."""
    width, height = figure.get_size_inches()
    bottom = height - box.top - box.height
    return figure.add_axes((box.left / width, bottom / height, box.width / width, box.height / height))


def write_text(
    figure: Figure,
    left: float,
    top: float,
    text: str,
    *,
    size: float = LABEL_PT,
    colour: str = INK,
    bold: bool = False,
    align: str = "left",
) -> None:
    """Write a line on the page; `left` (or the middle, or the right end, as `align` says) and `top` in inches."""
    width, height = figure.get_size_inches()
    # By the baseline: aligned by their tops, "area" would stand higher than "Area" beside it.
    baseline = top + size * 0.95 / 72
    figure.text(
        left / width,
        1 - baseline / height,
        text,
        fontsize=size,
        color=colour,
        fontweight="bold" if bold else "normal",
        horizontalalignment=align,
        verticalalignment="baseline",
        parse_math=False,  # a dollar sign in a caption is a dollar sign
    )


def text_width(text: str, size: float = LABEL_PT, *, bold: bool = False) -> float:
    """Measure a line of text as it will be drawn, in inches."""
    if not text:
        return 0.0
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def clip_text(text: str, width: float, *, size: float = LABEL_PT, bold: bool = False) -> str:
    """Cut a text so that it fits into a width in inches, with an ellipsis where something was cut."""
    if text_width(text, size, bold=bold) <= width:
        return text
    # Widths add up (but for kerning), so that the place of the cut can be searched by halves.
    room = bisect.bisect_right(
        range(1, len(text)), width, key=lambda kept: text_width(text[:kept] + "…", size, bold=bold)
    )
    return text[:room].rstrip() + "…"


def clip_middle(text: str, width: float, *, size: float = LABEL_PT, bold: bool = False) -> str:
    """Cut a text as `clip_text` does, but in its middle: names of one product often differ at their end alone."""
    if text_width(text, size, bold=bold) <= width:
        return text
    halves = range(1, len(text) // 2)
    room = bisect.bisect_right(
        halves, width, key=lambda kept: text_width(f"{text[:kept]}…{text[-kept:]}", size, bold=bold)
    )
    if not room:
        return clip_text(text, width, size=size, bold=bold)
    return f"{text[:room].rstrip()}…{text[-room:].lstrip()}"


def wrap_text(text: str, width: float, *, size: float = LABEL_PT, most_lines: int = 3) -> list[str]:
    """Break a text into lines of a width in inches; what does not fit ends with an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if text_width(longer, size) <= width or not lines[-1]:
            lines[-1] = longer
        elif len(lines) < most_lines:
            lines.append(word)
        else:
            lines[-1] = clip_text(f"{lines[-1]} {word}…", width, size=size)
            break
    return [clip_text(line, width, size=size) for line in lines]


def line_height(size: float) -> float:
    """Height of a line of text, in inches."""
    return size * 1.35 / 72


def to_png(figure: Figure, *, dpi: int = DPI) -> bytes:
    """Give a figure as the bytes of a PNG file with nothing in it but the picture: the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: str | Path, *, dpi: int = DPI) -> Path:
    """Save a figure as the file's ending says (``.png``, ``.pdf``, ``.svg`` …), making its folder.

    Returns
    -------
    pathlib.Path
        Where it lies.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Nothing in a PNG but the picture: the same samples give the same bytes.
    metadata = {"Software": None} if target.suffix.lower() == ".png" else None
    figure.savefig(target, dpi=dpi, metadata=metadata)
    return target


__all__ = [
    "DPI",
    "FAINT",
    "INK",
    "LABEL_PT",
    "MARGIN",
    "SMALL_PT",
    "TITLE_PT",
    "Axes",
    "Box",
    "Figure",
    "Picture",
    "add_axes",
    "clip_middle",
    "clip_text",
    "line_height",
    "new_picture",
    "save",
    "text_width",
    "to_png",
    "wrap_text",
    "write_text",
]
