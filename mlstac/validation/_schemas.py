"""JSON Schemas of STAC, its extensions and our own: where they are had from, and a document held against them.

STAC's own schemas come with pystac, ours is made of the models; those of extensions are in no package: they are read
from a folder, or fetched from the hosts that publish them. One that cannot be had is said to be unchecked.
"""

import json
import re
from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from mlstac.collection import SCHEMA_URI, schema
from mlstac.errors import InvalidArgumentError, MissingPackageError, MlstacError
from mlstac.storage import Fetcher, Retry, read_bytes, redact
from mlstac.validation._report import Findings, join_path, shorten

HOSTS = frozenset(
    {"schemas.stacspec.org", "stac-extensions.github.io", "geojson.org", "proj.org", "json-schema.org"}
    | {"ml-stac.github.io", "crim-ca.github.io"}
)
"""Hosts that schemas are fetched from: a document names its schemas itself, and may name any address."""

MAX_SCHEMA_BYTES = 4 * 2**20
MAX_EXTENSIONS = 100
_SHOWN = 20
_NAMED = 10
_CORE = "https://schemas.stacspec.org/v{0}/{1}-spec/json-schema/{1}.json"
_KINDS = {"Collection": "collection", "Catalog": "catalog", "Feature": "item"}


class _UnavailableError(Exception):
    """A schema cannot be had; says why."""


