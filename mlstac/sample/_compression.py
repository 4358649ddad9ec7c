"""How a file's name says that it is compressed, which package that needs, and what a writer may be asked for."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from mlstac.errors import InvalidArgumentError, MissingPackageError

__all__ = [
    "GZIP",
    "ZSTD",
    "Compression",
    "codec_of",
    "import_zstandard",
    "media_type_of",
    "parse_compression",
]

ZSTD: Final = "zstd"
GZIP: Final = "gzip"

_SUFFIXES: Final = {".safetensors.zst": ZSTD, ".safetensors.gz": GZIP}
_SAFETENSORS: Final = "application/vnd.safetensors"
_LEVELS: Final = range(1, 23)
_DEFAULT_LEVEL: Final = 3


@dataclass(frozen=True, slots=True)
class Compression:
    """How a writer compresses shards."""

    name: str
    """``zstd``."""
    level: int
    """1 to 22; 3 is zstd's own choice."""

    @property
    def suffix(self) -> str:
        """What a shard's name ends in, after ``.safetensors``."""
        return ".zst"


def parse_compression(text: str | None) -> Compression | None:
    """What ``compression=`` of a writer means: None, ``"zstd"``, or ``"zstd:9"`` with a level.

    Raises
    ------
    InvalidArgumentError
        If it is none of these.
    MissingPackageError
        If the package ``zstandard`` is not installed.
    """
    if text is None:
        return None
    name, colon, level = str(text).partition(":")
    if name != ZSTD or (colon and not (level.isascii() and level.isdigit() and int(level) in _LEVELS)):
        raise InvalidArgumentError(
            f"compression {text!r} is not known; give None, 'zstd' (level {_DEFAULT_LEVEL}), or 'zstd:LEVEL' with a "
            f"level from {_LEVELS[0]} to {_LEVELS[-1]}"
        )
    import_zstandard("compression='zstd'")
    return Compression(ZSTD, int(level) if colon else _DEFAULT_LEVEL)


def codec_of(href: str) -> str | None:
    """``"zstd"`` or ``"gzip"`` of a file whose name ends in ``.safetensors.zst`` or ``.safetensors.gz``, else None.

    Parameters
    ----------
    href : str
        Path or URL; a query or fragment after the name does not count.
    """
    for text in (href, href.partition("?")[0].partition("#")[0]):
        for suffix, codec in _SUFFIXES.items():
            if text.endswith(suffix):
                return codec
    return None


def media_type_of(href: str) -> str:
    """Media type of a shard: that of safetensors, with the structured suffix of its compression (RFC 8878, 8460)."""
    codec = codec_of(href)
    return _SAFETENSORS if codec is None else f"{_SAFETENSORS}+{codec}"


def import_zstandard(what: str) -> Any:
    """The package ``zstandard``.

    Parameters
    ----------
    what : str
        What needs it, for the message.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    try:
        return import_module("zstandard")
    except ImportError as error:
        raise MissingPackageError(f"{what} needs the package zstandard; run: pip install zstandard") from error
