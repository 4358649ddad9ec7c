"""The dataset card: one Markdown page that says what a dataset is, how it looks and how to load it."""

import json
import re
from collections.abc import Collection as Container
from collections.abc import Iterator, Sequence
from typing import Final

from mlstac.cards._front_matter import front_matter
from mlstac.cards._licenses import license_link
from mlstac.cards._signature import amend
from mlstac.collection import (
    Collection,
    Contact,
    Statistics,
    Tensor,
    say_box,
    say_count,
    say_dtype,
    say_interval,
    say_number,
    say_shape,
)

_UNKNOWN: Final = '"PATH-OR-URL"'
_HINT: Final = "  # where this folder lies: a path, an http(s):// URL, hf://, s3:// …"
README: Final = "README.md"
SAMPLES_FILE: Final = "samples.png"
FOOTPRINTS_FILE: Final = "footprints.png"
CROISSANT_FILE: Final = "croissant.json"

_MEASURES: Final = ("minimum", "maximum", "mean", "stddev", "valid_percent")
_MOST_CLASSES: Final = 200


def make_card(
    collection: Collection, *, pictures: Container[str] = (), no_pictures: str | None = None, source: str | None = None
) -> str:
    """Make a dataset's card.

    Parameters
    ----------
    collection : Collection
        What the dataset says of itself, with splits and assets.
    pictures : collection of str
        Which of `SAMPLES_FILE` and `FOOTPRINTS_FILE` lie beside the card.
    no_pictures : str, optional
        What to say where the samples' picture is missing.
    source : str, optional
        Where the dataset can be loaded from, for the snippet; else the reader is told to fill it in.

    Returns
    -------
    str
        Markdown with front matter, without a signature.
    """
    blocks = [
        f"# {_text(collection.title or collection.id)}",
        collection.description.strip(),
        _facts(collection),
        *_pictures(collection, pictures, no_pictures),
        "## Load it",
        _snippet(collection, source),
        *_tensors(collection),
        *_splits(collection),
        *_people(collection),
        *_citation(collection),
        "## Files",
        _files(collection, pictures),
    ]
    return front_matter(collection) + "\n" + "\n\n".join(block for block in blocks if block) + "\n"


def _facts(collection: Collection) -> str:
    total = sum(split.n_items for split in collection.splits.values())
    parts = ", ".join(f"{_text(name)} {split.n_items:,}" for name, split in collection.splits.items())
    link = license_link(collection)
    license_ = "see the link" if collection.license == "other" and link else collection.license
    start, end = collection.extent.interval[0]
    facts = [
        ("samples", f"{total:,} ({parts})" if parts else f"{total:,}"),
        ("tasks", ", ".join(collection.tasks)),
        ("licence", f"[{_text(license_)}]({_url(link)})" if link else license_),
        ("version", _text(collection.version or "")),
        ("place", say_box(collection.extent.bbox[0]) if collection.placed else "not known"),
        ("time", say_interval(start, end) if start or end else "not known"),
        ("split by", _strategy(collection)),
        ("made from", _link(collection.raw_data_url)),
        ("paper", _link(collection.paper)),
        ("questions", _link(collection.discussion_url)),
    ]
    return "\n".join(f"- **{name}**: {value}" for name, value in facts if value)


def _strategy(collection: Collection) -> str:
    strategy = collection.split_strategy
    return _text(strategy if isinstance(strategy, str) else json.dumps(strategy) if strategy else "")


def _pictures(collection: Collection, pictures: Container[str], why_not: str | None) -> Iterator[str]:
    if SAMPLES_FILE in pictures:
        yield "## Samples"
        yield f"![Samples of {_alt(collection)} with their labels]({SAMPLES_FILE})"
    elif why_not is not None:
        yield "## Samples"
        yield f"*{_text(why_not)}*"
    if FOOTPRINTS_FILE in pictures:
        yield "## Where"
        yield f"![A map of the footprints of {_alt(collection)}, by split]({FOOTPRINTS_FILE})"


def _alt(collection: Collection) -> str:
    return _text(collection.title or collection.id)


