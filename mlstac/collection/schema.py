"""The JSON Schema of ML-STAC, made of the models.

Run ``python -m mlstac.collection.schema`` after a change of the models; ``--check`` only says whether it is due.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mlstac.collection._collection import Collection
from mlstac.collection._document import ML_STAC_VERSION, SCHEMA_URI
from mlstac.collection._dtypes import DTYPES
from mlstac.collection._names import RESERVED_SPLITS
from mlstac.collection._split import Split
from mlstac.collection._stored import StoredTensor
from mlstac.collection._tasks import TASKS
from mlstac.collection._tensor import ML_FIELDS, ML_PREFIX, Tensor

PATH: Final = Path(__file__).parents[2] / "schema" / "ml-stac" / f"v{ML_STAC_VERSION}" / "schema.json"
"""Where the schema stands in the repository."""

_DRAFT = "http://json-schema.org/draft-07/schema#"
# gathered under keys of their own in a document
_GATHERED = ("ml:tensors", "ml:splits")


def make_schema() -> dict[str, Any]:
    """Make the schema: of Collections the ``ml:`` fields, of Items those of each asset.

    STAC's own fields and those of other extensions have their schemas elsewhere, and are not said again.

    Returns
    -------
    dict
        A JSON Schema of draft 7, as STAC's are.
    """
    fields = {
        key: value for key, value in _fields_of(Collection).items() if key.startswith("ml:") and key not in _GATHERED
    }
    fields["ml:version"] |= {"pattern": rf"^{ML_STAC_VERSION.split('.', maxsplit=1)[0]}\.", "default": ML_STAC_VERSION}
    fields["ml:tasks"]["items"] = {
        "type": "string",
        "anyOf": [{"enum": list(TASKS)}, {"pattern": "^x-[a-z0-9]+(-[a-z0-9]+)*$"}],
    }
    reserved = "|".join(sorted(RESERVED_SPLITS))
    collection = {
        "type": "object",
        "required": ["type", "ml:version", "ml:tasks", "ml:tensors", "ml:placed"],
        "properties": {
            "type": {"const": "Collection"},
            **fields,
            "ml:tensors": {
                "type": "object",
                "description": _sentence(Collection, "tensors"),
                "propertyNames": {"$ref": "#/definitions/tensor_name"},
                "additionalProperties": {"$ref": "#/definitions/tensor"},
            },
        },
        "patternProperties": {
            rf"^ml:(?!({reserved})$)[A-Za-z0-9][A-Za-z0-9._-]*$": {
                "if": {"type": "object", "required": ["n_items"]},
                "then": {"$ref": "#/definitions/split"},
            }
        },
    }
    item = {
        "type": "object",
        "required": ["type", "assets"],
        "properties": {
            "type": {"const": "Feature"},
            "assets": {"type": "object", "additionalProperties": {"$ref": "#/definitions/stored_tensor"}},
        },
    }
    return {
        "$schema": _DRAFT,
        "$id": f"{SCHEMA_URI}#",
        "title": "ML-STAC",
        "description": "Datasets for machine learning: STAC Collections whose samples are tensors in safetensors.",
        "oneOf": [{"$ref": "#/definitions/collection"}, {"$ref": "#/definitions/item"}],
        "definitions": {
            "collection": collection,
            "item": item,
            "tensor": _tensor(),
            "tensor_name": {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "pattern": r"^(?!\.)(?!__metadata__$)(?!.*\.(splits|rows)$)[^/\u0000-\u001f\u007f-\u009f]+$",
            },
            "split": _object(Split),
            "stored_tensor": _object(StoredTensor),
        },
    }


def write_schema(path: Path = PATH) -> None:
    """Write the schema to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_schema(), encoding="utf-8", newline="\n")


def render_schema() -> str:
    """Give the schema as the text of its file."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def _tensor() -> dict[str, Any]:
    fields = {
        key.removeprefix(ML_PREFIX): value
        for key, value in _fields_of(Tensor).items()
        if key.removeprefix(ML_PREFIX) in ML_FIELDS and key.startswith(ML_PREFIX)
    }
    fields["dtype"] = {"description": fields["dtype"]["description"], "type": "string", "enum": list(DTYPES)}
    return {"type": "object", "description": _first_line(Tensor), "properties": fields}


def _object(model: type[Any]) -> dict[str, Any]:
    required = [field.validation_alias or name for name, field in model.model_fields.items() if field.is_required()]
    out = {"type": "object", "description": _first_line(model), "properties": _fields_of(model)}
    return out | ({"required": required} if required else {})


def _fields_of(model: type[Any]) -> dict[str, Any]:
    """Give the schema of each field by its JSON name, in the words of draft 7 and without pydantic's titles."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return {key: _plain(value) for key, value in schema["properties"].items()}


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """Drop the title, and the null that stands for a field left out: a document leaves it out."""
    plain = {key: value for key, value in field.items() if key not in ("title", "default", "anyOf")}
    choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        plain |= choices[0]
    elif choices:
        plain["anyOf"] = choices
    if field.get("default") not in (None, []):
        plain["default"] = field["default"]
    return plain


def _sentence(model: type[Any], field: str) -> str:
    return str(model.model_fields[field].description)


def _first_line(model: type[Any]) -> str:
    return str(model.__doc__).strip().split("\n", maxsplit=1)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schema, or with ``--check`` say whether the file is as the models are (exit 1 if not)."""
    parser = argparse.ArgumentParser(prog="python -m mlstac.collection.schema", description=str(__doc__).split("\n")[0])
    parser.add_argument("path", nargs="?", type=Path, default=PATH, help="file to write (default: the repository's)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is not current")
    options = parser.parse_args(arguments)
    if not options.check:
        write_schema(options.path)
        return 0
    if options.path.is_file() and options.path.read_text(encoding="utf-8") == render_schema():
        return 0
    sys.stderr.write(f"{options.path} is not as the models are; run: python -m mlstac.collection.schema\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
