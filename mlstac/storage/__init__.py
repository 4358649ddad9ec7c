"""Bytes by URL: ranges into buffers, small files, maps of local files, and a server for tests and demonstrations."""

from mlstac.storage._address import assign_options, dataset_name, place_of
from mlstac.storage._cache import Cache
from mlstac.storage._download import Download, download, say_missing
from mlstac.storage._fetcher import Fetcher
from mlstac.storage._files import MappedFile, file_size, map_file, read_bytes
from mlstac.storage._hub import HubPlace, find_token, hub_endpoint, parse_hub
from mlstac.storage._opened import Opened
from mlstac.storage._options import StorageOptions
from mlstac.storage._reads import Read
from mlstac.storage._retry import Retry
from mlstac.storage._server import Server, open_server
from mlstac.storage._sizes import parse_size
from mlstac.storage._store import Store, Stored
from mlstac.storage._urls import (
    check_address,
    is_http,
    is_remote,
    join,
    local_path,
    parent,
    redact,
    scheme_of,
    without_secrets,
)
from mlstac.storage._waiting import LOOK_S, result_of

__all__ = [
    "LOOK_S",
    "Cache",
    "Download",
    "Fetcher",
    "HubPlace",
    "MappedFile",
    "Opened",
    "Read",
    "Retry",
    "Server",
    "StorageOptions",
    "Store",
    "Stored",
    "assign_options",
    "check_address",
    "dataset_name",
    "download",
    "file_size",
    "find_token",
    "hub_endpoint",
    "is_http",
    "is_remote",
    "join",
    "local_path",
    "map_file",
    "open_server",
    "parent",
    "parse_hub",
    "parse_size",
    "place_of",
    "read_bytes",
    "redact",
    "result_of",
    "say_missing",
    "scheme_of",
    "without_secrets",
]