def name_source(page: bytes, source: str) -> bytes:
    """Say in a card where the dataset is.

    Parameters
    ----------
    page : bytes
        The card.
    source : str
        What `mlstac.load` takes.

    Returns
    -------
    bytes
        The card, signed again; as it was, where somebody has edited it or it names a place already.
    """

    def change(text: str) -> str:
        before, unknown, after = text.partition(f"mlstac.load({_UNKNOWN}")
        return text if not unknown else f"{before}mlstac.load({_quote(source)}{after.replace(_HINT, '', 1)}"

    return amend(page, change)


def _quote(source: str) -> str:
    return json.dumps(source, ensure_ascii=False)


def _snippet(collection: Collection, source: str | None) -> str:
    filled = next((name for name, split in collection.splits.items() if split.n_items), "train")
    where, hint = (_quote(source), "") if source else (_UNKNOWN, _HINT)
    given = ", ".join(collection.tensors)
    lines = [
        "import mlstac",
        "",
        f'ds = mlstac.load({where}, split={json.dumps(filled)}, framework="torch"){hint}',
        f"ds[0]  # one sample: a dict of {given}",
        "for batch in ds.batches(32, shuffle=True, seed=0):",
        "    ...",
    ]
    parts = [collection.assets[name].href.removeprefix("./") for name in _assets_of(collection, filled)]
    block = "\n".join(["```python", *lines, "```"])
    if not parts:
        return block
    tools = "DuckDB, pandas or, with their footprints, geopandas" if collection.placed else "DuckDB or pandas"
    reader = "geopandas" if collection.placed else "pandas"
    plain = [
        "Without mlstac: `collection.json` opens in any STAC tool, every shard with `safetensors`, and the catalogs,"
        f" one row a sample, in {tools}:",
        "",
        "```python",
        f"import {reader}",
        "",
        f"rows = {reader}.read_parquet({json.dumps(parts[0])})",
        "```",
    ]
    return "\n".join([block, "", *plain])


def _assets_of(collection: Collection, split: str) -> list[str]:
    return collection.splits[split].assets if split in collection.splits else []


def _tensors(collection: Collection) -> Iterator[str]:
    if not collection.tensors:
        return
    yield "## Tensors"
    rows = [
        [
            f"`{name}`",
            tensor.role + ("" if tensor.required else ", not in every sample"),
            tensor.media_type or say_dtype(tensor.dtype),
            say_shape(tensor.shape),
            " ".join(tensor.dims or ()),
            _values(tensor),
            tensor.description or "",
        ]
        for name, tensor in collection.tensors.items()
    ]
    yield _table(["tensor", "role", "dtype", "shape", "axes", "values", "what it is"], rows)
    whole = [(name, tensor.statistics) for name, tensor in collection.tensors.items() if tensor.statistics is not None]
    if whole:
        yield "Values over the train split, nodata left out:"
        yield _table(["tensor", *_heads()], [[f"`{name}`", *_measures(statistics)] for name, statistics in whole])
    for name, tensor in collection.tensors.items():
        if tensor.bands:
            yield f"### Bands of `{name}`"
            yield _bands(tensor)
        if tensor.classes:
            yield f"### Classes of `{name}`"
            yield from _classes(tensor)


def _values(tensor: Tensor) -> str:
    numbers = {"scale": tensor.scale, "offset": tensor.offset, "nodata": tensor.nodata}
    said = [f"{word} {value:g}" for word, value in numbers.items() if value is not None]
    return ", ".join([*said, *([tensor.unit] if tensor.unit else [])])


def _bands(tensor: Tensor) -> str:
    rows = [
        [
            str(number),
            f"`{band.name}`" if band.name else "",
            band.common_name or "",
            "" if band.center_wavelength is None else f"{band.center_wavelength:.3f}",
            *_measures(band.statistics),
            band.description or "",
        ]
        for number, band in enumerate(tensor.bands)
    ]
    return _table(["#", "band", "common name", "µm", *_heads(), "what it is"], rows)


def _heads() -> list[str]:
    return ["minimum", "maximum", "mean", "std", "valid %", "values"]


def _measures(statistics: Statistics | None) -> list[str]:
    if statistics is None:
        return [""] * 6
    numbers = [say_number(getattr(statistics, name)) for name in _MEASURES]
    return [*numbers, "" if statistics.count is None else f"{statistics.count:,}"]


