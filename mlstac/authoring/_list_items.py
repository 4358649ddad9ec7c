"""STAC Items to make samples of: of a STAC API, a static catalog, or files."""

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from mlstac.errors import (
    AccessError,
    FormatError,
    InvalidArgumentError,
    MissingFileError,
    MissingPackageError,
    MlstacError,
    UnavailableError,
)
from mlstac.sample import EPOCH
from mlstac.search import Query, make_query, plan_query
from mlstac.storage import redact

if TYPE_CHECKING:
    import pystac

_BATCH = 100
_HTTP = ("http", "https")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]+://[^\s'\"<>)]+")
_QUERY = re.compile(r"(/[^\s'\"?]*)\?[^\s'\"<>).][^\s'\"<>)]*")
"""Of an address without its host, as requests says it."""
_TIME = pa.timestamp("us", "UTC")
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("geometry", pa.binary()),
        ("bbox", pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])),
        *((name, _TIME) for name in ("datetime", "start_datetime", "end_datetime")),
    ]
)


def list_items(
    source: str | os.PathLike[str],
    *,
    collections: str | Sequence[str] | None = None,
    bbox: Sequence[float] | None = None,
    intersects: Any = None,
    datetime: Any = None,
    ids: str | Iterable[str] | None = None,
    where: str | None = None,
    limit: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator["pystac.Item"]:
    """List STAC Items, page after page as they are asked for.

    Parameters
    ----------
    source : str or path
        URL of a STAC API, or of one of its collections; URL or path of a static Catalog or Collection, of an
        ItemCollection, or of an Item.
    collections : str or sequence of str, optional
        Ids of collections; by default all.
    bbox, intersects, datetime, ids
        As ``ds.filter`` takes them. An API answers them its own way, and takes one of bbox and intersects.
    where : str, optional
        CQL2 text, for an API with the filter extension.
    limit : int, optional
        At most so many.
    headers : mapping of str to str, optional
        For HTTP: an API key, a token.

    Yields
    ------
    pystac.Item
        Whose ``self`` link says where it is; `Sample` takes it as ``derived_from``.

    Raises
    ------
    MissingPackageError
        If pystac or pystac-client is not installed.
    MissingFileError, AccessError, UnavailableError
        If the source cannot be had.
    FormatError
        If it is no STAC.
    InvalidArgumentError
        If a condition cannot be meant, or not asked of this source.
    """
    try:
        import pystac_client  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "list_items needs pystac and pystac-client; run: pip install pystac pystac-client"
        ) from error
    wanted = [collections] if isinstance(collections, str) else None if collections is None else list(collections)
    given = {"bbox": bbox, "intersects": intersects, "datetime": datetime, "ids": ids}
    query = make_query(**given) if any(value is not None for value in given.values()) else Query()
    if limit is not None and limit < 0:
        raise InvalidArgumentError(f"limit={limit} is negative; give how many Items to list, or none for all")
    found = _told(os.fspath(source), query, wanted, where, dict(headers or {}))
    return itertools.islice(found, limit)


def _told(
    source: str, query: Query, collections: list[str] | None, where: str | None, headers: dict[str, str]
) -> Iterator["pystac.Item"]:
    with _named_errors(source):
        io = _reader(source, headers)
        document = json.loads(io.read_text(source))
        api = _api_of(document, source)
        if api is not None:
            root, named = api
            landing = document if root == source else json.loads(io.read_text(root))
            yield from _search(landing, root, query, collections or named, where, headers)
            return
        if where is not None:
            raise InvalidArgumentError(
                f"where= is asked of a STAC API, and {source} is none; leave it out, and choose among the Items listed"
            )
        for items in _batches(_static_items(document, source, io)):
            chosen = [item for item in items if collections is None or item.collection_id in collections]
            yield from _meeting(chosen, query)


