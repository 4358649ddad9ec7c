"""Where everything of a grid of samples lies on the page: planned in inches first, painted after."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mlstac.collection import Tensor
from mlstac.pictures._colour import to_frames
from mlstac.pictures._figure import (
    LABEL_PT,
    SMALL_PT,
    TITLE_PT,
    clip_middle,
    clip_text,
    line_height,
    text_width,
    wrap_text,
)
from mlstac.pictures._layers import Entry, Key, Layer, as_numbers, class_scheme, make_layer
from mlstac.pictures._legend import ROW_HEIGHT, arrange_legend
from mlstac.pictures._views import View, choose_views, describe_panel, put_in_words

MOST_FRAMES = 6
_PANEL_WIDTH, _NARROW_PANEL, _WIDE_PANEL = 1.3, 0.8, 2.1
_PANEL_GAP, _SAMPLE_GAP, _ROW_GAP = 0.06, 0.3, 0.16
_MOST_WIDTH = 11.0
_PROPORTION = 1.5  # wanted width : height of the whole
_EMPTY_WEIGHT = 4.0
_MANY_SAMPLES = 16


class Panel(NamedTuple):
    """One picture of a sample: a tensor, and which of its frames."""

    view: View
    frame: int


@dataclass(frozen=True, kw_only=True)
class Page:
    """A grid of samples that is ready to be painted. Lengths are inches."""

    samples: Sequence[Mapping[str, Any]]
    views: Sequence[View]
    panels: Sequence[Panel]
    layers: Mapping[str, Layer]
    box_colours: Mapping[int, str]
    title: str
    subtitle: Sequence[str]
    headings: Sequence[str]
    captions: Sequence[Sequence[str]]
    columns: int
    panel_width: float
    panel_height: float
    has_feet: bool
    legend: Sequence[Sequence[tuple[Entry, float]]]

    @property
    def sample_width(self) -> float:
        """Width of all panels of one sample."""
        count = max(1, len(self.panels))
        return count * self.panel_width + (count - 1) * _PANEL_GAP

    @property
    def head_height(self) -> float:
        """Height of the words above the panels, the same for all samples."""
        lines = max((len(lines) for lines in self.captions), default=0)
        return (line_height(LABEL_PT) + 0.02 if any(self.headings) else 0.0) + lines * line_height(SMALL_PT) + 0.03

    @property
    def row_height(self) -> float:
        """Height of one row of samples with the space under it."""
        return self.head_height + self.panel_height + (line_height(SMALL_PT) if self.has_feet else 0.0) + _ROW_GAP

    @property
    def top_height(self) -> float:
        """Height of the title and the line that explains the panels."""
        title = line_height(TITLE_PT) + 0.04 if self.title else 0.0
        return title + len(self.subtitle) * line_height(LABEL_PT) + (0.08 if self.subtitle or self.title else 0.0)

    @property
    def width(self) -> float:
        """Width of the whole, without margins."""
        return self.columns * self.sample_width + (self.columns - 1) * _SAMPLE_GAP

    @property
    def height(self) -> float:
        """Height of the whole, without margins."""
        rows = -(-len(self.samples) // self.columns)
        return self.top_height + rows * self.row_height + len(self.legend) * ROW_HEIGHT

    def place(self, number: int) -> tuple[float, float]:
        """Left and top of a sample on the page, in inches."""
        row, column = divmod(number, self.columns)
        return column * (self.sample_width + _SAMPLE_GAP), self.top_height + row * self.row_height

    def panel_left(self, number: int) -> float:
        """Left of a panel in its sample, in inches."""
        return number * (self.panel_width + _PANEL_GAP)


def plan_page(
    samples: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
    *,
    ids: Sequence[str] | None,
    columns: int | None,
    title: str | None,
) -> Page:
    """Decide what is shown of each sample, how large, and where."""
    views = choose_views(samples, tensors)
    panels = [panel for view in views if view.has_panel for panel in _choose_frames(view, samples)]
    layers = {
        view.name: make_layer(view, [sample[view.name] for sample in samples if sample.get(view.name) is not None])
        for view in views
        if view.has_panel
    }
    has_text = any(_is_text(sample.get(view.name)) for view in views if view.kind == "words" for sample in samples)
    wanted_width = _WIDE_PANEL if has_text and len(panels) < 2 else _PANEL_WIDTH
    panel_width = max(_NARROW_PANEL, min(wanted_width, _MOST_WIDTH / max(1, len(panels)) - _PANEL_GAP))
    sample_width = max(1, len(panels)) * (panel_width + _PANEL_GAP) - _PANEL_GAP
    panel_height = panel_width * _proportion(panels, samples) if panels else 0.0
    headings, classes = _headings(samples, views, ids, sample_width)
    captions = [said + _caption(sample, views, sample_width) for said, sample in zip(classes, samples, strict=True)]
    lines = max(len(caption) for caption in captions)
    row_height = panel_height + _ROW_GAP + line_height(LABEL_PT) + lines * line_height(SMALL_PT)
    columns = columns or _choose_columns(len(samples), sample_width + _SAMPLE_GAP, row_height)
    box_keys = _box_keys(samples, views)
    width = columns * (sample_width + _SAMPLE_GAP) - _SAMPLE_GAP
    return Page(
        samples=samples,
        views=views,
        panels=panels,
        layers=layers,
        box_colours={value: key.colour for value, key in box_keys.items()},
        title=clip_text(title or "", width, size=TITLE_PT, bold=True),
        subtitle=_explain(panels, samples, width),
        headings=[clip_middle(heading, sample_width, bold=True) for heading in headings],
        captions=captions,
        columns=columns,
        panel_width=panel_width,
        panel_height=panel_height,
        has_feet=any(view.kind == "dates" for view in views),
        legend=arrange_legend(_legend_entries(views, layers, list(box_keys.values())), width),
    )


def _choose_columns(count: int, width: float, height: float) -> int:
    """As many samples in a row as give the page pleasant proportions, and leave few empty places in the last row."""

    def badness(columns: int) -> float:
        rows = -(-count // columns)
        empty = (rows * columns - count) / count
        return abs(math.log(columns * width / (rows * height) / _PROPORTION)) + _EMPTY_WEIGHT * empty

    # many samples make a wide page and not an endless column
    most_width = _MOST_WIDTH * max(1.0, math.sqrt(count / _MANY_SAMPLES))
    most = max(1, min(count, int((most_width + _SAMPLE_GAP) / width)))
    return min(range(min(most, 2) if count > 2 else 1, most + 1), key=badness)


def _choose_frames(view: View, samples: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """All frames of a short series; of a long one some, evenly, with the first and the last."""
    if view.kind == "profile":
        return [Panel(view, 0)]
    counts = [len(to_frames(as_numbers(s[view.name]), view.tensor)) for s in samples if s.get(view.name) is not None]
    count = max(counts)
    frames = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int)
    return [Panel(view, int(frame)) for frame in frames]


def _proportion(panels: Sequence[Panel], samples: Sequence[Mapping[str, Any]]) -> float:
    """Height of a panel of width 1: the tallest picture's, within reason."""
    proportions = [0.4]
    for panel in panels:
        for sample in samples:
            if panel.view.kind == "profile" or sample.get(panel.view.name) is None:
                proportions.append(0.8)
                continue
            *_, height, width = to_frames(as_numbers(sample[panel.view.name]), panel.view.tensor).shape
            proportions.append(height / max(1, width))
    return min(2.0, max(proportions))