def _classes(tensor: Tensor) -> Iterator[str]:
    shown = tensor.classes[:_MOST_CLASSES]
    rows = [
        [
            str(item.value),
            item.label,
            "" if item.count is None else f"{item.count:,}",
            "" if item.percentage is None else f"{item.percentage:.2f} %",
            "nodata" if item.nodata or item.value == tensor.nodata else "",
            item.description or "",
        ]
        for item in shown
    ]
    yield _table(["value", "class", "values in train", "share", "", "what it is"], rows)
    if len(shown) < len(tensor.classes):
        yield f"and {len(tensor.classes) - len(shown):,} more; `collection.json` has all."


def _splits(collection: Collection) -> Iterator[str]:
    if not collection.splits:
        return
    total = sum(split.n_items for split in collection.splits.values())
    yield "## Splits"
    rows = [
        [
            f"`{name}`",
            f"{split.n_items:,}",
            f"{100 * split.n_items / total:.1f} %" if total else "",
            ", ".join(f"`{collection.assets[asset].href.removeprefix('./')}`" for asset in split.assets[:3])
            + (f" and {len(split.assets) - 3} more" if len(split.assets) > 3 else ""),
        ]
        for name, split in collection.splits.items()
    ]
    yield _table(["split", "samples", "share", "catalog"], rows)


def _people(collection: Collection) -> Iterator[str]:
    rows = [
        [contact.name, contact.organization or "", ", ".join(contact.roles), _reach(contact)]
        for contact in collection.contacts
    ]
    rows += [
        [provider.name, provider.description or "", ", ".join(provider.roles), _link(provider.url)]
        for provider in collection.providers
    ]
    if rows:
        yield "## People"
        yield _table(["name", "of", "role", "reach"], rows, raw={3})


def _reach(contact: Contact) -> str:
    return ", ".join(
        [
            *(f"[{_text(email.value)}](mailto:{_url(email.value)})" for email in contact.emails),
            *(_link(link.href) for link in contact.links),
        ]
    )


def _citation(collection: Collection) -> Iterator[str]:
    if not collection.citation and not collection.doi:
        return
    yield "## Cite it"
    if collection.citation:
        yield f"> {_text(collection.citation)}"
    if collection.doi:
        yield f"DOI: [{_text(collection.doi)}](https://doi.org/{_url(collection.doi)})"


def _files(collection: Collection, pictures: Container[str]) -> str:
    shards = next((split for split, part in collection.splits.items() if part.n_items), "train")
    rows = [
        ["`collection.json`", "the dataset as a STAC Collection: where a reader starts"],
        [f"`{shards}/catalog.json`", "each split as a STAC Catalog"],
        [f"`{shards}/catalog-*.parquet`", "one row a sample: where, when, and where its bytes are"],
        [f"`{shards}/*.safetensors*`", "the samples"],
        [f"`{CROISSANT_FILE}`", "the same description in Croissant's words"],
        *([f"`{name}`", "the picture above"] for name in (SAMPLES_FILE, FOOTPRINTS_FILE) if name in pictures),
    ]
    count = say_count(len(collection.tensors), "tensor")
    return _table(["file", f"what it is ({count} a sample)"], rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, raw: Container[int] = ()) -> str:
    """Put rows under headings; a column with nothing in it is left out."""
    kept = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    numeric = {number for number in kept if all(re.fullmatch(r"[-\d.,e+]* ?%?", row[number]) for row in rows)}
    cells = [[row[number] if number in raw else _cell(row[number]) for number in kept] for row in rows]
    lines = [[columns[number] for number in kept], ["---:" if number in numeric else "---" for number in kept], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    if text.startswith("`"):  # code keeps its letters, but for what ends a cell
        return text.replace("|", "\\|")
    return _text(text)


_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#])")


def _text(text: str) -> str:
    """Write a text so that Markdown shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _link(url: str | None) -> str:
    if not url:
        return ""
    if re.match(r"10\.\d{4,}/", url):
        return f"[{_text(url)}](https://doi.org/{_url(url)})"
    return f"<{_url(url)}>" if re.match(r"https?://", url) else _text(url)


def _url(url: str) -> str:
    """A URL that neither ends its link nor its cell early."""
    return "".join(f"%{ord(letter):02X}" if letter in "<>()| \t\r\n\\" else letter for letter in url)