def _api_of(document: Any, source: str) -> tuple[str, list[str] | None] | None:
    """The landing page of the API that a document is of, and the collection that it is; None for static STAC."""
    if not isinstance(document, dict) or document.get("type") not in ("Catalog", "Collection"):
        if isinstance(document, dict) and document.get("type") in ("Feature", "FeatureCollection"):
            return None
        raise FormatError(f"{source} is no STAC Catalog, Collection, Item or ItemCollection, and no STAC API")
    links = {link.get("rel"): link.get("href") for link in document.get("links", []) if isinstance(link, dict)}
    if document["type"] == "Catalog" and ("search" in links or "conformsTo" in document):
        return source, None
    if document["type"] == "Collection" and "items" in links and "item" not in links and "root" in links:
        from pystac.utils import make_absolute_href

        return make_absolute_href(str(links["root"]), source), [document["id"]]
    return None


def _reader(source: str, headers: dict[str, str], *, static: bool = True) -> Any:
    """What reads STAC: over HTTP with retries, headers for the host of the source alone, and files for files alone."""
    import pystac
    from pystac_client.stac_api_io import StacApiIO

    here = urlsplit(source)

    class Reader(StacApiIO):
        def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
            self.refuse(str(source.get_absolute_href() if hasattr(source, "get_absolute_href") else source))
            return super().read_text(source, *args, **kwargs)

        def request(self, href: str, *args: Any, **kwargs: Any) -> str:
            self.refuse(href)
            return super().request(href, *args, **kwargs)

        def refuse(self, href: str) -> None:
            there = urlsplit(href)
            if here.scheme in _HTTP and there.scheme not in _HTTP:
                raise AccessError(
                    f"{source} leads to {href}, which is no address of HTTP; a remote catalog opens no file"
                )
            if headers and (here.scheme, here.netloc) != (there.scheme, there.netloc):
                raise AccessError(f"{here.netloc} leads to {there.netloc or href}; headers= are for the first alone")

    class StaticReader(Reader):
        # pystac-client's own takes each catalog for an API, and warns that it is none
        stac_object_from_dict = pystac.StacIO.stac_object_from_dict

    return (StaticReader if static else Reader)(headers=headers)


def _search(
    landing: dict[str, Any],
    root: str,
    query: Query,
    collections: list[str] | None,
    where: str | None,
    headers: dict[str, str],
) -> Iterator["pystac.Item"]:
    import pystac_client
    import shapely
    import shapely.geometry

    if query.bbox is not None and query.region is not None:
        raise InvalidArgumentError("a STAC API takes one of bbox= and intersects=; give the smaller")
    region = None if query.region is None else shapely.geometry.mapping(shapely.from_wkb(query.region))
    methods = {link.get("method", "GET") for link in landing.get("links", []) if link.get("rel") == "search"}
    client = pystac_client.Client.open(root, stac_io=_reader(root, headers, static=False))
    if where is not None and not client.conforms_to("FILTER"):
        # such a server does not look at it, and answers with everything
        raise InvalidArgumentError(
            f"the STAC API at {root} takes no conditions (it does not conform to the Filter extension); leave where="
            " out, and choose among the Items listed"
        )
    search = client.search(
        method="GET" if methods == {"GET"} else "POST",  # an address has bounds on its length
        collections=collections,
        bbox=query.bbox,
        intersects=region,
        datetime=None if query.span in (None, (None, None)) else _rfc3339(query),
        ids=None if query.ids is None else list(query.ids),
        filter=where,
        filter_lang=None if where is None else "cql2-text",
    )
    yield from search.items()


def _rfc3339(query: Query) -> str:
    """A span as APIs take it: both ends in full, for not all know that a month is the whole of it."""
    assert query.span is not None
    ends = (".." if end is None else (EPOCH + timedelta(microseconds=end)).isoformat() for end in query.span)
    return "/".join(end.replace("+00:00", "Z") for end in ends)


