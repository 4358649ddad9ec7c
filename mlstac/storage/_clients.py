"""Filesystems of fsspec for uploads: made with settings of ours, and closed."""

import inspect
from typing import Any

from mlstac.errors import AccessError, InvalidArgumentError, UnavailableError
from mlstac.storage._conditions import AZURE, S3
from mlstac.storage._filesystems import filesystem_class, options_of, own_closing
from mlstac.storage._objects import named_error
from mlstac.storage._retry import TransientError
from mlstac.storage._urls import redact

LOGINS = {
    "s3": "`aws configure` saves them",
    "s3a": "`aws configure` saves them",
    "gs": "`gcloud auth application-default login` saves them",
    "gcs": "`gcloud auth application-default login` saves them",
    "az": "AZURE_STORAGE_CONNECTION_STRING has them",
    "abfs": "AZURE_STORAGE_CONNECTION_STRING has them",
    "abfss": "AZURE_STORAGE_CONNECTION_STRING has them",
}


def open_filesystem(url: str, scheme: str, options: dict[str, Any]) -> Any:
    if scheme in ("http", "https", "file", "local", "hf"):
        raise InvalidArgumentError(f"{redact(url)} is no folder of an object store; give s3://, gs:// or az://")
    kind = filesystem_class(url, scheme, refuse=InvalidArgumentError, known="s3://, gs://, az:// or hf://")
    options = options_of(kind, url) | options
    if scheme in S3:
        # retries are made and bounded in one place, above
        options["config_kwargs"] = {"retries": {"total_max_attempts": 1}} | dict(options.get("config_kwargs") or {})
    try:
        filesystem = kind(skip_instance_cache=True, **options)
    except (TypeError, ValueError) as error:
        if isinstance(error, TypeError):
            raise InvalidArgumentError(f"storage_options are not those of {scheme}://: {error}") from error
        raise AccessError(
            f"{redact(url)}: the client could not be made; give its account and credentials in storage_options, or as "
            f"{LOGINS.get(scheme, 'the environment has them')}"
        ) from None
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 - FTP's and the like go to their server when they are made
        fault = named_error(error, url, stall_s=0)
        if isinstance(fault, AccessError):
            raise AccessError(f"{redact(url)}: access refused; give user and password in storage_options") from None
        if not isinstance(fault, TransientError):
            raise fault from None
        raise UnavailableError(
            f"{redact(url)}: {fault.reason}; check host and port, and that a server is there"
        ) from None
    if scheme in S3:
        filesystem.retries = 1
    if scheme in AZURE:
        own_closing(filesystem)
    return filesystem


async def close_client(client: Any) -> None:
    result = client.close()
    if inspect.isawaitable(result):
        await result
