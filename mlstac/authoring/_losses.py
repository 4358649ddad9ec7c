"""Which shards of a dataset are not there any more as they were written."""

from collections.abc import Mapping, Sequence

from mlstac.authoring._target import Target
from mlstac.collection import say_count
from mlstac.errors import MissingFileError, ShardError

_SHOWN = 5


def find_lost(target: Target, sizes: Mapping[str, int]) -> dict[str, str]:
    """Say of each shard that is gone or cut what is wrong with it.

    Parameters
    ----------
    target : Target
    sizes : mapping of str to int
        Bytes that each shard was written in, by its name.

    Returns
    -------
    dict of str to str
        By name, in the same order.
    """
    lost = {}
    for name, size in sizes.items():
        there = target.size(name)
        if there is None:
            lost[name] = "is not there"
        elif there != size:
            lost[name] = f"has {there:,} bytes, and was written in {size:,}"
    return lost


def refuse_lost(target: Target, lost: Mapping[str, str], *, of: int, n_samples: int) -> None:
    """Refuse to make catalogs of a dataset some of whose shards are lost, unless somebody says so.

    Parameters
    ----------
    lost : mapping of str to str
        As `find_lost` gives it.
    of : int
        How many shards the dataset has.
    n_samples : int
        How many samples the lost ones have.

    Raises
    ------
    MissingFileError, ShardError
        If there are any lost ones; the message names them.
    """
    if not lost:
        return
    mend = (
        f"put back what was written, and rebuild again, or give drop_missing=True to leave"
        f" {say_count(n_samples, 'sample')} out; nothing was changed"
    )
    gone = [name for name in lost if target.size(name) is None]
    if gone:
        raise MissingFileError(f"{target} lacks {len(gone)} of its {say_count(of, 'shard')}: {_some(gone)}; {mend}")
    raise ShardError(f"shards of {target} are not of the size that they were written in: {_some(list(lost))}; {mend}")


def none_left(target: Target, of: int) -> MissingFileError:
    """The error of a dataset whose shards are all lost."""
    return MissingFileError(
        f"none of the {say_count(of, 'shard')} of {target} is there as it was written; put them back, or write anew"
    )


def say_lost(name: str, split: str, n_samples: int, reason: str) -> str:
    """What is lost with a shard, in words."""
    return f"{say_count(n_samples, 'sample')} of split {split!r}, left out: the shard {name} {reason}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
