"""What an address of a dataset tells by itself: what the dataset is called, and whose credentials are meant for it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mlstac.errors import InvalidArgumentError
from mlstac.storage._filesystems import filesystem_class, options_of
from mlstac.storage._hub import parse_hub
from mlstac.storage._options import StorageOptions
from mlstac.storage._urls import is_remote, local_path, scheme_of, server_of, with_plain_scheme

_BUCKETS: Final = {"s3", "s3a", "gs", "gcs", "memory"}
_SAME: Final = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}
"""Schemes of one store under two names."""
_PORTS: Final = {"http": 80, "https": 443, "ftp": 21, "sftp": 22, "ssh": 22, "smb": 445}
_ENDPOINTS: Final = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "gs": ("STORAGE_EMULATOR_HOST",)}
"""What names a server of theirs in the environment."""
_SERVER: Final = ("host", "port", "username", "user", "password")
_ACCOUNTS: Final = {"az", "abfs", "abfss"}
_ACCOUNT: Final = re.compile(r"(.+)\.(?:dfs|blob)\.core\.windows\.net")
"""In a URL (``abfss://container@account.dfs.core.windows.net``), as adlfs reads it."""


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


def place_of(url: str, options: Mapping[str, Any]) -> str:
    """Say where a dataset is that is written to a URL: one text for all spellings of one place, and for no other place.

    A closing slash, letters of a scheme or a host, two names of one scheme, a port that goes without saying, and the
    Hub's main branch change nothing; the server that options name does, and so does a slash within a key.

    Parameters
    ----------
    url : str
        Of the folder, at a store or at the Hub.
    options : mapping
        Of the store, as its filesystem takes them.

    Returns
    -------
    str
        To compare, not to show: a URL with a key in it keeps it.

    Raises
    ------
    InvalidArgumentError
        If nobody knows the scheme.
    MissingPackageError
        If the package that the scheme needs is not installed.
    """
    hub = parse_hub(url, endpoint=options.get("endpoint"))
    if hub is not None:
        return f"hub {_origin(hub.endpoint)} {hub.repository} {hub.revision or 'main'} {hub.path}"
    url, scheme = with_plain_scheme(url), scheme_of(url)
    kind = filesystem_class(url, scheme, refuse=InvalidArgumentError, known="s3://, gs://, az:// or hf://")
    named = options_of(kind, url)
    path = str(kind._strip_protocol(url)).rstrip("/")
    if scheme in _BUCKETS:
        server = _origin(_endpoint_of(scheme, options))
    elif scheme in _ACCOUNTS:
        server = _azure_of(dict(options) | named)
    else:
        rest = {name: value for name, value in named.items() if name not in _SERVER}
        named = named | dict(options)  # as they are when the store is opened
        login = named.get("username") or named.get("user") or ""
        port = named.get("port") or _PORTS.get(scheme, "")
        server = f"{login}@{str(named.get('host') or '').lower()}:{port} {sorted(rest.items())}"
    return f"{_SAME.get(scheme, scheme)} {server} {path}"


def _endpoint_of(scheme: str, options: Mapping[str, Any]) -> str:
    given = options.get("endpoint_url") or dict(options.get("client_kwargs") or {}).get("endpoint_url")
    names = _ENDPOINTS.get(_SAME.get(scheme, scheme), ())
    return str(given or next(filter(None, map(os.environ.get, names)), ""))


def _azure_of(options: Mapping[str, Any]) -> str:
    """The server of an account; a connection string has the last word of all, as adlfs has it."""
    said = str(options.get("connection_string") or os.environ.get("AZURE_STORAGE_CONNECTION_STRING") or "")
    parts = dict(part.strip().partition("=")[::2] for part in said.split(";"))
    if parts.get("BlobEndpoint"):
        return _origin(parts["BlobEndpoint"])
    given = options.get("account_name") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME") or ""
    account = str(parts.get("AccountName") or given).lower()
    host = f"{account}.blob.{parts.get('EndpointSuffix') or 'core.windows.net'}"
    return _origin(f"https://{(not said and options.get('account_host')) or host}")


def _origin(url: str) -> str:
    """A server's URL without what goes without saying."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port != _PORTS.get(parts.scheme) else None
    except ValueError:  # of no URL: the client that is given it says so
        return url
    return f"{parts.scheme}://{parts.hostname}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


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
    shared = not is_here and store_of(source, ours or {}) == store_of(os.fspath(target), ours or {})
    return options if shared else None, ours


def store_of(address: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """Say what credentials are for: a scheme, and whose server or account, where its URLs name one.

    Parameters
    ----------
    address : str
        A URL, or ``org/name`` of the Hub.
    options : mapping
        Of the store: the Hub's ``endpoint`` and Azure's ``account_name`` are heeded.
    """
    hub = parse_hub(address, endpoint=options.get("endpoint"))
    if hub is not None:
        return "hub", hub.endpoint
    scheme = _SAME.get(scheme_of(address), scheme_of(address))
    if scheme in _BUCKETS:
        return scheme, ""
    server = server_of(address).lower()
    if scheme not in _ACCOUNTS:
        return scheme, server
    account = _ACCOUNT.match(server)
    return scheme, account[1] if account else str(options.get("account_name") or "").lower()
