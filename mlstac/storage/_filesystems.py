"""Classes of fsspec's filesystems, for reading and for uploads: found, or what to install for them named."""

import weakref
from typing import Any

from mlstac.errors import InvalidArgumentError, MissingPackageError, MlstacError
from mlstac.storage._urls import redact

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface_hub",
}


def filesystem_class(url: str, scheme: str, *, refuse: type[MlstacError], known: str) -> Any:
    """Return the class of fsspec's filesystem for a URL.

    Parameters
    ----------
    url, scheme : str
        The URL, and its scheme.
    refuse : type
        Class of the error if nobody knows the scheme.
    known : str
        The schemes that it names then.

    Raises
    ------
    MissingPackageError
        If a package that the scheme needs is not installed.
    """
    import fsspec

    try:
        return fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        package = PACKAGES.get(scheme)
        if package is not None:
            raise MissingPackageError(f"{scheme}:// URLs need {package}; run: pip install {package}") from error
        if isinstance(error, ImportError):  # fsspec knows the scheme, and says what it needs for it
            raise MissingPackageError(f"{scheme}:// URLs need a package that is not installed: {error}") from error
        raise refuse(f"{redact(url)}: the scheme {scheme!r} is not known; use {known}") from error


def options_of(kind: Any, url: str) -> dict[str, Any]:
    """Options that stand in the URL itself: host, port and user of an FTP server, account of ``abfs://c@account…``."""
    try:
        return dict(kind._get_kwargs_from_urls(url))
    except ValueError:  # what it says may have a part of a password in it
        raise InvalidArgumentError(
            f"{redact(url)} is no URL of a server; write scheme://host:port/path, with a number below 65536 as port"
        ) from None


def own_closing(filesystem: Any) -> None:
    """Take the closing of a filesystem's connections upon us.

    adlfs closes its own at the end of the program, in a loop that is gone by then, and prints a traceback.
    """
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        found = finalizer.peek()
        if found is not None and found[0] is filesystem:
            finalizer.detach()
