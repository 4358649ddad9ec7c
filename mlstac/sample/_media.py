"""Encoded fields: text, JSON, pictures and films, which lie in a shard as plain bytes (U8)."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import FormatError, InvalidSampleError
from mlstac.sample._columns import Encoded

__all__ = ["MEDIA_TYPES", "decode_field", "decode_json", "decode_text", "encode_field", "infer_media_type"]

MEDIA_TYPES = ("text/plain", "application/json", "image/jpeg", "image/png", "image/webp", "video/mp4")


def infer_media_type(value: Any) -> str | None:
    """Media type of a value that is no tensor, or None where it is one (or bytes of no known kind).

    A string is text, a dict is JSON, a list is JSON where it holds a string, a dict or None at any depth (else it is an
    array), and bytes are known by their first few.
    """
    if isinstance(value, str):
        return "text/plain"
    if isinstance(value, dict) or (isinstance(value, list | tuple) and _is_json_list(value)):
        return "application/json"
    if isinstance(value, bytes | bytearray | memoryview):
        return _sniff(bytes(memoryview(value)[:16]))
    return None


def encode_field(value: Any, media_type: str | None = None) -> Encoded:
    """Encode a value as bytes.

    Parameters
    ----------
    value : str, JSON value, or bytes
        Text becomes UTF-8, JSON its shortest spelling with sorted keys, bytes stay as they are. Given as
        ``application/json``, bytes are JSON text already, and a string is a value like any other.
    media_type : str, optional
        Inferred where it is not given.

    Returns
    -------
    tuple of (str, tuple of int, numpy.ndarray)
        ``("U8", (length,), data)``.

    Raises
    ------
    InvalidSampleError
        If the value is not of that media type.
    """
    media_type = media_type or infer_media_type(value)
    if media_type is None:
        what = "bytes of no known kind" if isinstance(value, bytes | bytearray | memoryview) else type(value).__name__
        raise InvalidSampleError(
            f"cannot tell the media type of {what}; give the tensor one, e.g. {', '.join(MEDIA_TYPES)}"
        )
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 1:
        value = value.tobytes()  # bytes on their way, as a camera or a codec hands them over
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    if media_type == "application/json":
        data = _encode_json(value)
    elif media_type.startswith("text/"):
        data = _encode_text(value, media_type)
    elif isinstance(value, bytes):
        found = _sniff(value[:16])
        if media_type in MEDIA_TYPES and found != media_type:
            raise InvalidSampleError(
                f"bytes are {found or 'of no known kind'}, but the tensor's media_type is {media_type}"
            )
        data = value
    else:
        raise InvalidSampleError(
            f"a field of {media_type} is given as {type(value).__name__}; encode it and give the bytes"
        )
    return "U8", (len(data),), np.frombuffer(data, dtype=np.uint8)


def decode_text(data: NDArray[np.uint8] | bytes) -> str:
    """Text of a ``text/plain`` field.

    Raises
    ------
    FormatError
        If the bytes are not UTF-8.
    """
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"a text field is not UTF-8 at its byte {error.start}; write the sample again") from None


def decode_json(data: NDArray[np.uint8] | bytes) -> Any:
    """Value of an ``application/json`` field.

    Raises
    ------
    FormatError
        If the bytes are not JSON, or nest too deeply to be read.
    """
    try:
        return json.loads(decode_text(data))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"a JSON field is not JSON ({str(error)[:80]}); write the sample again") from None


def decode_field(data: NDArray[np.uint8] | bytes, media_type: str) -> Any:
    """Value of an encoded field: str, JSON value, or bytes for pictures and films."""
    if media_type == "application/json":
        return decode_json(data)
    return decode_text(data) if media_type.startswith("text/") else bytes(data)


def _encode_text(value: Any, media_type: str) -> bytes:
    try:
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, str):
            return value.encode()
    except UnicodeError:
        raise InvalidSampleError(
            f"a field of {media_type} is not Unicode text that UTF-8 can hold; mend the text"
        ) from None
    raise InvalidSampleError(f"a field of {media_type} is given as {type(value).__name__}; give a str")


def _encode_json(value: Any) -> bytes:
    try:
        if isinstance(value, bytes):
            value = json.loads(value)
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), default=_plain
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSampleError(f"a field of application/json is not JSON: {str(error)[:120]}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form; use dicts, lists, strings, numbers, booleans and None")


def _is_json_list(value: list[Any] | tuple[Any, ...]) -> bool:
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str | dict) or item is None:
            return True
        if isinstance(item, list | tuple):
            stack.extend(item)
    return False


def _sniff(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    return None
