"""What an address of a dataset tells by itself: what the dataset is called, and whose credentials are meant for it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mlstac.storage._hub import parse_hub
from mlstac.storage._options import StorageOptions
from mlstac.storage._urls import is_remote, local_path, scheme_of

_BUCKETS: Final = {"s3", "s3a", "gs", "gcs", "memory"}
_ACCOUNTS: Final = {"az", "abfs", "abfss"}


def dataset_name(address: str | os.PathLike[str], *, endpoint: str | None = None) -> str:
    """Return the name of the folder, or of the Hub's repository, that a dataset is written to.

    Parameters
    ----------
    address : str or path
        A path, or a URL in any spelling; of a repository's revision the name is the repository's.
    endpoint : str, optional
        The Hub that addresses without a host mean.

    Returns
    -------
    str
        Empty where the address has no name, as ``/`` has none. Never of what opens the store: user, password, query.
    """
    text = os.fspath(address)
    if not is_remote(text):
        return Path(local_path(text)).resolve().name
    hub = parse_hub(text, endpoint=endpoint)
    if hub is not None:
        path = hub.path.removesuffix("collection.json").strip("/") or hub.repository
    else:
        bucket, slash, key = text.partition("?")[0].partition("://")[2].partition("/")
        path = bucket.rpartition("@")[2] + slash + key
    return path.rstrip("/").removesuffix("/collection.json").rpartition("/")[2]


def assign_options(
    source: str, target: str | os.PathLike[str], options: StorageOptions
) -> tuple[StorageOptions, Mapping[str, Any] | None]:
    """Say which options are for the store that is read, and which for the one that is written.

    Both have them where both are of one Hub, in whatever spelling, or of one other scheme, as two buckets of S3 are;
    where URLs name the server or the account, of one of those too.
    Else they are the target's alone, for credentials go to no other host; a target on this machine takes none.

    Parameters
    ----------
    source : str
        ``org/name`` is of the Hub unless it is a path of this machine; empty for what is no address.
    target : str or path
        A path is one of this machine.
    """
    if not is_remote(target):
        return options, None
    ours = options() if callable(options) else options
    is_here = not is_remote(source) and (not source or os.path.exists(local_path(source)))
    shared = _store(source, ours or {}, is_here=is_here) == _store(os.fspath(target), ours or {}, is_here=False)
    return options if shared else None, ours


def _store(address: str, options: Mapping[str, Any], *, is_here: bool) -> tuple[str, str]:
    """What credentials are for: a scheme, and whose server or account, where its URLs name one."""
    hub = None if is_here else parse_hub(address, endpoint=options.get("endpoint"))
    if hub is not None:
        return "hub", hub.endpoint
    scheme = scheme_of(address)
    if scheme in _BUCKETS or is_here:
        return scheme, ""
    authority = address.partition("://")[2].partition("/")[0].partition("?")[0]
    if scheme in _ACCOUNTS:  # container@account.dfs.core.windows.net
        account = authority.partition("@")[2].partition(".")[0]
        return scheme, account or str(options.get("account_name") or "")
    return scheme, authority.rpartition("@")[2].lower()
