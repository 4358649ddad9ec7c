"""The page that `mlstac info` prints for a person: facts first, then tensors, bands, classes, and how to load it."""

import json
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mlstac.cli._info import sample_bytes, summarize_people, tensor_bytes
from mlstac.cli._words import say_box, say_bytes, say_count, say_dtype, say_interval, say_number, say_shape
from mlstac.collection import Collection, Tensor

_MOST_CLASSES = 40


def draw_page(collection: Collection) -> RenderableType:
    """Put a collection on a page, but for the line that loads it, which must not be broken to fit."""
    parts: list[RenderableType] = [_heading(collection)]
    if collection.description and collection.description != collection.title:
        parts.append(Text(_shorten(collection.description)))
    parts += ["", _facts(collection), "", _tensors(collection)]
    for name, tensor in collection.tensors.items():
        parts += [part for table in draw_measures(name, tensor) for part in ("", table)]
    return Padding(Group("", *parts), (0, 2))


def draw_measures(name: str, tensor: Tensor) -> Iterator[RenderableType]:
    """Draw what was measured of a tensor: by band, of all its values, or by class."""
    if tensor.bands and any(band.name or band.statistics for band in tensor.bands):
        yield _bands(name, tensor)
    if tensor.statistics is not None:
        yield _whole(name, tensor)
    if tensor.classes:
        yield _classes(name, tensor)


def _heading(collection: Collection) -> Text:
    heading = Text(collection.title or collection.id, style="heading")
    license_ = "licence: other" if collection.license == "other" else collection.license
    small = [word for word in (collection.id if collection.title else None, license_, collection.version) if word]
    return heading.append("  " + " · ".join(small), style="quiet not bold")


def _shorten(text: str, limit_chars: int = 600) -> str:
    first = text.strip().split("\n\n", 1)[0]
    return first if len(first) <= limit_chars else first[: limit_chars - 1].rsplit(" ", 1)[0] + " …"


def _facts(collection: Collection) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="quiet", no_wrap=True)
    table.add_column()
    for name, value in _said(collection):
        table.add_row(name, Text(value))
    return table


def _said(collection: Collection) -> Iterator[tuple[str, str]]:
    total = sum(split.n_items for split in collection.splits.values())
    splits = " · ".join(f"{name} {split.n_items:,}" for name, split in collection.splits.items())
    yield "samples", f"{total:,}  ({splits})" if splits else f"{total:,}"
    each = sample_bytes(collection)
    stored = f"; stored compressed ({collection.compression})" if collection.compression else ""
    if each is None:
        yield "size", f"varies from sample to sample{stored}"
    else:
        yield "size", f"{say_bytes(each * total)}, {say_bytes(each)} a sample{stored}"
    if collection.tasks:
        yield "tasks", ", ".join(collection.tasks)
    yield "place", "not placed" if not collection.placed else say_box(collection.extent.bbox[0])
    start, end = collection.extent.interval[0]
    yield "time", say_interval(start, end) if start or end else "not dated"
    people = summarize_people(collection)
    for number, person in enumerate(people):
        about = ", ".join([*([person["organization"]] if person["organization"] else []), *person["roles"]])
        yield "people" if number == 0 else "", person["name"] + (f" ({about})" if about else "")
    if collection.doi:
        yield "doi", collection.doi
    if collection.citation:
        yield "cite", collection.citation


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Text | str]]) -> Table:
    """Put rows under headings, `>` before those of numbers; a column with nothing in it is left out."""
    table = Table(box=None, header_style="quiet", pad_edge=False, padding=(0, 2, 0, 0))
    kept = [number for number in range(len(columns)) if any(len(row[number]) for row in rows)]
    for number in kept:
        heading, style = columns[number]
        table.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left", style=style)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in (row[number] for number in kept)))
    return table


def _tensors(collection: Collection) -> Table:
    columns = [
        ("tensor", "name"),
        ("role", ""),
        ("dtype", ""),
        ("shape", ""),
        ("dims", ""),
        (">a sample", ""),
        ("values", ""),
    ]
    rows = []
    for name, tensor in collection.tensors.items():
        size = tensor_bytes(tensor)
        rows.append(
            [
                name,
                tensor.role + ("" if tensor.required else ", optional"),
                tensor.media_type or say_dtype(tensor.dtype),
                say_shape(tensor.shape),
                " ".join(tensor.dims or ()),
                "varies" if size is None else say_bytes(size),
                _values(tensor),
            ]
        )
    return _table(columns, rows)


def _values(tensor: Tensor) -> str:
    numbers = {"scale": tensor.scale, "offset": tensor.offset, "nodata": tensor.nodata}
    said = [f"{word} {value:g}" for word, value in numbers.items() if value is not None]
    return ", ".join([*said, *(word for word in (tensor.unit, tensor.description) if word)])


def _bands(name: str, tensor: Tensor) -> Group:
    measures = ["minimum", "maximum", "mean", "stddev"]
    columns = [
        (">", "quiet"),
        ("band", "name"),
        ("common name", ""),
        (">µm", ""),
        *((f">{word}", "") for word in measures),
    ]
    rows = [
        [
            str(number),
            band.name or "",
            band.common_name or "",
            "" if band.center_wavelength is None else f"{band.center_wavelength:.3f}",
            *(say_number(getattr(band.statistics, measure, None)) for measure in measures),
        ]
        for number, band in enumerate(tensor.bands)
    ]
    title = Text(f"{name}: {say_count(len(tensor.bands), 'band')}", style="heading")
    return Group(title, _table(columns, rows))


def _whole(name: str, tensor: Tensor) -> Group:
    measures = ["minimum", "maximum", "mean", "stddev", "valid_percent"]
    columns = [*((f">{word}", "") for word in measures[:4]), (">valid %", ""), (">values", "")]
    count = getattr(tensor.statistics, "count", None)
    row = [say_number(getattr(tensor.statistics, measure, None)) for measure in measures]
    row.append("" if count is None else f"{count:,}")
    return Group(Text(f"{name}: over the train split", style="heading"), _table(columns, [row]))


def _classes(name: str, tensor: Tensor) -> Group:
    shown = tensor.classes[:_MOST_CLASSES]
    rows: list[list[Text | str]] = [
        [
            str(item.value),
            Text("██", style=f"#{item.color_hint}") if item.color_hint else "",
            item.label,
            "" if item.count is None else f"{item.count:,}",
            "" if item.percentage is None else f"{item.percentage:.1f} %",
            item.description or "",
        ]
        for item in shown
    ]
    if len(shown) < len(tensor.classes):
        rows.append(["", "", f"and {len(tensor.classes) - len(shown)} more", "", "", ""])
    count = len(tensor.classes)
    title = Text(f"{name}: {count:,} class{'' if count == 1 else 'es'}", style="heading")
    return Group(
        title,
        _table([(">value", "quiet"), ("", ""), ("class", "name"), (">values", ""), (">share", ""), ("", "")], rows),
    )


def load_line(collection: Collection, source: str) -> str:
    """Write the line of Python that loads the first split with samples."""
    filled = next((name for name, split in collection.splits.items() if split.n_items), "train")
    return f'mlstac.load({json.dumps(source, ensure_ascii=False)}, split="{filled}")'
