"""The columns of a catalog part against the format's table: which are there, and of which type."""

from collections.abc import Mapping

import pyarrow as pa

from mlstac.validation._report import Findings

_LEAVES = {
    "href": pa.string(),
    "type": pa.string(),
    "roles": pa.list_(pa.string()),
    "file:size": pa.int64(),
    "file:checksum": pa.string(),
    "ml:offset": pa.int64(),
    "ml:length": pa.int64(),
    "ml:checksum": pa.uint32(),
}
_NEEDED = ("href", "file:size", "ml:offset", "ml:length")
_TIMES = ("datetime", "start_datetime", "end_datetime")
_ITEM = ("type", "stac_version", "stac_extensions", "links", "collection", "geometry", "bbox", "datetime")
_AGAIN = "write the catalog again from its shards"


def check_structure(
    schema: pa.Schema, *, file: str, tensors: Mapping[str, bool], findings: Findings
) -> dict[str, list[str]]:
    """Look at a part's columns.

    Parameters
    ----------
    schema : pyarrow.Schema
    file : str
        Named in findings.
    tensors : mapping of str to bool
        The collection's tensors, and whether each needs ``ml:shape``.
    findings : Findings

    Returns
    -------
    dict of str to list of str
        The tensors whose addresses can be read, with the fields that they have.
    """
    for field in schema:
        for path, kind in _leaves(field.name, field.type):
            if pa.types.is_null(kind):
                findings.error(
                    file, "the column is of type null, which readers take for any", "leave it out", path=path
                )
    _expect(schema, "id", pa.string(), file, findings, needed=True)
    _expect(schema, "geometry", pa.binary(), file, findings)
    for name in _TIMES:
        if name in schema.names and not pa.types.is_timestamp(schema.field(name).type):
            _wrong(name, schema.field(name).type, "timestamp[us, tz=UTC]", file, findings)
        elif name in schema.names and schema.field(name).type != pa.timestamp("us", tz="UTC"):
            findings.error(
                file,
                f"the column is of type {schema.field(name).type}; expected timestamp[us, tz=UTC]",
                "write times in microseconds of UTC",
                path=name,
            )
    if b"stac-geoparquet" in (schema.metadata or {}):
        for name in _ITEM:
            if name not in schema.names:
                findings.error(
                    file,
                    "the part says that its rows are STAC Items (key stac-geoparquet), and lacks this column",
                    "add the column, or leave the key out",
                    path=name,
                )
    if "geometry" in schema.names and b"geo" not in (schema.metadata or {}):
        findings.error(file, "there is a geometry, and no metadata of GeoParquet (key geo)", "add it", path="geometry")
    return _check_assets(schema, file, tensors, findings)


def _check_assets(
    schema: pa.Schema, file: str, tensors: Mapping[str, bool], findings: Findings
) -> dict[str, list[str]]:
    if "assets" not in schema.names or not pa.types.is_struct(schema.field("assets").type):
        findings.error(
            file, "the part lacks the column assets, a struct; it cannot say where samples are", _AGAIN, path="assets"
        )
        return {}
    assets, readable = schema.field("assets").type, {}
    for tensor, shaped in tensors.items():
        path = f"assets.{tensor}"
        at = assets.get_field_index(tensor)
        kind = assets.field(at).type if at >= 0 else None
        if kind is None or not pa.types.is_struct(kind):
            findings.error(file, "the collection describes this tensor, and the part lacks it", _AGAIN, path=path)
            continue
        names = [field.name for field in kind]
        for name in [*_NEEDED, *(["ml:shape"] if shaped else [])]:
            if name not in names:
                findings.error(file, "the part lacks this column", _AGAIN, path=f"{path}.{name}")
        for name in ("ml:checksum", "file:checksum", "type", "roles"):
            if name not in names:
                findings.add("warning", file, "the part lacks this column", _AGAIN, path=f"{path}.{name}")
        sound = set(_NEEDED) <= set(names)
        for field in kind:
            wanted = pa.list_(pa.int64()) if field.name == "ml:shape" else _LEAVES.get(field.name)
            if wanted is not None and not _same(field.type, wanted):
                _wrong(f"{path}.{field.name}", field.type, str(wanted), file, findings)
                sound = sound and field.name not in _NEEDED
                names.remove(field.name)
        if sound:
            readable[tensor] = names
    for number in range(assets.num_fields):
        name = assets.field(number).name
        if name not in tensors:
            findings.error(
                file,
                "the part has a tensor that the collection does not describe (ml:tensors)",
                "describe it, or write the catalog again",
                path=f"assets.{name}",
            )
    return readable


def compare_structures(one: pa.Schema, other: pa.Schema, *, first: str, file: str, findings: Findings) -> None:
    """All parts of all splits have the same columns and types."""
    mine, theirs = (dict(_flat(schema)) for schema in (one, other))
    for path in [*mine, *(path for path in theirs if path not in mine)]:
        if not _same_or_none(mine.get(path), theirs.get(path)):
            said = f"{theirs.get(path, 'not there')} here and {mine.get(path, 'not there')} in {first}"
            findings.error(
                file, f"the column is {said}; all parts have the same columns", "write the catalogs again", path=path
            )


def _same_or_none(one: pa.DataType | None, other: pa.DataType | None) -> bool:
    return one is not None and other is not None and _same(one, other)


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types are one but for the name that Parquet's writers give to the element of a list."""
    if pa.types.is_list(one) and pa.types.is_list(other):
        return _same(one.value_type, other.value_type)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        names = [field.name for field in one]
        return names == [field.name for field in other] and all(
            _same(one.field(at).type, other.field(at).type) for at in range(one.num_fields)
        )
    return bool(one == other)


def _flat(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [leaf for field in schema for leaf in _leaves(field.name, field.type)]


def _leaves(path: str, kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    if pa.types.is_struct(kind) and kind.num_fields:
        return [
            leaf
            for at in range(kind.num_fields)
            for leaf in _leaves(f"{path}.{kind.field(at).name}", kind.field(at).type)
        ]
    return [(path, kind)]


def _expect(
    schema: pa.Schema, name: str, kind: pa.DataType, file: str, findings: Findings, *, needed: bool = False
) -> None:
    if name not in schema.names:
        if needed:
            findings.error(file, "the part lacks this column", _AGAIN, path=name)
    elif schema.field(name).type != kind:
        _wrong(name, schema.field(name).type, str(kind), file, findings)


def _wrong(path: str, found: pa.DataType, expected: str, file: str, findings: Findings) -> None:
    findings.error(file, f"the column is of type {found}; expected {expected}", _AGAIN, path=path)
