"""The dataset card beside a dataset: page, pictures and Croissant file, written over nothing that is not ours."""

import json
import os
import warnings
from collections.abc import Callable, Mapping

from mlstac.authoring._card_rows import Rows, read_rows
from mlstac.authoring._target import Target
from mlstac.cards import (
    CROISSANT_FILE,
    FOOTPRINTS_FILE,
    README,
    SAMPLES_FILE,
    is_same,
    make_card,
    make_croissant,
    read_signature,
    sign,
)
from mlstac.collection import Collection
from mlstac.errors import ExistsError, MissingPackageError, MlstacError
from mlstac.storage import redact

_NO_MATPLOTLIB = (
    "No pictures: matplotlib was not installed where this card was made. Install it (pip install matplotlib) and run:"
    " mlstac card PATH"
)


def card(
    path: str | os.PathLike[str], *, overwrite: bool = False, pictures: bool = True, source: str | None = None
) -> list[str]:
    """Make the card of a dataset again: ``README.md``, its two pictures, and ``croissant.json``.

    Authoring does so at its end; call it after the collection was edited by hand, where pictures were missing, or with
    the place where the dataset is published.

    Parameters
    ----------
    path : str or path-like
        The dataset's folder, local.
    overwrite : bool, default False
        Write over a ``README.md`` that mlstac did not make, or that was edited since.
    pictures : bool, default True
        Draw samples and footprints, where matplotlib is installed.
    source : str, optional
        Where the dataset can be loaded from, for the lines of code: ``hf://datasets/me/flood``.

    Returns
    -------
    list of str
        Names of the files written.

    Raises
    ------
    ExistsError
        If a ``README.md`` is there that is not mlstac's, and ``overwrite`` is not given.
    MissingFileError, CollectionError
        If there is no dataset.
    """
    target = Target(path)
    collection = Collection.from_file(target.root)
    shown = None if source is None else redact(source)  # the card is for everybody
    written = write_card(target, collection, overwrite=overwrite, pictures=pictures, source=shown)
    if not written:
        raise ExistsError(
            f"{target.path(README)} was not made by mlstac, or was edited since; give overwrite=True (mlstac card"
            " --overwrite) to replace it, or rename it first"
        )
    return written


def write_card(
    target: Target,
    collection: Collection,
    *,
    overwrite: bool = False,
    pictures: bool = True,
    source: str | None = None,
) -> list[str]:
    """Write the card of a dataset whose shards and catalogs are whole.

    Returns
    -------
    list of str
        Names of the files written; none where the ``README.md`` that is there is somebody's own.
    """
    known: Mapping[str, str] | None = {}
    if target.exists(README):
        known = read_signature(target.read(README))
        if known is None and not overwrite:
            return []
    known = known or {}
    rows = read_rows(target, collection, samples=pictures)
    made, why_not = _draw(collection, rows) if pictures else ({}, None)
    croissant = make_croissant(collection, grid=rows.grid)
    made[CROISSANT_FILE] = (json.dumps(croissant, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    ours = {name: data for name, data in made.items() if overwrite or _is_ours(target, name, data, known)}
    for name in (SAMPLES_FILE, FOOTPRINTS_FILE):
        if name not in ours and target.exists(name) and is_same(target.read(name), known.get(name)):
            target.remove(name)  # what it shows is no more
    for name, data in ours.items():
        target.put(name, data)
    page = make_card(collection, pictures=list(ours), no_pictures=why_not, source=source)
    # last: until then the files are those of the old card, or such as the same call would write again
    target.put(README, sign(page, ours).encode())
    return [README, *ours]


def keep_card(target: Target, collection: Collection) -> None:
    """Write the card at the end of an authoring; a page that is not ours stays, and that is said."""
    if not write_card(target, collection):
        warnings.warn(
            f"{target.at(README)} was not made by mlstac, or was edited since: it stays as it is; mlstac card"
            " --overwrite replaces it",
            stacklevel=2,
        )


def _is_ours(target: Target, name: str, data: bytes, known: Mapping[str, str]) -> bool:
    """Whether a name is free, or the file there is what an earlier card had, or what a killed run just wrote."""
    if not target.exists(name):
        return True
    found = target.read(name)
    return found == data or is_same(found, known.get(name))


def _draw(collection: Collection, rows: Rows) -> tuple[dict[str, bytes], str | None]:
    """The pictures as PNG by file name, and what to say where there are none.

    A picture is never worth a dataset: whatever goes wrong here is a warning, and the card does without.
    """
    try:
        from mlstac.pictures import Picture, draw_footprints, draw_samples, to_png
    except MissingPackageError:
        return {}, _NO_MATPLOTLIB
    made: dict[str, bytes] = {}
    drawings: dict[str, Callable[[], Picture]] = {}
    if any(rows.samples):
        drawings[SAMPLES_FILE] = lambda: draw_samples(rows.samples, collection.tensors, ids=rows.ids)
    if rows.footprints:
        drawings[FOOTPRINTS_FILE] = lambda: draw_footprints(rows.footprints)
    for name, draw in drawings.items():
        try:
            with warnings.catch_warnings():
                # samples' texts hold what they hold: a box stands for a letter that the font lacks
                warnings.filterwarnings("ignore", message="Glyph ")
                made[name] = to_png(draw())
        except MlstacError:
            continue  # nothing that can be shown, such as samples of numbers without a place
        except Exception as error:  # noqa: BLE001  a picture is never worth a dataset
            warnings.warn(f"the card has no {name}: {type(error).__name__}: {error}", stacklevel=2)
    return made, None
