"""Sizes in bytes, as people write them."""

import re

from mlstac.errors import InvalidArgumentError

_UNITS = {"": 1, "B": 1, **{letter + end: 1000**power for power, letter in enumerate("KMGT", 1) for end in ("", "B")}}
_UNITS |= {f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)}


def parse_size(size: int | str) -> int:
    """Return a number of bytes from ``256_000_000``, ``"256MB"`` or ``"1.5 GiB"``.

    Units are decimal (kB, MB, GB, TB) or binary (KiB, MiB, GiB, TiB), in any case of letters.

    Raises
    ------
    InvalidArgumentError
        If it is not a size, or not above zero.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:[._]\d+)*)\s*([a-zA-Z]*)\s*", size)
        unit = _UNITS.get(match.group(2).upper()) if match else None
        if match is None or unit is None:
            raise InvalidArgumentError(
                f"{size!r} is not a size; write a number of bytes, or text such as '256MB' or '1GiB'"
            )
        try:
            size = int(float(match.group(1).replace("_", "")) * unit)
        except ValueError as error:
            raise InvalidArgumentError(f"{size!r} is not a size; write text such as '256MB'") from error
    if size <= 0:
        raise InvalidArgumentError(f"a size is above zero; got {size}")
    return size
