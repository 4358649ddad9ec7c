"""Numbers as people say them."""

import re
from collections.abc import Sequence
from datetime import datetime

_KINDS = {"U": "uint", "I": "int", "F": "float", "C": "complex", "BF": "bfloat"}


def say_bytes(count: int) -> str:
    """Say a number of bytes with three digits and a decimal unit: ``9.18 MB``."""
    size, units = float(count), ["kB", "MB", "GB", "TB", "PB"]
    if count < 1000:
        return say_count(count, "byte")
    unit = "bytes"
    while size >= 999.5 and units:
        size, unit = size / 1000, units.pop(0)
    return f"{size:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f} {unit}"


def say_count(count: int, noun: str) -> str:
    """Say a number of things: ``1 request``, ``1,024 requests``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say_dtype(dtype: str | None) -> str:
    """Say a safetensors dtype in numpy's words: ``U16`` is ``uint16``."""
    if dtype is None:
        return "?"
    kind = re.fullmatch(r"(BF|[UIFC])(\d+)", dtype)
    return f"{_KINDS[kind[1]]}{kind[2]}" if kind else dtype.lower()


def say_shape(shape: Sequence[int | None] | None) -> str:
    """Say a shape: ``13 × 64 × 64``; an axis that varies is ``*``, and one number is a scalar."""
    if shape is None:
        return "varies"
    return " × ".join("*" if size is None else str(size) for size in shape) or "scalar"


def say_box(box: Sequence[float]) -> str:
    """Say a box in WGS 84 as people read a map: ``15.36°S–15.31°S, 65.02°W–64.97°W``."""
    half = len(box) // 2
    west, south, east, north = box[0], box[1], box[half], box[half + 1]
    digits = 2 if min(abs(north - south), abs(east - west)) >= 0.1 else 4
    latitudes = (f"{abs(value):.{digits}f}°{'S' if value < 0 else 'N'}" for value in (south, north))
    longitudes = (f"{abs(value):.{digits}f}°{'W' if value < 0 else 'E'}" for value in (west, east))
    return f"{' to '.join(latitudes)}, {' to '.join(longitudes)}"


def say_interval(start: datetime | None, end: datetime | None) -> str:
    """Say a time interval by its days; an open end is ``…``."""
    days = [time.date().isoformat() if time else "…" for time in (start, end)]
    return days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"


def say_number(value: float | None) -> str:
    """Say a measured number with four significant digits, a large one whole; nothing where there is none."""
    return "" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