def _headings(
    samples: Sequence[Mapping[str, Any]], views: Sequence[View], ids: Sequence[str] | None, width: float
) -> tuple[list[str], list[list[str]]]:
    """The id of each sample and its class, or number: on one line where it fits for all, else on lines of their own."""
    classes = []
    for sample in samples:
        words = []
        for view in views:
            if view.kind == "words" and sample.get(view.name) is not None and not _is_text(sample[view.name]):
                said = put_in_words(sample[view.name], view.tensor)
                words.append(said if view.tensor.classes else f"{view.name} {said}")
        classes.append(" · ".join(words))
    if ids is None:
        return classes, [[] for _ in samples]
    both = [f"{name} · {said}" if said else name for name, said in zip(ids, classes, strict=True)]
    if not any(classes) or all(text_width(heading, bold=True) <= width for heading in both):
        return both, [[] for _ in samples]
    return list(ids), [wrap_text(said, width, size=SMALL_PT, most_lines=2) if said else [] for said in classes]


def _caption(sample: Mapping[str, Any], views: Sequence[View], width: float) -> list[str]:
    lines: list[str] = []
    for view in views:
        value = sample.get(view.name)
        if value is None:
            continue
        if view.kind == "words" and _is_text(value):
            lines += wrap_text(put_in_words(value, view.tensor), width, size=SMALL_PT)
        elif view.kind == "note":
            said = f"{len(value):,} bytes" if isinstance(value, bytes) else f"shape {np.shape(value)}"
            lines += wrap_text(f"{view.name}: {view.tensor.media_type or said}", width, size=SMALL_PT, most_lines=1)
    return lines


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, bytes, Mapping)) or (
        isinstance(value, list) and not all(isinstance(v, (int, float)) for v in value)
    )


