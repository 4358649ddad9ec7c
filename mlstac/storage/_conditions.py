"""Puts on a condition: that a name is free, or that what has it is still what was seen. Each store has its own words.

References
----------
S3, "Conditional writes" (``If-Match``, ``If-None-Match``); Google Cloud Storage, "Request preconditions"
(``ifGenerationMatch``); Azure, "Specifying conditional headers for Blob service operations".
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

S3: Final = ("s3", "s3a")
GOOGLE: Final = ("gs", "gcs")
AZURE: Final = ("az", "abfs", "abfss")
CONDITIONAL: Final = (*S3, *GOOGLE, *AZURE)
"""Schemes of stores that can refuse a put."""


def state_of(scheme: str, info: Mapping[str, Any]) -> str | None:
    """What a store calls the state of a file, of what it says of the file; None where it has no word for it."""
    key = {**dict.fromkeys(S3, "ETag"), **dict.fromkeys(GOOGLE, "generation"), **dict.fromkeys(AZURE, "etag")}
    found = info.get(key.get(scheme, ""))
    return None if found is None else str(found)


def put_if(filesystem: Any, scheme: str, path: str, data: bytes, *, state: str | None) -> None:
    """Write a small file if what has its name is in a state; for None, if the name is free.

    Raises
    ------
    Exception
        The client's own; `is_taken` tells whether it means that the condition did not hold.
    """
    if state is None:
        filesystem.pipe_file(path, data, mode="create")
    elif scheme in S3:
        filesystem.pipe_file(path, data, IfMatch=state)
    elif scheme in AZURE:
        from azure.core import MatchConditions

        filesystem.pipe_file(path, data, etag=state, match_condition=MatchConditions.IfNotModified)
    else:
        _put_google(filesystem, path, data, generation=state)


def _put_google(filesystem: Any, path: str, data: bytes, *, generation: str) -> None:
    """As gcsfs writes a small file, which knows no other condition than that the name is free."""
    bucket, _, key = path.partition("/")
    edge = "mlstac-7c1f0e9a4b"
    head = (
        f"--{edge}\nContent-Type: application/json; charset=UTF-8\n\n{json.dumps({'name': key})}\n"
        f"--{edge}\nContent-Type: application/octet-stream\n\n"
    )
    filesystem.call(
        "POST",
        f"{filesystem._location}/upload/storage/v1/b/{quote(bucket)}/o",
        uploadType="multipart",
        ifGenerationMatch=generation,
        headers={"Content-Type": f'multipart/related; boundary="{edge}"'},
        data=head.encode() + data + f"\n--{edge}--".encode(),
        json_out=True,
    )


def is_taken(error: BaseException) -> bool:
    """Whether a store says that a condition did not hold: the name is not free, or has another file now."""
    text = f"{error} {error.__cause__}".lower().replace(" ", "")
    said = ("preconditionfailed", "pre-conditions", "conditionalrequestconflict", "conditionnotmet")
    return isinstance(error, FileExistsError) or any(word in text for word in said) or _status(error) == 412


def _status(error: BaseException) -> int:
    code = getattr(error, "code", None)
    return int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else 0


def is_unknown(error: BaseException) -> bool:
    """Whether a store says that it does not know a condition that a request has."""
    text = f"{error} {error.__cause__}".lower().replace(" ", "")
    return any(word in text for word in ("notimplemented", "(501)", "invalidargument", "unsupported"))