def _static_items(document: dict[str, Any], source: str, io: Any) -> Iterator["pystac.Item"]:
    import pystac

    if document["type"] == "Feature":
        yield pystac.Item.from_dict(document, href=_address(source))
    elif document["type"] == "FeatureCollection":
        for feature in document.get("features", []):
            yield pystac.Item.from_dict(feature)
    else:
        root = pystac.read_dict(document, href=_address(source), stac_io=io)
        assert isinstance(root, pystac.Catalog)
        root.set_root(root)
        yield from root.get_items(recursive=True)


def _address(source: str) -> str:
    """Where a document is read from, which its links are relative to, whatever its own ``self`` says."""
    return source if "://" in source else Path(source).absolute().as_posix()


def _batches(items: Iterable["pystac.Item"]) -> Iterator[list["pystac.Item"]]:
    rest = iter(items)
    size = 1  # the first comes at once, for some want no more
    while batch := list(itertools.islice(rest, size)):
        yield batch
        size = min(2 * size, _BATCH)


def _meeting(items: list["pystac.Item"], query: Query) -> list["pystac.Item"]:
    """Those that a query means: by the very code that searches catalogs."""
    if not items or query == Query():
        return items
    import shapely
    import shapely.geometry

    shapes = [None if item.geometry is None else shapely.geometry.shape(item.geometry) for item in items]
    boxes = [item.bbox or (None if shape is None else shape.bounds) for item, shape in zip(items, shapes, strict=True)]
    common = [item.common_metadata for item in items]
    columns = [
        [item.id for item in items],
        [None if shape is None else shapely.to_wkb(shape) for shape in shapes],
        [None if box is None else _corners(box) for box in boxes],
        [item.datetime for item in items],
        [known.start_datetime for known in common],
        [known.end_datetime for known in common],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=_SCHEMA)
    plan = plan_query(query, _SCHEMA)
    rows = plan.candidates(table)
    few = table.take(pa.array(rows))
    return [items[row] for row in rows[plan.keep(few, few)].tolist()]


def _corners(box: Sequence[float]) -> dict[str, float]:
    half = len(box) // 2
    return {"xmin": box[0], "ymin": box[1], "xmax": box[half], "ymax": box[half + 1]}


@contextmanager
def _named_errors(source: str) -> Iterator[None]:
    """What goes wrong out there, in the classes of this library; pystac wraps one error in another.

    The clients' own words hold addresses, which may be signed: they are shown without that, and so are no causes.
    """
    try:
        with _in_our_classes(source):
            yield
    except MlstacError as error:
        shown = _QUERY.sub(r"\1?...", _URL.sub(lambda url: redact(url[0]), str(error)))
        raise type(error)(shown) from None


@contextmanager
def _in_our_classes(source: str) -> Iterator[None]:
    try:
        yield
    except MlstacError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            named = cause if isinstance(cause, MlstacError) else _name(cause, source)
            if named is not None and not isinstance(named, FormatError):
                raise named from error
            cause = cause.__cause__ or cause.__context__
        named = _name(error, source)
        if named is None:
            raise
        raise named from error


def _name(error: BaseException, source: str) -> MlstacError | None:
    import pystac
    from pystac_client.exceptions import APIError

    words = str(error)[:300]
    if isinstance(error, APIError):
        status = getattr(error, "status_code", None)
        if status in (401, 403):
            return AccessError(f"{source} refuses ({status}); give headers= with its key or token")
        if status == 404:
            return MissingFileError(f"nothing is at {source} (404); give the landing page of the API")
        return UnavailableError(f"{source} cannot be listed: {words}")
    if isinstance(error, FileNotFoundError):
        return MissingFileError(f"nothing is at {error.filename or source}; give a URL or a path of STAC JSON")
    if isinstance(error, IsADirectoryError):
        return MissingFileError(f"{source} is a folder; give the catalog.json, collection.json or Items in it")
    if isinstance(error, OSError):
        return UnavailableError(f"{source} cannot be reached: {words}")
    wrong = (json.JSONDecodeError, UnicodeDecodeError, pystac.STACError, pystac.STACTypeError, KeyError)
    if isinstance(error, wrong):
        return FormatError(f"{source} is no STAC that can be read: {type(error).__name__}: {words}")
    return None
