"""Links to files of this machine, as a dataset may hold them: relative, for nobody else has its folders."""

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlstac.authoring._target import Target
from mlstac.errors import InvalidSampleError
from mlstac.sample import Origin
from mlstac.storage import is_remote


def relative_origins(origins: tuple[Origin, ...], *, home: Target, split: str, sample: str) -> tuple[Origin, ...]:
    """Origins of which those that are files of this machine are named from where the catalog of the split is.

    A path that is relative already, and every other URL, stays as it is.

    Parameters
    ----------
    home : Target
        The dataset's.
    sample : str
        Its id, for errors.

    Raises
    ------
    InvalidSampleError
        If the dataset is written to a URL, from where no path leads to this machine.
    """
    return tuple(
        origin if (path := _local_path(origin.href)) is None else _relative(origin, path, home, split, sample)
        for origin in origins
    )


def _local_path(href: str) -> str | None:
    """The absolute path on this machine that an address is; None for any other address."""
    if href.lower().startswith("file:"):
        return url2pathname(urlsplit(href).path)
    return href if os.path.isabs(href) else None


def _relative(origin: Origin, path: str, home: Target, split: str, sample: str) -> Origin:
    if is_remote(str(home)):
        raise InvalidSampleError(
            f"sample {sample!r} is derived_from a file of this machine, to which nothing leads from {home}; give the"
            " Item's URL (item.set_self_href), or leave derived_from out"
        )
    try:
        found = os.path.relpath(path, home.path(split).absolute())
    except ValueError:  # on another drive
        raise InvalidSampleError(
            f"sample {sample!r} is derived_from a file on another drive than {home}; give the Item's URL, or leave"
            " derived_from out"
        ) from None
    return origin._replace(href=Path(found).as_posix())
