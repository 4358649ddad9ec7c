"""Where downloads go that were not told where to: a folder of each dataset's own under the user's cache."""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit


def default_folder(url: str, collection_id: str) -> Path:
    """A folder for one dataset under the user's cache.

    Parameters
    ----------
    url : str
        Of its collection; without login and query it makes the folder's name unique.
    collection_id : str
        For people; letters and digits of it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    parts = urlsplit(url)
    key = hashlib.sha256(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".encode()).hexdigest()[:16]
    word = "".join(c if c.isalnum() or c in "-_" else "_" for c in collection_id)[:64]
    return Path(base) / "mlstac" / f"{word}-{key}"