def _explain(panels: Sequence[Panel], samples: Sequence[Mapping[str, Any]], width: float) -> list[str]:
    """One line that names the panels from left to right."""
    said: dict[str, str] = {}
    for panel in panels:
        value = next(sample[panel.view.name] for sample in samples if sample.get(panel.view.name) is not None)
        shown = sum(other.view.name == panel.view.name for other in panels)
        count = len(to_frames(as_numbers(value), panel.view.tensor)) if panel.view.kind != "profile" else 1
        dates = "" if count == 1 else f"{count} dates of " if shown == count else f"{shown} of {count} dates of "
        said[panel.view.name] = dates + describe_panel(panel.view, value)
    if not said:
        return []
    words = next(iter(said.values())) if len(said) == 1 else "from left to right: " + " | ".join(said.values())
    return wrap_text(words, width, size=LABEL_PT, most_lines=2)


def _box_keys(samples: Sequence[Mapping[str, Any]], views: Sequence[View]) -> dict[int, Key]:
    """Colours of boxes by the class of each; empty where there are no boxes."""
    if not any(view.kind == "boxes" for view in views):
        return {}
    labels = box_labels(views)
    if labels is None:
        return {0: Key("#E69F00", "box")}
    present = {int(value) for sample in samples for value in np.ravel(sample.get(labels.name, ()))}
    names, colours = class_scheme(labels.tensor, present, ground=False)
    return {
        value: Key(colours[value], names[value]) for value in names if len(names) <= MOST_FRAMES or value in present
    }


def box_labels(views: Sequence[View]) -> View | None:
    """The tensor with the class of each box."""
    return next((view for view in views if view.kind == "labels"), None)


def _legend_entries(views: Sequence[View], layers: Mapping[str, Layer], box_keys: Sequence[Key]) -> list[Entry]:
    """The layers' legends one after another; layers of the same classes share one."""
    shared: dict[tuple[Entry, ...], list[str]] = {}
    for view in views:
        if view.name in layers and layers[view.name].legend:
            shared.setdefault(layers[view.name].legend, []).append(view.name)
    entries: list[Entry] = []
    for legend, names in shared.items():
        if len(shared) + bool(box_keys) > 1 and isinstance(legend[0], Key):
            entries.append(f"{', '.join(names)}:")
        entries += legend
    if box_keys:
        entries += [*(["boxes:"] if shared else []), *box_keys]
    return entries