class Schemas:
    """Schemas by URI; each is looked for once.

    Parameters
    ----------
    folder : path, optional
        Laid out by host and path: ``FOLDER/stac-extensions.github.io/file/v2.1.0/schema.json``.
    allow_hosts : collection of str
        Hosts beside `HOSTS` that schemas may be fetched from.

    Raises
    ------
    InvalidArgumentError
        If `folder` is none.
    MissingPackageError
        If `folder` is given, and the package that reads schemas is not installed.
    """

    def __init__(self, folder: Any = None, *, allow_hosts: AbstractCollection[str] = ()) -> None:
        self._folder = None if folder is None else Path(folder)
        self._hosts = HOSTS | set(allow_hosts)
        self._found: dict[str, Any] = {}
        self._judges: dict[str, Any] = {}
        self._down: dict[str, str] = {}
        self._said: set[str] = set()
        self._unheld: dict[str, list[tuple[str, str]]] = {}
        self.missing = [name for name in ("jsonschema", "referencing") if find_spec(name) is None]
        if self._folder is not None and not self._folder.is_dir():
            raise InvalidArgumentError(f"schemas={str(folder)!r} is no folder; give one laid out by host and path")
        if self._folder is not None and self.missing:
            raise MissingPackageError(f"JSON Schemas need {self.missing[0]}; run: pip install jsonschema pystac")
        self._bundled = {} if self.missing else _read_bundled()

    def check(self, document: Mapping[str, Any], *, file: str, findings: Findings, row: int | None = None) -> None:
        """Hold a STAC document against the schemas of its version, its extensions, and ours where it is of ours."""
        kind = _KINDS.get(str(document.get("type")))
        version = str(document.get("stac_version"))
        extensions = document.get("stac_extensions")
        listed = [uri for uri in extensions if isinstance(uri, str)] if isinstance(extensions, list) else []
        if len(listed) > MAX_EXTENSIONS:
            findings.error(
                file,
                f"{len(listed):,} extensions are declared; the first {MAX_EXTENSIONS} are looked at",
                "declare those whose fields the document has",
                path="stac_extensions",
                row=row,
            )
        uris = [] if kind is None else [_CORE.format("1.0.0" if version.startswith("1.0.") else version, kind)]
        uris += list(dict.fromkeys(listed[:MAX_EXTENSIONS]))
        if kind in ("collection", "item") and SCHEMA_URI not in uris:
            uris.append(SCHEMA_URI)
        for uri in uris:
            self._check_one(uri, document, file=file, findings=findings, row=row)

    def _check_one(
        self, uri: str, document: Mapping[str, Any], *, file: str, findings: Findings, row: int | None
    ) -> None:
        try:
            if self.missing:
                raise _UnavailableError(f"the package {self.missing[0]} is not installed")
            errors = self._errors(uri, document)
        except _UnavailableError as error:
            if uri not in self._said:  # once, not for every document
                self._said.add(uri)
                self._unheld.setdefault(str(error), []).append((file, uri))
            return
        for path, message in errors[:_SHOWN]:
            name = "the schema of ML-STAC" if uri == SCHEMA_URI else uri
            findings.error(file, message, f"change it to what {name} asks for", path=path, row=row)

    def tell_unheld(self, findings: Findings) -> None:
        """Say which schemas could not be had: once for all that one thing hinders."""
        mend = (
            "run: pip install jsonschema pystac"
            if self.missing
            else "give schemas=FOLDER with a copy at FOLDER/<host>/<path>, or try again with a network"
        )
        for reason, places in self._unheld.items():
            (file, uri), *more = places
            names = ", ".join(_say_schema(uri) for _, uri in places[:_NAMED]) + (", …" if len(places) > _NAMED else "")
            what = f"{len(places)} schemas ({names})" if more else uri[:200]
            findings.add("unchecked", file, f"not held against {what}: {reason}", mend, path="stac_extensions")

    def _errors(self, uri: str, document: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Path and message of what breaks a schema."""
        import jsonschema
        import referencing.exceptions

        found = []
        try:
            for error in self._judge(uri).iter_errors(document):
                leaf = _leaf(error)
                found.append((join_path(list(leaf.absolute_path)), shorten(leaf.message)))
                if len(found) > _SHOWN:
                    break
        except referencing.exceptions.Unresolvable as error:
            cause = error.__cause__ or error
            raise _UnavailableError(f"it refers to a schema that cannot be had ({shorten(str(cause))})") from None
        except (jsonschema.SchemaError, RecursionError, TypeError, ValueError, AttributeError) as error:
            raise _UnavailableError(f"it is no sound JSON Schema ({type(error).__name__})") from None
        return found

    def _judge(self, uri: str) -> Any:
        """What holds documents against a schema; made once, with the schemas that it refers to."""
        if uri not in self._judges:
            import jsonschema
            from referencing import Registry, Resource
            from referencing.jsonschema import DRAFT7

            resources: dict[str, Any] = {}
            todo = [uri]
            while todo:
                wanted = todo.pop().split("#", maxsplit=1)[0]
                if wanted in resources:
                    continue
                try:
                    rules = self.get(wanted)
                except _UnavailableError:
                    if wanted == uri.split("#", maxsplit=1)[0]:
                        raise
                    continue  # whether it is missed, the document decides
                resources[wanted] = Resource.from_contents(rules, default_specification=DRAFT7)
                todo += [urljoin(wanted, ref) for ref in _references(rules)]
            registry: Any = Registry().with_resources(resources.items()).crawl()
            rules = self.get(uri)
            judge = jsonschema.validators.validator_for(rules, default=jsonschema.Draft7Validator)
            # by reference, so that what it refers to is relative to where it was had, though it may not say where
            whole = {"$ref": uri.split("#", maxsplit=1)[0]}
            self._judges[uri] = judge(whole, registry=registry, format_checker=jsonschema.FormatChecker())
        return self._judges[uri]

    def get(self, uri: str) -> dict[str, Any]:
        """Give a schema; `_UnavailableError` if it cannot be had."""
        uri = uri.split("#", maxsplit=1)[0]
        if uri not in self._found:
            try:
                self._found[uri] = self._find(uri)
            except _UnavailableError as error:
                self._found[uri] = error
        found = self._found[uri]
        if isinstance(found, _UnavailableError):
            raise found
        return found  # type: ignore[no-any-return]

    def _find(self, uri: str) -> Any:
        if uri == SCHEMA_URI:
            return schema.make_schema()
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _UnavailableError("it is no http(s) URL")
        copy = self._copy(parts.netloc, parts.path)
        if copy is not None:
            return _parse(copy.read_bytes()[: MAX_SCHEMA_BYTES + 1])
        if uri in self._bundled:
            return self._bundled[uri]
        if parts.hostname == "json-schema.org":
            import jsonschema

            known = jsonschema.validators.validator_for({"$schema": uri}, default=None)
            if known is not None:
                return known.META_SCHEMA
        if parts.hostname not in self._hosts and parts.netloc not in self._hosts:
            raise _UnavailableError(f"{parts.netloc} is not among the hosts that schemas are fetched from")
        if parts.netloc in self._down:
            raise _UnavailableError(self._down[parts.netloc])
        try:
            with Fetcher(retry=Retry(tries=2, total_s=20), timeout_s=10) as fetcher:
                return _parse(read_bytes(uri, fetcher=fetcher, limit_bytes=MAX_SCHEMA_BYTES))
        except (MlstacError, OSError) as error:
            reason = str(error).removeprefix(f"{redact(uri)}: ").partition("; ")[0]
            self._down[parts.netloc] = f"it cannot be fetched: {shorten(reason)}"
            raise _UnavailableError(self._down[parts.netloc]) from None

    def _copy(self, host: str, path: str) -> Path | None:
        """A copy in the folder; the URI is from a document, so it may not lead out of it."""
        if self._folder is None or ".." in path or "\\" in path or "\0" in path:
            return None
        target = self._folder / host / path.lstrip("/")
        return target if target.is_file() and target.resolve().is_relative_to(self._folder.resolve()) else None


def _say_schema(uri: str) -> str:
    """A schema in few words: ``file v2.1.0``; its URI, where that is not of STAC's usual form."""
    core = re.fullmatch(r"https://schemas\.stacspec\.org/(v[\w.-]+)/([\w-]+)-spec/.*", uri)
    usual = re.fullmatch(r"https://[\w.-]+/([\w-]+)/(v[\w.-]+)/schema\.json", uri)
    if core is not None:
        return f"STAC {core[2]} {core[1]}"[:200]
    return uri[:200] if usual is None else f"{usual[1]} {usual[2]}"[:200]


def _leaf(error: Any) -> Any:
    """The error behind one of several alternatives: of the alternative that is meant, by the document's type."""
    while error.context:
        branches: dict[Any, list[Any]] = {}
        for under in error.context:
            branches.setdefault(under.schema_path[0], []).append(under)
        meant = [found for found in branches.values() if not any(map(_is_of_type, found))]
        closest: list[Any] = min(meant or list(branches.values()), key=lambda found: len(found))
        error = max(closest, key=lambda under: len(under.absolute_path))
    return error


def _is_of_type(error: Any) -> bool:
    return list(error.absolute_path)[-1:] == ["type"] and error.validator in ("const", "enum")


def _references(rules: Any) -> list[str]:
    """What a schema refers to outside itself."""
    found, todo = [], [rules]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            ref = value.get("$ref")
            if isinstance(ref, str) and not ref.startswith("#"):
                found.append(ref)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return found


def _parse(data: bytes) -> Any:
    try:
        rules = json.loads(data)
    except (ValueError, RecursionError):
        raise _UnavailableError("what was found there is no JSON") from None
    if not isinstance(rules, dict):
        raise _UnavailableError("what was found there is no JSON Schema")
    return rules


def _read_bundled() -> dict[str, Any]:
    """Give STAC's own schemas, as pystac brings them; none where it is not installed."""
    if find_spec("pystac") is None:
        return {}
    from pystac.validation.local_validator import get_local_schema_cache

    return dict(get_local_schema_cache())
