"""Names of splits, as users say them."""

from collections.abc import Iterable, Sequence
from typing import Any

from mlstac.collection import Collection
from mlstac.errors import InvalidArgumentError, NotFoundError

_ALIASES = {"val": "validation", "validate": "validation", "valid": "validation", "dev": "validation"}


def split_names(split: str | Sequence[str], collection: Collection) -> tuple[str, ...]:
    """Splits that a user means, in the order given.

    Parameters
    ----------
    split : str or sequence of str
        A name, ``val``, ``"train+test"``, a list, or ``"all"``.
    collection : Collection

    Raises
    ------
    NotFoundError
        If the collection has no such split; lists those that it has.
    InvalidArgumentError
        If no split is named, or one twice.
    """
    known = collection.splits
    if isinstance(split, str):
        wanted: Iterable[str] = list(known) if split == "all" and "all" not in known else split.split("+")
    elif _are_names(split):
        wanted = [part for name in split for part in name.split("+")]
    else:
        raise InvalidArgumentError(
            f"split={split!r} is no name: give 'train', 'train+test', ['train', 'test'] or 'all'"
        )
    names = []
    for said in (name.strip() for name in wanted):
        name = said if said in known else _ALIASES.get(said, said)
        if name not in known:
            raise NotFoundError(
                f"collection {collection.id!r} has no split {said!r}; it has {', '.join(known) or 'none'}"
            )
        names.append(name)
    if not names:
        raise InvalidArgumentError("no split is named; give at least one")
    if len(set(names)) < len(names):
        raise InvalidArgumentError(f"split={split!r} names a split twice; name each once")
    return tuple(names)


def _are_names(split: Any) -> bool:
    return isinstance(split, Sequence) and all(isinstance(name, str) for name in split)
